"""Pictures → probabilities: the author's arithmetic, the lists of tags, and graphs with real signatures whose outputs are known."""

from __future__ import annotations

import json
from pathlib import Path

import graphs
import numpy as np
import pytest
from PIL import Image

from lib_lora.core.errors import HostError
from lib_lora.tagging import labels as lists
from lib_lora.tagging import preprocess
from lib_lora.tagging.profile import CL, WD
from lib_lora.tagging.select import Thresholds, mcut, ratings, select
from lib_lora.tagging.tagger import Pair


def colour(rgb: tuple[int, int, int], size: tuple[int, int] = (20, 20)) -> Image.Image:
    return Image.new("RGB", size, rgb)


class TestPreprocessing:
    """The vectors of the author's reference."""

    def test_a_wide_picture_stands_on_white_and_is_bgr(self) -> None:
        image = Image.fromarray(np.array([[[10, 20, 30], [200, 100, 50]]], dtype=np.uint8))
        found = preprocess.prepare(image, WD, 2)
        assert found.dtype == np.float32
        assert found.tolist() == [[[30, 20, 10], [50, 100, 200]], [[255, 255, 255], [255, 255, 255]]]

    def test_the_odd_pixel_goes_to_the_bottom(self) -> None:
        found = preprocess.prepare(colour((0, 0, 0), (448, 447)), WD, 448)
        assert (found[447] == 255).all()
        assert (found[0] == 0).all()
        assert (found[446] == 0).all()

    def test_the_odd_pixel_goes_to_the_right(self) -> None:
        found = preprocess.prepare(colour((0, 0, 0), (447, 448)), WD, 448)
        assert (found[:, 447] == 255).all()
        assert (found[:, 0] == 0).all()

    def test_transparency_becomes_white(self) -> None:
        assert preprocess.prepare(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), WD, 4)[0, 0].tolist() == [127, 127, 255]

    def test_what_has_the_size_is_not_touched(self) -> None:
        pixels = np.random.default_rng(1).integers(0, 256, (448, 448, 3), dtype=np.uint8)
        assert (preprocess.prepare(Image.fromarray(pixels), WD, 448) == pixels[:, :, ::-1]).all()

    def test_small_pictures_are_enlarged(self) -> None:
        """Taggers that only pad leave them floating in white."""
        found = preprocess.prepare(colour((0, 0, 0), (30, 30)), WD, 64)
        assert (found == 0).all()

    def test_resizing_is_bicubic(self) -> None:
        pixels = np.random.default_rng(2).integers(0, 256, (30, 30, 3), dtype=np.uint8)
        wanted = np.asarray(Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC))[:, :, ::-1]
        assert (preprocess.prepare(Image.fromarray(pixels), WD, 16) == wanted).all()

    def test_cl_taggers_channels_come_first_and_lie_around_0(self) -> None:
        found = preprocess.prepare(colour((255, 0, 51), (2, 2)), CL, 2)
        assert found.shape == (3, 2, 2)
        assert found[:, 0, 0] == pytest.approx([-0.6, -1, 1])


