"""A mixture of tasks: how often each is drawn, from its size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def proportions(sizes: Sequence[int], temperature: float = 1.0, most: int = 0) -> NDArray[np.float64]:
    """Return how often each task is drawn: `min(n_t, most)^(1 / temperature)`, scaled to a sum of one.

    Temperature 1 draws every example as often, above it small tasks are drawn more often, without end each task alike.

    Args:
        sizes: number of examples of each task, 1 or more.
        most: examples of a task that count; 0: all.

    Raises:
        ValueError: a task is empty, or the temperature is below 1.

    Source: Raffel et al., T5 (JMLR 2020), section 3.5.2, whose proportions Med-PaLM M's mixture has by hand.
    """
    counted = np.array(sizes, dtype=np.float64)
    if not len(counted) or (counted < 1).any():
        raise ValueError("every task of a mixture has an example")
    if temperature < 1 or most < 0:
        raise ValueError("a mixture's temperature is 1 or more, and `most` 0 or more")
    counted = np.minimum(counted, most) if most else counted
    weight = counted ** (1 / temperature)
    return np.asarray(weight / weight.sum())


def drawn(tasks: Sequence[str], number: int, *, seed: int, temperature: float = 1.0, most: int = 0) -> NDArray[np.int_]:
    """Draw `number` rows by a mixture of their tasks, each row of a task once before any comes again.

    Args:
        tasks: (B,) the task of each row.
    """
    rng = np.random.default_rng(seed)
    names, of = np.unique(np.array(tasks, dtype=str), return_inverse=True)
    rows_of = [np.flatnonzero(of == k) for k in range(len(names))]
    counts = rng.multinomial(number, proportions([len(own) for own in rows_of], temperature, most))
    found = []
    for own, count in zip(rows_of, counts.tolist(), strict=True):
        passes = [rng.permutation(own) for _ in range(-(-count // len(own)))]
        found.append(np.concatenate([*passes, own[:0]])[:count])
    return np.asarray(rng.permutation(np.concatenate(found)))
