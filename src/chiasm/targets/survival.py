"""Survival: the time of an event, right-censored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from chiasm.errors import Problem, count, error, warning
from chiasm.limits import HORIZONS
from chiasm.targets.cells import Cells, codes_of, given
from chiasm.targets.outcome import Outcome
from chiasm.targets.reach import EXTREME, is_extreme, reach_problems
from chiasm.targets.target import FLOOR, USUAL_FOLDS, Floats, Ints, Target, by_rank, needed_key

TIME_QUANTILES = 3
FEWEST_EVENTS = 5
AT = "survival_"
# if half of the patients were followed for longer than this (55 years), the unit must be wrong
LONGEST_MEDIAN = {"hours": 480_000.0, "days": 20_000.0, "weeks": 2_900.0, "months": 660.0, "years": 55.0}
SHORT_DAYS = 400.0
CENSORED = 0.35
MEAN_MONTHS = 30.0


@dataclass(frozen=True)
class Survival(Target):
    """Survival target, a right-censored time: `Survival("days", "died")`.

    `time` names a column of times > 0, in `unit`; exactly one of `event` (a column of 1 = happened, 0 = censored) and
    `censored` (the inverse coding) is given. `times` are the horizons, in `unit`, at which survival is predicted; ()
    means the quartiles of the event times in training.
    """

    time: str
    event: str = ""
    censored: str = ""
    unit: str = ""
    times: tuple[float, ...] = ()
    kind: ClassVar[str] = "survival"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "time": (str | None, None),
        "event": (str | None, None),
        "censored": (str | None, None),
        "unit": (str, ""),
        "times": (list[float | int], []),
    }
    has_times: ClassVar[bool] = True
    rare: ClassVar[str] = "with {n:,} events among them"

    def __post_init__(self) -> None:
        if bool(self.event) == bool(self.censored):
            raise ValueError("a survival target needs exactly one of event and censored: the column that says who died")
        times = tuple(float(time) for time in self.times)
        if not _increasing(times):
            raise ValueError("the times of a survival target must be positive, finite and increasing")
        object.__setattr__(self, "times", times)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.time, self.event or self.censored)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        times = tuple(float(time) for time in keys["times"])
        return cls(keys["time"], keys["event"] or "", keys["censored"] or "", keys["unit"], times)

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        found = needed_key(keys, "time", path)
        if bool(keys["event"]) == bool(keys["censored"]):
            what = "the target needs exactly one of 'event' and 'censored'"
            found.append(error(what, "keep one", path=path, finding="manifest-value"))
        if len(keys["times"]) > HORIZONS or any(abs(time) > 1e300 for time in keys["times"]):
            what = f"'times' of the target are {HORIZONS:,} at most, each a number that fits"
            return [*found, error(what, "correct them", path=path, finding="manifest-value")]
        if not _increasing([float(time) for time in keys["times"]]):
            what = "'times' of the target must be positive and increasing"
            found.append(error(what, "correct them", path=path, finding="manifest-value"))
        return found

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        status = self.event or self.censored
        cells.no_outcome(self.time, status)
        time = cells.numbers(self.time, half_of=status)
        early = (time <= 0) | np.isinf(time)
        fix = "count from a start that lies before the event, or leave the patient out"
        cells.note(f"column '{self.time}' must be a time above zero and finite", fix, early)
        extreme = is_extreme(time) & ~early
        cells.note(f"column '{self.time}' {EXTREME}", "correct the cell, or leave the patient out", extreme)
        early |= extreme
        text = cells.labels(status, half_of=self.time)
        event = codes_of(text, status=bool(self.event))
        meaning = "1 = happened, 0 = censored" if self.event else "1 = censored, 0 = happened"
        wrong = given(text) & np.isnan(event)
        fix = f"code it as {meaning}"
        if {str(code) for code in text[given(text)]} == {"1", "2"}:
            wrong, event = given(text), np.full(len(text), np.nan)
            fix += ": R writes 1 for censored and 2 for happened"
        cells.note(f"column '{status}' is neither 0 nor 1", fix, wrong)
        known = ~(np.isnan(time) | early | np.isnan(event))
        happened = (event == 0) if self.censored else (event == 1)
        return self, Outcome(np.where(known, time, np.nan), happened & known, known)

    def understands(self, column: str, words: NDArray[np.object_]) -> bool:
        """True if an event, or a censoring, is told by words such as dead and alive."""
        return column != self.time and not np.isnan(codes_of(words, status=bool(self.event))).any()

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        found = reach_problems(self.time, outcome.value[outcome.known], path)
        events = int(_events(outcome).sum())
        status = self.event or self.censored
        if events == 0:
            what, fix = f"column '{status}' has no event", "check its coding: `event` is 1 where it happened"
            found.append(error(what, fix, path=path, finding="no-event"))
        elif events < USUAL_FOLDS:
            what = f"column '{status}' has {count(events, 'event')}, fewer than {USUAL_FOLDS}"
            found.append(warning(what, "use fewer folds", path=path, finding="few-events"))
        odd = self._odd_unit(outcome.value[outcome.known])
        return [*found, *(warning(what, fix, path=path, finding="odd-unit") for what, fix in odd)]

    def _odd_unit(self, times: Floats) -> list[tuple[str, str]]:
        """Say if the times do not fit their unit, judged by summary statistics that are not quoted."""
        unit = self.unit.strip().lower()
        unit = unit if unit.endswith("s") else f"{unit}s"
        longest = LONGEST_MEDIAN.get(unit)
        said = f"column '{self.time}' is said to be in {unit}, and"
        if longest is not None and float(np.median(times)) > longest:
            what = f"{said} half of the times are longer than {longest:,.0f}"
            return [(what, "correct `unit` or the times: are they in a smaller unit?")]
        fractions = float(np.mean(times != np.round(times)))
        if unit == "days" and fractions > 0.5 and float(times.max()) < SHORT_DAYS:
            what = f"{said} most times are short fractions of them"
            return [(what, "correct `unit` or the times: are they in months?")]
        return []

    def fold_labels(self, outcome: Outcome) -> Ints:
        return _events(outcome).astype(int)

    def required(self) -> dict[int, str]:
        return {1: "event"}

    def strata(self, outcome: Outcome, least: int) -> Ints:
        return by_rank(self.fold_labels(outcome), outcome, TIME_QUANTILES, least)

    def too_few(self, outcome: Outcome, folds: int) -> tuple[str, str] | None:
        events = int(_events(outcome).sum())
        return (count(events, "event"), "events") if events < folds else None

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Number of events."""
        return 0 if outcome.event is None else int(outcome.event[outcome.known].sum())

    @classmethod
    def learnable(cls, outcome: Outcome) -> bool:
        return outcome.event is not None and int(outcome.event.sum()) >= FEWEST_EVENTS

    def with_horizons(self, outcome: Outcome) -> Self:
        return self if self.times else replace(self, times=horizons(outcome))

    def at_horizons(self, times: Sequence[float]) -> Self:
        return replace(self, times=tuple(times))

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return ["risk"]

    @classmethod
    def link_columns(cls, frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
        return [*cls.answers(names), *(name for name in map(str, frame.columns) if name.startswith(AT))]

    @classmethod
    def horizon_columns(cls, frame: pd.DataFrame) -> dict[float, str]:
        names = [str(name) for name in frame if str(name).startswith(AT)]
        return dict(sorted((float(name.removeprefix(AT)), name) for name in names))

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """Log hazard (`risk`), followed by log(-log S(t)) at each horizon."""
        values = frame[cls.link_columns(frame, names)].to_numpy(np.float64)
        survival = np.clip(values[:, 1:], FLOOR, 1 - FLOOR)
        return np.asarray(np.c_[values[:, :1], np.log(-np.log(survival))], dtype=np.float64)

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(np.c_[links[:, :1], np.exp(-np.exp(links[:, 1:]))], columns=list(columns))

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """Risk 0, and the Kaplan-Meier survival at each of `times`."""
        alive = event_free_survival(known.value, _events(known), list(times))
        return {"risk": 0.0, **{horizon_column(time): value for time, value in zip(times, alive, strict=True)}}

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """A log hazard of zero."""
        return np.zeros(1)

    @classmethod
    def check_prediction(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        columns, law = list(frame.columns), "predict gives the columns of its kind of target"
        times = cls.horizon_columns(frame) if all(column.startswith(AT) for column in columns[1:]) else {}
        named = columns[:1] == cls.answers(names) and columns[1:] == [horizon_column(time) for time in times]
        require(named and bool(times), law, f"they are {columns}")
        survival = frame[columns[1:]].to_numpy(float)
        inside = bool(((survival >= 0) & (survival <= 1)).all())
        require(inside, "survival is a probability", f"it reaches from {survival.min()} to {survival.max()}")
        require(bool((np.diff(survival, axis=1) <= 0).all()), "survival never rises with time", "it does")

    def described(self, outcome: Outcome) -> dict[str, Any]:
        return {"events": int(_events(outcome).sum()), "times": list(self.times)}

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw months = -30 log(u) exp(-s / 2), censored at an independent exponential time for 35 %."""
        n = len(signal)
        months = rng.exponential(MEAN_MONTHS, size=n) * np.exp(-signal / 2)
        wait = rng.exponential(1.0, size=n)
        wait *= np.quantile(months / wait, 1 - CENSORED)  # censored where the wait is shorter: for 35 % of them
        died = months <= wait
        time = np.maximum(np.minimum(months, wait), 1e-6)
        table = pd.DataFrame({"months": time, "died": died.astype(int)})
        return table, cls("months", "died", unit="months"), np.log(time) + 0.01 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        table = pd.DataFrame({"months": outcome.value, "died": _events(outcome).astype(int)}, index=ids)
        return table, type(self)("months", "died")


def horizon_column(time: float) -> str:
    """Name the column of the survival at a horizon: six digits where these are the time, else all."""
    short = f"{time:g}"
    return AT + (short if float(short) == time else repr(float(time)))


def _increasing(times: Sequence[float]) -> bool:
    return all(np.isfinite(time) and time > 0 for time in times) and list(times) == sorted(set(times))


def _events(outcome: Outcome) -> NDArray[np.bool_]:
    """(B,) True for patients with the event."""
    if outcome.event is None:
        raise ValueError("the outcome has no events: survival needs time and event")
    return outcome.event


def horizons(outcome: Outcome) -> tuple[float, ...]:
    """Default survival horizons: the quartiles of the event times, to three significant digits."""
    if outcome.event is None or not outcome.event[outcome.known].any():
        return ()
    quartiles = np.quantile(outcome.value[outcome.known & outcome.event], (0.25, 0.5, 0.75))
    return tuple(sorted({float(f"{value:.3g}") for value in quartiles}))


def event_free_survival(train_time: ArrayLike, train_event: ArrayLike, at: ArrayLike) -> Floats:
    """Kaplan-Meier estimate S(t) of being event-free at t from the training patients: the null model's prediction.

    After the last training time it stays where it is, zero or not.
    """
    observed, died = np.asarray(train_time, dtype=np.float64), np.asarray(train_event, dtype=np.bool_)
    asked = np.asarray(at, dtype=np.float64)
    if len(observed) == 0:
        return np.full(asked.shape, np.nan)
    unique, index, count = np.unique(observed, return_inverse=True, return_counts=True)
    events = np.bincount(index, weights=died, minlength=len(unique))
    at_risk = len(observed) - np.r_[0, np.cumsum(count)[:-1]]
    survival = np.r_[1.0, np.cumprod(1.0 - events / at_risk)]
    return np.asarray(survival[np.searchsorted(unique, asked, side="right")], dtype=np.float64)
