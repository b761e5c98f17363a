"""Bounds of the synergy from patients who have one modality and the outcome, and from pairs without an outcome.

The three tables are the weighted shares of those who have each; they share margins only up to chance, so that each is
made to have the mean of the margins that two of them have (iterative proportional fitting), before `synergy_bounds`.
The interval of the synergy reaches from the 2.5 % quantile of the lower bound to the 97.5 % quantile of the upper one,
over bootstrap draws of patients; what is redundant and unique, which the pairs with an outcome decide, has its own. It
is assumed that all are patients of one kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Unsupported
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.interaction.estimated import Estimated
from chiasm.evaluation.interaction.synergy_bounds import NO_JOINT, many_synergy_bounds
from chiasm.evaluation.interaction.unique_information import entropy
from chiasm.evaluation.intervals import Counts
from chiasm.metrics.weighted import Floats

Ints = NDArray[np.int_]
DRAWS = 200
_ROUNDS, _FITTED = 500, 1e-12


@dataclass(frozen=True)
class Counted:
    """Cells (n,) of a table of `shape`, of the patients in `rows` of the draws, with their weights."""

    rows: Ints
    first: Ints
    second: Ints
    weight: Floats
    shape: tuple[int, int]

    def with_more(self, more: Counted) -> Counted:
        """The cells of further patients too."""
        both = [(getattr(self, name), getattr(more, name)) for name in ("rows", "first", "second", "weight")]
        rows, first, second, weight = (np.concatenate(own) for own in both)
        return Counted(rows, first, second, weight, self.shape)

    def table(self, counts: NDArray[np.float64] | None) -> Floats:
        """The weighted share of each cell, by the counts of one draw (N,)."""
        weight = self.weight if counts is None else self.weight * counts[self.rows]
        found = np.zeros(self.shape)
        np.add.at(found, (self.first, self.second), weight)
        return found / max(float(found.sum()), 1e-300)


@dataclass(frozen=True)
class Bounded:
    """What is known of the parts, in bits, where nobody has both with the outcome.

    Attributes:
        parts: `redundant`, `first_alone`, `second_alone`, and `synergy`, whose value is NaN and whose ends are its
            bounds with their 95 % interval.
        bounds: the least and the most that the synergy can be, of these patients.
        entropy: H(Y).
    """

    parts: dict[str, Estimated]
    bounds: tuple[float, float]
    entropy: float


def bounded(first: Counted, second: Counted, pairs: Counted, draws: Counts) -> Bounded:
    """Bound the synergy of two sources.

    Args:
        first, second: (x1, y) and (x2, y) of those who have a modality and a known outcome.
        pairs: (x1, x2) of those who have both.
        draws: (R, N) counts, of which the first are used.

    Raises:
        Unsupported: no joint distribution has these tables, or they have too many states.
    """
    (own,) = many_synergy_bounds(*(table[None] for table in _tables(first, second, pairs, None)))
    if own is None:
        raise Unsupported(NO_JOINT)
    told = np.full((len(draws[:DRAWS]), 5), np.nan)  # a draw whose tables do not fit each other tells nothing
    fitting: list[tuple[int, tuple[Floats, Floats, Floats]]] = []
    for place, counts in enumerate(draws[:DRAWS].astype(np.float64)):
        with suppress(Unsupported):
            fitting.append((place, _tables(first, second, pairs, counts)))
    if fitting:
        solved = many_synergy_bounds(*map(np.stack, zip(*(tables for _, tables in fitting), strict=True)))
        for (place, _), drawn in zip(fitting, solved, strict=True):
            if drawn is not None:
                told[place] = [drawn.known.redundancy, *drawn.known.unique, drawn.lower, drawn.upper]
    plain = [own.known.redundancy, *own.known.unique]
    parts = {}
    for k, name in enumerate(("redundant", "first_alone", "second_alone")):
        bias = float(np.nanmean(told[:, k])) - plain[k] if np.isfinite(told[:, k]).any() else 0.0
        low, high = (max(0.0, end - 2 * bias) for end in percentile_interval(told[:, k]))
        value = max(0.0, plain[k] - bias)
        parts[name] = Estimated(value, float(np.fmin(low, value)), float(np.fmax(high, value)))
    low, high = percentile_interval(told[:, 3])[0], percentile_interval(told[:, 4])[1]
    parts["synergy"] = Estimated(np.nan, float(np.fmin(low, own.lower)), float(np.fmax(high, own.upper)))
    return Bounded(parts, (own.lower, own.upper), entropy(first.table(None).sum(axis=0)))


def _tables(
    first: Counted, second: Counted, pairs: Counted, counts: NDArray[np.float64] | None
) -> tuple[Floats, Floats, Floats]:
    """The three tables, with the same margins."""
    one, two, both = (own.table(counts) for own in (first, second, pairs))
    target = _mean([one.sum(axis=0), two.sum(axis=0)])
    x1, x2 = _mean([one.sum(axis=1), both.sum(axis=1)]), _mean([two.sum(axis=1), both.sum(axis=0)])
    return _fitted(one, x1, target), _fitted(two, x2, target), _fitted(both, x1, x2)


def _mean(margins: Sequence[Floats]) -> Floats:
    """Mean of two margins, whose states have to be met by both."""
    mean = np.mean(margins, axis=0)
    if any(((own <= 0) & (mean > 0)).any() for own in margins):
        raise Unsupported("a state is met by some of the patients alone: give fewer states, or more patients")
    return np.asarray(mean / mean.sum(), dtype=np.float64)


def _fitted(table: Floats, rows: Floats, columns: Floats) -> Floats:
    """The table with these margins, by iterative proportional fitting (Deming and Stephan 1940)."""
    table = table.copy()
    for _ in range(_ROUNDS):
        table *= np.divide(rows, table.sum(axis=1), out=np.zeros_like(rows), where=rows > 0)[:, None]
        table *= np.divide(columns, table.sum(axis=0), out=np.zeros_like(columns), where=columns > 0)[None]
        if np.abs(table.sum(axis=1) - rows).max() <= _FITTED:
            break
    return np.asarray(table / table.sum(), dtype=np.float64)
