"""What a recipe's out-of-fold predictions are worth to a decision, and whether predicted survival is uniform.

Both describe the patients of the first repeat together, each once, as the picture of calibration does: a probability
means the same in every fold. Of times the event by the fold's middle horizon is decided on, all folds on the scale of
time over horizon; of competing risks each cause, by its Aalen-Johansen incidence, and the first event of any.
The intervals are percentiles of the trial's first 200 bootstrap draws, given the fitted models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.stored_rows import table_of_rows
from chiasm.evaluation.subgroups import LEAST_EVENTS, LEAST_PATIENTS
from chiasm.metrics.d_calibration import BINS, at_own_time, d_calibration
from chiasm.metrics.decision import net_benefit, net_benefit_at, share_by, treat_all
from chiasm.metrics.weighted import Floats
from chiasm.targets.incidence import incidence_column
from chiasm.targets.outcome import causes_of

if TYPE_CHECKING:
    from chiasm.evaluation.trial import Trial

THRESHOLDS = (0.01, 0.02, 0.03, 0.05, 0.075, *(k / 20 for k in range(2, 11)), 0.6, 0.7, 0.8, 0.9)
DRAWS = 200
EVENT, ANY_EVENT = "event", "first event of any cause"
"""What is decided on where the outcome is a time, and where its event has several causes."""
COLUMNS = (
    *("recipe", "outcome", "threshold", "net_benefit", "low", "high"),
    *("treat_all", "gain", "gain_low", "gain_high"),
)
TEXTS = ("recipe", "outcome")
D_COLUMNS = ("recipe", "n", "events", "statistic", "p", *(f"tenth_{k + 1}" for k in range(BINS)))


@dataclass(frozen=True, repr=False)
class Decided:
    """One outcome that is decided on: the risk (n,) of each patient, and whether, or when, it came.

    `rows` (n,) are the patients' places in the trial's outcomes; `time` is in shares of the horizon, or None. `other`
    (n,) says who had an event of another cause, where one of several is decided on.
    """

    outcome: str
    rows: NDArray[np.intp]
    risk: Floats
    happened: NDArray[np.bool_]
    time: Floats | None = None
    other: NDArray[np.bool_] | None = None


def decision_rows(trial: Trial, recipes: Sequence[str]) -> list[dict[str, Any]]:
    """Net benefit of each recipe at each threshold, and its gain over the better of treating everybody and nobody.

    An outcome of fewer than ten cases, or of fewer than ten patients without it, has no rows.
    """
    thresholds, found = np.array(THRESHOLDS), []
    for recipe in recipes:
        for own in decided(trial, recipe):
            drawn = trial.draws[:DRAWS, own.rows].astype(np.float64)
            redrawn = bool(len(drawn)) and bool((drawn != drawn[:, :1]).any())
            weights = np.concatenate([np.ones((1, len(own.rows))), drawn if redrawn else drawn[:0]])
            benefit, everybody = benefits(own, thresholds, weights)
            gain = benefit - np.maximum(everybody, 0.0)
            for k, threshold in enumerate(THRESHOLDS):
                low, high = percentile_interval(benefit[1:, k])
                gain_low, gain_high = percentile_interval(gain[1:, k])
                numbers = (threshold, benefit[0, k], low, high, everybody[0, k], gain[0, k], gain_low, gain_high)
                found.append(dict(zip(COLUMNS, (recipe, own.outcome, *numbers), strict=True)))
    return found


def benefits(own: Decided, thresholds: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Net benefit (R, T) of the prediction and of treating everybody."""
    if own.time is None:
        happened = own.happened.astype(np.float64)
        share = (weights @ happened) / weights.sum(axis=1)
        return net_benefit(own.risk, happened, thresholds, weights), treat_all(share, thresholds)
    order = np.argsort(own.time, kind="stable")
    other = None if own.other is None else own.other[order]
    share = share_by(own.time[order], own.happened[order], 1.0, weights[:, order], other)
    benefit = net_benefit_at(own.risk, own.time, own.happened, 1.0, thresholds, weights, other=own.other)
    return benefit, treat_all(share, thresholds)


def folds_of_first_repeat(trial: Trial) -> list[tuple[int, str]]:
    """Keys of the folds of the first repeat."""
    first = min(repeat for repeat, _ in trial.folds)
    return [key for key in trial.folds if key[0] == first]


