"""Calibration of merged models, and scores of models before and after merging."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, equal

from chiasm.cohort import Cohort, Outcome, Target, Unsupported, class_names
from chiasm.encoding.preparing import encode_for
from chiasm.fitting.base import LEAST_PATIENTS
from chiasm.fitting.model import FittedModel
from chiasm.heads.response import Response
from chiasm.metrics.scores import METRICS, PRIMARY, score
from chiasm.models.same_target import require_same_target


def mean_response(responses: Sequence[Response], weights: Sequence[float]) -> Response:
    """Average responses: slopes, centres, intercepts and cumulative baseline hazards, which are step functions."""
    used = [(own, weight) for own, weight in zip(responses, weights, strict=True) if weight > 0]
    first, total = used[0][0], sum(weight for _, weight in used)
    if all(same_parts(own, first) for own, _ in used):
        return first
    times = np.unique(np.concatenate([own.event_times for own, _ in used]))
    hazard = np.zeros((len(times), *first.hazard.shape[1:]))
    for own, weight in used:
        steps = np.concatenate([np.zeros((1, *own.hazard.shape[1:])), own.hazard])
        hazard += weight / total * steps[np.searchsorted(own.event_times, times, side="right")]
    levels = [own.intercept for own, _ in used]
    alike = all(level.shape == first.intercept.shape for level in levels)
    shares = np.array([weight for _, weight in used]) / total
    return dataclasses.replace(
        first,
        slope=sum(own.slope * weight for own, weight in used) / total,
        centre=sum(own.centre * weight for own, weight in used) / total,
        event_times=times,
        hazard=hazard,
        intercept=shares @ np.stack(levels) if alike else np.zeros(0),
    )


def scores_of(models: Mapping[str, FittedModel], cohort: Cohort) -> dict[str, dict[str, float]]:
    """Score every model by every metric, on patients with a known outcome and at least one modality of each model.

    Raises:
        Unsupported: the cohort has no such target, or no such patient.
    """
    first = next(iter(models.values()))
    target, outcome = _target_of(first, cohort)
    usable = outcome.known.copy()
    for model in models.values():
        usable &= _has_any(model, cohort)
    if not usable.any():
        raise Unsupported("no patient of the cohort has a known outcome and a modality of the models")
    part, known = cohort.subset(usable), outcome.take(np.flatnonzero(usable))
    found = {}
    for name, model in models.items():
        frame = model.predict(part).loc[list(part.ids)]
        values = score(target.kind, frame, known, class_names(target))
        found[name] = {metric.id: float(values[metric.id][0]) for metric in METRICS[target.kind]}
    return found


def recalibrated(model: FittedModel, cohort: Cohort) -> tuple[FittedModel, int]:
    """Refit a model's calibration (slope and baseline hazard) on a cohort; return it and the number of patients used.

    It uses patients with a known outcome and a modality of the model. If there are too few patients, classes or events,
    the model is unchanged and the number is 0. The cohort should not contain patients on whom the model was fitted.

    Raises:
        Unsupported: the cohort does not have the model's target.
    """
    target, outcome = _target_of(model, cohort)
    rows = np.flatnonzero(outcome.known & _has_any(model, cohort))
    known = outcome.take(rows)
    if len(rows) < LEAST_PATIENTS or not target.learnable(known):
        return model, 0
    part = encode_for(model, cohort.subset(rows)).cohort
    part = part.with_modalities([name for name in part.modalities if name in model.modalities])
    response = Response.fit(target.at_horizons(model.response.times), model.predictor.link(part), known, calibrate=True)
    return dataclasses.replace(model, response=response, prevalence={}), len(rows)


def _target_of(model: FittedModel, cohort: Cohort) -> tuple[Target, Outcome]:
    target, outcome = require_same_target(model, cohort)
    if class_names(target) != model.response.classes:  # a calibration takes them by their place
        raise Unsupported(f"name the labels in the order of the models: {', '.join(model.response.classes)}")
    return target, outcome


def _has_any(model: FittedModel, cohort: Cohort) -> np.ndarray:
    read = [name for name in cohort.modalities if name in model.modalities]
    return np.asarray(cohort.with_modalities(read).present.any(1)) if read else np.zeros(len(cohort), bool)


def primary_of(model: FittedModel) -> str:
    """Return the metric by which models of this target are compared."""
    return PRIMARY[model.response.kind]


def same_parts(first: Any, second: Any) -> bool:
    """Return whether two objects are equal in type and in every value, with NaN equal to NaN in arrays."""
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=first.dtype.kind in "fc")
    if isinstance(first, Tensor):
        return equal(first, second)
    if dataclasses.is_dataclass(first):
        return all(same_parts(getattr(first, f.name), getattr(second, f.name)) for f in dataclasses.fields(first))
    if isinstance(first, Mapping):
        return list(first) == list(second) and all(same_parts(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same_parts, first, second))
    return bool(first == second)
