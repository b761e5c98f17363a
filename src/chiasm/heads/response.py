"""From the link scale (logits, a number, a log hazard) to what a user reads: probabilities, a value, survival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.special import expit, softmax  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.cohort import Outcome, Survival, Target, class_names, horizons
from chiasm.heads.linear import nll
from chiasm.heads.ridge_cox import breslow, survival_at

Array = NDArray[np.float64]


@storable("response")
@dataclass(frozen=True)
class Response:
    """Fitted on the link of training patients, best out of fold: a slope, and for survival a baseline hazard.

    Args:
        kind: of the target.
        classes: of a classification, or labels; all labels share one slope.
        times: horizons, in the target's unit, at which survival is predicted.
        slope, centre: the calibrated link is `centre + slope (link - centre)`, for survival without the first centre.
        event_times, hazard: `(E,)`, the cumulative baseline hazard after Breslow.
    """

    kind: str
    classes: tuple[str, ...]
    times: tuple[float, ...]
    slope: float
    centre: float
    event_times: np.ndarray
    hazard: np.ndarray

    @classmethod
    def fit(
        cls,
        target: Target,
        link: Array,
        outcome: Outcome,
        *,
        calibrate: bool,
        folds: NDArray[Any] | None = None,
    ) -> Self:
        """From the link `(n, K)` of patients whose outcome is known.

        Args:
            calibrate: estimate the slope; only for links that were predicted out of fold.
            folds: `(n,)` which model each link comes from, where there are several: log hazards of different models
                have different origins, and are centred within each first.
        """
        classes = class_names(target)
        if folds is not None and isinstance(target, Survival):
            link = link.copy()
            for fold in np.unique(folds):
                link[folds == fold] -= link[folds == fold].mean(0)
        slope, centre = (
            calibration(target.kind, link, outcome, folds) if calibrate else (1.0, centre_of(target.kind, link))
        )
        if not isinstance(target, Survival) or outcome.event is None:
            return cls(target.kind, classes, (), slope, centre, np.zeros(0), np.zeros(0))
        event_times, hazard = breslow((link[:, 0] - centre) * slope, outcome.value, outcome.event)
        return cls("survival", (), target.times or horizons(outcome), slope, centre, event_times, hazard)

    def calibrated(self, link: Array) -> Array:
        """`(n, K)`: the link after the slope; a log hazard relative to the training mean."""
        scaled = (link - self.centre) * self.slope
        return scaled if self.kind == "survival" else scaled + self.centre

    def frame(self, link: Array) -> pd.DataFrame:
        """`p_<class>` or `p_<label>` columns, `prediction`, or `risk` and `survival_<time>`, one row a patient."""
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


def calibration(kind: str, link: Array, outcome: Outcome, folds: NDArray[Any] | None = None) -> tuple[float, float]:
    """`(slope, centre)` of smallest `nll` of `centre + slope (link - centre)`, the slope within 0.01 and 3.

    For links that were predicted out of fold: in-sample ones would be called calibrated when they are not. The slope
    stays above zero, so that a calibrated model ranks its patients as the model did.

    Args:
        folds: `(n,)` which model each link comes from, where there are several.
    """
    centre = centre_of(kind, link)
    found = minimize_scalar(
        lambda slope: nll(kind, centre + slope * (link - centre), outcome, folds), bounds=(0.01, 3.0), method="bounded"
    )
    return float(found.x), centre


def centre_of(kind: str, link: Array) -> float:
    """Where the slope turns: the mean link, but zero for logits."""
    return 0.0 if kind in ("classification", "multilabel") or not len(link) else float(link.mean())
