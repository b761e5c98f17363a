"""Scores of marks with their intervals: whole groups are drawn, the same draws for the candidate and every control.

Beside the bootstrap stands Wilson's interval for figures that are a share of items or groups, with the number of
groups as its n: a share of none or of all has no spread that could be drawn. `low` and `high` are the wider of both
ends. Of any other figure it stands for the bootstrap where all draws are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.bench.averages import MeanOver
from chiasm.bench.figures import Figure, Mean
from chiasm.bench.marks import Marks
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.intervals import bootstrap_weights
from chiasm.metrics.shares import wilson
from chiasm.metrics.weighted import Floats

LEAST = 10
"""Fewest items of a stratum that is scored."""
MOST_LEVELS = 40
"""Most values of a tag that are told; the rarest are put together as `other`."""
OTHER = "other"


@dataclass(frozen=True)
class Score:
    """A figure of one way of asking, on all items or those of one tag; NaN where it cannot be estimated."""

    figure: str
    asking: str
    value: float
    low: float
    high: float
    wilson_low: float
    wilson_high: float
    n: int
    units: int
    chance: float
    tag: str = ""
    level: str = ""

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it: None for what is not known."""
        return {name: none_for_nan(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Apart:
    """A figure of the candidate less that of a control, on the same items and draws."""

    figure: str
    asking: str
    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it: None for what is not known."""
        return {name: none_for_nan(value) for name, value in asdict(self).items()}


def weights_of(marks: Marks, draws: int, seed: int) -> NDArray[np.float64]:
    """Draw (R, N) counts of items, groups as a whole."""
    counts = bootstrap_weights(len(marks.items), draws, np.random.default_rng(seed), marks.units)
    return counts.astype(np.float64)


def scored(
    figure: Figure, marks: Marks, asking: str, weights: NDArray[np.float64], tag: str = "", level: str = ""
) -> Score:
    """Score one figure, with its interval where there are two units or more."""
    terms = figure.terms(marks)
    if terms is not None:
        counted = np.isfinite(terms)
        n = int(counted.sum())
        units = len(np.unique(marks.units[counted]))
    else:
        n, units = len(marks.items), len(marks.members)
    nan = float("nan")
    value = one(figure, marks) if n else nan
    low, high = percentile_interval(figure.draws(marks, weights)) if units > 1 and np.isfinite(value) else (nan, nan)
    wilson_low = wilson_high = nan
    if terms is not None and units and set(np.unique(terms[np.isfinite(terms)])) <= {0.0, 1.0}:
        wilson_low, wilson_high = wilson(value, units)
        wilson_low, wilson_high = max(0.0, wilson_low), min(1.0, wilson_high)
        low, high = float(np.fmin(low, wilson_low)), float(np.fmax(high, wilson_high))
    elif low == high:
        low, high = (
            float(np.clip(end, 0.0, 1.0)) for end in wilson(float(np.clip(value, 0, 1)), behind(figure, marks))
        )
        low, high = min(low, value), max(high, value)
    chance = figure.chance(marks.items) if n else nan
    return Score(figure.id, asking, value, low, high, wilson_low, wilson_high, n, units, chance, tag, level)


def one(figure: Figure, marks: Marks) -> float:
    """Compute a figure of marks, each item once."""
    return float(figure.draws(marks, np.ones((1, len(marks.items))))[0])


def apart(figure: Figure, candidate: Marks, control: Marks, asking: str, weights: NDArray[np.float64]) -> Apart:
    """Estimate the candidate's figure less the control's on the same items."""
    value, low, high, _ = difference(figure, candidate, control, weights)
    return Apart(figure.id, asking, value, low, high)


def difference(
    figure: Figure, first: Marks, second: Marks, weights: NDArray[np.float64]
) -> tuple[float, float, float, Floats]:
    """Estimate the first's figure less the second's on the same items: its value, low, high, and the draws (R,).

    A difference that each unit has, so that every draw has it too, is bounded by Wilson's interval of none of n, but
    where both answered all items alike: nothing is apart then.
    """
    value = one(figure, first) - one(figure, second)
    drawn = figure.draws(first, weights) - figure.draws(second, weights)
    low, high = percentile_interval(drawn) if len(first.members) > 1 else (float("nan"), float("nan"))
    same = (first.positions == second.positions).all() and first.texts == second.texts
    if np.isfinite(drawn).all() and (drawn == drawn[0]).all() and len(first.members) > 1 and not same:
        reach = wilson(0.0, behind(figure, first))[1]
        low, high = max(-1.0, value - reach), min(1.0, value + reach)
    return value, low, high, drawn


def behind(figure: Figure, marks: Marks) -> float:
    """Number of units that a figure rests on, one or more: where parts weigh alike, `L^2 / sum_l 1 / n_l` over them."""
    if isinstance(figure, MeanOver):
        each = [behind(inner, marks.take(mask)) for _, mask, inner in figure.parts(marks.items)]
        return len(each) ** 2 / sum(1 / own for own in each) if each else 1.0
    terms = figure.terms(marks)
    units = marks.units if terms is None else marks.units[np.isfinite(terms)]
    return float(max(1, len(np.unique(units))))


def sums_of_units(values: Floats, marks: Marks, rows: NDArray[np.bool_]) -> Floats:
    """(G,) sum of a value of each item over each unit that has some of these rows."""
    places = np.unique(marks.units[rows], return_inverse=True)[1]
    return np.asarray(np.bincount(places, weights=values[rows]), dtype=np.float64)


def counted(figure: Figure, marks: Marks, left_out: NDArray[np.str_]) -> NDArray[np.bool_]:
    """(N,) True where a figure counts an item: one that judges groups counts none of a group left out, even in part."""
    if isinstance(figure, Mean) and figure.of_groups:
        return ~np.isin(marks.units, left_out)
    return np.ones(len(marks.items), dtype=bool)


def strata(marks: Marks) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """List the strata by tag: the tag, its value and its items; rare values of a tag with many stand together."""
    found = []
    for tag in sorted({name for item in marks.items for name in item.tags}):
        levels = np.array([item.tags.get(tag, "") for item in marks.items], dtype=object)
        names, counts = np.unique(levels[levels != ""].astype(str), return_counts=True)
        if len(names) < 2:
            continue
        kept = {
            str(names[k])
            for k in np.argsort(-counts, kind="stable")[:MOST_LEVELS]
            if counts[k] >= LEAST or len(names) <= 12
        }
        rest = set(map(str, names)) - kept
        for name in sorted(kept):
            found.append((tag, name, np.asarray(levels == name, dtype=bool)))
        if rest:
            found.append((tag, OTHER, np.array([level in rest for level in levels], dtype=bool)))
    return found


def scores_by_tag(figure: Figure, marks: Marks, weights: NDArray[np.float64]) -> list[Score]:
    """Score a figure within each stratum; one of too few items has a number of items and no value.

    A figure that judges groups counts those that lie in the stratum whole: one side of a pair is no set.
    """
    rows = []
    for tag, level, mask in strata(marks):
        mask = mask & counted(figure, marks, marks.units[~mask])
        own = marks.take(mask)
        if len(own.items) < LEAST:
            nan = float("nan")
            rows.append(
                Score(
                    figure.id, "candidate", nan, nan, nan, nan, nan, len(own.items), len(own.members), nan, tag, level
                )
            )
            continue
        rows.append(scored(figure, own, "candidate", weights[:, mask], tag, level))
    return rows


def table_of(
    figures: Sequence[Figure], marks: Mapping[str, Marks], weights: NDArray[np.float64]
) -> tuple[list[Score], list[Apart]]:
    """Score every figure of the candidate and its controls, and the candidate against each control."""
    scores = [scored(figure, own, asking, weights) for figure in figures for asking, own in marks.items()]
    candidate = marks["candidate"]
    differences = [
        apart(figure, candidate, own, asking, weights)
        for figure in figures
        for asking, own in marks.items()
        if asking != "candidate"
    ]
    return scores, differences


def none_for_nan(value: Any) -> Any:
    """Return None for a number that is not finite."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
