"""What a LoRA file tells of the pictures it was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lib_lora.dataset import captions
from lib_lora.dataset.buckets import Placed
from lib_lora.dataset.config import BucketConfig, CaptionConfig
from lib_lora.dataset.scan import Item


def tag_frequency(items: Iterable[Item], config: CaptionConfig) -> dict[str, dict[str, int]]:
    """ss_tag_frequency: per folder how many pictures have a tag (lower case), the trigger included; repeats not counted."""
    found: dict[str, dict[str, int]] = {}
    for item in items:
        folder = found.setdefault(item.path.parent.name, {})
        for tag in captions.tags(captions.first_text(item, config).lower()):
            folder[tag] = folder.get(tag, 0) + 1
    return found


def dataset_dirs(items: Iterable[Item]) -> dict[str, dict[str, int]]:
    """ss_dataset_dirs: per folder its repeats and how many pictures it has."""
    found: dict[str, dict[str, int]] = {}
    for item in items:
        folder = found.setdefault(item.path.parent.name, {"n_repeats": item.repeats, "img_count": 0})
        folder["img_count"] += 1
    return found


def bucket_info(placed: Sequence[Placed], config: BucketConfig) -> dict[str, Any] | None:
    """ss_bucket_info: pictures per bucket with repeats, and the mean error of shape without; None with buckets off."""
    if not config.enabled:
        return None
    counts: dict[tuple[int, int], int] = {}
    for one in placed:
        counts[one.bucket] = counts.get(one.bucket, 0) + one.item.repeats
    errors = [abs(one.bucket[0] / one.bucket[1] - one.item.size[0] / one.item.size[1]) for one in placed]
    buckets = {str(index): {"resolution": list(size), "count": counts[size]} for index, size in enumerate(sorted(counts))}
    return {"buckets": buckets, "mean_img_ar_error": sum(errors) / len(errors) if errors else 0.0}
