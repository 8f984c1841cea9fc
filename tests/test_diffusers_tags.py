"""`<lora:name:1>` in prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib_lora.core.errors import HostError
from lib_lora.hosts.diffusers.tags import Tag, find, parse


@pytest.mark.parametrize(
    ("prompt", "rest", "tags"),
    [
        ("a tree", "a tree", ()),
        ("a <lora:x> tree", "a  tree", (Tag("x"),)),
        ("<lora:x:0.5>a", "a", (Tag("x", 0.5, 0.5),)),
        ("<lora:x:0.5:0.25>", "", (Tag("x", 0.5, 0.25),)),
        ("<lora:x:te=0:unet=2>", "", (Tag("x", 0, 2),)),
        ("<lora:x:unet=2>", "", (Tag("x", 1, 2),)),
        ("<lora:a b-1.2:1><lora:y:-1>", "", (Tag("a b-1.2"), Tag("y", -1, -1))),
        ("<hypernet:x:1> <lora:>", "<hypernet:x:1> <lora:>", ()),
    ],
)
def test_tags_are_taken_out_as_the_webui_reads_them(prompt: str, rest: str, tags: tuple[Tag, ...]) -> None:
    assert parse(prompt) == (rest, tags)


def test_a_strength_that_is_no_number_is_named() -> None:
    with pytest.raises(HostError, match="strong"):
        parse("<lora:x:strong>")


def test_files_are_found_below_the_folder_but_not_in_our_own_state(tmp_path: Path) -> None:
    for name in ("sub/x.safetensors", ".lora-studio/trash/y.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert find("x", tmp_path) == tmp_path / "sub" / "x.safetensors"
    with pytest.raises(HostError, match="y"):
        find("y", tmp_path)
    with pytest.raises(HostError, match="nowhere"):
        find("x", tmp_path / "nowhere")
