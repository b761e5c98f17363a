"""From the tokens of each patient to one padded batch, and how a patient with too many keeps a share of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.tokens import PackedTokens, Tokens

Floats = NDArray[np.float32]


def in_order(parts: Sequence[Floats], width: int, slots: int) -> Tokens:
    """The tokens `(T_i, width)` of each patient as one padded batch."""
    rows = np.arange(len(parts))
    return PackedTokens.scatter(parts, rows, len(parts), width, slots).take(rows)


def in_runs(tokens: Floats, most: int) -> Floats:
    """`(T, D)` as it is, or where T is over `most` the means of `most` runs of neighbours, as even as they can be.

    Nothing is cut off: every token has its share in one of them.
    """
    if len(tokens) <= most:
        return tokens
    starts = np.linspace(0, len(tokens), most + 1).round().astype(np.int64)
    sums = np.add.reduceat(tokens.astype(np.float64), starts[:-1])
    return (sums / np.diff(starts)[:, None]).astype(np.float32)


def thinned(items: Iterable[Any], most: int, describe: Callable[[Any], Floats]) -> Floats:
    """`describe` of every item while there are at most `most`, then of every second, fourth, ... of all: `(T, D)`.

    Over `most` items between half of `most` and `most` stay, evenly over the whole; one item is in memory at a time.
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
