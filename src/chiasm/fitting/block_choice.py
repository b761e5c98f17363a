"""Selection of a penalty for each block of columns by inner folds, and an average over all that were tried.

Few events tell penalties apart badly: on cohorts of some hundred patients a dozen combinations lie within one unit of
held-out log likelihood, and which is best is chance. What is fitted is therefore

    link = sum_k w_k link_k        w_k proportional to exp(-nll_k)

over the combinations k that were tried, nll_k the negative log likelihood of held-out patients; that is again one
linear model. Source: Geisser and Eddy, JASA 1979, as pseudo-Bayesian averaging in Yao, Vehtari, Simpson and Gelman,
Bayesian Analysis 2018. Deviation: those tried are the steps of a search, not a sample of all, and each counts alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Outcome, Unsupported
from chiasm.heads.response import calibration
from chiasm.linear.block_ridge import Blocks, Fitted, Weighted, fit_blocks
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.linear import information, stretched
from chiasm.linear.loss import Local
from chiasm.linear.losses import loss_of
from chiasm.linear.strata import local_of
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
LEAST_SHARE = 0.01  # of the average: combinations with less are left out
ROUGH = 1e-8  # relative precision of fits that are only compared
MOST_SQUARE = 6_000  # the smaller of patients and columns: a matrix of 288 MB for each modality
MOST_CELLS = 250_000_000  # patients times columns: 2 GB
ALIKE = 1e-6  # relative difference of losses that rounding may make


@dataclass(frozen=True)
class ChosenBlocks:
    """A penalty for each block, selected by inner folds, and the averaged model refitted on all rows.

    Args:
        powers: of ten of the likeliest penalty of each block, in units of information; smaller is freer.
        loss: held-out negative log likelihood at these penalties.
        blocks: `(F_b, K)` coefficients of each block, averaged over what was tried.
        intercept: `(K,)`, averaged alike; a log hazard has a training mean of zero.
        slope, centre: calibration of the link, from the out-of-fold links.
        links: calibrated out-of-fold links, `(n, K)`.
    """

    powers: Powers
    loss: float
    blocks: tuple[Array, ...]
    intercept: Array
    slope: float
    centre: float
    links: Array

    @property
    def penalties(self) -> tuple[float, ...]:
        """Likeliest penalty of each block, in units of information."""
        return tuple(10.0**power for power in self.powers)


def choose_blocks(
    kind: str,
    values: Sequence[Array],
    outcome: Outcome,
    folds: Ints,
    classes: int | None,
    held: Sequence[float | None] | None = None,
    *,
    starts: Sequence[Powers] = (),
) -> ChosenBlocks:
    """Seek the penalties of smallest held-out `nll`, one for all first, then moves of one block, and average the tried.

    Args:
        values: blocks `(n, F_b)`; zeros where a patient lacks one.
        folds: `(n,)` inner fold of each row.
        held: of each block the power of ten at which its penalty is held, None where it is selected.
        starts: powers of the blocks that are tried first, the strongest first; without any, one for all of `TOGETHER`.
    """
    units = TargetUnits.of(kind, outcome)
    inside = units.inside(outcome)
    search = BlockSearch(kind, values, inside, folds, classes)
    held = held or [None] * len(values)
    moving = [block for block, power in enumerate(held) if power is None]
    together = starts or [tuple(power if own is None else own for own in held) for power in TOGETHER]
    losses = np.array([search.loss(powers) for powers in together])
    least = np.nanmin(losses)
    best = together[int(np.flatnonzero(losses <= least + ALIKE * abs(least))[0])]  # the strongest
    if len(values) > 1:
        best = descended(best, moving, APART, search.loss, search.may_try)
    blocks, intercept, link = search.averaged()
    slope, centre = calibration(kind, link, inside, search.folds)
    return ChosenBlocks(
        best,
        search.loss(best),
        tuple(own * units.scale for own in blocks),
        units.outside(intercept),
        slope,
        units.fixed_point(centre),
        units.outside(stretched(link, slope, centre)),
    )


def descended(
    powers: Powers,
    blocks: Sequence[int],
    steps: Sequence[float],
    loss: Callable[[Powers], float],
    may_try: Callable[[Powers], bool],
) -> Powers:
    """Move the power of one block at a time up, else down, for as long as the loss falls by `GAIN`.

    Args:
        powers: where to start.
        blocks: which of them are moved.
        steps: by how much, one round after another until nothing moves any more.
        loss: of powers; asked of some again and again.
        may_try: whether powers may be tried.
    """
    for step in steps:
        before = None
        while powers != before:
            before = powers
            for block in blocks:
                powers = _moved(powers, block, step, loss, may_try)
    return powers


def _moved(
    powers: Powers,
    block: int,
    step: float,
    loss: Callable[[Powers], float],
    may_try: Callable[[Powers], bool],
) -> Powers:
    for way in (step, -step):
        best = powers
        while True:
            trial = (*best[:block], best[block] + way, *best[block + 1 :])
            if not may_try(trial) or loss(trial) > loss(best) - GAIN:
                break
            best = trial
        if best != powers:
            return best
    return powers


def require_size(patients: int, width: int, whom: str) -> None:
    """Refuse what no machine of a hospital holds, before it is spread out.

    Raises:
        Unsupported: too many patients with too many columns.
    """
    if min(patients, width) > MOST_SQUARE or patients * width > MOST_CELLS:
        raise Unsupported(
            f"{patients:,} {whom} and {width:,} columns are too many for one linear model: one of them may be above "
            f"{MOST_SQUARE:,}, and both together {MOST_CELLS:,} values"
        )


class BlockSearch:
    """Fits at penalties that are tried, each started from the one before in its fold.

    Args:
        kind, values, outcome, folds, classes: as for `choose_blocks`; a regression's outcome in units of its spread.
        strata: `(n,)` stratum of each row, within which a likelihood that compares patients compares them.
        rough: relative precision of the fits that are only compared.
        wide: as for `Blocks`.
    """

    def __init__(
        self,
        kind: str,
        values: Sequence[Array],
        outcome: Outcome,
        folds: Ints,
        classes: int | None,
        strata: Ints | None = None,
        rough: float = ROUGH,
        wide: bool | None = None,
    ) -> None:
        self.kind, self.loss_of, self.outcome = kind, loss_of(kind, outcome, "linear predictor"), outcome
        self.blocks, self.classes, self.strata, self.rough = Blocks(values, wide), classes, strata, rough
        self.folds = folds if strata is None else np.unique([strata, folds], axis=1, return_inverse=True)[1].reshape(-1)
        self.parts = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
        self.local = [self._local(rows) for rows, _ in self.parts]
        self.likelihood = FoldLikelihood(kind, outcome, self.folds)
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

    def may_try(self, powers: Powers) -> bool:
        """True while combinations are left to be tried, and where none of these powers is out of reach."""
        return len(self.tried) < MOST_TRIED and REACH[0] <= min(powers) and max(powers) <= REACH[1]

    def shares(self) -> dict[Powers, float]:
        """What each combination that was tried has of the average, those below `LEAST_SHARE` left out."""
        losses = {powers: loss for powers, (loss, _) in self.tried.items() if np.isfinite(loss)}
        likely = np.exp(min(losses.values()) - np.array([*losses.values()]))
        likely = np.where(likely >= LEAST_SHARE * likely.sum(), likely, 0.0)
        return {powers: float(own) for powers, own in zip(losses, likely / likely.sum(), strict=True) if own > 0}

    def averaged(self) -> tuple[list[Array], Array, Array]:
        """Fit each combination that has a share on all rows; return coefficients, intercept and out-of-fold links."""
        shares = self.shares()
        fits = [(share, *self.fitted(powers)) for powers, share in shares.items()]
        blocks = [np.asarray(sum(share * own[b] for share, own, _ in fits)) for b in range(len(fits[0][1]))]
        intercept = np.asarray(sum(share * level for share, _, level in fits))
        return blocks, intercept, np.asarray(sum(share * self.links(powers) for powers, share in shares.items()))

    def fitted(self, powers: Powers) -> tuple[list[Array], Array]:
        """Fit on all rows; return the coefficients of each block and the intercept, of the kind's K outputs."""
        unit = information(self.kind, self.outcome)
        penalties = [10.0**power * unit for power in powers]
        local, weighted = self._local(np.arange(self.blocks.patients)), self.blocks.at(penalties)
        fit = fit_blocks(weighted, np.ones((self.blocks.patients, 1)), local)
        intercept = self._intercept(fit, weighted)
        parts = [local.expand(own, intercept)[0] for own in self.blocks.coefficients(fit.alpha, penalties)]
        return parts, local.expand(np.zeros((1, len(intercept))), intercept)[1]

    def _held_out(self, powers: Powers) -> Array:
        found: Array = np.zeros(0)
        whole = self.blocks.at([10.0**power for power in powers])
        for number, ((rows, of), local) in enumerate(zip(self.parts, self.local, strict=True)):
            unit = information(self.kind, self.outcome.take(rows))
            weighted = whole.of(rows, unit)
            before, ones = self.before.get(number), np.ones((len(rows), 1))
            fit = fit_blocks(weighted, ones, local, start=before, precision=self.rough)
            self.before[number] = fit
            own, intercept = local.expand(whole.added(fit.alpha, rows, of, unit), self._intercept(fit, weighted))
            if not found.size:
                found = np.zeros((self.blocks.patients, len(intercept)))
            found[of] = own + intercept
        return found

    def _local(self, rows: Ints) -> Local:
        """The loss of some rows near a point."""
        outcome, strata = self.outcome.take(rows), None if self.strata is None else self.strata[rows]
        return local_of(self.loss_of, outcome, self.classes, strata)

    def _intercept(self, fit: Fitted, weighted: Weighted) -> Array:
        """Return the intercept; of a likelihood that compares, which has none, the one that centres the links."""
        if not self.loss_of.compares:
            return np.asarray(fit.gamma[0])
        return np.asarray(-(weighted @ fit.alpha).mean(0))
