"""Iterative stratification: parts of a cohort in which each of several labels is as frequent as in the whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int_]


def evidence(value: Array) -> Array:
    """`(n, K)` labels of 0, 1 or NaN to `(n, 2 K)`: having each label, and having it not; a missing cell is neither."""
    return np.concatenate([value == 1, value == 0], axis=1).astype(np.float64)


def fewest(value: Array) -> Ints:
    """`(K,)` of each label the patients who have it, or who are known to have it not, whichever are fewer."""
    return np.asarray(np.minimum((value == 1).sum(axis=0), (value == 0).sum(axis=0)))


def dealt_folds(value: Array, folds: int, units: Ints | None, rng: np.random.Generator) -> Ints:
    """(n,) the fold, 0 to `folds` - 1, of patients with labels `value` (n, K), equally many of each label in each."""
    having = evidence(value)
    return deal(having, np.tile(having.sum(axis=0) / folds, (folds, 1)), units, rng)


def held_out(value: Array, fraction: float, units: Ints | None, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n,) True for about `fraction` of the patients of each label; two with a label stand on either side."""
    having = evidence(value)
    sizes = having.sum(axis=0)
    wanted = np.where(sizes >= 2, np.clip(np.round(fraction * sizes), 1, np.maximum(sizes - 1, 1)), 0)
    return np.asarray(deal(having, np.stack([sizes - wanted, wanted]), units, rng) == 1)


def deal(having: Array, wanted: Array, units: Ints | None, rng: np.random.Generator) -> Ints:
    """(n,) the part that each patient goes to, labels dealt out from the rarest to the most frequent.

    Of the patients still without a part, those with the rarest evidence are dealt next, each to the part that wants it
    most; of equal ones, to the part that has the fewest with the same labels, then that wants all they have most.

    Source: Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10. Deviations: not having a label counts as evidence
    too, ties go by the combination of labels, and whole units are dealt.

    Args:
        having: (n, C) 0 or 1, what each patient is evidence of; one column or more for each.
        wanted: (F, C) how many of each column each of F parts should get.
        units: (n,) patients with the same number go to one part; None for each alone.
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
        if not here.any():  # nobody is left who has anything: units without evidence
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
