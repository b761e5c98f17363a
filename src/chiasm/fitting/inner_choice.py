"""Model selection by inner folds, for the linear, kernel and tree models of one modality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Outcome
from chiasm.fitting.channel_choice import choose_channels
from chiasm.fitting.refitted import Chosen
from chiasm.heads.response import calibration
from chiasm.linear.boosted_trees import Booster, Growth
from chiasm.linear.elastic_net import STEPS, fit_elastic_net, penalty_grid
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.linear import Linear, fit_path, information, stretched
from chiasm.linear.loss import Loss
from chiasm.linear.losses import LOSSES
from chiasm.linear.shared_rows import Rows
from chiasm.linear.target_units import TargetUnits

Array = NDArray[np.float64]
Folds = NDArray[np.int_]
# Ridge penalties in units of the information that a feature of unit variance carries (events, for survival), so that
# the grid means the same for few and many patients. Features are scaled to unit variance of the first component.
PENALTIES = tuple(10.0**power for power in (-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0))
LINEAR_SETTINGS = len(PENALTIES) + STEPS
ROUNDS = (5, 10, 20, 40, 60)
MANY, WIDE = 2_000, 100  # rows from which trees grow in smaller steps, and columns from which each node draws some
DEPTHS = (1, 3)  # without interactions of columns, and with those of up to three
HANDICAPS = (-2.0, 0.0)  # log-likelihood lead that trees must exceed after the first and second fold to go on


def choose_penalty(
    kind: str,
    x: Rows,
    outcome: Outcome,
    folds: Folds,
    classes: int | None,
    *,
    fit: Callable[..., list[Linear]] = fit_path,
    penalties: Sequence[float] = PENALTIES,
    loss: Loss | None = None,
) -> Chosen:
    """Fit the penalty path on each inner fold's training rows and select the penalty of smallest held-out `nll`.

    Among equally good penalties the strongest is selected. A number is fitted in standard units (`TargetUnits`). Each
    channel of a response has a penalty of its own, from a grid of its own (`choose_channels`).

    Args:
        fit: `fit_path` (ridge) or a function with the same arguments for another kind of penalty.
        penalties: ascending, in units of information.
        loss: another loss of this kind of target than the one in the table, by which `fit_path` fits too.
    """
    if (loss or LOSSES[kind]).by_channel:
        return choose_channels(kind, x, outcome, folds)
    fit = fit if loss is None else partial(fit, loss=loss)
    links: Array = np.zeros(0)
    levels: Array = np.zeros(0)
    units = TargetUnits.of(kind, outcome)
    outcome = units.inside(outcome)
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        own = outcome.take(train)
        path = fit(kind, x[train], own, [p * information(kind, own) for p in penalties], classes=classes)
        if not links.size:
            links = np.zeros((len(penalties), len(x), len(path[0].intercept)))
            levels = np.zeros_like(links)
        mean = x[train].mean(0)[None, :]
        for k, linear in enumerate(path):
            links[k, test], levels[k, test] = linear.linear_predictor(x[test]), linear.linear_predictor(mean)
    likelihood = FoldLikelihood(kind, outcome, folds, loss=loss)
    losses = np.array([likelihood(link) for link in links])
    best = int(np.flatnonzero(losses <= losses.min() + 1e-9 * abs(losses.min()))[-1])
    # From the strongest penalty down to the selected one: warm starts make this cheaper than a direct fit.
    path = fit(kind, x, outcome, [p * information(kind, outcome) for p in penalties[best:]], classes=classes)
    linear = replace(path[0], coef=path[0].coef * units.scale, intercept=units.outside(path[0].intercept))
    return _chosen(
        kind, linear, penalties[best], links[best], levels[best], outcome, folds, float(losses[best]), units, loss
    )


def choose_sparse(
    kind: str, x: Rows, outcome: Outcome, folds: Folds, classes: int | None, *, l1_ratio: float = 0.5
) -> Chosen:
    """Fit an elastic net at the penalty, from its own grid, that inner folds select."""
    standard = TargetUnits.of(kind, outcome).inside(outcome)
    penalties = [p / information(kind, outcome) for p in penalty_grid(kind, x, standard, l1_ratio=l1_ratio)]
    fit = partial(fit_elastic_net, l1_ratio=l1_ratio)
    return choose_penalty(kind, x, outcome, folds, classes, fit=fit, penalties=penalties)


def choose_depth(kind: str, x: Array, outcome: Outcome, folds: Folds, classes: int | None, seed: int) -> Chosen:
    """Fit boosted trees with the depth and the number of rounds that inner folds select."""
    tried = [choose_trees(kind, x, outcome, folds, classes, None, seed, depth) for depth in DEPTHS]
    return min((own for own in tried if own is not None), key=lambda own: own.loss)


def growth_of(rows: int, columns: int, depth: int, seed: int) -> tuple[Growth, tuple[int, ...]]:
    """How trees grow on so many rows and columns, and after which numbers of rounds they are compared.

    Slower steps and columns drawn for each node (Friedman, 2001 and 2002) predict better where there are rows enough to
    learn from what is left; with few, and with few columns, they cost more than they give.
    """
    if rows < MANY:
        return Growth(depth, seed=seed), ROUNDS
    share = 0.3 if columns >= WIDE else 1.0
    return Growth(depth, rate=Growth.rate / 2, seed=seed, share=share), tuple(2 * rounds for rounds in ROUNDS)


def choose_trees(
    kind: str,
    x: Array,
    outcome: Outcome,
    folds: Folds,
    classes: int | None,
    rival: Array | None,
    seed: int,
    depth: int = DEPTHS[-1],
) -> Chosen | None:
    """Fit boosted trees with the number of rounds that inner folds select; None if they cannot win.

    The search stops after the first fold if every number of rounds is behind the rival by two units of log likelihood
    or more, and after the second if none is ahead.

    Args:
        x: features `(n, F)`, NaN where missing.
        rival: out-of-fold links `(n, K)` of the best other model; None where there is none.
        depth: of each tree.
    """
    units, (growth, tried) = TargetUnits.of(kind, outcome), growth_of(len(x), x.shape[1], depth, seed)
    outcome, rival = units.inside(outcome), None if rival is None else units.number(rival)
    links: Array = np.zeros(0)
    levels: Array = np.zeros(0)
    for number, fold in enumerate(np.unique(folds)):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        booster = Booster(kind, x[train], outcome.take(train), tried[-1], growth, classes)
        held = booster.links(x[test], tried)
        if not links.size:
            links, levels = (np.zeros((len(tried), len(x), held.shape[2])) for _ in range(2))
        links[:, test], levels[:, test] = held, booster.links(x[train], tried).mean(1)[:, None]
        if rival is not None and number < len(HANDICAPS):
            seen = np.flatnonzero(np.isin(folds, np.unique(folds)[: number + 1]))
            own, of = outcome.take(seen), folds[seen]
            likelihood = FoldLikelihood(kind, own, of)
            ahead = likelihood(rival[seen]) - min(likelihood(link[seen]) for link in links)
            if ahead <= HANDICAPS[number]:
                return None
    likelihood = FoldLikelihood(kind, outcome, folds)
    losses = np.array([likelihood(link) for link in links])
    best = int(losses.argmin())
    trees = Booster(kind, x, outcome, tried[best], growth, classes).trees(tried[best])
    trees = replace(trees, base=units.outside(trees.base), value=trees.value * units.scale)
    return _chosen(
        kind, trees, float(tried[best]), links[best], levels[best], outcome, folds, float(losses[best]), units
    )


def _chosen(
    kind: str,
    model: Any,
    penalty: float,
    raw: Array,
    levels: Array,
    outcome: Outcome,
    folds: Folds,
    nll: float,
    units: TargetUnits,
    loss: Loss | None = None,
) -> Chosen:
    """Calibrate links that are in standard units, as the outcome is; the model is in the target's own."""
    slope, centre = calibration(kind, raw, outcome, folds, loss=loss)
    links, levels = (units.outside(stretched(own, slope, centre)) for own in (raw, levels))
    return Chosen(model, penalty, slope, units.fixed_point(centre), links, levels, units.outside(raw), nll)
