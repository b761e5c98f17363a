"""Operating points: the threshold of a score by a rule, read off patients other than those it is then judged on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RULES = ("youden", "sensitivity", "specificity")


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, who lies at or above it counts as positive, and what it has on the patients it was read off."""

    threshold: float
    sensitivity: float
    specificity: float

    def judged(self, score: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
        """Return sensitivity and specificity on other patients, NaN where there is no positive or no negative one."""
        above = np.asarray(score) >= self.threshold
        rates = [float(own.mean()) if len(own) else float("nan") for own in (above[positive], ~above[~positive])]
        return rates[0], rates[1]


def operating_point(
    score: Floats, positive: NDArray[np.bool_], rule: str = "youden", at_least: float = 0.9
) -> OperatingPoint:
    """Return the threshold that a rule chooses.

    - `youden`: the largest sensitivity + specificity - 1; of equal ones the lowest threshold.
    - `sensitivity`: the most specific of those with a sensitivity of `at_least` or more; `specificity` the reverse.

    Args:
        score: `(n,)`, finite, higher for the positive.
        positive: `(n,)` bool.

    Raises:
        ValueError: the rule is unknown, a share lies outside 0 to 1, a score is not finite, or there are no patients of
            one of the two kinds.
    """
    score, positive = np.asarray(score, float), np.asarray(positive, bool)
    if rule not in RULES:
        raise ValueError(f"rule={rule!r} is not known: choose one of {', '.join(RULES)}")
    if not 0 <= at_least <= 1:
        raise ValueError(f"at_least={at_least} is not known: it lies between 0 and 1")
    if not positive.any() or positive.all() or not np.isfinite(score).all():
        raise ValueError("an operating point needs positive and negative patients, all with a finite score")
    levels = np.concatenate([np.unique(score), [np.inf]])  # the last counts nobody as positive
    ordered = [np.sort(score[positive]), np.sort(score[~positive])]
    below = [np.searchsorted(own, levels, side="left") for own in ordered]
    kept, most = len(ordered[0]) - below[0], [len(own) for own in ordered]
    sensitive, specific = kept / most[0], below[1] / most[1]
    if rule == "youden":
        place = int(np.argmax(kept * most[1] + below[1] * most[0]))  # whole numbers: equal sums stay equal
    elif rule == "sensitivity":
        place = int(np.flatnonzero(sensitive >= at_least).max())  # specificity rises with the threshold
    else:
        place = int(np.flatnonzero(specific >= at_least).min())
    return OperatingPoint(float(levels[place]), float(sensitive[place]), float(specific[place]))


def operating_points(
    score: Floats, positive: NDArray[np.bool_], fold: NDArray[np.int_], rule: str = "youden", at_least: float = 0.9
) -> pd.DataFrame:
    """Return for each fold the threshold that the other folds choose, and what it has on the fold's own patients.

    A threshold that is read off the patients it is judged on has better rates than on new ones. A model that scored the
    other folds may have been trained on this one; where models of inner folds scored the training patients, give those
    scores to `operating_point` instead.

    Args:
        score, positive, rule, at_least: as for `operating_point`.
        fold: `(n,)` fold in which each patient was tested.

    Returns:
        A row a fold: `fold`, `threshold`, `sensitivity`, `specificity`, `patients`.

    Raises:
        ValueError: as for `operating_point`, or there is one fold alone.
    """
    score, positive, fold = np.asarray(score, float), np.asarray(positive, bool), np.asarray(fold)
    if len(np.unique(fold)) < 2:
        raise ValueError("thresholds are read off other folds than they are judged on: two folds are needed")
    rows = []
    for own in np.unique(fold):
        here = fold == own
        point = operating_point(score[~here], positive[~here], rule, at_least)
        sensitive, specific = point.judged(score[here], positive[here])
        rows.append((own, point.threshold, sensitive, specific, int(here.sum())))
    return pd.DataFrame(rows, columns=["fold", "threshold", "sensitivity", "specificity", "patients"])
