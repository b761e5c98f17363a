"""Whether an explanation can be leaned on: it is asked again of two halves of the patients, and of a model of nothing.

The order of columns is compared by Spearman's rank correlation. Two random halves should agree; a model that knows
nothing should not: where its order is much the same, the explanation tells of how the columns are spread and go
together, and not of what was learned. Source: Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018, whose
model of nothing has random weights, or was trained on random labels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]

from chiasm.cohort import Cohort, CohortError, Unsupported
from chiasm.compute.isolation import seeded
from chiasm.errors import hush_findings
from chiasm.fitting.model import FittedModel
from chiasm.fitting.neural import NetworkPredictor, state_of
from chiasm.fitting.one_modality import OneModality
from chiasm.models.same_target import require_same_target
from chiasm.protocols import Model, Predictor
from chiasm.recipes import registry
from chiasm.shown import ends, number

FEWEST_RANKED = 5  # columns, or sets, below which an order says too little
LOW_AGREEMENT, HIGH_LIKENESS = 0.5, 0.5
DRAWS = 1000
WEIGHTS, OUTCOMES = "random weights", "shuffled outcomes"

Array = NDArray[np.float64]
Estimate = tuple[float, float, float]


def rank_agreement(first: Array, second: Array, seed: int = 0) -> Estimate:
    """Spearman's correlation of two orders of P things, the mean of R pairs, with a 95 % interval of drawing things.

    Args:
        first, second: `(R, P)` sizes.

    Returns:
        (mean, low, high), NaN where there are fewer than five things or one side has no order; low and high are NaN
        where half of the draws have none. A draw that has none, as without the only column that is read, says nothing.
    """
    pairs, things = first.shape
    if things < FEWEST_RANKED:
        return np.nan, np.nan, np.nan
    rng = np.random.default_rng(seeded(seed, "ranks"))
    drawn = np.concatenate([np.arange(things)[None], rng.integers(0, things, (DRAWS, things))])
    total = np.zeros(len(drawn))
    for k in range(pairs):
        x, y = (rankdata(own[k][drawn], axis=1) for own in (first, second))
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
        scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
        total += (x * y).sum(axis=1) / np.where(scale > 0, scale, np.nan)
    mean = total / pairs
    known = mean[1:][np.isfinite(mean[1:])]
    if not np.isfinite(mean[0]):
        return np.nan, np.nan, np.nan
    if len(known) < DRAWS / 2:
        return float(mean[0]), np.nan, np.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(mean[0]), float(low), float(high)


def correlated(correlation: float, low: float, high: float) -> str:
    """Say a rank correlation with its interval."""
    return f"rank correlation {number(correlation, 2)}, {ends(low, high, 2)}"


def model_of_nothing(
    model: Model, cohort: Cohort, seed: int, progress: Callable[[str, int, int], None] | None = None
) -> tuple[Model | None, str]:
    """Return a model that has learned nothing, and how it was made; without one why there is none.

    A network gets fresh weights, its encoders stay. Any other recipe, and one of several networks, is fitted again to
    the patients who are given, their outcomes shuffled, which takes as long as a fit.
    """
    if not isinstance(model, FittedModel):
        return None, "the model does not say its recipe"
    fresh = _fresh(model.predictor, seed)
    if fresh is not None:
        return replace(model, predictor=fresh), WEIGHTS
    try:
        recipe = registry.named(model.recipe)
    except ValueError:
        return None, f"its recipe '{model.recipe}' is in no catalogue, and cannot be fitted again"
    try:
        target, outcome = require_same_target(model, cohort)
        order, known = np.arange(len(cohort)), np.flatnonzero(outcome.known)
        order[known] = np.random.default_rng(seeded(seed, "nothing")).permutation(known)
        shuffled = cohort.with_target(target, outcome.take(order))
        if progress is not None:
            progress("fits of a model of nothing", 0, 1)
        with warnings.catch_warnings():
            hush_findings()  # what is odd of shuffled outcomes is no news
            recipe.supports(shuffled)
            fitted = recipe.fit(shuffled, seed=seed)
    except (Unsupported, CohortError) as fault:
        return None, str(fault).partition("\n")[0]
    except (ArithmeticError, ValueError, RuntimeError) as fault:  # of a solver, whose words may hold values
        kind = type(fault).__name__
        return None, f"its recipe cannot be fitted again to shuffled outcomes of these patients ({kind})"
    if progress is not None:
        progress("fits of a model of nothing", 1, 1)
    return fitted, OUTCOMES


def _fresh(predictor: Predictor, seed: int) -> Predictor | None:
    """Return a network of fresh weights; None of what is no network, or more than one."""
    if isinstance(predictor, OneModality):
        own = _fresh(predictor.predictor, seed)
        return None if own is None else replace(predictor, predictor=own)
    if not isinstance(predictor, NetworkPredictor):
        return None
    return replace(predictor, state=state_of(predictor.untrained(seed)))
