"""What was seen of many pictures → which are the same, nearly the same, mirrored, or variants of one drawing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lib_lora.pictures.seen import CHANNELS, GRID, Seen

NEAR, GROUP = 4, 12  # bits of 64 that differ at most
KEPT = 0.6  # of the blocks of variants are unchanged
KEPT_LINES = 0.15  # and of those with lines in them: two figures on white paper have the paper in common
UNCHANGED = 4  # a block's means and spread differ by no more
LINES = 6  # a block with lines varies so much more than the flattest quarter of the picture
REDRAWN, REDRAWN_BASE = 18, 4  # in variants a block's colour differs by more than that and so many times what half of them do
ALIKE, ALIKE_MOST = 6.0, 30.0  # copies: how far blocks differ on average, and the hundredth that differs most
GAIN = 0.15  # how much brighter or darker a copy is at most
MIRRORED = 0.7  # a mirror image is so much closer mirrored than as it stands
ROWS, PAIRS, MANY = 256, 128, 8192
FEW, FEW_KEPT, FEW_APART = 4, 0.35, 40.0  # every fourth block of every fourth row, in green alone, with much room for chance
Keys = tuple[tuple[str, ...], ...]
Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Similar:
    """Sets of keys: the same pixels; copies in another size or quality; pairs of mirror images; differential groups."""

    exact: Keys = ()
    near: Keys = ()
    flips: Keys = ()
    groups: Keys = ()


@dataclass(frozen=True)
class _Table:
    """What is compared: a row for each picture that is no exact copy of another."""

    keys: tuple[str, ...]
    sizes: np.ndarray
    dhash: np.ndarray
    mirrored: np.ndarray
    blocks: np.ndarray


def find(seen: Mapping[str, Seen]) -> Similar:
    """Compare all with all. Of exact copies the first stands for all of them."""
    same: dict[str, list[str]] = {}
    for key in sorted(seen):
        same.setdefault(seen[key].pixels, []).append(key)
    exact = tuple(tuple(keys) for keys in same.values() if len(keys) > 1)
    if len(same) < 2:
        return Similar(exact)
    table = _table({keys[0]: seen[keys[0]] for keys in same.values()})
    near: list[tuple[int, int]] = []
    groups: list[tuple[int, int]] = []
    for pairs in _hopeful(table, _pairs(table.dhash, table.dhash, GROUP), False):
        copies, variants = _judged(table, *pairs)
        near += _chosen(pairs, copies)
        groups += _chosen(pairs, variants)
    flips = _flips(table, {*near, *groups})
    return Similar(exact, _sets(table, near), tuple((table.keys[a], table.keys[b]) for a, b in flips), _sets(table, groups))


def _table(seen: Mapping[str, Seen]) -> _Table:
    blocks = np.frombuffer(b"".join(one.blocks for one in seen.values()), np.uint8)
    return _Table(
        tuple(seen),
        np.array([one.size for one in seen.values()]),
        np.array([one.dhash for one in seen.values()], np.uint64),
        np.array([one.mirrored for one in seen.values()], np.uint64),
        blocks.reshape(len(seen), GRID, GRID, CHANNELS),
    )


def _pairs(left: np.ndarray, right: np.ndarray, most: int) -> Iterator[Pairs]:
    """Rows i < j whose hashes differ in at most `most` bits, some hundred at a time."""
    ones = np.array([bin(n).count("1") for n in range(1 << 16)], np.uint8)
    for start in range(0, len(left), ROWS):
        differ = left[start : start + ROWS, None] ^ right[None, start:]
        bits = ones[differ.view(np.uint16)].reshape(*differ.shape, 4).sum(axis=2, dtype=np.uint8)
        first, second = np.nonzero(np.triu(bits <= most, k=1))
        yield first + start, second + start


def _hopeful(table: _Table, found: Iterable[Pairs], mirrored: bool) -> Iterator[Pairs]:
    """The pairs that a few of their blocks leave possible, in handfuls: comparing all blocks of all pairs would take long."""
    few = np.ascontiguousarray(table.blocks[:, ::FEW, ::FEW, 1])
    other = np.ascontiguousarray(table.blocks[:, ::FEW, ::-1][:, :, ::FEW, 1]) if mirrored else few
    few, other = few.reshape(len(few), -1).astype(np.int16), other.reshape(len(few), -1).astype(np.int16)
    for left, right in found:
        for at in range(0, len(left), MANY):
            first, second = left[at : at + MANY], right[at : at + MANY]
            apart = np.abs(few[first] - other[second])
            possible = ((apart <= UNCHANGED).mean(axis=1) >= FEW_KEPT) | (apart.mean(axis=1) <= FEW_APART)
            first, second = first[possible], second[possible]
            for part in range(0, len(first), PAIRS):
                yield first[part : part + PAIRS], second[part : part + PAIRS]


def _chosen(pairs: Pairs, which: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(pairs[0][which].tolist(), pairs[1][which].tolist(), strict=True))


def _judged(table: _Table, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs whose hashes are close: which are copies, and which are variants."""
    close = _bits(table.dhash[left] ^ table.dhash[right]) <= NEAR
    variants = (table.sizes[left] == table.sizes[right]).all(axis=1)
    one, other = table.blocks[left].astype(np.int16), table.blocks[right].astype(np.int16)
    variants[variants] = _is_redrawn(one[variants], other[variants])
    # A picture that is nearly its own mirror image would pass for its flipped copy.
    variants[variants] = ~_turned(one[variants], other[variants])
    copies = close & ~variants
    copies[copies] = _alike(one[copies], other[copies])[0]
    return copies, variants


