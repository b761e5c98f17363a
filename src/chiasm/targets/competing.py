"""Competing risks: the time of the first of several events, of which each rules out the others, right-censored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error
from chiasm.targets.causes import cause_problems, censored_words, misspelt, ordered_causes, plain
from chiasm.targets.cells import Cells, given, label_text
from chiasm.targets.follow_up import (
    FEWEST_EVENTS,
    MEAN_MONTHS,
    TIME_QUANTILES,
    censored_times,
    cumulative_incidence,
    follow_up_problems,
    given_horizons,
    quartiles,
    refused_horizons,
    times_of,
)
from chiasm.targets.incidence import (
    RISK,
    causes_of_columns,
    event_free_of,
    incidence_column,
    links_of,
    main_columns,
    values_of,
)
from chiasm.targets.outcome import Outcome, causes_of
from chiasm.targets.target import FLOOR, Floats, Ints, Target, by_rank, needed_key

MEAN_OTHER = 60.0


@dataclass(frozen=True)
class CompetingRisks(Target):
    """Competing risks, a right-censored time and the cause of its event: `CompetingRisks("days", "cause")`.

    `time` names a column of times > 0, in `unit`, and `cause` one whose levels are the causes. Censored is who has the
    level that `censored` names; without it, who has 0, or a word such as alive; in a column without any of these, who
    has an empty cell. `main` is the cause that the primary metric is about, the most frequent one unless named. `times`
    are the horizons, in `unit`, at which the incidence of each cause is predicted; () means the quartiles of the times
    of the main cause in training. Opening fills `causes`, the main one first.
    """

    time: str
    cause: str
    censored: str = ""
    main: str = ""
    unit: str = ""
    times: tuple[float, ...] = ()
    causes: tuple[str, ...] = ()
    kind: ClassVar[str] = "competing"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "time": (str | None, None),
        "cause": (str | None, None),
        "censored": (str | None, None),
        "main": (str, ""),
        "unit": (str, ""),
        "times": (list[float | int], []),
    }
    has_times: ClassVar[bool] = True
    has_causes: ClassVar[bool] = True
    rare: ClassVar[str] = "with {n:,} events of the main cause among them"

    def __post_init__(self) -> None:
        if self.main and self.main == self.censored:
            raise ValueError("the main cause of competing risks cannot be the level that means censored")
        object.__setattr__(self, "times", given_horizons(self.times, "competing risks"))

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.time, self.cause)

    @property
    def names(self) -> tuple[str, ...]:
        return self.causes

    @property
    def main_named(self) -> bool:
        return bool(self.main)

    def with_names(self, names: Sequence[str]) -> Self:
        return replace(self, causes=tuple(names))

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        censored, times = keys["censored"] or "", tuple(keys["times"])
        return cls(keys["time"], keys["cause"], censored, keys["main"], keys["unit"], times)

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        found = [*needed_key(keys, "time", path), *needed_key(keys, "cause", path)]
        if keys["main"] and keys["main"] == keys["censored"]:
            what = "'main' and 'censored' of the target name one level"
            found.append(error(what, "name the cause that matters as main", path=path, finding="manifest-value"))
        return [*found, *refused_horizons(keys, path)]

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        free = censored_words(cells.patients[self.cause], self.censored)
        cells.findings += misspelt(cells, self.cause, self.censored)
        cells.no_outcome(self.time, self.cause)
        time, early = times_of(cells, self.time, half_of=self.cause)
        if free:
            text = cells.labels(self.cause, half_of=self.time)
        else:  # nobody has a word for it: who has no cause is censored
            text = label_text(cells.patients[self.cause])
            text[~given(text)], free = "", frozenset({""})
        censored = np.array([label is not None and plain(label) in free for label in text], dtype=bool)
        named = given(text) & ~censored
        target = self if self.causes else self.with_names(ordered_causes(text[named].tolist(), self.main))
        if len(free) == 1 and not self.censored:  # what was read here is what a model is held to elsewhere
            target = replace(target, censored=next(iter(free)))
        place = {name: k + 1 for k, name in enumerate(target.causes)}
        code = np.array([place.get(str(label), -1) for label in text], dtype=int)
        what = f"column '{self.cause}' holds a cause that is not one of the {len(target.causes)} declared"
        cells.note(what, "correct it or declare it", named & (code < 0))
        known = ~(np.isnan(time) | early) & (censored | (code > 0))
        cause = np.where(known & ~censored, code, 0)
        return target, Outcome(np.where(known, time, np.nan), cause > 0, known, cause)

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        sizes = dict(zip(self.causes, _sizes(outcome, len(self.causes)).tolist(), strict=True))
        censored = bool((causes_of(outcome)[outcome.known] == 0).any())
        found = cause_problems(self.cause, sizes, main_named=self.main_named, anyone_censored=censored, path=path)
        return [*found, *follow_up_problems(self.time, self.unit, outcome.value[outcome.known], path)]

    def understands(self, column: str, words: NDArray[np.object_]) -> bool:
        """True for the column of causes, whose words are their names."""
        return column == self.cause

    def fold_labels(self, outcome: Outcome) -> Ints:
        """(B,) 0 for censored, 1 for the main cause, 2 for any other."""
        return np.minimum(causes_of(outcome), 2)

    def required(self) -> dict[int, str]:
        return {1: f"event of the cause '{self.causes[0]}'" if self.causes else "event"}

    def strata(self, outcome: Outcome, least: int) -> Ints:
        """(B,) stratum; fewer than `least` of other causes, or of censored, stand with the rest."""
        labels = self.fold_labels(outcome)
        for label, rest in ((2, 0), (0, 2), (0, 1), (2, 1)):
            if 0 < (labels[outcome.known] == label).sum() < least:
                labels = np.where(labels == label, rest, labels)
        return by_rank(labels, outcome, TIME_QUANTILES, least)

    def too_few(self, outcome: Outcome, folds: int) -> tuple[str, str] | None:
        events = self.rarest(outcome)
        return (f"{count(events, 'event')} of the main cause", "events") if events < folds else None

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Number of events of the main cause."""
        return 0 if outcome.cause is None else int((outcome.cause[outcome.known] == 1).sum())

    @classmethod
    def learnable(cls, outcome: Outcome) -> bool:
        return cls.rarest(outcome) >= FEWEST_EVENTS

    def with_horizons(self, outcome: Outcome) -> Self:
        if self.times:
            return self
        return replace(self, times=quartiles(outcome.value[outcome.known & (causes_of(outcome) == 1)]))

    def at_horizons(self, times: Sequence[float]) -> Self:
        return replace(self, times=tuple(times))

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return [RISK + name for name in names]

    @classmethod
    def misnamed(cls, names: Sequence[str], outcome: Outcome) -> str:
        most = 0 if outcome.cause is None else int(outcome.cause.max(initial=0))
        return "" if most <= len(names) else f"outcomes have {most} causes, and {len(names)} are named"

    @classmethod
    def link_columns(cls, frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
        times = cls.horizon_columns(frame)
        return [*cls.answers(names), *(incidence_column(name, time) for time in times for name in names)]

    @classmethod
    def horizon_columns(cls, frame: pd.DataFrame) -> dict[float, str]:
        """Columns of the incidence of the main cause, which is that of the first risk."""
        return main_columns(frame)

    @classmethod
    def event_free(cls, frame: pd.DataFrame) -> Floats:
        return event_free_of(frame)

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        return links_of(frame[cls.link_columns(frame, names)].to_numpy(np.float64), len(names))

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(values_of(links, len(causes_of_columns(columns))), columns=list(columns))

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """Risks of 0, and the Aalen-Johansen estimate of each cause at each of `times`."""
        found = cumulative_incidence(known.value, causes_of(known), len(names), list(times))
        at = {
            incidence_column(name, time): float(found[k, t])
            for t, time in enumerate(times)
            for k, name in enumerate(names)
        }
        return {**dict.fromkeys(cls.answers(names), 0.0), **at}

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """Log hazards of zero."""
        return np.zeros(names or outcome.causes)

    @classmethod
    def check_prediction(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        columns, law = list(frame.columns), "predict gives the columns of its kind of target"
        times = cls.horizon_columns(frame)
        require(bool(times) and columns == cls.link_columns(frame, names), law, f"they are {columns}")
        shape = (len(frame), len(times), len(names))
        incidence = frame[columns[len(names) :]].to_numpy(float).reshape(shape)
        inside = bool((incidence >= 0).all()) and bool((incidence.sum(axis=2) <= 1 + FLOOR).all())
        require(inside, "incidences are probabilities, and their sum is one", "one is not")
        require(bool((np.diff(incidence, axis=1) >= -FLOOR).all()), "an incidence never falls with time", "it does")

    def described(self, outcome: Outcome) -> dict[str, Any]:
        sizes = _sizes(outcome, len(self.causes)).tolist()
        told = {"events": sizes[0] if sizes else 0, "counts": sizes, "main_named": bool(self.main)}
        return {"classes": list(self.causes), **told, "times": list(self.times)}

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw the first of two exponential times, censored at an independent exponential time for 35 %.

        The hazard of `cancer` is exp(s / 2) / 30 a month and that of `other` exp(-s / 4) / 60, so that the incidence of
        either by t is h / (h + h') (1 - exp(-(h + h') t)).
        """
        cancer = rng.exponential(MEAN_MONTHS, size=len(signal)) * np.exp(-signal / 2)
        other = rng.exponential(MEAN_OTHER, size=len(signal)) * np.exp(signal / 4)
        time, seen = censored_times(np.minimum(cancer, other), rng)
        cause = np.where(seen, np.where(cancer <= other, "cancer", "other"), "alive")
        table = pd.DataFrame({"months": time, "cause": cause})
        return table, cls("months", "cause", "alive", "cancer", "months"), np.log(time) + 0.01 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        words = np.array(["alive", *self.causes], dtype=object)
        table = pd.DataFrame({"months": outcome.value, "cause": words[causes_of(outcome)]}, index=ids)
        return table, type(self)("months", "cause", "alive", self.causes[0])


def _sizes(outcome: Outcome, causes: int) -> Ints:
    """(K,) events of each cause."""
    return np.bincount(causes_of(outcome)[outcome.known], minlength=causes + 1)[1 : causes + 1]
