"""Conversion of predictions to the link scale, on which they are averaged and shifted, and back, by target kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit, logit, softmax  # type: ignore[import-untyped]

from chiasm.cohort.targets import Outcome
from chiasm.metrics.censoring import event_free_survival
from chiasm.metrics.weighted import Floats

FLOOR = 1e-9  # probabilities are kept this far from 0 and 1, so that their links stay finite
SURVIVAL = "survival_"


def columns_of(kind: str, frame: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Return the columns of a prediction that carry a link, in a fixed order."""
    if kind in ("classification", "multilabel"):
        return [f"p_{name}" for name in classes]
    if kind == "regression":
        return ["prediction"]
    return ["risk", *(name for name in map(str, frame.columns) if name.startswith(SURVIVAL))]


def links_of(kind: str, frame: pd.DataFrame, classes: Sequence[str] = ()) -> Floats:
    """Convert a prediction to links, `(n, C)`.

    The link is log p for classes, logit p for labels, the number itself for regression, and for survival the log
    hazard (`risk`) followed by log(-log S(t)) at each horizon.
    """
    values = frame[columns_of(kind, frame, classes)].to_numpy(np.float64)
    if kind == "regression":
        return np.asarray(values, dtype=np.float64)
    if kind == "classification":
        return np.asarray(np.log(np.clip(values, FLOOR, 1.0)))
    if kind == "multilabel":
        return np.asarray(logit(np.clip(values, FLOOR, 1 - FLOOR)), dtype=np.float64)
    survival = np.clip(values[:, 1:], FLOOR, 1 - FLOOR)
    return np.asarray(np.c_[values[:, :1], np.log(-np.log(survival))], dtype=np.float64)


def frame_of(kind: str, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
    """Convert links to a prediction, the inverse of `links_of`."""
    if kind == "classification":
        values = softmax(links, axis=1)
    elif kind == "multilabel":
        values = expit(links)
    elif kind == "regression":
        values = links
    else:
        values = np.c_[links[:, :1], np.exp(-np.exp(links[:, 1:]))]
    return pd.DataFrame(values, columns=list(columns))


def prior_frame(kind: str, train: Outcome, n: int, classes: Sequence[str], times: Sequence[float] = ()) -> pd.DataFrame:
    """Predict the training-set prior (the null model) for n patients.

    It is the frequency of each class or label, the mean, or risk 0 and the Kaplan-Meier survival at each of `times`.
    """
    known = train.take(np.flatnonzero(train.known))
    if kind == "classification":
        counts = np.bincount(known.value.astype(int), minlength=len(classes))
        row = dict(zip((f"p_{name}" for name in classes), counts / max(1, counts.sum()), strict=True))
    elif kind == "multilabel":
        # a label without a known value in the training set gets probability one half
        seen = ~np.isnan(known.value)
        share = np.where(seen, known.value, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        share = np.where(seen.any(axis=0), share, 0.5)
        row = dict(zip((f"p_{name}" for name in classes), share, strict=True))
    elif kind == "regression":
        row = {"prediction": float(known.value.mean())}
    else:
        assert known.event is not None  # survival has events
        alive = event_free_survival(known.value, known.event, list(times))
        row = {"risk": 0.0, **{f"{SURVIVAL}{time:g}": value for time, value in zip(times, alive, strict=True)}}
    return pd.DataFrame({name: np.full(n, float(value)) for name, value in row.items()})
