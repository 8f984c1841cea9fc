"""The command `repeats`: how often each class of pictures is repeated, from numbers or from a folder."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lib_lora.cli.console import Console, Found
from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, say
from lib_lora.repeats import Answer, Problem, solve
from lib_lora.repeats.explain import document, lines, sentences, summary
from lib_lora.repeats.hints import hints
from lib_lora.repeats.problem import class_name


def add(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="count the pictures of a folder, by its N_name folders or by captions")
    parser.add_argument("--main", type=int, metavar="N", help="main visuals, without flipped copies")
    parser.add_argument("--face", type=int, metavar="N", help="face close-ups; 0: none")
    parser.add_argument("--other", action="append", default=[], metavar="NAME=N", help="pictures of another class, such as full=10; may be repeated")
    parser.add_argument("--groups", default="", metavar="A,B", help="how many pictures each differential group has, such as 2,4")
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction, default=True, help="flipped copies are made (the default)")
    parser.add_argument("--mono", action="append", default=[], metavar="NAME,…", help="classes that are black and white; may be main")


def repeats(values: argparse.Namespace, console: Console) -> Found:
    """Counts → repeats."""
    problem, notes = _of_folder(values) if values.folder is not None else (_of_numbers(values), ())
    answer = solve(problem)
    return Found(document(answer, console.words), tuple(console.text(line) for line in (*notes, *_lines(answer))))


def _of_numbers(values: argparse.Namespace) -> Problem:
    if values.main is None:
        raise ConfigError(say("Say how many main visuals there are (--main N), or name a folder."))
    others = [_other(text) for text in values.other]
    twice = [name for name, n in Counter(name for name, _ in others).items() if n > 1]
    if twice:
        raise ConfigError(say("--other: {names} is given twice", names=twice))
    return Problem(values.main, values.face or 0, dict(others), _groups(values.groups), values.flip, _mono(values))


def _of_folder(values: argparse.Namespace) -> tuple[Problem, tuple[Message, ...]]:
    from lib_lora.pictures import catalog
    from lib_lora.workbench.counts import of_folder

    if values.main is not None or values.face is not None or values.other or values.groups:
        raise ConfigError(say("Name a folder or write numbers of pictures, not both."))
    folder = values.folder
    if not folder.is_dir():
        raise ConfigError(say("{folder}: there is no such folder", folder=str(folder)))
    found = of_folder(catalog.read(folder))
    problem = found.problem(values.flip)
    if values.mono:
        problem = replace(problem, mono=_mono(values))
    counted = [say("{name} {repeats}", name=class_name(name), repeats=n) for name, n in problem.counts().items()]
    return problem, (say("Counted: {counts}.", counts=counted), *found.notes)


def _lines(answer: Answer) -> Iterator[Message]:
    yield summary(answer)
    yield from (say("{name}: {why}", name=class_name(line.name), why=line.why) for line in lines(answer))
    yield from sentences(answer)
    if answer.alternative and answer.alternative.repeats != answer.repeats:
        yield say("With the other classes at 1: {summary}", summary=summary(answer.alternative))
    yield from (one.text for one in answer.warnings)
    yield from answer.advice
    yield from hints(answer) if answer.feasible else ()


def _other(text: str) -> tuple[str, int]:
    name, equals, number = text.rpartition("=")
    if not equals or not name.strip():
        raise ConfigError(say("--other {text}: write the class and its number of pictures, such as full=10", text=text))
    return name.strip(), _number(f"--other {text}", number)


def _groups(text: str) -> tuple[int, ...]:
    return tuple(_number(f"--groups {text}", part) for part in text.split(",")) if text.strip() else ()


def _mono(values: argparse.Namespace) -> frozenset[str]:
    return frozenset(name.strip() for text in values.mono for name in text.split(",") if name.strip())


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(say("{name}: {value} is no {type}", name=name, value=repr(text), type="int")) from None
