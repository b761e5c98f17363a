"""Merging of single-modality models fitted in different places into a late fusion, without joint training."""

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
    """Return whether every model is a single-modality model or a late fusion of such."""
    predictors = [own.tree.get("predictor") if isinstance(own.tree, dict) else None for own in outlines]
    return all(isinstance(own, dict) and own.get("$kind") in KINDS for own in predictors)


def require_singles(
    outlines: Sequence[Outline], names: Sequence[str], weights: Sequence[float], method: str | None
) -> None:
    """Check, by the descriptions of models and without reading weights, that a late fusion can be made of them.

    Raises:
        Unsupported: two models share a modality; or targets, classes or horizons differ.
        ValueError: a method other than the mean, or unequal weights.
    """
    if method not in (None, "mean"):
        raise ValueError(f"models of single modalities have no way of merging called '{method}': their mean is taken")
    if len(set(weights)) > 1:
        raise ValueError("late fusion is the mean over what a patient has, its weights are equal: leave them out")
    require_one_meaning([outline.tree for outline in outlines], names, ALIKE)


def merge_singles(models: Sequence[FittedModel]) -> FittedModel:
    """Combine models in a late fusion: the mean of their calibrated links over a patient's modalities.

    Each link is shifted by a constant to a common prior, the mean of the models' priors. For models fitted on one
    cohort the result equals `late-fusion` on it, except for its calibration: a slope of a pattern takes patients who
    have all of it.

    Args:
        models: models that `require_singles` accepts.
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
    """Shift a model's link to `link + prior - own prior`: by its prior, or by its intercept if it stores no level."""
    if model.level is not None:
        return dataclasses.replace(model, prior=prior)
    intercept = model.linear.intercept + (prior - model.prior) / model.slope
    return dataclasses.replace(model, linear=dataclasses.replace(model.linear, intercept=intercept), prior=prior)
