"""What a search tried and what it picked, as a model and a trial keep it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from chiasm.artifact import storable
from chiasm.errors import count

FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
ALIKE = 1e-12
"""Scores that differ by less are equal: the first of them is picked."""


def mean_of(scores: Sequence[float | None]) -> float:
    """Return the mean of the scores that can be estimated; NaN without any."""
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else math.nan


@storable("tried-setting")
@dataclass(frozen=True)
class Tried:
    """One setting: its options, its score on each inner fold that it was fitted for, and how that ended.

    Args:
        options: option to value.
        scores: the primary metric on each inner fold in turn; None where it cannot be estimated.
        status: "finished" on all inner folds; "stopped" where it was behind; "failed" where its training diverged.
    """

    options: dict[str, Any]
    scores: tuple[float | None, ...]
    status: str

    @property
    def mean(self) -> float:
        """Mean of the scores; NaN without any."""
        return mean_of(self.scores)


@storable("tuning")
@dataclass(frozen=True)
class Tuning:
    """A search on inner folds of the training patients.

    Args:
        recipe: name of the recipe with its space.
        metric: the primary metric of the target; higher is better.
        folds: number of inner folds.
        tried: the settings in the order in which they were tried.
        picked: position of the picked one.
        possible: number of settings in the space; None where a range has no end of them.
        chosen: name of the recipe with the picked setting.
    """

    recipe: str
    metric: str
    folds: int
    tried: tuple[Tried, ...]
    picked: int
    possible: int | None = None
    chosen: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.picked < len(self.tried):
            raise ValueError("the picked setting is one of those that were tried")

    @property
    def options(self) -> dict[str, Any]:
        """The picked options."""
        return self.tried[self.picked].options

    @property
    def sentence(self) -> str:
        """What was picked, among how many, and by what."""
        said = told_options(self.options)
        if len(self.tried) == 1:
            return f"{said} is the only setting of '{self.recipe}' that was tried, and nothing was searched."
        drawn = "" if self.possible is None or self.possible == len(self.tried) else f", drawn from {self.possible:,},"
        words = {STOPPED: "stopped before the last inner fold", FAILED: "failed"}
        ended = [f"{n} {words[word]}" for word in words if (n := sum(own.status == word for own in self.tried))]
        rest = f" ({' and '.join(ended)})" if ended else ""
        mean = self.tried[self.picked].mean
        score = "not estimable, so that the first was taken" if math.isnan(mean) else f"{mean:.3f}"
        if scored_alike([own.mean for own in self.tried if own.status == FINISHED]):
            score += "; all that finished scored alike, and the first was taken"
        return (
            f"{said} was picked among {count(len(self.tried), 'setting')}{drawn} of '{self.recipe}'{rest}: mean "
            f"{self.metric} on {count(self.folds, 'inner fold')} of its training patients {score}."
        )

    def table(self) -> pd.DataFrame:
        """Table of the settings: number, options, mean score, the score on each inner fold, status, and the pick.

        A score is NaN where a setting was not fitted for the inner fold, or cannot be estimated there.
        """
        return pd.DataFrame(settings_table(self.as_json()))

    def as_json(self) -> dict[str, Any]:
        """Return it as `trial.json` holds it, for the fold of a recipe."""
        tried = [{"options": own.options, "scores": list(own.scores), "status": own.status} for own in self.tried]
        return {
            "metric": self.metric, "folds": self.folds, "possible": self.possible, "picked": self.picked,
            "settings": tried,
        }  # fmt: skip


def settings_table(search: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each setting of a search as JSON: `setting, options, mean, inner_1, ..., status, picked`.

    The mean is NaN unless the setting finished: means over other inner folds do not compare.
    """
    rows = []
    for number, own in enumerate(search["settings"]):
        scores = [*(math.nan if score is None else score for score in own["scores"])]
        scores += [math.nan] * (search["folds"] - len(scores))
        rows.append(
            {
                "setting": number,
                "options": told_options(own["options"]),
                "mean": mean_of(own["scores"]) if own["status"] == FINISHED else math.nan,
                **{f"inner_{fold}": score for fold, score in enumerate(scores, start=1)},
                "status": own["status"],
                "picked": number == search["picked"],
            }
        )
    return rows


def scored_alike(means: Sequence[float]) -> bool:
    """True if two settings or more have one score, by which none is better than another."""
    return len(means) > 1 and max(means) - min(means) <= ALIKE  # NaN is not like anything


def told_options(options: Mapping[str, Any]) -> str:
    """Write options as in the name of a recipe."""
    return ", ".join(f"{option}={value}" for option, value in options.items())


def pick(tried: Sequence[Tried]) -> int:
    """Return the position of the setting with the best mean among those that finished; of equal ones the first.

    Where none has a mean, the first that did not fail is picked.

    Raises:
        ArithmeticError: each failed.
    """
    best, at = -math.inf, -1
    for number, own in enumerate(tried):
        if own.status == FINISHED and own.mean > best + ALIKE:
            best, at = own.mean, number
    if at >= 0:
        return at
    sound = [number for number, own in enumerate(tried) if own.status != FAILED]
    if not sound:
        raise ArithmeticError(f"each of the {count(len(tried), 'setting')} that were tried diverged: try smaller rates")
    return sound[0]
