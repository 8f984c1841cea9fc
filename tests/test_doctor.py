"""doctor: every fault is found once in its place, a good folder has none, and nothing that training refuses is missed."""

from __future__ import annotations

import os
from pathlib import Path

import doctored
import numpy as np
import pytest
from doctored import TRIGGER, clean, drawing, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lib_lora.dataset.config import BucketConfig, CaptionConfig, DataConfig
from lib_lora.dataset.scan import scan
from lib_lora.doctor.examine import Examination, Origins, Subject, Wish, examine
from lib_lora.doctor.problem import REMEDIES, SEVERITIES
from lib_lora.pictures import catalog


class Quiet:
    cancelled = False

    def tell(self, *_: object) -> None:
        pass


def seen(cache: Path):
    from functools import partial

    from lib_lora.doctor import eyes

    return partial(eyes.with_cache, cache)


def look(folder: Path, trigger: str = TRIGGER, reg: Path | None = None, pixels: bool = True, **wish: object) -> Examination:
    def words(text: str) -> int:
        return len(text.replace(",", " ,").split())

    see = seen(folder.parent / f"{folder.name}-cache") if pixels else lambda *_: {}
    other = catalog.read(reg) if reg else None
    wanted = {"resolution": doctored.SIZE, **wish}
    return examine(Subject(catalog.read(folder), see, other, words), Wish(trigger, **wanted), Quiet())  # type: ignore[arg-type]


def found(folder: Path, **more: object) -> set[tuple[str, str, str]]:
    told = [(one.severity, one.kind, one.file) for one in look(folder, **more).problems]  # type: ignore[arg-type]
    assert len(set(told)) == len(told), "nothing is told twice"
    return set(told)


def test_a_clean_folder_has_nothing(tmp_path: Path) -> None:
    result = look(clean(tmp_path / "set"))
    assert (result.images, result.captions, result.problems) == (40, 40, ())


def test_names_of_any_kind_are_no_fault(tmp_path: Path) -> None:
    folder = clean(tmp_path / "配布 素材 😺")
    for index, name in enumerate(["😺 cat.png", "猫 の 絵.png", "a..b.png", "a... .png", "it's (1) [x] {n}.png", "100% #1.png"]):
        write(folder / "2_girl" / name, drawing(900 + index))
    assert found(folder) == set()


FAULTS = "2_girl"