class TestLabels:
    def test_of_wd(self, tmp_path: Path) -> None:
        file = tmp_path / "selected_tags.csv"
        file.write_text(graphs.csv(), encoding="utf-8")
        found = lists.read(file)
        assert found.names == tuple(row[0] for row in graphs.ROWS)
        assert [found.names[index] for index in found.of["character"]] == ["hatsune_miku_(cosplay)_(vocaloid)"]
        assert found.of["rating"] == (0, 1, 2, 3)

    def test_columns_are_looked_up_by_name(self, tmp_path: Path) -> None:
        plain, extra = tmp_path / "a.csv", tmp_path / "b.csv"
        plain.write_text(graphs.csv(), encoding="utf-8")
        extra.write_text(graphs.csv(extra=True), encoding="utf-8-sig")
        assert lists.read(plain) == lists.read(extra)

    def test_categories_by_number(self, tmp_path: Path) -> None:
        file = tmp_path / "tags-selected.csv"
        file.write_text("name,category\na,0\nb,1\nc,3\nd,4\ne,5\nf,9\ng,77\n", encoding="utf-8")
        assert lists.read(file).categories == ("general", "artist", "copyright", "character", "meta", "rating", "77")

    @pytest.mark.parametrize(
        "mapping",
        [
            {"0": {"tag": "solo", "category": "General"}, "1": {"tag": "safe", "category": "Rating"}},
            {"idx_to_tag": {"1": "safe", "0": "solo"}, "tag_to_category": {"solo": "General", "safe": "Rating"}},
        ],
    )
    def test_both_shapes_of_a_mapping(self, tmp_path: Path, mapping: dict[str, object]) -> None:
        file = tmp_path / "tag_mapping.json"
        file.write_text(json.dumps(mapping), encoding="utf-8")
        assert lists.read(file) == lists.Labels(("solo", "safe"), ("general", "rating"))

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("a.csv", "tag,category\nx,0\n", "no column “name”"),
            ("a.csv", "", "no column “name”"),
            ("a.csv", "name,category\n", "empty"),
            ("a.csv", "name,category\n,0\n", "line 2"),
            ("a.json", "{", "no list of tags"),
            ("a.json", "[]", "no list of tags"),
            ("a.json", "{}", "gaps"),
            ("a.json", '{"0": {"tag": "a", "category": "General"}, "2": {"tag": "b", "category": "General"}}', "gaps"),
            ("a.json", '{"idx_to_tag": {"0": "a"}, "tag_to_category": {}}', "no list of tags"),
        ],
    )
    def test_what_is_no_list_is_refused_with_its_reason(self, tmp_path: Path, name: str, text: str, why: str) -> None:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        with pytest.raises(HostError, match=why):
            lists.read(file)

    def test_other_code_pages_are_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "a.csv"
        file.write_bytes("name,category\n髪,0\n".encode("shift_jis"))
        with pytest.raises(HostError, match="not UTF-8"):
            lists.read(file)


class TestSelection:
    LABELS = lists.Labels(
        ("safe", "nude", "a", "b", "c", "miku", "rin"),
        ("rating", "rating", "general", "general", "general", "character", "character"),
    )
    ROW = np.array([0.2, 0.7, 0.5, 0.9, 0.36, 0.86, 0.8], dtype=np.float32)

    def test_each_category_has_its_threshold(self) -> None:
        found = select(self.ROW, self.LABELS, Thresholds(0.35, 0.85))
        assert list(found["general"]) == ["b", "a", "c"]
        assert list(found["character"]) == ["miku"]
        assert "rating" not in found

    def test_a_probability_equal_to_the_threshold_does_not_count(self) -> None:
        assert list(select(self.ROW, self.LABELS, Thresholds(0.5, 0.85))["general"]) == ["b"]

    def test_the_rating_is_the_likeliest(self) -> None:
        assert next(iter(ratings(self.ROW, self.LABELS))) == "nude"

    def test_mcuts_vector(self) -> None:
        assert mcut(np.array([0.5, 0.99, 0.05, 0.97, 0.10, 0.90, 0.55])) == pytest.approx(0.30)

    @pytest.mark.parametrize("few", [[], [0.9]])
    def test_mcut_of_less_than_two_takes_nothing(self, few: list[float]) -> None:
        assert mcut(np.array(few)) == 1.0

    def test_mcut_is_taken_per_category_and_no_unlikely_character_counts(self) -> None:
        row = np.array([0.2, 0.7, 0.9, 0.8, 0.1, 0.12, 0.01], dtype=np.float32)
        found = select(row, self.LABELS, Thresholds(mcut=True))
        assert list(found["general"]) == ["a", "b"]
        assert found["character"] == {}


