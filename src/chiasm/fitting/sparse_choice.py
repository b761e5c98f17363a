"""Selection of an elastic net by inner folds: its penalty, and how much more each block of columns is penalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Outcome
from chiasm.fitting.block_choice import Powers, descended
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.linear import information
from chiasm.linear.losses import loss_of
from chiasm.linear.sparse_path import SparsePath

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
STEPS = 16  # penalties, from the largest of use downwards
DECADES = 2.0
PATIENCE = 3  # penalties in a row that are worse than the best so far end a path
APART = (2, 1)  # powers of two by which a block's factor is moved for as long as that gains
REACH = 5  # largest power between two blocks
MOST_TRIED = 12  # combinations of factors


@dataclass(frozen=True)
class ChosenSparse:
    """The elastic net that inner folds select, refitted on all rows.

    Args:
        factors: penalty of each block relative to the common one.
        penalty: the common one, in units of information.
        blocks: `(F_b, K)` coefficients of each block.
        intercept: `(K,)`; a log hazard has a training mean of zero.
        links: out-of-fold links `(n, K)`, the offset included.
        parts: out-of-fold `(n, K)` of what the columns add, less its mean over the rows that each fold's model was
            fitted on.
    """

    factors: tuple[float, ...]
    penalty: float
    blocks: tuple[Array, ...]
    intercept: Array
    links: Array
    parts: Array


def choose_sparse_blocks(
    kind: str,
    values: Sequence[Array],
    outcome: Outcome,
    folds: Ints,
    classes: int | None,
    *,
    l1_ratio: float,
    offset: Array | None = None,
) -> ChosenSparse:
    """Select the penalty and the factors of smallest held-out `nll`: equal factors first, then moves of one block.

    Args:
        values: blocks `(n, F_b)`; zeros where a patient lacks one.
        outcome: known outcomes, a number in standard units.
        folds: `(n,)` inner fold of each row.
        l1_ratio: share of the L1 norm in the penalty.
        offset: `(n, K)` part of the link that is known beforehand.
    """
    search = _Search(kind, values, outcome, folds, classes, l1_ratio, offset)
    best: Powers = (0,) * len(values)
    if len(values) > 1:
        best = descended(best, range(len(values)), APART, lambda powers: search.at(powers).loss, search.may_try)
    return search.chosen(best)


@dataclass(frozen=True)
class _Tried:
    """One combination of factors at its best penalty, the `place`-th of `penalties`."""

    loss: float
    penalties: tuple[float, ...]
    place: int
    links: Array
    parts: Array


class _Search:
    def __init__(
        self,
        kind: str,
        values: Sequence[Array],
        outcome: Outcome,
        folds: Ints,
        classes: int | None,
        l1_ratio: float,
        offset: Array | None,
    ) -> None:
        self.kind, self.loss, self.classes = kind, loss_of(kind, outcome, "elastic net"), classes
        self.values, self.outcome, self.l1_ratio, self.offset = values, outcome, l1_ratio, offset
        self.ways = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
        self.likelihood = FoldLikelihood(kind, outcome, folds)
        self.tried: dict[Powers, _Tried] = {}

    def at(self, powers: Powers) -> _Tried:
        """Fit the path of these factors in each fold, the folds side by side, until it gets worse."""
        relative = tuple(power - min(powers) for power in powers)  # a factor common to all is a penalty
        if relative not in self.tried:
            self.tried[relative] = self._path(relative)
        return self.tried[relative]

    def may_try(self, powers: Powers) -> bool:
        """True while combinations are left to be tried, and where no two of these powers are out of reach."""
        return len(self.tried) < MOST_TRIED and max(powers) - min(powers) <= REACH

    def chosen(self, powers: Powers) -> ChosenSparse:
        """Refit on all rows, from the largest penalty down to the selected one."""
        found, powers = self.at(powers), tuple(power - min(powers) for power in powers)
        path, unit = self._started(self._columns(powers), np.arange(len(self.values[0]))), self._unit(self.outcome)
        for penalty in found.penalties[: found.place + 1]:
            coef, free = path.at(penalty * unit)
        scaled, intercept = path.local.expand(coef, free)
        factors = tuple(2.0**power for power in powers)
        ends = np.cumsum([0, *(own.shape[1] for own in self.values)])
        blocks = tuple(scaled[ends[b] : ends[b + 1]] / factor for b, factor in enumerate(factors))
        if self.loss.compares:  # which has no intercept of its own
            intercept = -sum(own.mean(0) @ part for own, part in zip(self.values, blocks, strict=True))
        return ChosenSparse(
            factors, found.penalties[found.place], blocks, np.asarray(intercept), found.links, found.parts
        )

    def _path(self, powers: Powers) -> _Tried:
        x = self._columns(powers)
        top = self._started(x, np.arange(len(x))).largest_penalty / self._unit(self.outcome) or 1.0
        penalties = tuple(float(top * share) for share in np.geomspace(1.0, 10.0**-DECADES, STEPS))
        paths = [(self._started(x, rows), self._unit(self.outcome.take(rows))) for rows, _ in self.ways]
        means = [x[rows].mean(0) for rows, _ in self.ways]
        best: _Tried | None = None
        for place, penalty in enumerate(penalties):
            links, parts = self._held_out(x, [path.at(penalty * unit) for path, unit in paths], paths, means)
            loss = self.likelihood(links)
            if best is None or loss < best.loss - 1e-9 * abs(best.loss):  # the strongest of equals
                best = _Tried(loss, penalties, place, links, parts)
            elif place - best.place >= PATIENCE:
                break
        assert best is not None  # there is a penalty
        return best

    def _held_out(
        self,
        x: Array,
        fits: Sequence[tuple[Array, Array]],
        paths: Sequence[tuple[SparsePath, float]],
        means: Sequence[Array],
    ) -> tuple[Array, Array]:
        """Return out-of-fold links `(n, K)`, and of them what the columns add."""
        links = parts = np.zeros(0)
        for (_, of), (coef, free), (path, _), mean in zip(self.ways, fits, paths, means, strict=True):
            used = np.flatnonzero(coef.any(axis=1))
            added = (x[np.ix_(of, used)] - mean[used]) @ coef[used]
            free = np.zeros_like(free) if self.loss.compares else free + mean[used] @ coef[used]
            part, level = path.local.expand(added, free)
            if self.offset is not None:  # which says already how rare a class is that a fold has not seen
                level = level - path.local.expand(added, np.zeros_like(free))[1]
            if not parts.size:
                parts = np.zeros((len(x), part.shape[1]))
                links = np.zeros_like(parts) if self.offset is None else self.offset.copy()
            parts[of] = part
            links[of] += part + level
        return links, parts

    def _started(self, x: Array, rows: Ints) -> SparsePath:
        local = self.loss.local(self.outcome.take(rows), self.classes)
        offset = None if self.offset is None else local.outputs(self.offset[rows])
        return SparsePath(x[rows], local, self.l1_ratio, offset)

    def _columns(self, powers: Powers) -> Array:
        parts = [own / 2.0**power for own, power in zip(self.values, powers, strict=True)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _unit(self, outcome: Outcome) -> float:
        return float(information(self.kind, outcome))
