"""What a tagger's graph expects of a picture, and what its outputs are: data, not code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """`layout`: NHWC or NCHW. `order`: BGR or RGB. A pixel value v becomes (v / scale − mean) / std.

    `pad` is the colour of the square the picture is put on, `resize` the filter that brings it to size, `size` the side
    where the graph does not say it. `activation`: "" where the graph gives probabilities, "sigmoid" where it gives logits.
    `labels` are names of the file that lists its tags, of which one is there; "*.csv" is any csv.
    """

    layout: str = "NHWC"
    order: str = "BGR"
    scale: float = 1.0
    mean: float = 0.0
    std: float = 1.0
    pad: tuple[int, int, int] = (255, 255, 255)
    resize: str = "bicubic"
    size: int = 448
    activation: str = ""
    labels: tuple[str, ...] = ("selected_tags.csv", "tags-selected.csv", "*.csv")


WD = Profile()
CL = Profile(layout="NCHW", scale=255.0, mean=0.5, std=0.5, activation="sigmoid", labels=("tag_mapping.json", "*_tag_mapping.json"))
