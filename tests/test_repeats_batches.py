"""A batch as large as the set: divisors, what uneven buckets cost, and the accumulation that gives the steps wanted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_lora.core.errors import ConfigError
from lib_lora.dataset.buckets import Placed
from lib_lora.dataset.order import batches_per_epoch, steps_per_epoch
from lib_lora.dataset.scan import Item
from lib_lora.model import SizeCond
from lib_lora.repeats.batches import batches, explain, passes_per_epoch

BUCKETS = st.lists(st.integers(1, 60), min_size=1, max_size=6)


def test_the_guides_example() -> None:
    """100 pictures twice: 200 = batch × accumulation, and with a regularisation set of the same size two steps per epoch."""
    found = batches([200], 16, 2, regularised=True)
    assert [(pair.batch, pair.accumulation) for pair in found.pairs] == [(1, 200), (2, 100), (4, 50), (5, 40), (8, 25), (10, 20)]
    assert (found.product, found.pictures) == (200, 400)
    assert {(pair.steps, pair.wanted == pair.accumulation, pair.reached) for pair in found.pairs} == {(2, True, 2)}


def test_a_prime_has_few_pairs() -> None:
    """43 pictures twice are 86, which only 1, 2, 43 and 86 divide."""
    assert [(pair.batch, pair.accumulation) for pair in batches([86], 64, 1).pairs] == [(1, 86), (2, 43), (43, 2)]


def test_uneven_buckets_make_a_step_more() -> None:
    """67, 67 and 66 pictures in three buckets: at batch 8 each rounds up to 9 batches, 27 of what 25 × 8 would be."""
    found = batches([67, 67, 66], 8, 1)
    pair = next(pair for pair in found.pairs if pair.batch == 8)
    assert (pair.accumulation, pair.passes, pair.steps) == (25, 27, 2)
    assert (pair.wanted, pair.reached) == (27, 1)
    assert any("make 2 steps of what would be 1" in str(told) for told in explain(found))


@given(BUCKETS, st.integers(1, 64), st.integers(1, 40), st.booleans())
def test_every_pair_is_the_whole_set(buckets: list[int], limit: int, steps: int, regularised: bool) -> None:
    found = batches(buckets, limit, steps, regularised)
    assert [pair.batch for pair in found.pairs] == [n for n in range(1, limit + 1) if sum(buckets) % n == 0]
    seen = [n * (2 if regularised else 1) for n in buckets]
    for pair in found.pairs:
        assert pair.batch * pair.accumulation == found.product == sum(buckets)
        assert pair.passes == sum(-(-n // pair.batch) for n in seen)
        assert (pair.steps - 1) * pair.accumulation < pair.passes <= pair.steps * pair.accumulation
        # No smaller accumulation stays within the steps that were asked for.
        assert pair.reached <= steps
        assert pair.wanted == 1 or -(-pair.passes // (pair.wanted - 1)) > steps


@given(BUCKETS, st.integers(1, 16), st.integers(1, 8))
def test_steps_are_those_that_training_takes(buckets: list[int], batch: int, accumulation: int) -> None:
    placed = []
    for number, n in enumerate(buckets):
        size = (64 * (number + 1), 64)
        item: Any = Item.__new__(Item)
        object.__setattr__(item, "repeats", n)
        placed.append(Placed(item, size, size, (0, 0), SizeCond(original=size, crop=(0, 0), target=size)))
    assert passes_per_epoch(buckets, batch) == batches_per_epoch(placed, batch)
    assert -(-passes_per_epoch(buckets, batch) // accumulation) == steps_per_epoch(placed, batch, accumulation)


@pytest.mark.parametrize(("limit", "steps"), [(0, 1), (65, 1), (4, 0), (4, 1001), (True, 1), (4, 1.5)])
def test_odd_wishes_are_refused(limit: Any, steps: Any) -> None:
    with pytest.raises(ConfigError):
        batches([10], limit, steps)


def test_no_pictures_are_said() -> None:
    found = batches([], 8, 1)
    assert found.pairs == ()
    assert "no pictures" in str(explain(found)[0])


def test_what_training_cannot_take_is_said() -> None:
    assert any("above 256" in str(told) for told in explain(batches([1000], 2, 1)))