def one_of_each(folder: Path) -> set[tuple[str, str, str]]:
    """A clean set, and one picture with each fault; returns what is to be found."""
    clean(folder, 44)
    here = folder / FAULTS
    truth: set[tuple[str, str, str]] = set()
    seeds = iter(range(1000, 2000))

    def fault(severity: str, kind: str, name: str, caption: str | bytes | None = "", image: Image.Image | None = None, where: Path = here) -> Path:
        truth.add((severity, kind, (where / name).relative_to(folder).as_posix()))
        return write(where / name, image or drawing(next(seeds)), caption)

    doctored.corrupt(fault("error", "unreadable", "cut.png"))
    (here / "zero.png").write_bytes(b"")
    (here / "zero.txt").write_text(f"{TRIGGER}, cat")
    truth.add(("error", "unreadable", f"{FAULTS}/zero.png"))
    doctored.animation(here / "moving.webp", next(seeds))
    truth.add(("warning", "animated", f"{FAULTS}/moving.webp"))
    fault("hint", "colours", "print.jpg", image=drawing(next(seeds)).convert("CMYK"))
    fault("hint", "transparent", "clear.png", image=with_hole(next(seeds)))
    fault("warning", "upscale", "small.png", image=drawing(next(seeds), (70, 100)))
    fault("error", "too_small", "tiny.png", image=drawing(next(seeds), (300, 40)))
    fault("warning", "no_caption", "bare.png", None)
    fault("error", "empty_caption", "empty.png", b"")
    fault("error", "empty_caption", "blank.png", b" \n ")
    fault("error", "first_line", "later.png", f"\n{TRIGGER}, cat")
    fault("error", "text_unreadable", "latin.png", "ohwx, caf\u00e9".encode("latin-1"))
    fault("warning", "lines", "notes.png", f"{TRIGGER}, cat\nmore of it")
    fault("warning", "escaped", "escaped.png", f"{TRIGGER}, saber \\(fate\\)")
    fault("warning", "underscores", "under.png", f"{TRIGGER}, long_hair")
    fault("warning", "commas", "commas.png", f"{TRIGGER}, 猫，犬")
    fault("warning", "syntax", "weights.png", f"{TRIGGER}, (cat:1.2)")
    fault("warning", "duplicates", "twice.png", f"{TRIGGER}, cat, Cat")
    fault("warning", "contradiction", "against.png", f"{TRIGGER}, 1girl, solo, long hair, short hair")
    fault("hint", "long", "long.png", ", ".join([TRIGGER, *(f"t{n}" for n in range(40))]))
    fault("warning", "too_long", "longer.png", ", ".join([TRIGGER, *(f"t{n}" for n in range(120))]))
    fault("warning", "trigger_only", "only.png", f"{TRIGGER}, pillarboxed")
    fault("warning", "trigger_missing", "without.png", "cat, tail")
    fault("warning", "trigger_late", "second.png", f"cat, {TRIGGER}")
    # The caption is also longer than a chunk, which is said beside it.
    fault("warning", "trigger_cut", "behind.png", ", ".join([*(f"t{n}" for n in range(40)), TRIGGER]))
    truth.add(("hint", "long", f"{FAULTS}/behind.png"))
    fault("warning", "misnamed_caption", "named.png", None)
    (here / "named.caption").write_text(f"{TRIGGER}, cat")
    write(here / "stem.jpg", drawing(next(seeds)))
    fault("error", "same_stem", "stem.png")
    (here / "alone.txt").write_text("a cat")
    truth.add(("warning", "orphan", f"{FAULTS}/alone.txt"))
    (here / "old.gif").write_bytes(b"GIF89a")
    truth.add(("warning", "other_kind", f"{FAULTS}/old.gif"))
    (here / "Thumbs.db").write_bytes(b"x")
    truth.add(("hint", "junk", f"{FAULTS}/Thumbs.db"))
    fault("warning", "hidden", "..dot 😺.png")
    write(here / "masked.png", drawing(next(seeds)))
    fault("error", "mask", "masked-masklabel.png", None, drawing(next(seeds), grey=True))
    write(folder / "ten_cat" / "x.png", drawing(next(seeds)))
    truth.add(("warning", "folder_name", "ten_cat"))
    truth.add(("warning", "left_out", ""))
    (folder / "5_nobody").mkdir()
    truth.add(("error", "empty_folder", "5_nobody"))
    write(here / "deep" / "x.png", drawing(next(seeds)))
    truth.add(("warning", "deep_folder", f"{FAULTS}/deep"))
    return truth


def with_hole(seed: int) -> Image.Image:
    image = drawing(seed).convert("RGBA")
    image.putpixel((5, 5), (0, 0, 0, 0))
    return image


