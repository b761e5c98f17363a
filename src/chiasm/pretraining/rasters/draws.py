"""Random draws of a step, which several processes that share it draw alike and each takes its rows of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_PART: ContextVar[tuple[int, int] | None] = ContextVar("part of the step", default=None)


@contextmanager
def part_of_step(first: int, whole: int) -> Iterator[None]:
    """Within, draws are rows `first`, `first + 1`, ... of those of a step of `whole` items."""
    token = _PART.set((first, whole))
    try:
        yield
    finally:
        _PART.reset(token)


def uniform(rows: int, *shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw `(rows, *shape)` uniform numbers from 0 to 1, on the CPU; None: from torch's global generator."""
    first, whole = _PART.get() or (0, rows)
    return torch.rand(whole, *shape, generator=generator)[first : first + rows]


def normal(rows: int, *shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw `(rows, *shape)` numbers of mean 0 and deviation 1, on the CPU; None: from torch's global generator."""
    first, whole = _PART.get() or (0, rows)
    return torch.randn(whole, *shape, generator=generator)[first : first + rows]
