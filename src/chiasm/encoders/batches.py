"""Padding of tokens to batches, and reduction of a patient's tokens by averaging or thinning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.tokens import PackedTokens, Tokens

Floats = NDArray[np.float32]


def in_order(parts: Sequence[Floats], width: int, slots: int) -> Tokens:
    """Pad the tokens `(T_i, width)` of each patient to one batch, in order."""
    rows = np.arange(len(parts))
    return PackedTokens.scatter(parts, rows, len(parts), width, slots).take(rows)


def in_runs(tokens: Floats, most: int) -> Floats:
    """Average `(T, D)` over `most` runs of neighbours, of as equal length as possible; unchanged if T <= `most`.

    Nothing is cut off: every token contributes to one of the means.
    """
    if len(tokens) <= most:
        return tokens
    starts = np.linspace(0, len(tokens), most + 1).round().astype(np.int64)
    sums = np.add.reduceat(tokens.astype(np.float64), starts[:-1])
    return (sums / np.diff(starts)[:, None]).astype(np.float32)


def thinned(items: Iterable[Any], most: int, describe: Callable[[Any], Floats]) -> Floats:
    """Describe every item if there are at most `most`, else every second, fourth, ... of them: `(T, D)`.

    Of more than `most` items, between half of `most` and `most` are kept, evenly spaced; only one is in memory at once.
    """
    kept: list[Floats] = []
    step = 1
    for index, item in enumerate(items):
        if index % step:
            continue
        if len(kept) == most:
            kept, step = kept[::2], step * 2
            if index % step:
                continue
        kept.append(describe(item))
    if not kept:
        raise ValueError("the slide has no tile with tissue: leave it out, or check the mask")
    return np.stack(kept)