def of_pixels(folder: Path) -> set[tuple[str, str, str]]:
    """Faults that show in the pixels alone."""
    here = folder / FAULTS
    write(here / "copy.png", drawing(3), None)
    (here / "copy.txt").write_text(f"{TRIGGER}, other words")
    write(here / "z_near.jpg", drawing(4))
    write(here / "z_mirror.png", drawing(5).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    write(here / "bars.png", doctored.barred(3000))
    return {
        ("warning", "exact", f"{FAULTS}/copy.png"),
        ("warning", "near", f"{FAULTS}/z_near.jpg"),
        ("hint", "flips", f"{FAULTS}/z_mirror.png"),
        ("warning", "bars", f"{FAULTS}/bars.png"),
    }


def test_one_fault_of_each_kind_is_found_once_and_nothing_else(tmp_path: Path) -> None:
    truth = one_of_each(tmp_path / "set")
    assert found(tmp_path / "set", pixels=False) == truth


def test_what_the_pixels_say_is_found_once_and_nothing_else(tmp_path: Path) -> None:
    truth = of_pixels(clean(tmp_path / "set"))
    assert found(tmp_path / "set") == truth


def test_all_of_it_together(tmp_path: Path) -> None:
    truth = one_of_each(tmp_path / "set") | of_pixels(tmp_path / "set")
    result = look(tmp_path / "set")
    assert {(one.severity, one.kind, one.file) for one in result.problems} == truth
    assert [SEVERITIES.index(one.severity) for one in result.problems] == sorted(SEVERITIES.index(one.severity) for one in result.problems)
    there = [path for path in (tmp_path / "set").rglob("*") if path.suffix in (".png", ".jpg", ".webp") and path.name[0] != "."]
    assert result.images == len(there) - 1, "all but the mask"
    assert result.trained == result.images - 2
    assert result.captions == sum(path.with_suffix(".txt").is_file() for path in there) - 1, "the one that is not UTF-8 says nothing"


def test_whatever_training_refuses_is_an_error_here(tmp_path: Path) -> None:
    """The scan of training is asked about each fault by itself; none of its problems and warnings may be unknown here."""
    folder = tmp_path / "all"
    one_of_each(folder)
    names = sorted({path.stem for path in (folder / FAULTS).iterdir() if path.is_file() and path.name[0] != "."})
    compared = refused = 0
    for name in names:
        alone = tmp_path / "alone" / name
        for path in (folder / FAULTS).glob(f"{name}.*"):
            target = alone / FAULTS / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        said = scan(DataConfig(folder=str(alone), resolution=doctored.SIZE), CaptionConfig(trigger=TRIGGER), BucketConfig())
        told = [one for one in look(alone, pixels=False).problems if one.kind != "few"]
        compared += 1
        refused += bool(said.problems)
        # A mask is trained as a picture without a word.
        assert bool(said.problems) == any(one.severity == "error" and one.kind != "mask" for one in told), (name, said.problems, told)
        assert not said.warnings or any(one.severity in ("error", "warning") for one in told), (name, said.warnings, told)
    assert compared > 60 and refused >= 7


def test_a_folder_laid_out_otherwise_is_told_and_looked_through_all_the_same(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    (folder / "2_girl").rename(folder / "girl")
    write(folder / "girl" / "under.png", drawing(70), "ohwx, long_hair")
    assert found(folder, pixels=False) == {("error", "layout", ""), ("warning", "folder_name", "girl"), ("warning", "underscores", "girl/under.png")}


def test_the_inner_folder_and_both_layouts_are_told(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    assert found(folder / "2_girl", pixels=False) == {("warning", "inner_folder", "")}
    write(folder / "loose.png", drawing(70))
    assert found(folder, pixels=False) == {("warning", "both_layouts", "")}


def test_all_of_a_mixed_tree_is_looked_at_and_what_training_leaves_out_is_told(tmp_path: Path) -> None:
    """Ten pictures lie loose, the others in folders without a number: the page shows all of them."""
    from lib_lora.doctor.documents import summary

    folder = tmp_path / "set"
    for index in range(10):
        write(folder / f"{index}.png", drawing(index))
    for index in range(20):
        write(folder / "pixiv" / f"{index}.png", drawing(100 + index))
    for index in range(13):
        write(folder / "more" / "inner" / f"{index}.png", drawing(200 + index))
    (folder / "pixiv" / "3.txt").write_bytes("ohwx, 猫耳少女".encode("gbk"))
    write(folder / "more" / "inner" / "twin.png", drawing(4))
    write(folder / "pixiv" / "bars.png", doctored.barred(3000))
    told = look(folder)
    assert (told.images, told.trained) == (45, 10)
    there = {(one.severity, one.kind, one.file) for one in told.problems}
    assert {
        ("warning", "left_out", ""),
        ("warning", "text_unreadable", "pixiv/3.png"),
        ("warning", "bars", "pixiv/bars.png"),
        ("warning", "exact", "more/inner/twin.png"),
    } <= there, "nothing of what training leaves out stops it"
    first = next(one for one in told.problems if one.kind == "left_out")
    assert first.what.text() == "training would read 10 of 45 pictures as the folders are now; left out are those of pixiv (21), more/inner (14)"
    assert summary(told).text().endswith("training would read 10 of 45 pictures as the folders are now")


def test_an_empty_folder_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    assert found(tmp_path / "set") == {("error", "layout", "")}


@pytest.mark.parametrize(("n", "kinds"), [(1, {"few"}), (19, {"few"}), (20, {"few"}), (39, {"few"}), (40, set())])
def test_few_pictures_are_a_hint(tmp_path: Path, n: int, kinds: set[str]) -> None:
    result = look(clean(tmp_path / "set", n), pixels=False)
    assert {one.kind for one in result.problems} == kinds
    assert all("40" in one.what.text() for one in result.problems)


def test_batches_that_a_bucket_never_fills(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set", size=(256, 256))
    write(folder / "2_girl" / "wide.png", drawing(70, (512, 256)))
    wish = {"pixels": False, "resolution": (256, 256), "bucket": BucketConfig(min=128)}
    assert found(folder, batch=2, **wish) == set(), "two repeats fill a batch of two"
    result = look(folder, batch=3, **wish)  # type: ignore[arg-type]
    assert [(one.kind, one.file) for one in result.problems] == [("tiny_buckets", "")]
    assert "(2)" in result.problems[0].what.text()


def test_the_resolution_decides_what_is_small(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    kinds = {(one.severity, one.kind) for one in look(folder, pixels=False, resolution=(192, 192)).problems}
    assert kinds == {("warning", "upscale")}
    assert {one.severity for one in look(folder, pixels=False, resolution=(160, 160), bucket=BucketConfig(step=32)).problems} == {"hint"}


def test_mostly_grey(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    for index in range(40):
        write(folder / "2_grey" / f"{index}.png", drawing(500 + index, grey=True))
    assert found(folder) == set(), "half is no majority"
    write(folder / "2_grey" / "one more.png", drawing(600, grey=True))
    assert found(folder) == {("warning", "grey", "")}


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_told(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    other = write(tmp_path / "elsewhere" / "a.png", drawing(70))
    (folder / "2_girl" / "link.png").symlink_to(other)
    (folder / "2_girl" / "link.txt").write_text(f"{TRIGGER}, cat")
    (folder / "2_girl" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "2_girl" / "loop.png").symlink_to(folder / "2_girl" / "loop.png")
    (folder / "round").symlink_to(folder)
    assert found(folder, pixels=False) == {
        ("hint", "link", "2_girl/link.png"),
        ("warning", "broken_link", "2_girl/gone.png"),
        ("warning", "broken_link", "2_girl/loop.png"),
        ("hint", "link", "round"),
    }


@pytest.mark.skipif(os.name == "nt", reason="these are one file there")
def test_names_that_differ_in_case_only(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    write(folder / "2_girl" / "Cat.png", drawing(70))
    if (folder / "2_girl" / "cat.png").exists():
        pytest.skip("this disk does not tell them apart")
    write(folder / "2_girl" / "cat.png", drawing(71))
    assert found(folder, pixels=False) == {("warning", "case", "2_girl/cat.png")}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_entered(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    (folder / "shut").mkdir()
    (folder / "shut").chmod(0)
    try:
        assert ("error", "closed", "shut") in found(folder, pixels=False)
    finally:
        (folder / "shut").chmod(0o755)


def test_long_paths(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    name = "x" * (262 - len(str(folder / "2_girl")) - 5) + ".png"
    write(folder / "2_girl" / name, drawing(70))
    key = f"2_girl/{name}"
    told = found(folder, pixels=False)
    assert {(kind, file) for _, kind, file in told} >= {("long_path", key)}


# --- the regularisation set ---


def reg_of(folder: Path, n: int = 40, caption: str = "1girl, smile") -> Path:
    for index in range(n):
        write(folder / "1_other" / f"{index:03}.png", drawing(5000 + index), caption)
    return folder


def test_a_good_regularisation_set(tmp_path: Path) -> None:
    result = look(clean(tmp_path / "set"), reg=reg_of(tmp_path / "reg"))
    assert result.problems == ()
    assert result.audit is not None
    assert (result.audit.count, result.audit.wanted, result.audit.coverage, result.audit.missing) == (40, 40, 1.0, ())


def test_every_fault_of_a_regularisation_set(tmp_path: Path) -> None:
    folder, reg = clean(tmp_path / "set"), reg_of(tmp_path / "reg", 35)
    for index in range(3):
        (folder / "2_girl" / f"{index:03}.txt").write_text("ohwx, 1girl, hat, red hair, cat")
    write(reg / "1_other" / "shared.png", drawing(7), "1girl")
    write(reg / "1_other" / "leak.png", drawing(6000), "1girl, OHWX")
    doctored.corrupt(write(reg / "1_other" / "cut.png", drawing(6001), "1girl"))
    name = reg.as_posix()
    told = look(folder, reg=reg)
    assert {(one.severity, one.kind, one.file) for one in told.problems} == {
        ("error", "reg_shared", f"{name}/1_other/shared.png"),
        ("error", "reg_leak", f"{name}/1_other/leak.png"),
        ("error", "reg_flaw", f"{name}/1_other/cut.png"),
        ("warning", "reg_count", f"{name}/"),
        ("warning", "reg_coverage", f"{name}/"),
    }
    assert told.audit is not None
    assert told.audit.coverage == pytest.approx(2 / 5)
    assert told.audit.missing == (("cat", 3), ("hat", 3), ("red hair", 3))


def test_pictures_of_both_sets_are_found_below_and_by_what_they_were_made_of(tmp_path: Path) -> None:
    """A copy in a folder that training leaves out, one that was saved anew, and one whose training picture was padded since."""
    folder, reg, source = clean(tmp_path / "set"), reg_of(tmp_path / "reg", 37), tmp_path / "source"
    write(folder / "pixiv" / "deep" / "one.png", drawing(800))
    write(reg / "more" / "stolen.png", drawing(800), "1girl")
    write(reg / "1_other" / "saved.jpg", drawing(7), "1girl")
    write(source / "a" / "wide.png", drawing(900, (192, 96)))
    square = Image.new("RGB", (192, 192))
    square.paste(drawing(900, (192, 96)), (0, 48))
    write(folder / "2_girl" / "wide.png", square, f"{TRIGGER}, 1girl, smile, letterboxed")
    write(reg / "1_other" / "wide.png", drawing(900, (192, 96)), "1girl")
    origins = Origins(catalog.read(source), {"2_girl/wide.png": "a/wide.png"}, TRIGGER)
    subject = Subject(catalog.read(folder), seen(tmp_path / "cache"), catalog.read(reg), origins=origins)
    told = examine(subject, Wish("", doctored.SIZE), Quiet())
    assert told.audit is not None
    assert told.audit.shared == (("more/stolen.png", "pixiv/deep/one.png"),)
    assert told.audit.alike == (("1_other/saved.jpg", "2_girl/007.png"), ("1_other/wide.png", "2_girl/wide.png"))
    assert told.audit.missing == (), "the trigger and how pictures were padded are no gap"
    name = reg.as_posix()
    assert {one.file: one.severity for one in told.problems if one.kind in ("reg_shared", "reg_alike")} == {
        f"{name}/more/stolen.png": "error",
        f"{name}/1_other/saved.jpg": "warning",
        f"{name}/1_other/wide.png": "warning",
    }


def test_the_training_set_is_no_regularisation_set(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    assert found(folder, reg=folder / "2_girl", pixels=False) == {("error", "reg_same", f"{(folder / '2_girl').as_posix()}/")}


def test_copies_made_on_purpose_are_no_fault_and_count_for_nothing(tmp_path: Path) -> None:
    """As Prepare makes them: mirrored, or repeated to make groups even."""
    folder = clean(tmp_path / "set")
    write(folder / "2_girl" / "one_flip.png", drawing(5).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    write(folder / "2_girl" / "two_copy.png", drawing(6))
    assert {kind for _, kind, _ in found(folder)} == {"flips", "exact"}
    made = ("2_girl/one_flip.png", "2_girl/two_copy.png")
    subject = Subject(catalog.read(folder), seen(tmp_path / "cache"), copies=made)
    assert examine(subject, Wish(TRIGGER, doctored.SIZE), Quiet()).problems == ()
    (folder / "2_girl" / "000.png").unlink()
    (folder / "2_girl" / "000.txt").unlink()
    fewer = examine(Subject(catalog.read(folder), seen(tmp_path / "cache"), copies=made), Wish(TRIGGER, doctored.SIZE), Quiet())
    assert [one.kind for one in fewer.problems] == ["few"]


# --- all kinds ---


def test_every_kind_has_its_remedy_and_every_remedy_is_of_use() -> None:
    """Kinds are strings in the code that finds them; one that is misspelt would only show when it is found."""
    import re

    package = Path(__file__).parents[1] / "lib_lora"
    source = "".join(path.read_text(encoding="utf-8") for room in ("doctor", "pictures") for path in (package / room).glob("*.py"))
    named = set(re.findall(r'(?:Problem|Finding)\(\s*"(\w+)"', source)) | {"near", "flips"}
    assert named - {"unsaved"} <= set(REMEDIES)
    assert set(REMEDIES) - named <= {"unsaved"}


def test_pictures_of_every_odd_kind_have_a_sentence(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    here = folder / "2_girl"
    palette = drawing(80).quantize(32)
    palette.info["transparency"] = int(palette.getpixel((0, 0)))
    palette.save(here / "palette.png", transparency=palette.info["transparency"])
    deep = np.add.outer(np.arange(128) * 300, np.arange(128) * 200).astype(np.uint16)
    Image.fromarray(deep).save(here / "deep.png")
    write(here / "grey.png", drawing(81).convert("L"))
    write(here / "opaque.png", drawing(82).convert("RGBA"))
    Image.new("1", (20_000, 20_000)).save(here / "bomb.png")
    Image.new("1", (8_000, 5_000)).save(here / "large.png")
    (here / "text.png").write_text("I am no picture")
    for name in ("palette", "deep", "bomb", "large", "text"):
        (here / f"{name}.txt").write_text(f"{TRIGGER}, cat")
    result = look(folder, pixels=False)
    assert {(one.kind, one.file.removeprefix("2_girl/")) for one in result.problems} == {
        ("transparent", "palette.png"),
        ("colours", "deep.png"),
        ("unreadable", "bomb.png"),
        ("huge", "large.png"),
        ("unreadable", "text.png"),
    }
    assert all(one.what.text() for one in result.problems)


FOLDERS = ("", "2_girl", "3_", "0_none", "girl", "-1_x", "2_girl/deep", "2_girl/masks", ".hidden", "１_wide")
CONTENTS = (None, b"", b" \n", b"ohwx, cat", b"\ncat", b"cat\nmore", b"\xff\xfe", b"\xef\xbb\xbfohwx, cat", b"\xef\xbb\xbf", b"long_hair")
PICTURES = ("good", "cut", "zero", "tiny")
NAMES = ("a.png", "a.jpg", "b.PNG", "c d.webp", "e.gif", "a_mask.png", "x-masklabel.png")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES), st.sampled_from(PICTURES), st.sampled_from(CONTENTS)),
        max_size=6,
        unique_by=lambda one: (one[0], one[1].lower()),
    )
)
def test_no_folder_is_refused_by_training_and_passed_here(tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, str, str, bytes | None]]) -> None:
    folder = tmp_path_factory.mktemp("any")
    for where, name, kind, caption in files:
        path = folder / where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (200, 30) if kind == "tiny" else (128, 128)
        Image.new("RGB", size, (200, 30, 90)).save(path, format="PNG")
        if kind in ("cut", "zero"):
            path.write_bytes(path.read_bytes()[:-30] if kind == "cut" else b"")
        if caption is not None:
            path.with_suffix(".txt").write_bytes(caption)
    said = scan(DataConfig(folder=str(folder), resolution=doctored.SIZE), CaptionConfig(trigger=TRIGGER), BucketConfig())
    told = look(folder, pixels=False).problems
    errors = [one for one in told if one.severity == "error"]
    assert not said.problems or errors, said.problems
    # The other way round, too, but for masks, which training takes for pictures.
    assert said.problems or not [one for one in errors if one.kind != "mask"], (said, errors)
    assert not said.warnings or [one for one in told if one.severity != "hint"], said.warnings


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_that_is_trained_through_a_link_is_looked_into(tmp_path: Path) -> None:
    folder = clean(tmp_path / "set")
    write(tmp_path / "elsewhere" / "a.png", drawing(70), f"{TRIGGER}, long_hair")
    (tmp_path / "elsewhere" / "alone.txt").write_text("nobody")
    (folder / "3_linked").symlink_to(tmp_path / "elsewhere")
    told = {("hint", "link", "3_linked"), ("warning", "underscores", "3_linked/a.png"), ("warning", "orphan", "3_linked/alone.txt")}
    assert found(folder, pixels=False) == told
