"""Competing risks: the time of the first of several events, of which each rules out the others, right-censored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error, nearest, warning
from chiasm.targets.cells import Cells, given, label_text
from chiasm.targets.follow_up import (
    cumulative_incidence,
    increasing,
    odd_unit,
    quartiles,
    refused_horizons,
    times_of,
    written_time,
)
from chiasm.targets.outcome import Outcome
from chiasm.targets.reach import reach_problems
from chiasm.targets.target import FLOOR, USUAL_FOLDS, Floats, Ints, Target, by_rank, needed_key

TIME_QUANTILES = 3
FEWEST_EVENTS = 5
MOST_CAUSES = 12
RISK, INCIDENCE = "risk_", "incidence_"
CENSORED_WORDS = ("0", "censored", "alive", "living")
ODD_CAUSES = ("none", "no", "no event", "ned", "lost", "lost to follow-up", "false", "nan", *CENSORED_WORDS)
CENSORED = 0.35
MEAN_MONTHS, MEAN_OTHER = 30.0, 60.0


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
        times = tuple(float(time) for time in self.times)
        if not increasing(times):
            raise ValueError("the times of competing risks must be positive, finite and increasing")
        if self.main and self.main == self.censored:
            raise ValueError("the main cause of competing risks cannot be the level that means censored")
        object.__setattr__(self, "times", times)

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
        times = tuple(float(time) for time in keys["times"])
        return cls(keys["time"], keys["cause"], keys["censored"] or "", keys["main"], keys["unit"], times)

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        found = [*needed_key(keys, "time", path), *needed_key(keys, "cause", path)]
        if keys["main"] and keys["main"] == keys["censored"]:
            what = "'main' and 'censored' of the target name one level"
            found.append(error(what, "name the cause that matters as main", path=path, finding="manifest-value"))
        return [*found, *refused_horizons(keys, path)]

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        free = self._censored_words(cells.patients[self.cause])
        cells.findings += self._misspelt(cells)
        cells.no_outcome(self.time, self.cause)
        time, early = times_of(cells, self.time, half_of=self.cause)
        if free:
            text = cells.labels(self.cause, half_of=self.time)
        else:  # nobody has a word for it: who has no cause is censored
            text = label_text(cells.patients[self.cause])
            text[~given(text)], free = "", frozenset({""})
        censored = np.array([label is not None and _plain(label) in free for label in text], dtype=bool)
        named = given(text) & ~censored
        target = self._with_causes([str(label) for label in text[named]])
        if len(free) == 1 and not self.censored:  # what was read here is what a model is held to elsewhere
            target = replace(target, censored=next(iter(free)))
        place = {name: k + 1 for k, name in enumerate(target.causes)}
        code = np.array([place.get(str(label), -1) for label in text], dtype=int)
        what = f"column '{self.cause}' holds a cause that is not one of the {len(target.causes)} declared"
        cells.note(what, "correct it or declare it", named & (code < 0))
        known = ~(np.isnan(time) | early) & (censored | (code > 0))
        cause = np.where(known & ~censored, code, 0)
        return target, Outcome(np.where(known, time, np.nan), cause > 0, known, cause)

    def _censored_words(self, levels: pd.Series) -> frozenset[str]:
        """Levels that mean censored, without capitals; empty where an empty cell does."""
        if self.censored:
            return frozenset({_plain(self.censored)})
        there = {_plain(label) for label in label_text(levels) if label is not None}
        return frozenset(word for word in CENSORED_WORDS if word in there)

    def _misspelt(self, cells: Cells) -> list[Problem]:
        """Report a level named by `censored` that nobody has: whom it means would have an event of some cause."""
        levels = {_plain(label): str(label) for label in label_text(cells.patients[self.cause]) if label is not None}
        if not self.censored or not levels or _plain(self.censored) in levels:
            return []
        like = levels.get(nearest(_plain(self.censored), levels), "")
        what = f"nobody has the level '{self.censored}' of column '{self.cause}', which `censored` names"
        fix = "name the level of who had no event, or leave `censored` out" + (f": is it '{like}'?" if like else "")
        return [error(what, fix, path=cells.path, finding="no-level")]

    def _with_causes(self, labels: Sequence[str]) -> Self:
        if self.causes:
            return self
        names, sizes = np.unique(labels, return_counts=True) if labels else (np.zeros(0, str), np.zeros(0, int))
        main = self.main or (str(names[int(sizes.argmax())]) if len(names) else "")
        others = (str(name) for name in names if name != main)
        return replace(self, causes=(main, *others) if main else ())

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        found = reach_problems(self.time, outcome.value[outcome.known], path)
        sizes = dict(zip(self.causes, _sizes(outcome, len(self.causes)).tolist(), strict=True))
        seen = [name for name, size in sizes.items() if size]
        column, told = f"column '{self.cause}'", ", ".join(f"'{name}'" for name in seen)
        if not seen:
            fix = "check its coding: 0, or the level that `censored` names, is without an event"
            found.append(error(f"{column} has no event", fix, path=path, finding="no-event"))
        elif self.causes[0] not in seen:
            what = f"{column} has no event of the cause '{self.causes[0]}', which `main` names"
            found.append(error(what, f"name one of {told}", path=path, finding="no-event"))
        elif len(seen) == 1:
            fix = 'nothing competes with it: take kind = "survival", with the event coded as 1, or name what competes'
            found.append(error(f"{column} has a single cause, {told}", fix, path=path, finding="single-class"))
        elif len(seen) > MOST_CAUSES:
            fix = "group those that matter less into one"
            what = f"{column} has {len(seen)} causes, more than {MOST_CAUSES}"
            found.append(error(what, fix, path=path, finding="manifest-value"))
        else:
            found += self._unsaid(sizes, not (_causes(outcome)[outcome.known] == 0).any(), path)
        odd = odd_unit(self.time, self.unit, outcome.value[outcome.known])
        return [*found, *(warning(what, fix, path=path, finding="odd-unit") for what, fix in odd)]

    def _unsaid(self, sizes: Mapping[str, int], free: bool, path: str | None) -> list[Problem]:
        found = []
        if not self.main:
            what = f"no main cause is named: the primary metric is about the most frequent one, '{self.causes[0]}'"
            fix = "name it by `main` in [target], or main=..., if it is another"
            found.append(warning(what, fix, path=path, finding="unnamed-main"))
        column = f"column '{self.cause}'"
        if free:
            what, fix = f"{column} has nobody without an event", "name the level of who had none by `censored`"
            found.append(warning(what, fix, path=path, finding="nobody-censored"))
        for name in sizes:
            if _plain(name) in ODD_CAUSES:
                fix = "name it by `censored` if it means that there was no event"
                found.append(warning(f"{column} has a cause '{name}'", fix, path=path, finding="odd-cause"))
        for name, size in sizes.items():
            if size < USUAL_FOLDS:
                what = f"{column} has {count(size, 'event')} of the cause '{name}', fewer than {USUAL_FOLDS}"
                fix = "group it with another cause" if name != self.causes[0] else "use fewer folds"
                found.append(warning(what, fix, path=path, finding="few-events"))
        return found

    def understands(self, column: str, words: NDArray[np.object_]) -> bool:
        """True for the column of causes, whose words are their names."""
        return column == self.cause

    def fold_labels(self, outcome: Outcome) -> Ints:
        """(B,) 0 for censored, 1 for the main cause, 2 for any other."""
        return np.minimum(_causes(outcome), 2)

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
        return replace(self, times=quartiles(outcome.value[outcome.known & (_causes(outcome) == 1)]))

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
        columns = [str(name) for name in frame.columns]
        main = next((name.removeprefix(RISK) for name in columns if name.startswith(RISK)), None)
        start = f"{INCIDENCE}{main}_"
        ends = {name: name.removeprefix(start) for name in columns if main is not None and name.startswith(start)}
        return dict(sorted((float(end), name) for name, end in ends.items() if _is_time(end)))

    @classmethod
    def event_free(cls, frame: pd.DataFrame) -> Floats:
        names = [str(name).removeprefix(RISK) for name in frame.columns if str(name).startswith(RISK)]
        each = [frame[[incidence_column(name, t) for name in names]].sum(axis=1) for t in cls.horizon_columns(frame)]
        return np.clip(1 - np.stack(each, axis=1), 0.0, 1.0) if each else np.zeros((len(frame), 0))

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """Log hazard of each cause; then at each horizon log odds of the main cause, and log(F_k(t) / S(t)) of others.

        S is the share without any event. A common shift moves the incidence of the main cause of all patients the same
        way, whatever competes, and so keeps their order; the others share what it leaves.
        """
        columns = cls.link_columns(frame, names)
        values = frame[columns].to_numpy(np.float64)
        causes = len(names)
        parts = [values[:, :causes]]
        for start in range(causes, values.shape[1], causes):
            own = np.clip(values[:, start : start + causes], FLOOR, 1.0)
            free = np.clip(1 - own.sum(axis=1, keepdims=True), FLOOR, 1.0)
            rest = np.clip(1 - own[:, :1], FLOOR, 1.0)
            parts.append(np.log(own / np.c_[rest, np.repeat(free, causes - 1, axis=1)]))
        return np.concatenate(parts, axis=1)

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        """Convert links to a prediction; where a shift would have an incidence fall with time, the later one bounds it.

        The last horizon, by which patients are ranked, stays as it is, and so does what never falls.
        """
        causes = sum(name.startswith(RISK) for name in columns)
        later, parts = np.full((len(links), causes), np.inf), list[Floats]()
        for start in range(links.shape[1] - causes, 0, -causes):
            main, others = links[:, [start]], links[:, start + 1 : start + causes]
            share = others - np.logaddexp.reduce(np.c_[others, np.zeros(len(others))], axis=1)[:, None]
            left = -np.logaddexp(0, main)  # log(1 - F of the main cause)
            later = np.minimum(later, np.exp(np.c_[left + main, left + share]))
            parts.append(later)
        return pd.DataFrame(np.concatenate([links[:, :causes], *parts[::-1]], axis=1), columns=list(columns))

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """Risks of 0, and the Aalen-Johansen estimate of each cause at each of `times`."""
        found = cumulative_incidence(known.value, _causes(known), len(names), list(times))
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
        n = len(signal)
        cancer = rng.exponential(MEAN_MONTHS, size=n) * np.exp(-signal / 2)
        other = rng.exponential(MEAN_OTHER, size=n) * np.exp(signal / 4)
        months, wait = np.minimum(cancer, other), rng.exponential(1.0, size=n)
        wait *= np.quantile(months / wait, 1 - CENSORED)  # censored where the wait is shorter: for 35 % of them
        first = np.where(cancer <= other, "cancer", "other")
        cause = np.where(months <= wait, first, "alive")
        time = np.maximum(np.minimum(months, wait), 1e-6)
        table = pd.DataFrame({"months": time, "cause": cause})
        return table, cls("months", "cause", "alive", "cancer", "months"), np.log(time) + 0.01 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        words = np.array(["alive", *self.causes], dtype=object)
        table = pd.DataFrame({"months": outcome.value, "cause": words[_causes(outcome)]}, index=ids)
        return table, type(self)("months", "cause", "alive", self.causes[0])


def incidence_column(cause: str, time: float) -> str:
    """Name the column of the cumulative incidence of a cause at a horizon."""
    return f"{INCIDENCE}{cause}_{written_time(time)}"


def _is_time(end: str) -> bool:
    """True for the end of a column's name that is a time: `1_5` is the end of another cause's."""
    try:
        return "_" not in end and float(end) > 0
    except ValueError:
        return False


def _plain(label: object) -> str:
    return str(label).strip().casefold()


def _causes(outcome: Outcome) -> Ints:
    """(B,) place of each patient's cause, 0 without an event."""
    if outcome.cause is None:
        raise ValueError("the outcome has no causes: competing risks need time and cause")
    return outcome.cause


def _sizes(outcome: Outcome, causes: int) -> Ints:
    """(K,) events of each cause."""
    return np.bincount(_causes(outcome)[outcome.known], minlength=causes + 1)[1 : causes + 1]
