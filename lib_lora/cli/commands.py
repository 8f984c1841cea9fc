"""Commands that look and measure: buckets, inspect, check, schema, bench."""

from __future__ import annotations

import argparse
from pathlib import Path

from lib_lora.cli.console import Console, Found, lines_of
from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.core.settings import json_schema, load
from lib_lora.training.config import TrainConfig


def buckets(values: argparse.Namespace, console: Console) -> Found:
    """Sizes of pictures → their buckets."""
    from lib_lora.dataset import buckets as places

    raw = {"min": values.min, "max": values.max, "step": values.step, "no_upscale": values.no_upscale}
    config = load(TrainConfig, {"data": {"resolution": values.resolution}, "bucket": raw})
    rows, lines = [], []
    for size in [_size(text) for text in values.sizes]:
        place = places.place(size, config.data.resolution, config.bucket)
        rows.append({"image": list(size), "bucket": list(place.bucket), "resized": list(place.resized)})
        image, bucket, resized = ("{}×{}".format(*sides) for sides in (size, place.bucket, place.resized))
        lines.append(console.text(say("{image} → {bucket} (as {resized})", image=image, bucket=bucket, resized=resized)))
    return Found(rows, tuple(lines))


def inspect(values: argparse.Namespace, console: Console) -> Found:
    """A LoRA file → what it holds."""
    del console
    file = _existing(values.file)
    from lib_lora.networks.inspect import inspect as look

    document = look(file)
    return Found(document, lines_of(document))


def check(values: argparse.Namespace, console: Console) -> Found:
    """A LoRA file → would each host load it."""
    file = _existing(values.file)
    from lib_lora.networks.check import check as would_load

    document = would_load(file, console.words)
    return Found(document, lines_of(document))


def schema(values: argparse.Namespace, console: Console) -> Found:
    """All settings."""
    del console
    from lib_lora.cli.markdown import settings_table

    document = json_schema(TrainConfig)
    return Found(document, (settings_table(),) if values.markdown else lines_of(document))


def bench(values: argparse.Namespace, console: Console) -> Found:
    """Speed and memory, measured."""
    del console
    from lib_lora.bench import main

    try:
        document = main(values.argv)
    except SystemExit as error:
        if not error.code:
            raise
        raise ConfigError(say("bench: these arguments are not understood; bench --help lists them")) from error
    return Found(document, lines_of(document))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(say("{file}: there is no such file", file=str(path)))
    return path


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(side) for side in text.lower().replace("x", ",").split(","))
    except ValueError:
        width = height = 0
    if width < 1 or height < 1:
        raise ConfigError(say("{text}: write a picture's size as width,height", text=text))
    return width, height
