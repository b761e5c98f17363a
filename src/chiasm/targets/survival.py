"""Survival: the time of an event, right-censored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error, warning
from chiasm.targets.cells import Cells, codes_of, given
from chiasm.targets.follow_up import (
    FEWEST_EVENTS,
    MEAN_MONTHS,
    TIME_QUANTILES,
    censored_times,
    event_free_survival,
    follow_up_problems,
    given_horizons,
    quartiles,
    refused_horizons,
    times_of,
    written_time,
)
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import FLOOR, USUAL_FOLDS, Floats, Ints, Target, by_rank, needed_key

AT = "survival_"


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
        object.__setattr__(self, "times", given_horizons(self.times, "a survival target"))

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.time, self.event or self.censored)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        return cls(keys["time"], keys["event"] or "", keys["censored"] or "", keys["unit"], tuple(keys["times"]))

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        found = needed_key(keys, "time", path)
        if bool(keys["event"]) == bool(keys["censored"]):
            what = "the target needs exactly one of 'event' and 'censored'"
            found.append(error(what, "keep one", path=path, finding="manifest-value"))
        return [*found, *refused_horizons(keys, path)]

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        status = self.event or self.censored
        cells.no_outcome(self.time, status)
        time, early = times_of(cells, self.time, half_of=status)
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
        found = follow_up_problems(self.time, self.unit, outcome.value[outcome.known], path)
        events = int(_events(outcome).sum())
        status = self.event or self.censored
        if events == 0:
            what, fix = f"column '{status}' has no event", "check its coding: `event` is 1 where it happened"
            found.append(error(what, fix, path=path, finding="no-event"))
        elif events < USUAL_FOLDS:
            what = f"column '{status}' has {count(events, 'event')}, fewer than {USUAL_FOLDS}"
            found.append(warning(what, "use fewer folds", path=path, finding="few-events"))
        return found

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
        months = rng.exponential(MEAN_MONTHS, size=len(signal)) * np.exp(-signal / 2)
        time, died = censored_times(months, rng)
        table = pd.DataFrame({"months": time, "died": died.astype(int)})
        return table, cls("months", "died", unit="months"), np.log(time) + 0.01 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        table = pd.DataFrame({"months": outcome.value, "died": _events(outcome).astype(int)}, index=ids)
        return table, type(self)("months", "died")


def horizon_column(time: float) -> str:
    """Name the column of the survival at a horizon: six digits where these are the time, else all."""
    return AT + written_time(time)


def _events(outcome: Outcome) -> NDArray[np.bool_]:
    """(B,) True for patients with the event."""
    if outcome.event is None:
        raise ValueError("the outcome has no events: survival needs time and event")
    return outcome.event


def horizons(outcome: Outcome) -> tuple[float, ...]:
    """Default survival horizons: the quartiles of the event times, to three significant digits."""
    return () if outcome.event is None else quartiles(outcome.value[outcome.known & outcome.event])
