"""Prediction head of every neural recipe: LayerNorm and one linear map, with the loss of its kind of target."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.heads.kinds import HEADS
from chiasm.targets import Outcome, Target

Level = float | np.ndarray
"""A mean or a spread: a number, or `(V,)` of channels."""


class Head(nn.Module):
    """Linear map `W LN(embedding) + b` to logits of classes or labels, a standardised number, or log hazards.

    Args:
        width: D of the embedding; 0 where a fusion gives the link itself, so that nothing is left to learn here.
        outputs: K, as `output_width` gives it.
        kind: kind of target, one of `HEADS`.
    """

    def __init__(self, width: int, outputs: int, kind: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if width else nn.Identity()
        self.linear = nn.Linear(width, outputs) if width else nn.Identity()
        self.kind = kind

    def forward(self, embedding: Tensor) -> Tensor:
        """Map an embedding `(B, D)` to outputs `(B, K)`."""
        return self.linear(self.norm(embedding))  # type: ignore[no-any-return]

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        """Mean loss of a batch, a finite scalar; `value` and `event` are as `target_tensors` gives them."""
        return HEADS[self.kind].loss(output, value, event)

    def losses(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        """Loss of each patient, `(B,)`; NaN for whom there is none, as for the censored."""
        return HEADS[self.kind].losses(output, value, event)


def output_width(target: Target) -> int:
    """Number of outputs K: the number of classes, labels, causes or channels, else one."""
    return max(1, len(target.names))


def target_tensors(outcome: Outcome, centre: Level = 0.0, scale: Level = 1.0) -> tuple[Tensor, Tensor]:
    """Convert outcomes to `(value - centre) / scale`, float32 `(B,)` or `(B, K)`, and events `(B,)`.

    Events are bool, False for targets without; of competing risks the place of the cause from 1, 0 without an event; of
    a choice the features of each patient's options `(B, K, E)`, float32, NaN where he has fewer.
    """
    event = outcome.event if outcome.event is not None else np.zeros(len(outcome.value), bool)
    event = event if outcome.cause is None else outcome.cause.astype(np.int64)
    if outcome.options is not None and outcome.options.values is not None:
        here = outcome.options.inside[:, : outcome.options.values.shape[1], None]
        event = np.where(here, outcome.options.values, np.nan).astype(np.float32)
    value = torch.from_numpy(((outcome.value - centre) / scale).astype(np.float32))
    return value, torch.from_numpy(np.ascontiguousarray(event))
