"""Channels of a response one by one: what a recipe explains of each, beside what repetitions say could be explained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from chiasm.metrics.noise_ceiling import NoiseCeiling, noise_ceiling, normalised_r
from chiasm.metrics.response import channel_r, channel_r2
from chiasm.metrics.weighted import Floats

if TYPE_CHECKING:
    from chiasm.evaluation.trial import Trial

COLUMNS = ("recipe", "channel", "r2", "pearson", "explainable", "split_half", "signal_power", "cc_norm")


def channel_table(trial: Trial, recipe: str | None = None) -> pd.DataFrame:
    """Table of each channel, a row a recipe and channel; empty for targets without channels.

    R2 and Pearson's r are means over the test folds in which the channel differs. The ceiling is of all tested items.

    Args:
        recipe: a recipe of the trial; None takes those that inner folds picked most often.

    Raises:
        ValueError: the trial has no such recipe.
    """
    if not trial.target.has_channels or trial.target.is_drawn:
        return pd.DataFrame(columns=list(COLUMNS))
    if recipe is not None and recipe not in trial.frames:
        raise ValueError(f"the trial has no recipe '{recipe}': it has {', '.join(trial.frames)}")
    picked = [str(row["recipe"]) for row in trial.document.get("channels", {}).get("recipes", ())]
    names = [recipe] if recipe is not None else picked or list(trial.frames)[:1]
    parts, ceiling, unknown = [], ceiling_of(trial), np.full(len(trial.classes), np.nan)
    beside = (unknown,) * 3 if ceiling is None else (ceiling.explainable, ceiling.split_half, ceiling.signal)
    for name in names:
        r2, r = of_channels(trial, name)
        share = unknown if ceiling is None else normalised_r(r, ceiling)
        columns = (name, list(trial.classes), r2, r, *beside, share)
        parts.append(pd.DataFrame(dict(zip(COLUMNS, columns, strict=True))))
    return pd.concat(parts, ignore_index=True)


def of_channels(trial: Trial, recipe: str) -> tuple[Floats, Floats]:
    """R2 and Pearson's r of each channel (V,), means over test folds."""
    folds = []
    for key, fold in trial.folds.items():
        guess, rows = trial.target.links(trial.frames[recipe][key], trial.classes), np.flatnonzero(fold.outcome.known)
        both = guess[rows], fold.outcome.value[rows]
        folds.append([channel_r2(*both)[0], channel_r(*both)[0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel that differs in no fold is not estimable
        r2, r = np.nanmean(np.array(folds), axis=0)
    return r2, r


def ceiling_of(trial: Trial) -> NoiseCeiling | None:
    """Noise ceiling of the tested items; None where no item was repeated."""
    tested = np.unique(np.concatenate([fold.patients for fold in trial.folds.values()]))
    outcome = trial.all_outcomes.take(tested)
    return None if outcome.repeats is None else noise_ceiling(outcome.repeats[outcome.known])


def channel_document(trial: Trial, recipes: Sequence[str]) -> dict[str, Any]:
    """Summarise the channels for `trial.json`: the ceiling over channels, and each recipe's quartiles of R2."""
    ceiling, rows = ceiling_of(trial), []
    for name in recipes:
        r2, r = of_channels(trial, name)
        told = r2[np.isfinite(r2)]
        low, middle, high = np.quantile(told, (0.25, 0.5, 0.75)) if len(told) else (np.nan,) * 3
        rows.append({
            "recipe": name, "channels": len(told), "above_zero": int((told > 0).sum()),
            "r2_quartiles": [float(low), float(middle), float(high)],
            "cc_norm": None if ceiling is None else _mean(normalised_r(r, ceiling)),
        })  # fmt: skip
    found: dict[str, Any] = {"recipes": rows, "ceiling": None}
    if ceiling is not None:
        found["ceiling"] = {
            "items": ceiling.items, "explainable": _mean(ceiling.explainable), "split_half": _mean(ceiling.split_half),
            "without_signal": ceiling.without_signal, "channels": int(np.isfinite(ceiling.signal).sum()),
        }  # fmt: skip
    return found


def _mean(values: Floats) -> float:
    told = values[np.isfinite(values)]
    return float(told.mean()) if len(told) else float("nan")
