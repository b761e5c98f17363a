"""Single modalities fitted in different places, put together as `late-fusion` is: nothing joint is learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from chiasm.artifact import Outline
from chiasm.cohort import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.fitting.unimodal import Unimodal
from chiasm.models.merged_blocks import joined, require_one_meaning
from chiasm.recipes.baselines.late import LateFusionPredictor

KINDS = ("unimodal", "late-fusion")
ALIKE = {"target": "targets", "response.classes": "classes", "response.times": "horizons: name them in [target]"}


def hold_singles(outlines: Sequence[Outline]) -> bool:
    """Whether every model is of one modality, or a late fusion of such."""
    predictors = [own.tree.get("predictor") if isinstance(own.tree, dict) else None for own in outlines]
    return all(isinstance(own, dict) and own.get("$kind") in KINDS for own in predictors)


def require_singles(
    outlines: Sequence[Outline], names: Sequence[str], weights: Sequence[float], method: str | None
) -> None:
    """Refuse what does not fit, by what the folders say; no weight is read.

    Raises:
        Unsupported: two models of one modality; targets, classes or horizons that differ.
        ValueError: another method than the mean, or weights that are not equal.
    """
    if method not in (None, "mean"):
        raise ValueError(f"models of single modalities have no way of merging called '{method}': their mean is taken")
    if len(set(weights)) > 1:
        raise ValueError("late fusion is the mean over what a patient has, its weights are equal: leave them out")
    require_one_meaning([outline.tree for outline in outlines], names, ALIKE)


def merge_singles(models: Sequence[FittedModel]) -> FittedModel:
    """The late fusion of the models: the mean of their calibrated links over what a patient has.

    Each link is moved by a constant, so that all places give the same answer, the mean of theirs, to somebody of whom
    nothing is known. Models that were fitted on one cohort give what `late-fusion` gives on it but for its calibration.

    Args:
        models: `require_singles` has passed them.
    """
    parts: dict[str, Unimodal] = {}
    for model in models:
        own = model.predictor
        if isinstance(own, LateFusionPredictor):
            parts |= own.models
        elif isinstance(own, Unimodal):
            parts[own.modality] = own
        else:
            raise Unsupported("a model is of no single modality, nor a late fusion of such")
    prior = np.mean([part.prior for part in parts.values()], axis=0)
    moved = {name: _with_prior(parts[name], prior) for name in sorted(parts)}
    return dataclasses.replace(joined(models, [1.0] * len(models), "late-fusion"), predictor=LateFusionPredictor(moved))


def _with_prior(model: Unimodal, prior: np.ndarray) -> Unimodal:
    """`link + prior - own prior`, by the prior alone; of a model of before, whose link has no level, the intercept."""
    if model.level is not None:
        return dataclasses.replace(model, prior=prior)
    intercept = model.linear.intercept + (prior - model.prior) / model.slope
    return dataclasses.replace(model, linear=dataclasses.replace(model.linear, intercept=intercept), prior=prior)
