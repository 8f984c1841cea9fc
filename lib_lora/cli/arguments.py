"""The words of the command line → which command, with which values. Nothing heavy is imported to read them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lib_lora import __version__
from lib_lora.cli import commands, doctor, repeats, tagging, training
from lib_lora.cli.console import Console, Found
from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say

Command = Callable[[argparse.Namespace, Console], Found]
PORT = 7861


@dataclass(frozen=True)
class Arguments:
    """A command and its values."""

    command: Command
    values: argparse.Namespace


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are raised, so that `--json` gets them as a document."""

    def error(self, message: str) -> NoReturn:
        """Raise the usage error."""
        raise ConfigError(say("{usage}{program}: {text}", usage=self.format_usage(), program=self.prog, text=message))


def parse(argv: Sequence[str]) -> Arguments:
    """Read the arguments; a ConfigError says what is wrong with them."""
    if argv[:1] == ["bench"]:
        # The benchmark has options of its own; it gets them as they are.
        return Arguments(commands.bench, argparse.Namespace(argv=[word for word in argv[1:] if word != "--json"]))
    values = _parser().parse_args(argv)
    return Arguments(values.command, values)


def _parser() -> Parser:
    parser = Parser(prog="python -m lib_lora", description="LoRA Studio: train LoRAs without a WebUI, and look into them.")
    parser.add_argument("--version", action="version", version=__version__)
    common = Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON document on stdout, logs on stderr")
    common.add_argument("--lang", default="en", help="language of sentences: en or zh_CN")
    # argparse makes sub-parsers of the parser's own class, and each gets the common options.
    adders = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Command, help: str) -> argparse.ArgumentParser:
        sub = adders.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.", parents=[common])
        sub.set_defaults(command=command)
        return sub

    _add_jobs(add)
    _add_files(add)
    _add_dataset(add)
    adders.add_parser("bench", help="measure speed and memory (bench --help)", add_help=False).set_defaults(command=commands.bench, argv=[])
    return parser


def _add_jobs(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    train = add("train", training.train, "train a LoRA; Ctrl-C stops and saves, twice cancels")
    plan = add("plan", training.plan, "say what a job would do, without training")
    for sub in (train, plan):
        sub.add_argument("job", type=Path, metavar="JOB", help="a job file, .toml or .json")
        sub.add_argument("--set", action="append", default=[], metavar="a.b=c", help="change one setting of the job; may be repeated")
    plan.add_argument("--probe", action="store_true", help="measure a few steps to tell the time (needs --checkpoint)")
    page = add("page", training.page, "open the stand-alone page")
    for sub in (train, plan, page):
        sub.add_argument("--checkpoint", type=Path, metavar="FILE", help="the model, a single .safetensors file")
        sub.add_argument("--output", type=Path, default=Path("outputs"), metavar="FOLDER", help="where LoRAs go (outputs)")
    demo = add("demo", training.demo, "train a LoRA on the embedded default set, then open the page with that run in it")
    demo.add_argument("--headless", action="store_true", help="end after the training")
    demo.add_argument("--output", type=Path, default=Path("outputs"), metavar="FOLDER", help="where the LoRA goes (outputs)")
    for sub in (page, demo):
        sub.add_argument("--port", type=int, default=PORT, help=f"port of the page ({PORT})")
        sub.add_argument("--no-browser", action="store_true", help="do not open the page in a browser")


def _add_files(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    buckets = add("buckets", commands.buckets, "show which bucket pictures of given sizes go to")
    buckets.add_argument("sizes", nargs="+", metavar="W,H", help="sizes of pictures")
    buckets.add_argument("--resolution", default="512,512", metavar="W,H", help="the resolution (512,512)")
    buckets.add_argument("--min", default="0", metavar="A", help="smallest side; 0 chooses")
    buckets.add_argument("--max", default="0", metavar="B", help="largest side; 0 chooses")
    buckets.add_argument("--step", default="64", metavar="S", help="bucket step (64)")
    buckets.add_argument("--no-upscale", action="store_true", help="never enlarge pictures")
    for name, command, help in (
        ("inspect", commands.inspect, "say what a LoRA file holds"),
        ("check", commands.check, "say key by key whether each host would load a LoRA file"),
    ):
        add(name, command, help).add_argument("file", type=Path, metavar="FILE", help="a .safetensors file")
    repeats.add(add("repeats", repeats.repeats, "say how often each class of pictures should be repeated"))
    schema = add("schema", commands.schema, "list every setting of a job")
    schema.add_argument("--markdown", action="store_true", help="as the README's table")


def _add_dataset(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    tagging.add(add("tag", tagging.tag, "write captions of tags for the pictures of a folder"))
    check = add("doctor", doctor.doctor, "list all that is wrong with a folder of pictures before a long run")
    check.add_argument("folder", metavar="FOLDER", help="the folder that will be trained")
    check.add_argument("--reg", default="", metavar="FOLDER", help="the regularisation set that goes with it")
    check.add_argument("--trigger", default="", metavar="T", help="the trigger word: every caption should begin with it")
    check.add_argument("--resolution", default="512,512", metavar="W,H", help="the resolution it will be trained at (512,512)")
    check.add_argument("--batch", default="1", metavar="N", help="the batch size it will be trained with (1)")
