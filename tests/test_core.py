"""Messages in two languages, errors, files that are whole or absent."""

from __future__ import annotations

import sys

import pytest

from lib_lora.core import files
from lib_lora.core.errors import BusyError, ConfigError, DataError, HostError, LoraError, NotFound, PathError
from lib_lora.core.messages import count, language_of, say, words


def test_a_message_becomes_text_where_it_is_read() -> None:
    chinese = {"{n} pictures in {place}": "{place}有 {n} 张图片", "the set": "数据集"}
    message = say("{n} pictures in {place}", n=3, place=say("the set"))
    assert str(message) == "3 pictures in the set"
    assert message.text(chinese) == "数据集有 3 张图片"
    assert message.text({}) == str(message)


def test_values_with_braces_are_not_templates() -> None:
    assert str(say("{name} is there", name="{secret}")) == "{secret} is there"


def test_lists_are_joined() -> None:
    assert str(say("known: {known}", known=["a", say("b")])) == "known: a, b"


@pytest.mark.parametrize(("n", "text"), [(0, "0 epochs"), (1, "one epoch"), (2, "2 epochs")])
def test_numbers_choose_their_sentence(n: int, text: str) -> None:
    assert str(count(n, "one epoch", "{n} epochs")) == text


@pytest.mark.parametrize(("asked", "language"), [("zh-CN", "zh_CN"), ("zh_TW", "zh_CN"), ("zh", "zh_CN"), ("en-GB", "en"), ("de", "en"), ("", "en")])
def test_the_language_we_have(asked: str, language: str) -> None:
    assert language_of(asked) == language


def test_words_never_leave_their_folder() -> None:
    assert words("../pyproject") == {}
    assert words("en") == {}
    assert words("zh_CN")


def test_an_error_holds_all_its_messages() -> None:
    error = ConfigError(say("first {n}", n=1), say("second"))
    assert str(error) == "first 1\nsecond"
    assert error.text({"second": "第二"}) == "first 1\n第二"


@pytest.mark.parametrize(
    ("kind", "exit_code", "http"),
    [(ConfigError, 2, 400), (DataError, 3, 400), (PathError, 2, 403), (HostError, 4, 400), (NotFound, 2, 404), (BusyError, 4, 409), (LoraError, 4, 500)],
)
def test_each_error_knows_its_codes(kind: type[LoraError], exit_code: int, http: int) -> None:
    assert (kind.exit_code, kind.http) == (exit_code, http)


def test_a_file_is_whole_or_as_it_was(tmp_path) -> None:
    path = tmp_path / "折" / "x.json"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError):
        files.write_atomic(path, lambda file: (file.write(b"half"), (_ for _ in ()).throw(RuntimeError()))[0])
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]
    files.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_new_file_is_as_readable_as_others(tmp_path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.write_text("")
    files.write_text(ours, "")
    assert oct(plain.stat().st_mode) == oct(ours.stat().st_mode)


def test_paths_are_resolved_before_they_are_compared(tmp_path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    assert files.is_within(root, [root])
    assert files.is_within(root / "a" / "b", [root])
    assert not files.is_within(root / ".." / "outside", [root])
    assert not files.is_within(root / "link" / "x", [root])
    assert not files.is_within(tmp_path / "root2", [root])
