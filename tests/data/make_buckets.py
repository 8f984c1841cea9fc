"""Makes buckets.json: runs sd-scripts' own code on random inputs and stores what it answers.

python tests/data/make_buckets.py PATH/TO/sd-scripts/.git [COMMIT]

Needs git, numpy and opencv-python-headless. The functions are read out of the named commit and executed as they are.
"""

from __future__ import annotations

import ast
import base64
import json
import logging
import math
import os
import random
import re
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
SETTINGS = [
    ((512, 512), 256, 1024, 64),
    ((768, 768), 256, 1536, 64),
    ((1024, 1024), 256, 2048, 64),
    ((1024, 1024), 512, 2048, 32),
    ((640, 448), 192, 1280, 64),
]


def git(folder: str, *arguments: str) -> str:
    return subprocess.run(["git", f"--git-dir={folder}", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def take(source: str, name: str, **names: Any) -> Any:
    """The function or class `name` of a source text, compiled and executed with `names` around it."""
    found = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name)
    scope: dict[str, Any] = {"math": math, "random": random, "re": re, "np": np, "cv2": cv2, "logger": logging.getLogger(), "Any": Any, **names}
    exec(compile("from __future__ import annotations\n" + ast.unparse(found), name, "exec"), scope)
    return scope[name]


def sizes(rng: random.Random, count: int) -> list[tuple[int, int]]:
    """Sizes of photographs, of nearly equal sides, of long strips, small and large."""
    found = [(1920, 1080), (1000, 1500), (800, 600), (512, 512), (1024, 1024), (513, 511), (640, 448), (4032, 3024)]
    while len(found) < count:
        side, ratio = math.exp(rng.uniform(math.log(90), math.log(6000))), math.exp(rng.uniform(-1.3, 1.3))
        size = (int(side * math.sqrt(ratio)), int(side / math.sqrt(ratio)))
        if min(size) >= 64:
            found.append(size)
    return found


def buckets(train: str, model: str) -> list[dict[str, Any]]:
    make = take(model, "make_bucket_resolutions")
    manager_of = take(train, "BucketManager", model_util=SimpleNamespace(make_bucket_resolutions=make))
    rng, found = random.Random(1), []
    for resolution, low, high, step in SETTINGS:
        for no_upscale in (False, True):
            manager = manager_of(no_upscale, resolution, low, high, step)
            manager.make_buckets()
            cases, errors = [], []
            for size in sizes(rng, 120):
                try:
                    bucket, resized, error = manager.select_bucket(*size)
                except ZeroDivisionError:
                    continue
                if 0 not in bucket:
                    errors.append(abs(error))
                    cases.append([*size, *bucket, *resized])
            found.append(
                {
                    "resolution": resolution,
                    "min": low,
                    "max": high,
                    "step": step,
                    "no_upscale": no_upscale,
                    "all": manager.predefined_resos,
                    "cases": cases,
                    "mean_error": float(np.mean(errors)),
                }
            )
    return found


def bounds(train: str) -> list[list[Any]]:
    adjust = take(train, "adjust_min_max_bucket_reso_by_steps")
    asked = [((512, 512), low, high, step) for low in (256, 300, 100) for high in (1024, 1000, 1337) for step in (64, 96, 32)]
    return [[*case, *adjust(None, *case)] for case in asked]


def captions(train: str) -> list[dict[str, Any]]:
    process = take(train, "process_caption")
    texts = [
        "1girl, solo, long hair, smile, outdoors",
        "a",
        "ohwx, red dress,  blue eyes , night",
        "水墨, 山, 河, 一只猫",
        "one, two\nthree, four",
        "a cat on a mat",
    ]
    found = []
    for text in texts:
        for keep in (0, 1, 3):
            for shuffle in (True, False):
                for seed in range(4):
                    subset = SimpleNamespace(
                        caption_prefix=None,
                        caption_suffix=None,
                        caption_dropout_rate=0,
                        caption_dropout_every_n_epochs=0,
                        enable_wildcard=False,
                        shuffle_caption=shuffle,
                        token_warmup_step=0,
                        caption_tag_dropout_rate=0,
                        keep_tokens_separator="",
                        caption_separator=",",
                        keep_tokens=keep,
                        secondary_separator=None,
                    )
                    around = SimpleNamespace(current_epoch=1, current_step=0, max_train_steps=100, replacements={})
                    random.seed(seed)
                    found.append({"caption": text, "keep": keep, "shuffle": shuffle, "seed": seed, "text": process(around, subset, text)})
    return found


def folders(config: str) -> dict[str, list[Any]]:
    generate = take(config, "generate_dreambooth_subsets_config_by_subdirs", Path=Path, os=os)
    outer = ast.unparse(next(node for node in ast.walk(ast.parse(config)) if isinstance(node, ast.FunctionDef) and node.name == generate.__name__))
    split = take(outer, "extract_dreambooth_params")
    names = ["10_cat", "1_a_b_c", "5", "_cat", "cat", "0_cat", "-2_cat", "1.5_cat", "+3_cat", " 4_cat", "7__x", "10cat_x", "３_猫", "12_黑 猫"]
    return {name: list(split(name)) for name in names}


def resizes() -> list[dict[str, Any]]:
    """OpenCV's area filter on pixels that anybody can make again."""
    found = []
    for old, new in [
        ((61, 47), (40, 40)),
        ((64, 48), (32, 24)),
        ((60, 45), (20, 15)),
        ((64, 30), (16, 30)),
        ((97, 64), (96, 11)),
        ((50, 50), (50, 49)),
        ((40, 20), (10, 10)),
    ]:
        pixels = np.random.RandomState(old[0] * 1000 + new[0]).randint(0, 256, (old[1], old[0], 3)).astype(np.uint8)
        shrunk = cv2.resize(pixels, new, interpolation=cv2.INTER_AREA)
        found.append({"old": old, "new": new, "zlib": base64.b85encode(zlib.compress(shrunk.tobytes(), 9)).decode()})
    return found


def main(folder: str, commit: str = "HEAD") -> None:
    commit = git(folder, "rev-parse", commit)
    train, model, config = (git(folder, "show", f"{commit}:library/{name}.py") for name in ("train_util", "model_util", "config_util"))
    document = {
        "source": "https://github.com/kohya-ss/sd-scripts",
        "commit": commit,
        "command": "python tests/data/make_buckets.py PATH/TO/sd-scripts/.git " + commit,
        "opencv": cv2.__version__,
        "buckets": buckets(train, model),
        "bounds": bounds(train),
        "captions": captions(train),
        "folders": folders(config),
        "resizes": resizes(),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace('},{"', '},\n{"')
    (HERE / "buckets.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
