"""Plans, captions, names and folders of a project: what is decided before anything is written."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_lora.core.settings import load
from lib_lora.dataset.folders import params
from lib_lora.pictures.picture import Catalog, Picture, Shelf
from lib_lora.prepare import captions, flips, names, planning
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.plan import Known, Plan


def catalog(*keys: str, text: str | None = "smile", size: tuple[int, int] = (512, 768), shelves: tuple[Shelf, ...] = ()) -> Catalog:
    root = Path("/sets/6_kazari")
    pictures = tuple(Picture(key, root / key, size, key.rpartition("/")[0], text, (1000, 1)) for key in sorted(keys))
    return Catalog(root, pictures, shelves)


def plan(found: Catalog, known: Known | None = None, upscalers: tuple[str, ...] = ("Lanczos",), **wanted: Any) -> Plan:
    return planning.make(found, load(PrepareConfig, wanted), known, upscalers)


def said(plan: Plan) -> str:
    return "\n".join(one.text() for one in (*plan.sentences, *plan.warnings, *plan.problems))


class TestSwappedWords:
    @pytest.mark.parametrize(
        ("caption", "mirrored"),
        [
            ("looking to the left", "looking to the right"),
            ("right hand up, left_arm_behind_head", "left hand up, right_arm_behind_head"),
            ("bright, upright, copyright, leftover, frightened, cleft", "bright, upright, copyright, leftover, frightened, cleft"),
            ("A girl on the LEFT, Right of the door", "A girl on the RIGHT, Left of the door"),
            ("leftmost, rightwards", "rightmost, leftwards"),
            ("all right, right angle, left behind, right in front of the house", "all right, right angle, left behind, right in front of the house"),
            ("左手, 右边的女孩, 左右", "右手, 左边的女孩, 左右"),
            ("from the left to the right", "from the right to the left"),
        ],
    )
    def test_sides_change_and_other_words_stay(self, caption: str, mirrored: str) -> None:
        assert flips.swapped(caption) == mirrored
        assert flips.swapped(mirrored) == caption

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(["left", "right", "Left", "RIGHT", "bright", "hand", "left_eye", "右", "左", ",", " ", "all right"])).map(" ".join))
    def test_twice_is_as_before(self, caption: str) -> None:
        assert flips.swapped(flips.swapped(caption)) == caption

    @pytest.mark.parametrize(
        "tag",
        ["english text", "text_focus", "signature", "heterochromia", "single_glove", "asymmetrical hair", "hair over one eye", "eyepatch", "mole under eye"],
    )
    def test_what_a_mirror_makes_untrue_is_found(self, tag: str) -> None:
        assert flips.one_sided(["smile", tag]) == tag

    @pytest.mark.parametrize("tag", ["context", "textless version", "no text", "single person", "solo", "looking at viewer", "texture", "gloves", "earrings"])
    def test_what_it_does_not_is_none(self, tag: str) -> None:
        assert flips.one_sided([tag]) == ""

    def test_a_phrase_in_a_sentence_counts(self) -> None:
        assert flips.one_sided(["a girl with heterochromia stands in the rain and looks at the sea"]) == "heterochromia"


class TestCaptions:
    @pytest.mark.parametrize(
        ("caption", "trigger", "tag", "flipped", "expected"),
        [
            ("smile, kazari", "kazari", "", False, "kazari, smile"),
            ("smile", "", "letterboxed", False, "smile, letterboxed"),
            ("smile, Letterboxed", "", "letterboxed", False, "smile, Letterboxed"),
            ("smile, ", "", "pillarboxed", False, "smile, pillarboxed"),
            (None, "", "", False, None),
            (None, "", "letterboxed", False, "letterboxed"),
            (None, "kazari", "", False, "kazari"),
            ("", "", "", False, ""),
            ("left4dead, left hand", "left4dead", "", True, "left4dead, right hand"),
            ("left, smile", "left", "letterboxed", True, "left, smile, letterboxed"),
        ],
    )
    def test_trigger_bars_and_sides(self, caption: str | None, trigger: str, tag: str, flipped: bool, expected: str | None) -> None:
        assert captions.written(caption, trigger, tag, flipped) == expected


class TestNames:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("CON", "CON_"), ("nul.tar", "nul_.tar"), ("console", "console"), ("com1", "com1_"), ("a.", "a"), (" a ", "a"), ("...", "picture"),
            ("a:b/c\\d?e*f", "a_b_c_d_e_f"), ("飾利", "飾利"), ("😀 smile", "😀 smile"), (".hidden", "hidden"), ("a\x00b\nc", "a_b_c"), ("", "picture"),
            (".\x850", "_0"), (". .a. .", "a"),
        ],
    )  # fmt: skip
    def test_what_some_system_refuses_is_replaced(self, name: str, expected: str) -> None:
        assert names.safe(name) == expected

    @settings(deadline=None)
    @given(st.text(max_size=300))
    def test_every_name_becomes_one_that_every_system_takes(self, name: str) -> None:
        found = names.safe(name)
        assert 1 <= len(found) <= 101 and len(found.encode("utf-8")) <= 181
        assert not set(found) & set('<>:"/\\|?*') and not found.endswith((".", " ")) and not found.startswith((".", " "))
        assert found.split(".")[0].casefold() not in {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
        assert names.safe(found) == found

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(["a", "A", "a_2", "a_flip", "é", "é", "b"]), max_size=12))
    def test_no_two_of_a_folder_are_alike_with_their_mirrored_copies(self, stems: list[str]) -> None:
        taken = names.Taken()
        free = [taken.free(stem, "_flip") for stem in stems]
        given_names = [*free, *(f"{name}_flip" for name in free)]
        assert len({name.casefold() for name in given_names}) == len(given_names)


class TestFolders:
    def test_classes_get_folders_with_their_repeats_and_discarded_pictures_none(self) -> None:
        known = Known(
            classes={"a.png": "main", "b.png": "face", "c.png": "full", "d.png": "discard", "e.png": ""},
            repeats={"main": 6, "face": 5, "full": 4},
            names={"face": "顔 close-up"},
        )
        found = plan(catalog(*(f"{letter}.png" for letter in "abcde")), known)
        assert {copy.key: copy.folder for copy in found.copies} == {
            "a.png": "6_kazari_main", "b.png": "5_顔 close-up", "c.png": "4_kazari_full", "e.png": "6_kazari_main",
        }  # fmt: skip
        assert [params(folder.name) for folder in found.folders] == [(folder.repeats, folder.name.partition("_")[2]) for folder in found.folders]
        assert "1 discarded picture is left out" in said(found) and "no class" in said(found)

    def test_without_given_repeats_the_rules_compute_them(self) -> None:
        # The guide's worked example: 60 main visuals, 20 faces, 10 full bodies, with flips: 6, 5, 4.
        classes = {f"{n:02}.png": "main" if n < 60 else "face" if n < 80 else "full" for n in range(90)}
        found = plan(catalog(*classes), Known(classes=classes), copies={"flip": True})
        assert {folder.kind: (folder.repeats, folder.originals, folder.pictures) for folder in found.folders} == {
            "main": (6, 60, 120),
            "face": (5, 20, 40),
            "full": (4, 10, 20),
        }

    def test_groups_are_brought_to_one_size_and_take_the_repeats_of_main_divided_by_it(self) -> None:
        single = [f"m{n:02}.png" for n in range(40)] + [f"f{n:02}.png" for n in range(10)]
        groups = (("g1.png", "g2.png"), ("h1.png", "h2.png", "h3.png", "h4.png"))
        keys = [*single, *groups[0], *groups[1]]
        known = Known(classes={key: "face" if key[0] == "f" else "main" for key in keys}, groups=groups)
        found = plan(catalog(*keys), known)
        repeats = {folder.kind: folder.repeats for folder in found.folders}
        assert repeats["main"] == 4 * repeats["differential"]
        inside = [copy.key for copy in found.copies if "differential" in copy.folder]
        assert sorted(inside) == ["g1.png"] * 2 + ["g2.png"] * 2 + ["h1.png", "h2.png", "h3.png", "h4.png"]
        assert {copy.role for copy in found.copies if copy.key == "g1.png"} == {"original", "duplicate"}
        assert len({(copy.folder, copy.stem) for copy in found.copies}) == len(found.copies)

    @settings(deadline=None)
    @given(st.lists(st.integers(2, 6), min_size=1, max_size=4), st.sampled_from(["duplicate", "trim"]), st.integers(0, 5))
    def test_every_group_has_as_many_pictures_as_any_other(self, sizes: list[int], way: str, size: int) -> None:
        groups = tuple(tuple(f"{n}-{one}.png" for one in range(count)) for n, count in enumerate(sizes))
        known = Known(groups=groups, repeats={"main": 4, "differential": 1})
        found = plan(catalog(*itertools.chain(*groups)), known, copies={"groups": way, "group_size": size})
        counts = [sum(copy.key in group for copy in found.copies) for group in groups]
        assert set(counts) == {max(sizes) if way == "duplicate" else size or min(sizes)}

    def test_a_group_whose_others_are_discarded_is_none(self) -> None:
        known = Known(classes={"b.png": "discard"}, groups=(("a.png", "b.png"),), repeats={"main": 2})
        assert [copy.folder for copy in plan(catalog("a.png", "b.png"), known).copies] == ["2_kazari_main"]

    def test_folders_stay_with_their_numbers_and_pictures_without_captions_keep_what_training_read(self) -> None:
        root = Path("/sets/6_kazari")
        shelves = (Shelf("3_cat", root / "3_cat", 3, "cat", 1), Shelf("new", root / "new", None, "new", 1))
        found = plan(catalog("3_cat/a.png", "new/b.png", text=None, shelves=shelves), folders={"by": "folders", "repeats": 2})
        assert {copy.folder: copy.caption for copy in found.copies} == {"3_cat": "cat", "2_new": None}

    def test_pictures_of_one_name_from_several_folders_do_not_meet(self) -> None:
        found = plan(catalog("a.png", "x/a.jpg", "y/A.png"), folders={"by": "one"})
        assert len({copy.stem.casefold() for copy in found.copies}) == 3


class TestFlips:
    def test_one_sided_and_already_mirrored_pictures_get_no_copy_and_are_named(self) -> None:
        known = Known(
            captions={"a.png": "smile", "b.png": "heterochromia, smile", "c.png": "smile", "d.png": "smile"},
            tags={"c.png": frozenset({"english text"})},
            mirrored={"d.png": ("e.png",), "e.png": ("d.png",)},
        )
        found = plan(catalog("a.png", "b.png", "c.png", "d.png", "e.png"), known, copies={"flip": True})
        assert [copy.key for copy in found.copies if copy.role == "flip"] == ["a.png"]
        assert "b.png, c.png" in said(found) and "d.png, e.png" in said(found)


class TestSaying:
    def test_edits_that_are_not_saved_go_along_and_it_is_said(self) -> None:
        found = plan(catalog("a.png"), Known(captions={"a.png": "edited"}, edited=1))
        assert found.copies[0].caption == "edited" and "not saved yet" in said(found)

    def test_only_pictures_that_are_too_small_are_enlarged_and_it_is_said_how_many(self) -> None:
        small = Picture("s.png", Path("/sets/6_kazari/s.png"), (300, 400), "", "x", (1, 1))
        found = Catalog(Path("/sets/6_kazari"), (*catalog("a.png").pictures, small), ())
        made = plan(found, upscalers=("4x",), enlarge={"upscaler": "4x"})
        assert made.numbers["upscaled"] == 1 and "1 picture is too small and is enlarged by 4x" in said(made)
        soft = plan(found, shape={"kind": "centre", "size": "1024,1024"})
        assert soft.numbers["upscaled"] == 0 and "2 pictures are smaller than their new size" in said(soft) and "look soft" in said(soft)

    def test_bars_are_cut_off_where_asked_for_and_named_where_not(self) -> None:
        known = Known(bars={"a.png": (0, 100, 0, 100)})
        assert "bars around" in said(plan(catalog("a.png"), known))
        (copy,) = plan(catalog("a.png"), known, shape={"trim": True}).copies
        assert copy.inside == (0, 100, 512, 668) and copy.shape.canvas == (512, 568) and copy.made

    def test_auto_leaves_whole_what_has_no_size_and_names_it(self) -> None:
        found = plan(catalog("a.png", size=(300, 3000)), shape={"kind": "auto"})
        assert not found.copies[0].made and "stays whole" in said(found)

    @pytest.mark.parametrize(
        ("wanted", "known", "word"),
        [
            ({"enlarge": {"upscaler": "gone"}}, None, "no upscaler gone"),
            ({"shape": {"kind": "auto", "low": 800, "high": 400}}, None, "smallest automatic size"),
            ({"shape": {"kind": "pad", "side": 1000}}, None, "multiple of 64"),
            ({}, Known(repeats={"main": 0}), "repeats of main"),
            ({}, Known(classes={"a.png": "discard"}), "no picture to prepare"),
        ],
    )
    def test_what_cannot_be_done_is_a_problem(self, wanted: dict[str, Any], known: Known | None, word: str) -> None:
        found = plan(catalog("a.png"), known, **wanted)
        assert word in "\n".join(problem.text() for problem in found.problems)

    def test_every_sentence_can_be_said_in_both_languages(self) -> None:
        from lib_lora.core.messages import words

        known = Known(classes={"a.png": "discard"}, groups=(("b.png", "c.png"),), edited=2, settled=False, bars={"b.png": (1, 1, 1, 1)})
        found = plan(catalog("a.png", "b.png", "c.png", "d.png"), known, copies={"flip": True}, shape={"kind": "pad"}, files={"trigger": "x"})
        for one in (*found.sentences, *found.warnings):
            assert one.text() and one.text(words("zh_CN")) and "{" not in one.text()
