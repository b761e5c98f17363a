"""Selection of a penalty for each block of columns by inner folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Outcome
from chiasm.heads.response import calibration
from chiasm.linear.block_ridge import Blocks, Fitted, Weighted, fit_blocks
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.linear import information
from chiasm.linear.losses import loss_of
from chiasm.linear.target_units import TargetUnits

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
Powers = tuple[float, ...]
# Powers of ten, in units of the information that a column of unit variance carries; blocks are scaled so that their
# first component has unit variance.
TOGETHER = (1.0, 0.5, 0.0, -0.5, -1.0, -1.5, -2.0, -2.5)  # first all blocks under one penalty
APART = (1.0, 0.5)  # then each block's is moved by these steps for as long as that gains
REACH = (-4.0, 3.0)
MOST_TRIED = 60
GAIN = 0.1  # log-likelihood that a move must gain: less is noise
ROUGH = 1e-8  # relative precision of fits that are only compared


@dataclass(frozen=True)
class ChosenBlocks:
    """A penalty for each block, selected by inner folds, and the model refitted on all rows.

    Args:
        penalties: of each block, in units of information; smaller is freer.
        free: `(q, K)` coefficients of the columns without a penalty.
        blocks: `(F_b, K)` coefficients of each block.
        intercept: `(K,)`; a log hazard has a training mean of zero.
        slope, centre: calibration of the link, from the out-of-fold links.
        links: calibrated out-of-fold links, `(n, K)`.
    """

    penalties: tuple[float, ...]
    free: Array
    blocks: tuple[Array, ...]
    intercept: Array
    slope: float
    centre: float
    links: Array


def choose_blocks(
    kind: str, values: Sequence[Array], free: Array, outcome: Outcome, folds: Ints, classes: int | None
) -> ChosenBlocks:
    """Select the penalties of smallest held-out `nll`: one for all first, then moves of one block at a time.

    Args:
        values: penalised blocks `(n, F_b)`, at least one; zeros where a patient lacks one.
        free: `(n, q)` columns without a penalty; q may be 0.
        folds: `(n,)` inner fold of each row.
    """
    units = TargetUnits.of(kind, outcome)
    inside = units.inside(outcome)
    search = _Search(kind, values, free, inside, folds, classes)
    together = [(power,) * len(values) for power in TOGETHER]
    best = min(together, key=search.loss)  # of equally good ones the strongest, which comes first
    for step in APART if len(values) > 1 else ():
        moved = True
        while moved:
            before = best
            for block in range(len(values)):
                best = search.moved(best, block, step)
            moved = best != before
    part, link = search.fitted(best), search.links(best)
    slope, centre = calibration(kind, link, inside, folds)
    links = units.outside(centre + slope * (link - centre))
    blocks = tuple(own * units.scale for own in part.blocks)
    return ChosenBlocks(
        tuple(10.0**power for power in best), part.free * units.scale, blocks, units.outside(part.intercept), slope,
        float(units.outside(centre)), links,
    )  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """Coefficients of one fit, of the kind's K outputs."""

    free: Array
    blocks: tuple[Array, ...]
    intercept: Array


class _Search:
    """Fits at penalties that are tried, each started from the one before in its fold."""

    def __init__(
        self, kind: str, values: Sequence[Array], free: Array, outcome: Outcome, folds: Ints, classes: int | None
    ) -> None:
        self.kind, self.loss_of, self.outcome = kind, loss_of(kind, outcome, "linear predictor"), outcome
        self.blocks, self.free, self.classes = Blocks(values), np.column_stack([np.ones(len(free)), free]), classes
        self.parts = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
        self.local = [self.loss_of.local(outcome.take(rows), classes) for rows, _ in self.parts]
        self.likelihood = FoldLikelihood(kind, outcome, folds)
        self.before: dict[int, Fitted] = {}
        self.tried: dict[Powers, tuple[float, Array]] = {}

    def loss(self, powers: Powers) -> float:
        """Held-out negative log likelihood."""
        if powers not in self.tried:
            link = self._held_out(powers)
            self.tried[powers] = self.likelihood(link), link
        return self.tried[powers][0]

    def links(self, powers: Powers) -> Array:
        """Out-of-fold links `(n, K)`."""
        self.loss(powers)
        return self.tried[powers][1]

    def moved(self, powers: Powers, block: int, step: float) -> Powers:
        """Move the penalty of one block up, else down, for as long as the loss falls by `GAIN`."""
        for way in (step, -step):
            best = powers
            while len(self.tried) < MOST_TRIED and REACH[0] <= best[block] + way <= REACH[1]:
                trial = (*best[:block], best[block] + way, *best[block + 1 :])
                if self.loss(trial) > self.loss(best) - GAIN:
                    break
                best = trial
            if best != powers:
                return best
        return powers

    def _held_out(self, powers: Powers) -> Array:
        found: Array = np.zeros(0)
        for number, ((rows, of), local) in enumerate(zip(self.parts, self.local, strict=True)):
            penalties = self._penalties(powers, rows)
            weighted, free = self.blocks.at(penalties, rows), self.free[rows]
            fit = fit_blocks(weighted, free, local, start=self.before.get(number), precision=ROUGH)
            self.before[number] = fit
            part = self.free[of, 1:] @ fit.gamma[1:] + self.blocks.links(fit.alpha, penalties, rows, of)
            own, intercept = local.expand(part, self._intercept(fit, weighted, free))
            if not found.size:
                found = np.zeros((len(self.free), len(intercept)))
            found[of] = own + intercept
        return found

    def fitted(self, powers: Powers) -> _Part:
        """Fit on all rows."""
        rows = np.arange(len(self.free))
        penalties, local = self._penalties(powers, rows), self.loss_of.local(self.outcome, self.classes)
        weighted = self.blocks.at(penalties)
        fit = fit_blocks(weighted, self.free, local)
        intercept = self._intercept(fit, weighted, self.free)
        coef = [fit.gamma[1:], *self.blocks.coefficients(fit.alpha, penalties)]
        free, *blocks = (local.expand(own, intercept)[0] for own in coef)
        return _Part(free, tuple(blocks), local.expand(coef[0], intercept)[1])

    def _penalties(self, powers: Powers, rows: Ints) -> list[float]:
        unit = information(self.kind, self.outcome.take(rows))
        return [10.0**power * unit for power in powers]

    def _intercept(self, fit: Fitted, weighted: Weighted, free: Array) -> Array:
        """Return the intercept; of a likelihood that compares, which has none, the one that centres the links."""
        if not self.loss_of.compares:
            return np.asarray(fit.gamma[0])
        return np.asarray(-(free[:, 1:] @ fit.gamma[1:] + weighted @ fit.alpha).mean(0))
