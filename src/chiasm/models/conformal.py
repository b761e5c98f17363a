"""Split conformal prediction of a fitted model: sets and bounds that hold a stated share of outcomes, in each group.

Groups are Mondrian: a threshold is taken within the patients of one pattern of modalities, or of one level of a
declared subgroup, so that the coverage holds among them and not only on average. A patient of several groups gets the
widest of their sets, which keeps the coverage of each. A group with too few calibration patients has no threshold, and
its patients get no set: never one that was calibrated on others. Of patients who are kept together (one person's rows,
twins) one is drawn from each unit: rows of a person are not exchangeable, and count once (Dunn, Wasserman and Ramdas
2023, doi:10.1080/01621459.2022.2060112). What is then promised is of a patient drawn from a new unit.

Source: Vovk 2013, doi:10.1007/s10994-013-5355-6 (Mondrian); Foygel Barber et al. 2021, doi:10.1093/imaiai/iaaa017,
section 4, for several groups that overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.small_cells import LEAST, told
from chiasm.errors import Unsupported
from chiasm.evaluation.subgroups import LEAST_EVENTS, LEAST_PATIENTS, OTHERS, TOO_FEW
from chiasm.metrics.conformal import (
    class_scores,
    class_sets,
    fewest_for,
    followed_to,
    low_coverage,
    survival_threshold,
    threshold,
    time_at,
)
from chiasm.metrics.weighted import Floats
from chiasm.targets import Outcome, Target, kind_of

PATTERN, EVERYONE = "pattern", "everyone"
BETWEEN = ", "
"""Between the classes of a set; a class with a comma or a quotation mark stands in quotation marks."""
CENSORED = "too many of them censored early"
WITH, WITHOUT, EITHER = "with", "without", "either"


@dataclass(frozen=True)
class Group:
    """One calibrated group of patients.

    Args:
        by, level: the grouping ("pattern", the column of a subgroup, or "everyone") and which of its groups; all groups
            of fewer than five patients are one, `OTHERS`.
        n: number of calibration patients, one of each unit that is kept together.
        events: number of events among them, of competing risks of the main cause; None for an outcome without events.
        thresholds: one, or one for each label; NaN where too few patients are known to promise the coverage.
        end: of survival, the time up to which the bound is calibrated; else NaN.
        low: coverage that 95 of 100 calibrations of this size have or exceed, of labels the lowest; NaN where unknown.
        why: what is too few, where that is not the number of patients.
    """

    by: str
    level: str
    n: int = field(repr=False)
    events: int | None = field(repr=False)
    thresholds: tuple[float, ...]
    end: float = np.nan
    low: float = np.nan
    why: str = ""

    @property
    def said(self) -> str:
        """`too few to say`, and of what, where no threshold is known; else empty."""
        return f"{TOO_FEW}{self.why and ': '}{self.why}" if np.isnan(self.thresholds).all() else ""


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of every group, for one coverage and one kind of target.

    Args:
        kind, names: kind of target, with its classes or labels.
        coverage: the stated share.
        within: groupings by which patients are divided.
    """

    kind: str
    names: tuple[str, ...]
    coverage: float
    within: tuple[str, ...]
    groups: tuple[Group, ...]

    @property
    def target(self) -> type[Target]:
        """The kind of target, to be asked about it."""
        return kind_of(self.kind)

    def table(self) -> pd.DataFrame:
        """Table of the groups: by, level, n, events, `low_coverage`, `said` (why there is none), and the thresholds.

        Of one to four patients or events the number is missing.
        """
        names = [f"threshold_{name}" for name in self.names] if self.target.has_labels else ["threshold"]
        rows = [
            {
                "by": group.by,
                "level": group.level,
                "n": told(group.n),
                "events": None if group.events is None else told(group.events),
                "low_coverage": group.low,
                "said": group.said,
            }
            | dict(zip(names, group.thresholds, strict=True))
            for group in self.groups
        ]
        frame = pd.DataFrame(rows, columns=["by", "level", "n", "events", "low_coverage", "said", *names])
        return frame.astype({"n": "Int64", "events": "Int64"})

    def added_to(self, predictions: pd.DataFrame, membership: Mapping[str, NDArray[np.str_]]) -> pd.DataFrame:
        """Add the sets or bounds to predictions, and a `note` that says who has none and why.

        Args:
            predictions: (B,) rows of the model that was calibrated.
            membership: for each grouping in `within` the group (B,) of each patient.
        """
        columns = len(self.names) if self.target.has_labels else 1
        narrowest, widest = (np.inf, np.minimum) if self.target.has_times else (-np.inf, np.maximum)  # a bound is lower
        most, end = np.full((len(predictions), columns), narrowest), np.full(len(predictions), np.inf)
        lacking = np.full(len(predictions), "", dtype=object)
        known = {(group.by, group.level): group for group in self.groups}
        for by in self.within:
            for level in np.unique(membership[by]).tolist():
                rows = membership[by] == level
                own = known.get((by, level))
                given = np.full(columns, np.nan) if own is None else np.asarray(own.thresholds)
                most[rows] = widest(most[rows], given)  # NaN stays
                end[rows] = np.minimum(end[rows], np.inf if own is None else np.nan_to_num(own.end, nan=np.inf))
                if np.isnan(given).all():
                    lacking[rows & (lacking == "")] = why_none(by, level, own)
        frame = predictions.copy()
        for name, values in answers(self, predictions, most, end).items():
            frame[name] = values
        frame["note"] = lacking
        return frame


