"""A saved network, read back by a host's own loader, against the network in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from lib_lora.core.messages import Message, count, say
from lib_lora.model import Precision
from lib_lora.networks.precision import tolerance
from lib_lora.networks.registry import Network


@dataclass(frozen=True)
class Verdict:
    """How far what the host read is from the network, at worst: ‖host − ours‖ / ‖ours‖ of one layer.

    `worst` is that layer's key, `tolerance` what rounding explains for it. `missing` are keys the host dropped, `unknown`
    keys it has and we have not. `message` says what is wrong; None when `ok`.
    """

    error: float
    worst: str
    tolerance: float
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    ok: bool
    message: Message | None


def compare(network: Network, host_deltas: Iterable[tuple[str, Tensor]], precision: Precision, host_precision: Precision = "fp32") -> Verdict:
    """Compare layer by layer with the network's ΔW as a file of `precision` holds it.

    `host_precision` is what the host computes ΔW in: half-precision hosts round the product once more.
    """
    expected = set(network.keys())
    seen: set[str] = set()
    unknown: list[str] = []
    worst = (-1.0, "", 0.0, 1.0)  # error over tolerance, key, error, tolerance
    for key, host in host_deltas:
        if key not in expected:
            unknown.append(key)
            continue
        seen.add(key)
        error, allowed = _difference(network.delta(key, precision), host, (precision, host_precision))
        worst = max(worst, (error / allowed if allowed else math.inf if error else 0.0, key, error, allowed))
    missing = tuple(key for key in network.keys() if key not in seen)  # noqa: SIM118 - a Network is no mapping
    ratio, key, error, allowed = worst
    ok = not missing and not unknown and ratio <= 1
    return Verdict(max(error, 0.0), key, allowed, missing, tuple(unknown), ok, None if ok else _message(missing, unknown, key, error))


def _difference(ours: Tensor, host: Tensor, precisions: tuple[Precision, Precision]) -> tuple[float, float]:
    """(relative difference, how much of it rounding explains); absolute where ΔW is zero."""
    host = host.detach().float().cpu()
    ours = ours.detach().float().cpu()
    if host.numel() != ours.numel() or host.shape[0] != ours.shape[0]:
        return math.inf, 0.0
    size = float(ours.norm())
    error = float((host.reshape(ours.shape) - ours).norm())
    if math.isnan(error):
        return math.inf, 0.0
    allowed = tolerance(precisions, size, ours.numel())
    return (error / size, allowed / size) if size else (error, allowed)


def _message(missing: tuple[str, ...], unknown: list[str], key: str, error: float) -> Message:
    if missing:
        return count(
            len(missing),
            "The host's loader drops {n} layer of the saved file ({key}): it would not work as it was trained",
            "The host's loader drops {n} layers of the saved file ({key} and others): it would not work as it was trained",
            key=missing[0],
        )
    if unknown:
        return say("The host's loader reads {key} in the saved file, which this network does not have", key=unknown[0])
    return say("The host's loader reads {key} differently from how it was trained: relative difference {error}", key=key, error=f"{error:.2g}")
