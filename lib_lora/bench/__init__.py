"""Benchmarks: figures as ratios within one run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(argv: Sequence[str]) -> dict[str, Any]:
    """Run the benchmark that `argv` names ("train", "start", "install", "memory", "dataset", …) and return its figures."""
    chosen = vars(_parser().parse_args(argv))
    measure = chosen.pop("measure")
    chosen.pop("json")
    return measure(**chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lib_lora bench", description="Speed and memory, measured.")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    kinds = parser.add_subparsers(required=True)
    _train_options(kinds.add_parser("train", help="a whole training step against a bare forward, real sizes, random weights"))
    start = kinds.add_parser("start", help="from Start to the beginning of the first step, 40 pictures cached")
    start.add_argument("--model", choices=("sd15", "small"), default="sd15", help="whose sizes; small is the embedded default")
    start.set_defaults(measure=_start)
    kinds.add_parser("install", help="install.py with nothing to do").set_defaults(measure=_install)
    memory = kinds.add_parser("memory", help="500 steps of a small model: does memory grow?")
    _device_options(memory)
    memory.set_defaults(measure=_memory)
    dataset = kinds.add_parser("dataset", help="the dataset page at thousands of pictures; they are drawn the first time")
    dataset.add_argument("--pictures", type=int, default=2000, help="how many (2000)")
    dataset.add_argument("--folder", type=Path, help="where they are kept; else in the system's temporary folder")
    dataset.set_defaults(measure=_dataset)
    tag = kinds.add_parser("tag", help="tagging beside onnxruntime itself on a made graph, and how fast thresholds move")
    tag.add_argument("--pictures", type=int, default=60, help="how many are tagged (60); the first batch is read before anything can run")
    tag.add_argument("--seconds", type=float, default=0.3, help="what the graph takes for one at least (0.3)")
    tag.add_argument("--rounds", type=int, default=3, help="how often both are measured (3)")
    tag.add_argument("--many", type=int, default=2000, help="over how many pictures thresholds move (2000)")
    tag.set_defaults(measure=_tag)
    for kind in kinds.choices.values():
        kind.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=("sd15", "small"), default="sd15", help="whose sizes; small shows that the benchmark works")
    parser.add_argument("--size", type=int, default=256, help="width and height in pixels")
    parser.add_argument("--batch", type=int, default=1, help="pictures per step")
    parser.add_argument("--rank", type=int, default=16, help="rank of the LoRA")
    parser.add_argument("--pairs", type=int, default=9, help="pairs of a forward and a step")
    parser.add_argument("--warmup", type=int, default=2, help="pairs before those that count")
    parser.add_argument("--precision", choices=("auto", "fp32", "fp16", "bf16"), default="auto", help="mixed precision")
    parser.add_argument("--checkpointing", action="store_true", help="with gradient checkpointing")
    _device_options(parser)
    parser.set_defaults(measure=_train)


def _device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", choices=("ldm", "diffusers"), default="ldm", help="whose UNet class; the WebUI trains ldm's")
    parser.add_argument("--device", default="auto", help="cpu, cuda, …; auto takes a card where there is one")


def _device(name: str) -> Any:
    import torch

    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def _train(device: str, **work: Any) -> dict[str, Any]:
    from lib_lora.bench import train

    return train.measure(train.Work(**work), _device(device))


def _start(model: str) -> dict[str, Any]:
    from lib_lora.bench import start

    return start.measure(model)


def _install() -> dict[str, Any]:
    from lib_lora.bench import install

    return install.measure()


def _memory(backend: str, device: str) -> dict[str, Any]:
    from lib_lora.bench import memory

    return memory.measure(backend, _device(device))


def _dataset(pictures: int, folder: Path | None) -> dict[str, Any]:
    from lib_lora.bench import dataset

    return dataset.measure(pictures, folder)


def _tag(**work: Any) -> dict[str, Any]:
    from lib_lora.bench import tagging

    return tagging.measure(**work)