def decided(trial: Trial, recipe: str) -> list[Decided]:
    """The outcomes that a recipe's probabilities are of, those with enough cases; none for a number."""
    keys = folds_of_first_repeat(trial)
    rows = np.concatenate([trial.folds[key].patients for key in keys])
    frames, outcome = [trial.frames[recipe][key] for key in keys], trial.all_outcomes
    found: list[Decided] = []
    if trial.target.has_times:
        return _decided_by_time(trial, rows, frames)
    if not (trial.target.has_classes or trial.target.has_labels):
        return []
    whole = pd.concat(frames)
    several = trial.target.has_labels or len(trial.classes) > 2
    for code in range(len(trial.classes)) if several else [1]:
        value = outcome.value[rows, code] if trial.target.has_labels else outcome.value[rows]
        happened = value == (1 if trial.target.has_labels else code)
        known = np.flatnonzero(~np.isnan(value))
        cases = int(happened[known].sum())
        if min(cases, len(known) - cases) >= LEAST_EVENTS:
            risk = whole[f"p_{trial.classes[code]}"].to_numpy(np.float64)
            found.append(Decided(trial.classes[code], rows[known], risk[known], happened[known]))
    return found


def _decided_by_time(trial: Trial, rows: NDArray[np.intp], frames: Sequence[pd.DataFrame]) -> list[Decided]:
    """The event by each fold's middle horizon: each cause of it, the main one first, and the first of any."""
    target, outcome = trial.target, trial.all_outcomes
    if outcome.event is None or not all(target.horizon_columns(frame) for frame in frames):
        return []
    middle = [list(target.horizon_columns(frame)) for frame in frames]
    middles = [(len(times) // 2, times[len(times) // 2]) for times in middle]
    time = outcome.value[rows] / np.concatenate(
        [np.full(len(frame), at) for frame, (_, at) in zip(frames, middles, strict=True)]
    )
    free = [target.event_free(frame)[:, place] for frame, (place, _) in zip(frames, middles, strict=True)]
    risk, happened = 1 - np.concatenate(free), outcome.event[rows]
    whole = [Decided(ANY_EVENT if target.has_causes else EVENT, rows, risk, happened, time)]
    for k, name in enumerate(trial.classes if target.has_causes else ()):
        columns = [
            frame[incidence_column(name, at)].to_numpy(np.float64)
            for frame, (_, at) in zip(frames, middles, strict=True)
        ]
        own = causes_of(outcome)[rows] == k + 1
        whole.insert(k, Decided(name, rows, np.concatenate(columns), own, time, happened & ~own))
    return [own for own in whole if _enough(own)]


def _enough(own: Decided) -> bool:
    """True with ten cases by the horizon or more, and as many patients who are known to have had none by then."""
    assert own.time is not None
    by = own.time <= 1
    others = ~by if own.other is None else ~by | own.other
    return min(int((own.happened & by).sum()), int(others.sum())) >= LEAST_EVENTS


def d_calibration_rows(trial: Trial, recipes: Sequence[str]) -> list[dict[str, Any]]:
    """D-calibration of each recipe that predicts survival, over 30 patients and 10 events or more; else no row."""
    if not trial.target.has_times or trial.all_outcomes.event is None:
        return []
    found = []
    for recipe in recipes:
        parts = []
        for key in folds_of_first_repeat(trial):
            frame, outcome = trial.frames[recipe][key], trial.folds[key].outcome
            times = np.array(list(trial.target.horizon_columns(frame)))
            if len(times) and outcome.event is not None:
                parts.append(at_own_time(trial.target.event_free(frame), times, outcome.value, outcome.event))
        at_own = np.concatenate([np.zeros(0), *(part for part, _ in parts)])
        event = np.concatenate([np.zeros(0, dtype=bool), *(part for _, part in parts)])
        if len(at_own) < LEAST_PATIENTS or int(event.sum()) < LEAST_EVENTS:
            continue
        own = asdict(d_calibration(at_own, event))
        shares = own.pop("shares")
        row = {"recipe": recipe, **own, "events": int(event.sum())}
        found.append(row | {f"tenth_{k + 1}": share for k, share in enumerate(shares)})
    return found


def decision_table(trial: Trial, recipe: str | None = None) -> pd.DataFrame:
    """Table of `decision_rows`, `COLUMNS`: of the stored recipes, or of another one."""
    stored = trial.document.get("decisions", [])
    return table_of_rows(trial, recipe, stored, lambda name: decision_rows(trial, [name]), COLUMNS, TEXTS)


def d_calibration_table(trial: Trial, recipe: str | None = None) -> pd.DataFrame:
    """Table of `d_calibration_rows`, `D_COLUMNS`: of the stored recipes, or of another one."""
    stored = trial.document.get("d_calibration", [])
    return table_of_rows(trial, recipe, stored, lambda name: d_calibration_rows(trial, [name]), D_COLUMNS, TEXTS)