def why_none(by: str, level: str, own: Group | None) -> str:
    """Say why patients of a group have no set; None for a group that nobody, or fewer than five, were calibrated in."""
    whom = "" if by == EVERYONE else f" with {by} '{level}'" if level else f" without a {by}"
    number = f"fewer than {LEAST}" if own is None or told(own.n) is None else f"{own.n:,}"
    why = "" if own is None or not own.why else f", {own.why}"
    return f"{TOO_FEW}: {number} calibration patients{whom}{why}"


def require_coverage(coverage: float) -> None:
    """Refuse a coverage that is no share of patients, or all or none of them.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        hint = f"; for {coverage:g} % write {coverage / 100:g}" if 1 < coverage < 100 else ""
        raise ValueError(f"the coverage is {coverage:g}, and is a share between 0 and 1, as in .95{hint}")


def calibrated(
    kind: str,
    names: Sequence[str],
    predictions: pd.DataFrame,
    outcome: Outcome,
    membership: Mapping[str, NDArray[np.str_]],
    coverage: float,
    together: NDArray[np.str_] | None = None,
) -> Thresholds:
    """Take the thresholds of each group from patients whom the model has not seen.

    Args:
        kind, names: kind of target of the model, with its classes or labels.
        predictions: (n,) rows, one for each patient of `outcome`, all of known outcome.
        membership: grouping to the group (n,) of each patient.
        together: (n,) whom each patient is kept together with, "" for nobody; None: each is apart.

    Raises:
        ValueError: the coverage is not between 0 and 1.
        Unsupported: the model predicts no survival at any time.
    """
    require_coverage(coverage)
    columns = len(names) if kind_of(kind).has_labels else 1
    groups = []
    for by, group in membership.items():
        few = []
        for level in np.unique(group).tolist():
            rows = one_of_each(np.flatnonzero(group == level), together)
            if len(rows) < LEAST and by != EVERYONE:
                few.append(len(rows))
            else:
                groups.append(group_of(kind, names, predictions.iloc[rows], outcome.take(rows), coverage, by, level))
        if few:
            groups.append(Group(by, OTHERS, sum(few), None, (np.nan,) * columns))
    return Thresholds(kind, tuple(names), coverage, tuple(membership), tuple(groups))


def one_of_each(rows: NDArray[np.intp], together: NDArray[np.str_] | None) -> NDArray[np.intp]:
    """Draw one of the rows (n,) of each unit that is kept together, the same each time; "" is a unit of its own."""
    if together is None:
        return rows
    order = np.random.default_rng(0).permutation(rows)
    units = together[order]
    first = np.isin(np.arange(len(order)), np.unique(units, return_index=True)[1])
    return np.sort(order[first | (units == "")])


def group_of(
    kind: str, names: Sequence[str], frame: pd.DataFrame, outcome: Outcome, coverage: float, by: str, level: str
) -> Group:
    """Calibrate one group, as far as its patients are enough."""
    own, n = kind_of(kind), len(frame)
    events = None if (event := outcome.main_event) is None else int(event.sum())
    least = max(LEAST_PATIENTS, fewest_for(coverage))
    if own.has_labels:
        each, sizes = [], []
        for k, name in enumerate(names):
            known = ~np.isnan(outcome.value[:, k])
            p = frame[f"p_{name}"].to_numpy(np.float64)[known]
            score = class_scores(np.c_[1 - p, p], outcome.value[known, k].astype(np.intp))
            each.append(threshold(score, coverage) if known.sum() >= least else np.nan)
            sizes += [int(known.sum())] if known.sum() >= least else []
        low = min((low_coverage(size, coverage) for size in sizes), default=np.nan)
        return Group(by, level, n, events, tuple(each), low=low)
    if n < least:
        return Group(by, level, n, events, (np.nan,))
    if own.has_times:
        survival, times = survival_of(own, frame)
        assert outcome.event is not None  # times have events
        event, end = outcome.event, followed_to(outcome.value, outcome.event, float(times[-1]))
        if int((event & (outcome.value <= end)).sum()) < LEAST_EVENTS:
            when = "" if int(event.sum()) < LEAST_EVENTS else " before censoring or the last horizon"
            return Group(by, level, n, events, (np.nan,), why=f"fewer than {LEAST_EVENTS} events{when}")
        found = survival_threshold(survival, times, outcome.value, event, coverage, end)
        return Group(by, level, n, events, (found,), end, why=CENSORED if np.isnan(found) else "")
    said = told_of(own, names, frame)
    picks = own.has_classes or own.has_options
    score = class_scores(said, outcome.value.astype(np.intp)) if picks else np.abs(outcome.value - said[:, 0])
    return Group(by, level, n, events, (threshold(score, coverage),), low=low_coverage(n, coverage))


def in_a_set(name: str) -> str:
    """Name of a class as it stands in a set: quoted as in a CSV file where it holds what stands between classes."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"' if "," in name or '"' in name else name