def _is_redrawn(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether most of a picture is the same to the line, and some of it was drawn anew."""
    if not len(one):
        return np.zeros(0, bool)
    apart = np.abs(one - other)
    colour = _most(apart[..., :3])
    unchanged = (colour <= UNCHANGED) & (apart[..., 3] <= UNCHANGED)
    lines = _lines(one) | _lines(other)
    kept = unchanged.mean(axis=(1, 2)) >= KEPT
    kept &= (unchanged & lines).sum(axis=(1, 2)) >= KEPT_LINES * (lines | ~unchanged).sum(axis=(1, 2))
    colour = colour.reshape(len(one), GRID * GRID)
    return kept & (colour.max(axis=1) > REDRAWN + REDRAWN_BASE * np.median(colour, axis=1))


def _most(values: np.ndarray) -> np.ndarray:
    """The maximum over the few entries of the last axis, without numpy's slow way there."""
    most = values[..., 0]
    for n in range(1, values.shape[-1]):
        most = np.maximum(most, values[..., n])
    return most


def _bits(values: np.ndarray) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1)


def _lines(blocks: np.ndarray) -> np.ndarray:
    """Blocks with lines or texture in them, of (N, GRID, GRID, CHANNELS)."""
    spread = blocks[..., 3]
    return spread > LINES + np.percentile(spread, 25, axis=(1, 2), keepdims=True)


def _alike(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether pictures show the same but for their brightness, and how far their blocks differ on average."""
    first, second = (blocks.reshape(len(blocks), GRID * GRID * CHANNELS).astype(np.float32) for blocks in (one, other))
    gain = (first * second).sum(axis=1) / np.maximum((second * second).sum(axis=1), 1)
    gain = gain.clip(1 - GAIN, 1 + GAIN)
    apart = _most(np.abs(first - gain[:, None] * second).reshape(len(one), GRID * GRID, CHANNELS))
    mean = apart.mean(axis=1)
    alike = mean <= ALIKE
    if alike.any():
        alike[alike] = np.percentile(apart[alike], 99, axis=1) <= ALIKE_MOST
    return alike, mean


def _turned(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether pictures show the same mirrored, and not as they stand: one that is its own mirror image has no others."""
    turned, mean = _alike(one, other[:, :, ::-1])
    turned[turned] = mean[turned] < MIRRORED * _alike(one[turned], other[turned])[1]
    return turned


def _flips(table: _Table, related: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Mirror images in pairs, the closest first; no picture is in two of them."""
    found: list[tuple[float, int, int]] = []
    for left, right in _hopeful(table, _pairs(table.dhash, table.mirrored, NEAR), True):
        one, other = table.blocks[left], table.blocks[right]
        _, mean = _alike(one, other[:, :, ::-1])
        found += [(float(mean[n]), int(left[n]), int(right[n])) for n in np.flatnonzero(_turned(one, other))]
    taken: set[int] = set()
    pairs: list[tuple[int, int]] = []
    for _, a, b in sorted(found):
        if (a, b) not in related and not {a, b} & taken:
            taken |= {a, b}
            pairs.append((a, b))
    return sorted(pairs)


def _sets(table: _Table, pairs: Iterable[tuple[int, int]]) -> Keys:
    """Pairs → the sets they connect, in the order of their keys."""
    parent: dict[int, int] = {}

    def top(one: int) -> int:
        while parent.setdefault(one, one) != one:
            parent[one] = one = parent[parent[one]]
        return one

    for a, b in pairs:
        low, high = sorted((top(a), top(b)))
        parent[high] = low
    sets: dict[int, list[str]] = {}
    for one in sorted(parent):
        sets.setdefault(top(one), []).append(table.keys[one])
    return tuple(tuple(keys) for keys in sets.values())
