"""Conversion from the link scale (logits, a number, a log hazard) to probabilities, a value, or survival."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.special import expit, softmax  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.cohort import Outcome, Survival, Target, class_names, horizons
from chiasm.limits import HORIZONS
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.ridge_cox import breslow, survival_at

Array = NDArray[np.float64]
LOGITS = ("classification", "multilabel")
KINDS = (*LOGITS, "regression", "survival")


@storable("response")
@dataclass(frozen=True)
class Response:
    """Calibrated map from link to prediction: a slope, and for survival a baseline hazard.

    It is fitted on the links of training patients, best out of fold.

    Args:
        kind: kind of target.
        classes: classes of a classification, or labels; all labels share one slope.
        times: horizons, in the target's unit, at which survival is predicted.
        slope, centre: the calibrated link is `centre + slope (link - centre)`, for survival `slope (link - centre)`.
        event_times, hazard: `(E,)` event times and Breslow's cumulative baseline hazard.
        intercept: `(K,)` added to the logits of every patient; empty means none.
    """

    kind: str
    classes: tuple[str, ...]
    times: tuple[float, ...]
    slope: float
    centre: float
    event_times: np.ndarray
    hazard: np.ndarray
    intercept: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a response is of one of the kinds {', '.join(KINDS)}")
        if (self.kind in LOGITS) != bool(self.classes) or len(set(self.classes)) < len(self.classes):
            raise ValueError("a response names each class or label once, and none for other kinds of target")
        if self.intercept.ndim != 1 or (self.classes and len(self.intercept) not in (0, len(self.classes))):
            raise ValueError("a response has one intercept for each class or label, or none")
        times = np.asarray(self.times, np.float64)
        if len(times) > HORIZONS or (times < 0).any() or (np.diff(times) <= 0).any():
            raise ValueError(f"the horizons of a response ascend from zero, and are {HORIZONS:,} at most")
        if self.event_times.ndim != 1 or self.event_times.shape != self.hazard.shape:
            raise ValueError("a response has one cumulative hazard for each event time")
        if (np.diff(self.event_times) <= 0).any() or (np.diff(self.hazard, prepend=0.0) < 0).any():
            raise ValueError("the event times of a response ascend, and its cumulative hazard from zero never falls")

    @classmethod
    def fit(
        cls,
        target: Target,
        link: Array,
        outcome: Outcome,
        *,
        calibrate: bool,
        folds: NDArray[Any] | None = None,
        in_the_large: bool = False,
    ) -> Self:
        """Fit the response to links `(n, K)` of patients whose outcome is known.

        Args:
            calibrate: estimate the slope; only for links that were predicted out of fold.
            folds: `(n,)` the model that each link comes from, where there are several: log hazards of different models
                have different origins, and are centred within each model first.
            in_the_large: shift the logits of each class or label by one constant, so that the mean probability is its
                frequency; only for links that were predicted out of fold.
        """
        classes = class_names(target)
        if folds is not None and isinstance(target, Survival):
            link = link.copy()
            for fold in np.unique(folds):
                link[folds == fold] -= link[folds == fold].mean(0)
        slope, centre = (
            calibration(target.kind, link, outcome, folds) if calibrate else (1.0, centre_of(target.kind, link))
        )
        intercept = np.zeros(0)
        if in_the_large and target.kind in LOGITS:
            intercept = level_of(target.kind, slope * link, outcome)
            if calibrate:  # shifted links have another best slope
                slope = calibration(target.kind, link, outcome, folds, intercept)[0]
                intercept = level_of(target.kind, slope * link, outcome)
        if not isinstance(target, Survival) or outcome.event is None:
            return cls(target.kind, classes, (), slope, centre, np.zeros(0), np.zeros(0), intercept)
        event_times, hazard = breslow((link[:, 0] - centre) * slope, outcome.value, outcome.event)
        return cls("survival", (), target.times or horizons(outcome), slope, centre, event_times, hazard)

    def calibrated(self, link: Array) -> Array:
        """Apply slope and intercept to links `(n, K)`; a log hazard becomes relative to the training mean."""
        scaled = (link - self.centre) * self.slope
        if len(self.intercept):
            scaled = scaled + self.intercept
        return scaled if self.kind == "survival" else scaled + self.centre

    def frame(self, link: Array) -> pd.DataFrame:
        """Convert links to one row per patient: `p_<name>` columns; `prediction`; or `risk` and `survival_<time>`."""
        link = self.calibrated(link)
        if self.kind == "classification":
            return pd.DataFrame(softmax(link, axis=1), columns=[f"p_{name}" for name in self.classes])
        if self.kind == "multilabel":
            return pd.DataFrame(expit(link), columns=[f"p_{name}" for name in self.classes])
        if self.kind == "regression":
            return pd.DataFrame({"prediction": link[:, 0]})
        survival = survival_at(link[:, 0], (self.event_times, self.hazard), np.array(self.times))
        columns = {f"survival_{time:g}": survival[:, k] for k, time in enumerate(self.times)}
        return pd.DataFrame({"risk": link[:, 0], **columns})


def calibration(
    kind: str, link: Array, outcome: Outcome, folds: NDArray[Any] | None = None, level: Array | float = 0.0
) -> tuple[float, float]:
    """Find `(slope, centre)` with the smallest `nll` of `centre + slope (link - centre)`, the slope in 0.01 to 3.

    For links that were predicted out of fold: in-sample ones would be called calibrated when they are not. The slope
    stays above zero, so that a calibrated model ranks its patients as the model did.

    Args:
        folds: `(n,)` the model that each link comes from, where there are several.
        level: `(K,)` constant that is added to the links afterwards.
    """
    centre, likelihood = centre_of(kind, link), FoldLikelihood(kind, outcome, folds)
    found = minimize_scalar(
        lambda slope: likelihood(centre + slope * (link - centre) + level),
        bounds=(0.01, 3.0),
        method="bounded",
    )
    return float(found.x), centre


def centre_of(kind: str, link: Array) -> float:
    """Fixed point of the slope: the mean link, but zero for logits."""
    return 0.0 if kind in LOGITS or not len(link) else float(link.mean())


def level_of(kind: str, link: Array, outcome: Outcome) -> Array:
    """Common shift `(K,)` of all links `(n, K)` that makes their mean prediction equal to what was observed.

    For classes and labels the mean probability becomes the frequency, with half a patient for a class that nobody has;
    for a number it becomes the mean; a log hazard has no level, and gets zero. Patients and labels of unknown outcome
    are left out.
    """
    if kind == "survival" or not len(link):
        return np.zeros(link.shape[1])
    if kind == "regression":
        known = outcome.known
        return np.array([float((outcome.value[known] - link[known, 0]).mean()) if known.any() else 0.0])
    if kind == "classification":
        rows = np.flatnonzero(outcome.known)
        seen = np.eye(link.shape[1])[outcome.value[rows].astype(int)]
        return _common_level(softmax, link[rows], np.maximum(seen.sum(0), 0.5))
    columns = []
    for own, label in zip(link.T, np.asarray(outcome.value, np.float64).T, strict=True):
        rows = ~np.isnan(label)
        count = np.array([np.clip(np.nansum(label), 0.5, max(rows.sum() - 0.5, 0.5))])
        columns.append(_common_level(_sigmoid, own[rows][:, None], count) if rows.any() else np.zeros(1))
    return np.concatenate(columns)


def _sigmoid(link: Array, axis: int) -> Array:
    return np.asarray(expit(link))


def _common_level(probability: Any, link: Array, count: Array) -> Array:
    """Solve `sum of probabilities = count` for `(K,)` by bounded Newton steps; for softmax the result sums to zero."""
    wanted = count / count.sum() * len(link) if len(count) > 1 else count
    level = np.zeros(link.shape[1])
    for _ in range(100):
        p = probability(link + level, axis=1)
        gap = p.sum(0) - wanted
        if np.abs(gap).max() < 1e-9 * len(link):
            break
        slope = np.diag(p.sum(0)) - p.T @ p if len(count) > 1 else np.diag((p * (1 - p)).sum(0))
        step = np.linalg.lstsq(slope + 1e-12 * np.eye(len(level)), gap, rcond=1e-10)[0]
        level = level - step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
    return np.asarray(level - level.mean() if len(count) > 1 else level)
