"""Loss scaling for fp16: gradients too small for the format are multiplied into its range and divided again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class LossScaler:
    """Doubles after 2000 good steps, halves after one that overflowed (Micikevicius et al., "Mixed Precision Training", 2018).

    torch's own asks the device for every optimizer whether something overflowed; here the answer comes with the loss, and
    the rule is the same on every device. Switched off, `scale` stays 1.
    """

    GROW_AFTER = 2000
    SEARCHED = 1024.0

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.scale = 65536.0 if enabled else 1.0
        self._good = 0

    @property
    def searching(self) -> bool:
        """Whether an overflow is only the scale finding its place, which it starts above: nothing a user should worry about."""
        return self.enabled and self.scale >= self.SEARCHED

    def unscale_(self, gradients: Sequence[Tensor]) -> None:
        """Divide the gradients by what the loss was multiplied with."""
        if self.enabled and gradients:
            torch._foreach_mul_(list(gradients), 1 / self.scale)

    def update(self, good: bool) -> None:
        """Learn from a step that was taken (`good`) or skipped."""
        if not self.enabled:
            return
        self._good = self._good + 1 if good else 0
        if not good:
            self.scale = max(1.0, self.scale / 2)
        elif self._good >= self.GROW_AFTER:
            self.scale, self._good = self.scale * 2, 0
