"""Iterative stratification: split a cohort so that each of several labels is as frequent in a part as in the whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int_]


def evidence(value: Array) -> Array:
    """Expand `(n, K)` labels of 0, 1 or NaN to `(n, 2 K)` indicators of having and not having each; NaN is neither."""
    return np.concatenate([value == 1, value == 0], axis=1).astype(np.float64)


def fewest(value: Array) -> Ints:
    """`(K,)` size of the smaller side of each label: patients who have it, or who are known not to."""
    return np.asarray(np.minimum((value == 1).sum(axis=0), (value == 0).sum(axis=0)))


def dealt_folds(value: Array, folds: int, units: Ints | None, rng: np.random.Generator) -> Ints:
    """(n,) fold, 0 to `folds` - 1, of each patient, with each label of `value` (n, K) spread evenly over the folds."""
    having = evidence(value)
    return deal(having, np.tile(having.sum(axis=0) / folds, (folds, 1)), units, rng)


def held_out(value: Array, fraction: float, units: Ints | None, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n,) True for about `fraction` of each label's patients; a label of two or more should be on both sides."""
    having = evidence(value)
    sizes = having.sum(axis=0)
    wanted = np.where(sizes >= 2, np.clip(np.round(fraction * sizes), 1, np.maximum(sizes - 1, 1)), 0)
    return np.asarray(deal(having, np.stack([sizes - wanted, wanted]), units, rng) == 1)


def deal(having: Array, wanted: Array, units: Ints | None, rng: np.random.Generator) -> Ints:
    """Assign each patient to a part (n,), dealing out labels from the rarest to the most frequent.

    Of the patients still without a part, those with the rarest evidence are assigned next, each to the part that needs
    it most; ties go to the part with the fewest patients of the same labels, then to the one that most needs all of the
    patient's evidence.

    Source: Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10. Deviations: not having a label counts as evidence
    too, ties are broken by the combination of labels, and whole units are assigned.

    Args:
        having: (n, C) 0 or 1, the evidence that each patient provides; one column or more per label.
        wanted: (F, C) number of each column that each of F parts should get.
        units: (n,) patients with the same number go to the same part; None treats each one alone.
    """
    unit = np.arange(len(having)) if units is None else np.unique(units, return_inverse=True)[1].reshape(-1)
    total = np.zeros((int(unit.max(initial=-1)) + 1, having.shape[1]))
    np.add.at(total, unit, having)  # (U, C)
    _, kind = np.unique(total, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    wanted, left = wanted.astype(np.float64).copy(), total.sum(axis=0)
    same = np.zeros((len(wanted), kind.max(initial=0) + 1))
    per_column = 1 / np.maximum(wanted.sum(axis=0), 1)
    part = np.full(len(total), -1)
    waiting = rng.permutation(len(total))
    while waiting.size:
        column = int(np.argmin(np.where(left > 0, left, np.inf)))
        here = total[waiting, column] > 0
        if not here.any():  # only units without evidence are left
            here[:] = True
        chosen = waiting[here]
        for one in chosen[np.argsort(kind[chosen], kind="stable")]:
            lacks = wanted @ (total[one] * per_column)
            order = np.lexsort((rng.random(len(wanted)), -lacks, same[:, kind[one]], -wanted[:, column]))
            to = int(order[0])
            part[one] = to
            wanted[to] -= total[one]
            left -= total[one]
            same[to, kind[one]] += 1
        waiting = waiting[~here]
    return part[unit]