def answers(known: Thresholds, frame: pd.DataFrame, most: Floats, end: Floats) -> dict[str, NDArray[np.generic]]:
    """The columns that are added: `set` of classes or options, `set_<label>`, `low` and `high`, or `at_least`.

    Args:
        most: (B, 1) thresholds of each patient, or (B, K) of each label; NaN for none.
        end: (B,) time up to which a bound is calibrated.
    """
    own = known.target
    if own.has_labels:
        found: dict[str, NDArray[np.generic]] = {}
        for k, name in enumerate(known.names):
            p = frame[f"p_{name}"].to_numpy(np.float64)
            inside = class_sets(np.c_[1 - p, p], most[:, k])
            words = np.where(inside.all(axis=1), EITHER, np.where(inside[:, 1], WITH, WITHOUT)).astype(object)
            found[f"set_{name}"] = np.where(inside.any(axis=1), words, "")
        return found
    if own.has_times:
        survival, times = survival_of(own, frame)
        return {"at_least": np.minimum(time_at(survival, times, most[:, 0]), end)}
    said = told_of(own, known.names, frame)
    if own.has_options:
        inside = class_sets(said, most[:, 0]) & (said > 0)  # what a patient has no option for is 0
        numbers = np.arange(1, said.shape[1] + 1).astype(str)
        return {"set": np.array([BETWEEN.join(numbers[row]) for row in inside], dtype=object)}
    if own.has_classes:
        inside = class_sets(said, most[:, 0])
        quoted = np.array([in_a_set(name) for name in known.names], dtype=object)
        return {"set": np.array([BETWEEN.join(quoted[row]) for row in inside], dtype=object)}
    return {"low": said[:, 0] - most[:, 0], "high": said[:, 0] + most[:, 0]}


def told_of(own: type[Target], names: Sequence[str], frame: pd.DataFrame) -> Floats:
    """What a model predicts of each patient (n, K): probabilities of classes or of his own options, or a number.

    Of options there are as many columns as the patient with the most of them has.
    """
    columns = own.answers(names)
    return frame[[name for name in columns if name in frame] if own.has_options else columns].to_numpy(np.float64)


def survival_of(own: type[Target], frame: pd.DataFrame) -> tuple[Floats, Floats]:
    """Predicted probability of no event, of any cause, (n, K) at the horizons (K,).

    Raises:
        Unsupported: there is none.
    """
    named = own.horizon_columns(frame)
    if not named:
        raise Unsupported(
            "the model predicts no survival at any time: fit a recipe that does to bound times from below"
        )
    return own.event_free(frame), np.array(list(named), dtype=np.float64)
