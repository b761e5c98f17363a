"""What letters alone tell of the next: the alphabet, how often each occurs, and the one or two before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
ORDERS = (0, 1, 2)
MOST_CELLS = 50_000_000  # of a table of counts


def order_losses(train: Sequence[Ints], held_out: Sequence[Ints], letters: int, order: int) -> list[Floats]:
    """Negative log likelihood of each held-out letter by the `order` letters before it, in nats; a row a sequence.

        p_k(x | h) = (c(h, x) + A p_{k-1}(x | h')) / (c(h) + A),   p_0(x) = (c(x) + 1) / (n + A)

    with the counts c of the training sequences, A letters, and h' the history without its first letter: what was seen
    seldom falls back on the shorter history. At the beginning of a sequence, and behind a letter that is none of the A,
    the history is as long as there is.

    Args:
        train, held_out: sequences `(n_i,)`; letters that are not one of the A are -1, and give NaN.
        letters: A.
        order: how many letters before are looked at, 0 to 2.

    Raises:
        ValueError: the table of counts would be too large.

    Source: MacKay and Peto, A hierarchical Dirichlet language model, Natural Language Engineering 1995, with the
    concentration fixed at A.
    """
    if letters ** (order + 1) > MOST_CELLS:
        raise ValueError(f"counts of {order + 1} letters of {letters} are too many to keep")
    tables = [np.ones(letters) / letters]  # p_{-1}: uniform
    for own in range(order + 1):
        counts = np.zeros((letters,) * (own + 1))
        for sequence in train:
            words = [sequence[k : len(sequence) - own + k] for k in range(own + 1)]
            known = np.all([word >= 0 for word in words], axis=0)
            np.add.at(counts, tuple(word[known] for word in words), 1.0)
        lower = tables[-1]  # broadcast over the first letter of the history
        tables.append((counts + letters * lower) / (counts.sum(-1, keepdims=True) + letters))
    return [_losses(sequence, tables[1:]) for sequence in held_out]


def _losses(sequence: Ints, tables: Sequence[Floats]) -> Floats:
    found = np.full(len(sequence), np.nan)
    for own, table in enumerate(tables):  # a longer history replaces what a shorter one told
        if len(sequence) <= own:
            break
        words = [sequence[k : len(sequence) - own + k] for k in range(own + 1)]
        known = np.all([word >= 0 for word in words], axis=0)
        found[own:][known] = -np.log(table[tuple(word[known] for word in words)])
    return found
