"""A batch as large as the set: batch × accumulation = repeats × pictures, and the steps that uneven buckets really give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, count, say

LARGEST_BATCH, LARGEST_ACCUMULATION, LARGEST_STEPS = 64, 256, 1000


@dataclass(frozen=True)
class Pair:
    """A batch size with the accumulation that makes the whole set of it.

    `passes` are the batches of an epoch, each bucket rounded up; `steps` the optimizer steps they give. `wanted` is the
    accumulation that gives the steps asked for, `reached` the steps it does give.
    """

    batch: int
    accumulation: int
    passes: int
    steps: int
    wanted: int
    reached: int

    @property
    def trainable(self) -> bool:
        """Whether the training takes an accumulation as large as `wanted`."""
        return self.wanted <= LARGEST_ACCUMULATION


@dataclass(frozen=True)
class Batches:
    """All pairs up to the largest batch. `product` is repeats × pictures of the training set, `pictures` those of an epoch."""

    product: int
    pictures: int
    buckets: int
    steps: int
    pairs: tuple[Pair, ...]
    regularised: bool


def batches(buckets: Sequence[int], limit: int, steps: int, regularised: bool = False) -> Batches:
    """The pairs for a set whose `buckets` hold that many pictures each, repeats counted. `limit` is the largest batch.

    With a regularisation set an epoch is twice as long; its pictures are taken to lie in the same buckets.
    """
    _check(limit, steps)
    filled = [n for n in buckets if n > 0]
    product = sum(filled)
    seen = [2 * n for n in filled] if regularised else filled
    pairs = tuple(_pair(seen, batch, product // batch, steps) for batch in range(1, limit + 1) if product and product % batch == 0)
    return Batches(product, sum(seen), len(filled), steps, pairs, regularised)


def passes_per_epoch(buckets: Sequence[int], batch: int) -> int:
    """Batches of an epoch: no batch mixes buckets, so that each of them rounds up."""
    return sum(-(-n // batch) for n in buckets)


def explain(found: Batches) -> tuple[Message, ...]:
    """What the pairs mean."""
    if not found.pairs:
        return (say("There are no pictures to make batches of."),)
    told = [
        say("Batch size × gradient accumulation = repeats × pictures = {product}, so that one step sees the whole set.", product=found.product),
        count(found.buckets, "All pictures lie in 1 bucket.", "The pictures lie in {n} buckets; each rounds its last batch up."),
    ]
    if found.regularised:
        told.append(say("With a regularisation set of the same size an epoch has {pictures} pictures: 2 steps.", pictures=found.pictures))
    ideal = 2 if found.regularised else 1
    worst = max(found.pairs, key=lambda pair: pair.steps)
    if worst.steps > ideal:
        values = {"batch": worst.batch, "steps": worst.steps, "ideal": ideal}
        told.append(say("At batch {batch} the buckets make {steps} steps of what would be {ideal}: take the accumulation of the last column.", **values))
    if any(pair.reached != found.steps for pair in found.pairs):
        told.append(say("Not every number of steps can be reached: an epoch never has more steps than batches."))
    if any(not pair.trainable for pair in found.pairs):
        told.append(say("An accumulation above {most} is not offered in training: take a larger batch or fewer repeats.", most=LARGEST_ACCUMULATION))
    return tuple(told)


def _pair(seen: Sequence[int], batch: int, accumulation: int, steps: int) -> Pair:
    passes = passes_per_epoch(seen, batch)
    wanted = -(-passes // steps)
    return Pair(batch, accumulation, passes, -(-passes // accumulation), wanted, -(-passes // wanted))


def _check(limit: int, steps: int) -> None:
    wrong = [
        say("{name}: {value} is no whole number from 1 to {most}", name=name, value=repr(value), most=most)
        for name, value, most in (("limit", limit, LARGEST_BATCH), ("steps", steps, LARGEST_STEPS))
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most
    ]
    if wrong:
        raise ConfigError(*wrong)