class TestGraphs:
    @pytest.fixture(autouse=True)
    def runtime(self) -> None:
        pytest.importorskip("onnxruntime", reason="graphs need onnxruntime")

    def graph(self, folder: Path, profile: object = WD, **given: object) -> object:
        from lib_lora.tagging.session import Graph

        labels = next(path for path in folder.iterdir() if path.suffix in (".csv", ".json"))
        return Graph(Pair(folder / "model.onnx", labels), profile, "digest", **given)

    @pytest.mark.parametrize("batch", ["batch", 1, 3])
    @pytest.mark.parametrize("number", [1, 3, 7])
    def test_every_batch_axis_gives_every_picture_its_row(self, tmp_path: Path, batch: int | str, number: int) -> None:
        running = self.graph(graphs.tagger(tmp_path, batch))
        colours = [(255 - 30 * n, 20 * n, 10) for n in range(number)]
        rows = running.run([running.prepare(colour(rgb)) for rgb in colours])
        assert rows == pytest.approx(np.array([graphs.truth(rgb) for rgb in colours]), abs=1e-5)
        assert running.batch == (batch if isinstance(batch, int) else 4)
        assert running.size == graphs.SIDE

    def test_cl_taggers_logits_become_probabilities(self, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").write_bytes(graphs.cl())
        mapping = {str(n): {"tag": row[0], "category": "General"} for n, row in enumerate(graphs.ROWS)}
        (tmp_path / "tag_mapping.json").write_text(json.dumps(mapping), encoding="utf-8")
        running = self.graph(tmp_path, CL)
        (row,) = running.run([running.prepare(colour((255, 0, 0)))])
        logits = np.array([-1.0, -1.0, 1.0]) @ graphs.WEIGHTS
        assert row == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-6)

    def test_a_list_of_another_model_is_refused(self, tmp_path: Path) -> None:
        folder = graphs.tagger(tmp_path)
        (folder / "selected_tags.csv").write_text(graphs.csv(graphs.ROWS[:-1]), encoding="utf-8")
        with pytest.raises(HostError, match="has 10 tags, but the model gives 11"):
            self.graph(folder)

    def test_a_file_that_is_no_model_is_refused(self, tmp_path: Path) -> None:
        folder = graphs.tagger(tmp_path)
        (folder / "model.onnx").write_bytes(b"<html>not found</html>")
        with pytest.raises(HostError, match="cannot load this model"):
            self.graph(folder)

    def test_a_model_of_another_layout_is_refused(self, tmp_path: Path) -> None:
        folder = graphs.tagger(tmp_path)
        (folder / "model.onnx").write_bytes(graphs.cl())
        with pytest.raises(HostError, match="its input is"):
            self.graph(folder)

    def test_without_a_card_it_says_that_the_cpu_is_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import onnxruntime

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
        running = self.graph(graphs.tagger(tmp_path))
        assert running.device == "CPU"
        assert "knows no graphics card" in str(running.notes[0])
        assert self.graph(tmp_path, cpu=True).notes == ()

    @pytest.mark.filterwarnings("ignore:Specified provider")
    def test_a_card_that_cannot_be_used_leaves_the_cpu_and_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What onnxruntime does where CUDA's libraries are of another version: it lists the card and cannot open it."""
        import onnxruntime

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["DmlExecutionProvider", "CPUExecutionProvider"])
        running = self.graph(graphs.tagger(tmp_path))
        assert running.device == "CPU"
        assert "DirectML cannot be used" in str(running.notes[0])
        (row,) = running.run([running.prepare(colour((9, 9, 9)))])
        assert row == pytest.approx(graphs.truth((9, 9, 9)), abs=1e-5)

    def test_a_card_that_fails_in_the_middle_hands_over(self, tmp_path: Path) -> None:
        running = self.graph(graphs.tagger(tmp_path))

        class Full:
            def run(self, *_: object) -> None:
                raise RuntimeError("CUDA out of memory\nwith details")

        running._session, running.device = Full(), "CUDA"
        (row,) = running.run([running.prepare(colour((90, 0, 0)))])
        assert row == pytest.approx(graphs.truth((90, 0, 0)), abs=1e-5)
        assert running.device == "CPU"
        assert "CUDA out of memory" in str(running.notes[-1])
