"""Picture folders as users have them, and everything that can be wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import photos
import pytest
from PIL import Image

from lib_lora.core.errors import DataError
from lib_lora.dataset import buckets, images
from lib_lora.dataset.config import BucketConfig, CaptionConfig, DataConfig
from lib_lora.dataset.scan import Looks, Scan, require, scan

GOLDEN: dict[str, list[Any]] = json.loads((Path(__file__).parent / "data" / "buckets.json").read_text(encoding="utf-8"))["folders"]


def picture(path: Path, caption: str | bytes | None = "a cat", size: tuple[int, int] = (96, 80)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)
    if caption is not None:
        path.with_suffix(".txt").write_bytes(caption if isinstance(caption, bytes) else caption.encode("utf-8"))
    return path


def look_at(folder: Path | str, bucket: BucketConfig | None = None, trigger: str = "", **data: Any) -> Scan:
    return scan(DataConfig(folder=str(folder), **data), CaptionConfig(trigger=trigger), bucket)


def problems(folder: Path, **more: Any) -> list[str]:
    return [message.text() for message in look_at(folder, **more).problems]


def warnings(folder: Path, **more: Any) -> list[str]:
    found = look_at(folder, **more)
    assert not found.problems, found.problems
    return [message.text() for message in found.warnings]


def test_numbered_folders_give_repeats_and_concept(tmp_path: Path) -> None:
    picture(tmp_path / "3_tabby cat" / "b.jpg", "two")
    picture(tmp_path / "3_tabby cat" / "a.png", "one, first\n")
    picture(tmp_path / "12_dog_x" / "a.webp", "three")
    found = look_at(tmp_path)
    assert (found.problems, found.warnings) == ((), ())
    seen = [(item.path.relative_to(tmp_path).as_posix(), item.repeats, item.concept, item.caption) for item in found.items]
    assert seen == [
        ("12_dog_x/a.webp", 12, "dog_x", "three"),
        ("3_tabby cat/a.png", 3, "tabby cat", "one, first"),
        ("3_tabby cat/b.jpg", 3, "tabby cat", "two"),
    ]
    assert found.items[0].size == (96, 80)
    assert found.items[0].stamp == images.content_hash(found.items[0].path)


@pytest.mark.parametrize("name", list(GOLDEN))
def test_folder_names_are_read_as_sd_scripts_reads_them(tmp_path: Path, name: str) -> None:
    picture(tmp_path / name / "a.png")
    repeats, concept = GOLDEN[name]
    found = look_at(tmp_path)
    if repeats >= 1:
        assert [(item.repeats, item.concept) for item in found.items] == [(repeats, concept)]
    else:
        assert found.items == ()
        assert "no pictures" in found.problems[0].text()
        assert f"rename it to N_concept, such as 10_{name}" in found.warnings[0].text()


def test_pictures_directly_in_the_folder_take_the_setting(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "a.png")
    found = look_at(tmp_path / "set", repeats=7)
    assert [(item.repeats, item.concept) for item in found.items] == [(7, "")]
    assert found.warnings == ()


def test_both_layouts_at_once_are_both_used_and_said(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "2_cat" / "a.png")
    found = look_at(tmp_path, repeats=7)
    assert [item.repeats for item in found.items] == [7, 2]
    assert "both" in found.warnings[0].text()


def test_a_numbered_folder_named_itself_is_explained(tmp_path: Path) -> None:
    picture(tmp_path / "5_cat" / "a.png", None)
    found = look_at(tmp_path / "5_cat", repeats=7)
    assert [(item.repeats, item.caption) for item in found.items] == [(7, "cat")]
    assert any("repeated 7 times" in message.text() and "not 5" in message.text() for message in found.warnings)
    assert not any("repeated" in message.text() for message in look_at(tmp_path / "5_cat", repeats=5).warnings)


def test_chinese_names_quotes_and_spaces_work(tmp_path: Path) -> None:
    folder = tmp_path / "我的 图片"
    picture(folder / "4_黑 猫" / "第一张.png", "一只黑猫, 夜晚")
    (item,) = look_at(f'  "{folder}" ').items
    assert (item.concept, item.caption, item.path.name) == ("黑 猫", "一只黑猫, 夜晚", "第一张.png")


def test_without_a_caption_file_the_concept_is_the_caption(tmp_path: Path) -> None:
    for index in range(8):
        picture(tmp_path / "2_cat" / f"{index}.png", None)
    picture(tmp_path / "2_cat" / "said.png", "said")
    found = look_at(tmp_path)
    assert sorted({item.caption for item in found.items}) == ["cat", "said"]
    (warning,) = found.warnings
    assert warning.text().startswith("8 pictures have no caption file and are trained as “cat”")
    assert "and 3 more" in warning.text()
    assert "trained as “ohwx, cat”" in look_at(tmp_path, trigger="ohwx").warnings[0].text()


def test_neither_caption_nor_concept_is_a_problem(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", None)
    picture(tmp_path / "3" / "b.png", None)
    said = problems(tmp_path)
    assert len(said) == 2
    assert "a.png: no caption: write a.txt" in said[0]
    assert "b.png: no caption: write b.txt" in said[1]


@pytest.mark.parametrize(
    ("content", "caption"),
    [
        ("\ufeffone, two".encode(), "one, two"),
        (b"one, two\r\n", "one, two"),
        (b"  one  \r\rmore", "one"),
        ("猫, 狗".encode(), "猫, 狗"),
        ("one\u2028still one".encode(), "one\u2028still one"),
    ],
)
def test_captions_are_read_whatever_wrote_them(tmp_path: Path, content: bytes, caption: str) -> None:
    picture(tmp_path / "a.png", content)
    assert [item.caption for item in look_at(tmp_path).items] == [caption]


def test_further_lines_are_left_out_and_said(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", "one\n\n")
    assert warnings(tmp_path) == []
    picture(tmp_path / "b.png", "one\ntwo")
    assert warnings(tmp_path) == ["1 caption has more than one line, only the first is used: b.txt"]
    assert {item.caption for item in look_at(tmp_path).items} == {"one"}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\nsecond", "first line"),
        ("一只黑猫".encode("gbk"), "not UTF-8"),
        ("cat".encode("utf-16"), "not UTF-8"),
    ],
)
def test_captions_that_cannot_be_used_are_problems(tmp_path: Path, content: bytes, word: str) -> None:
    picture(tmp_path / "2_cat" / "a.png", content)
    (said,) = problems(tmp_path)
    assert word in said
    assert "a.txt" in said


def test_everything_wrong_is_named_in_one_list(tmp_path: Path) -> None:
    picture(tmp_path / "1_good" / "good.png")
    picture(tmp_path / "1_good" / "empty_caption.png", b"")
    picture(tmp_path / "1_good" / "gbk.png", "一只黑猫".encode("gbk"))
    picture(tmp_path / "1_good" / "twin.png")
    picture(tmp_path / "1_good" / "twin.jpg")
    picture(tmp_path / "1_good" / "small.png", size=(60, 300))
    cut = picture(tmp_path / "1_good" / "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:-100])
    (tmp_path / "1_good" / "nothing.png").write_bytes(b"")
    (tmp_path / "1_good" / "text.webp").write_text("hello", encoding="utf-8")
    picture(tmp_path / "2" / "bare.png", None)
    (tmp_path / "3_empty").mkdir()
    found = look_at(tmp_path, BucketConfig())
    text = "\n".join(message.text() for message in found.problems)
    for name in ("empty_caption.txt", "gbk.txt", "twin.png", "twin.jpg", "small.png", "cut.jpg", "nothing.png", "text.webp", "bare.png", "3_empty"):
        assert name in text
    assert "good.png" not in text
    with pytest.raises(DataError) as caught:
        require(found)
    assert caught.value.messages == found.problems
    assert caught.value.exit_code == 3


def test_a_good_folder_is_let_through(tmp_path: Path) -> None:
    picture(tmp_path / "1_good" / "good.png")
    found = look_at(tmp_path, BucketConfig())
    assert require(found) == found.items
    assert len(found.items) == 1


@pytest.mark.parametrize("name", ["missing", "file.txt", "empty", ""])
def test_folders_that_hold_nothing_are_one_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("x", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    found = look_at(tmp_path / name if name else "")
    assert found.items == ()
    (problem,) = found.problems
    assert (name or "data.folder") in problem.text()


def test_unreadable_pictures_are_skipped_only_when_asked(tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    picture(tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    assert "bad.png" in problems(tmp_path)[0]
    found = look_at(tmp_path, skip_unreadable=True)
    assert [item.path.name for item in found.items] == ["good.png"]
    assert found.problems == ()
    assert "bad.png: skipped" in found.warnings[0].text()


def test_skipping_every_picture_is_a_problem(tmp_path: Path) -> None:
    picture(tmp_path / "bad.png").write_bytes(b"rubbish")
    assert "not one picture" in problems(tmp_path, skip_unreadable=True)[0]


def test_skipping_pictures_hides_no_other_problem(tmp_path: Path) -> None:
    picture(tmp_path / "bad.png").write_bytes(b"rubbish")
    picture(tmp_path / "good.png", b"")
    said = problems(tmp_path, skip_unreadable=True)
    assert len(said) == 1
    assert "good.txt" in said[0]


def test_long_lists_are_cut_but_not_other_kinds(tmp_path: Path) -> None:
    for index in range(40):
        picture(tmp_path / "1_x" / f"{index:02}.png", b"", size=(70, 70))
    (tmp_path / "2_empty").mkdir()
    said = problems(tmp_path)
    assert len(said) == 22
    assert "2_empty" in said[0]
    assert said[1:21] == [f"{Path('1_x') / f'{index:02}.txt'}: this caption is empty; write what the picture shows" for index in range(20)]
    assert said[21] == "… and 20 more of this kind"


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    picture(tmp_path / "1_cat" / "a.png")
    picture(tmp_path / "1_cat" / "deeper" / "b.png")
    (tmp_path / "1_cat" / "c.gif").write_bytes(b"GIF89a")
    picture(tmp_path / "other" / "d.png")
    (tmp_path / "no_pictures").mkdir()
    picture(tmp_path / ".hidden" / "e.png")
    said = warnings(tmp_path)
    assert [item.path.name for item in look_at(tmp_path).items] == ["a.png"]
    assert len(said) == 3
    assert all(any(name in one for one in said) for name in ("deeper", "c.gif", "10_other"))


def test_animations_are_said(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    Image.new("RGB", (96, 96)).save(tmp_path / "a.png", save_all=True, append_images=[Image.new("RGB", (96, 96), "red")])
    assert warnings(tmp_path) == ["1 picture is animated, its first frame is used: a.png"]


def test_sizes_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    picture(tmp_path / "a.jpg")
    Image.new("RGB", (96, 80)).save(tmp_path / "a.jpg", exif=exif)
    assert look_at(tmp_path).items[0].size == (80, 96)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell a.TXT from a.txt")
def test_the_usual_spelling_of_txt_wins(tmp_path: Path) -> None:
    picture(tmp_path / "a.PNG", None)
    (tmp_path / "a.TXT").write_text("loud", encoding="utf-8")
    assert look_at(tmp_path).items[0].caption == "loud"
    (tmp_path / "a.txt").write_text("usual", encoding="utf-8")
    assert look_at(tmp_path).items[0].caption == "usual"


@pytest.mark.skipif(os.name == "nt", reason="Windows' names are text")
def test_a_name_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such name")
    text = look_at(tmp_path).problems[0].text()
    assert text.encode("utf-8")


def test_a_changed_picture_has_another_stamp(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    (before,) = look_at(tmp_path).items
    Image.new("RGB", (96, 80), (201, 30, 30)).save(path)
    (after,) = look_at(tmp_path).items
    assert before.stamp != after.stamp
    assert before.size == after.size


def test_memory_asks_a_file_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture(tmp_path / "a.png")
    asked: list[Path] = []
    real = images.look

    def counted(one: Path) -> images.Look:
        asked.append(one)
        return real(one)

    monkeypatch.setattr(images, "look", counted)
    looks = Looks()
    first, second = (scan(DataConfig(folder=str(tmp_path)), CaptionConfig(), look=looks.look) for _ in range(2))
    assert first == second
    assert len(asked) == 1
    picture(path, size=(100, 100))
    (item,) = scan(DataConfig(folder=str(tmp_path)), CaptionConfig(), look=looks.look).items
    assert item.size == (100, 100)
    path.unlink()
    assert looks.look(path).flaw is not None


def test_real_photographs_find_their_places(tmp_path: Path) -> None:
    found = look_at(photos.make_photos(tmp_path), BucketConfig())
    assert (found.problems, found.warnings) == ((), ())
    assert [item.repeats for item in found.items] == [2, 2, 2, 3, 3, 4, 4]
    placed = buckets.place_all(found.items, DataConfig(), BucketConfig())
    assert len({one.bucket for one in placed}) >= 3
    for one in placed:
        upright = images.open_picture(one.item.path)
        assert upright.size == one.item.size
        assert images.fit(upright, one.resized, one.crop, one.bucket).shape == (one.bucket[1], one.bucket[0], 3)
    turned = [item for item in found.items if item.path.suffix == ".jpeg" or "rocket" in item.path.name]
    assert len(turned) == 2
    for item in turned:
        with Image.open(item.path) as stored:
            assert stored.size == item.size[::-1]
        assert item.size[0] > item.size[1]
