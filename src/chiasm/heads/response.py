"""Conversion from the link scale (logits, a number, a log hazard) to probabilities, a value, or survival."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.errors import count
from chiasm.heads.kinds import HEADS
from chiasm.limits import HORIZONS
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.linear import stretched
from chiasm.linear.loss import Loss
from chiasm.linear.slope import best_slope
from chiasm.linear.target_units import TargetUnits
from chiasm.protocols import Predictor, Writes
from chiasm.targets import Outcome, Target, kind_of

Array = NDArray[np.float64]
ROUNDS = 2  # of level and slope: more move them where they are well determined no further, and others without end


@storable("response")
@dataclass(frozen=True)
class Response:
    """Calibrated map from link to prediction: a slope, and for survival a baseline hazard.

    It is fitted on the links of training patients, best out of fold.

    Args:
        kind: kind of target.
        classes: classes of a classification, labels, channels, or causes, the main one first; labels and causes share
            one slope, and channels have none.
        times: horizons, in the target's unit, at which survival, or the incidence of each cause, is predicted.
        slope, centre: the calibrated link is `centre + slope (link - centre)`, for survival `slope (link - centre)`.
        event_times, hazard: `(E,)` event times and Breslow's cumulative baseline hazard, `(E, K)` for K causes.
        intercept: `(K,)` added to the logits, or the causes' log hazards, of every patient; empty means none.
        subdistribution: True if the hazards of causes are those of their subdistributions (`linear.fine_gray`).
        texts: what a model of texts may say, one for each column of its link; empty for other kinds, and in a fit.
    """

    kind: str
    classes: tuple[str, ...]
    times: tuple[float, ...]
    slope: float
    centre: float
    event_times: np.ndarray
    hazard: np.ndarray
    intercept: np.ndarray = field(default_factory=lambda: np.zeros(0))
    subdistribution: bool = False
    texts: tuple[str, ...] = ()

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        if self.texts:
            return f"{count(len(self.texts), 'text')} of training patients, word for word, of which a prediction is one"
        times = len(self.event_times)
        return f"{count(times, 'time')} at which training patients had the event, and the hazard there" if times else ""

    def __post_init__(self) -> None:
        if self.kind not in HEADS:
            raise ValueError(f"a response is of one of the kinds {', '.join(HEADS)}")
        if HEADS[self.kind].has_names != bool(self.classes) or len(set(self.classes)) < len(self.classes):
            raise ValueError("a response names each class, label or cause once, and none for other kinds of target")
        if self.intercept.ndim != 1 or (self.classes and len(self.intercept) not in (0, len(self.classes))):
            raise ValueError("a response has one intercept for each class, label or cause, or none")
        if self.subdistribution and not HEADS[self.kind].has_origins:
            raise ValueError("a response has hazards of subdistributions only for competing risks")
        if self.texts and (len(self.texts) != len(self.classes) or not kind_of(self.kind).has_texts):
            raise ValueError("a response has a text for each column of its link, and only for a target of texts")
        times = np.asarray(self.times, np.float64)
        if len(times) > HORIZONS or (times < 0).any() or (np.diff(times) <= 0).any():
            raise ValueError(f"the horizons of a response ascend from zero, and are {HORIZONS:,} at most")
        apart = len(self.classes) if HEADS[self.kind].has_origins and len(self.event_times) else 0
        shape = (*self.event_times.shape, apart) if apart else self.event_times.shape
        if self.event_times.ndim != 1 or self.hazard.shape != shape:
            raise ValueError(
                "a response has one cumulative hazard for each event time, and for each cause where it has any"
            )
        if (np.diff(self.event_times) <= 0).any() or (np.diff(self.hazard, axis=0, prepend=0.0) < 0).any():
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
        held_to_one: float = 0.0,
    ) -> Self:
        """Fit the response to links `(n, K)` of patients whose outcome is known.

        Args:
            calibrate: estimate the slope; only for links that were predicted out of fold.
            folds: `(n,)` the model that each link comes from, where there are several: log hazards of different models
                have different origins, and are centred within each model first.
            in_the_large: shift the logits of each class or label by one constant, so that the mean probability is its
                frequency; only for links that were predicted out of fold.
            held_to_one: how strongly the slope is held to one, in events or patients, where no level is sought.
        """
        kind = HEADS[target.kind]
        if folds is not None:
            link = within_models(target.kind, link, folds)
        slope, centre, shifted = 1.0, centre_of(target.kind, link), in_the_large and kind.has_logits
        if calibrate and shifted:
            slope = slope_at_level(target.kind, link, outcome, folds)
        elif calibrate:
            slope, centre = calibration(target.kind, link, outcome, folds, held_to_one=held_to_one)
        intercept = level_of(target.kind, slope * link, outcome) if shifted else np.zeros(0)
        if kind.has_origins and len(link):  # each cause is relative to its own mean
            intercept = slope * (centre - link.mean(0))
            link = link - link.mean(0) + centre
        beside = kind.baseline(target, (link - centre) * slope, outcome)
        return cls(
            target.kind, target.names, beside.times, slope, centre, beside.event_times, beside.hazard, intercept
        )  # fmt: skip

    @property
    def is_relative(self) -> bool:
        """True if a link says how a patient compares with others, and has no level of its own."""
        return HEADS[self.kind].is_relative

    def calibrated(self, link: Array) -> Array:
        """Apply slope and intercept to links `(n, K)`; a log hazard becomes relative to the training mean."""
        scaled = (link - self.centre) * self.slope
        if len(self.intercept):
            scaled = scaled + self.intercept
        return scaled if self.is_relative else scaled + self.centre

    def frame(self, link: Array) -> pd.DataFrame:
        """Convert links to one row per patient.

        The columns are `p_<name>`; `prediction`; `risk` and `survival_<time>`; or `risk_<cause>` and
        `incidence_<cause>_<time>`.
        """
        return HEADS[self.kind].frame(self.calibrated(link), self)


def predicted(predictor: Predictor, response: Response, cohort: Any) -> pd.DataFrame:
    """Return what a predictor says of patients, one row each: by its link, or in the words that it writes itself."""
    if isinstance(predictor, Writes) and predictor.longest:
        return HEADS[response.kind].written(predictor.written(cohort))
    return response.frame(predictor.link(cohort))


def calibration(
    kind: str,
    link: Array,
    outcome: Outcome,
    folds: NDArray[Any] | None = None,
    level: Array | float = 0.0,
    *,
    held_to_one: float = 0.0,
    loss: Loss | None = None,
) -> tuple[float, float]:
    """Find `(slope, centre)` with the smallest penalised `nll` of `centre + slope (link - centre)`, see `best_slope`.

    For links that were predicted out of fold: in-sample ones would be called calibrated when they are not. The slope
    stays above zero, so that a calibrated model ranks its patients as the model did.

    Args:
        folds: `(n,)` the model that each link comes from, where there are several.
        level: `(K,)` constant that is added to the links afterwards.
        held_to_one: how strongly the slope is held to one, in events or patients, each of the information of a link.
        loss: another loss of this kind of target than the one in the table.
    """
    if not HEADS[kind].has_slope:
        return 1.0, 0.0
    centre, likelihood = centre_of(kind, link), FoldLikelihood(kind, outcome, folds, loss=loss)
    own = link.mean(0) if HEADS[kind].has_origins and len(link) else centre
    weight = held_to_one * float((((link - own) / TargetUnits.of(kind, outcome).scale) ** 2).mean())
    return best_slope(likelihood.each, centre + level, link - centre, held_to_one=weight), centre


def slope_at_level(
    kind: str,
    link: Array,
    outcome: Outcome,
    folds: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
) -> float:
    """Find the slope of smallest penalised `nll`, see `best_slope`, of links that stand at their level for it.

    Links count by what they differ from their mean, so that the slope does not depend on a common shift.

    Args:
        folds: `(n,)` the model that each link comes from, where there are several.
        groups: `(n,)` patients who have a mean and a level of their own, as those of one pattern: what their being
            there says of the outcome is then not taken for what the links say. Log hazards are compared within them.
    """
    return _at_level(kind, link, outcome, folds, groups, ROUNDS)[0]


def loss_at_level(kind: str, link: Array, outcome: Outcome, groups: NDArray[Any]) -> float:
    """Return the `nll` of links at the slope that suits them and at their level in each group, see `slope_at_level`."""
    return _at_level(kind, link, outcome, None, groups, 1)[1]


def _at_level(
    kind: str, link: Array, outcome: Outcome, folds: NDArray[Any] | None, groups: NDArray[Any] | None, rounds: int
) -> tuple[float, float]:
    """Slope and `nll`."""
    groups = np.zeros(len(link), int) if groups is None else groups
    rows_of = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    parts = [(rows, outcome.take(rows)) for rows in rows_of]
    apart = groups if folds is None else np.unique([groups, folds], axis=1, return_inverse=True)[1].reshape(-1)
    mean, likelihood, slope = np.zeros_like(link), FoldLikelihood(kind, outcome, apart), 1.0
    for rows, _ in parts:
        mean[rows] = link[rows].mean(0)
    beyond = link - mean
    for _ in range(rounds):
        level = mean.copy()
        for rows, own in parts:
            level[rows] += level_of(kind, mean[rows] + slope * beyond[rows], own)
        slope = best_slope(likelihood.each, level, beyond)
    return slope, likelihood(level + slope * beyond)


def within_models(kind: str, link: Array, folds: NDArray[Any]) -> Array:
    """Centre log hazards `(n, K)` within the model that each comes from, `folds` (n,); other links stay as they are."""
    if not HEADS[kind].is_relative:
        return link
    link = link.copy()
    for fold in np.unique(folds):
        link[folds == fold] -= link[folds == fold].mean(0)
    return link


def calibrated_nll(kind: str, link: Array, outcome: Outcome) -> float:
    """Return the smallest `nll` that a slope gives links `(n, K)`, by which models are compared before calibration."""
    slope, centre = calibration(kind, link, outcome)
    return FoldLikelihood(kind, outcome)(stretched(link, slope, centre))


def centre_of(kind: str, link: Array) -> float:
    """Fixed point of the slope: the mean link, but zero for logits, and where there is no slope."""
    zero = HEADS[kind].has_logits or not HEADS[kind].has_slope or not len(link)
    return 0.0 if zero else float(link.mean())


def level_of(kind: str, link: Array, outcome: Outcome) -> Array:
    """Common shift `(K,)` of all links `(n, K)` that makes their mean prediction equal to what was observed.

    For classes and labels the mean probability becomes the frequency, with half a patient for a class that nobody has;
    for a number it becomes the mean; a log hazard has no level, and gets zero. Patients and labels of unknown outcome
    are left out.
    """
    return HEADS[kind].level(link, outcome) if len(link) else np.zeros(link.shape[1])
