"""The outcome as a few states, of which sources tell in bits: one row for each label, or one in all.

    classes: the classes                    labels: absent, present             numbers: lower, middle and upper third
    times: no event by the horizon, an event by it; of competing risks, not the main cause, the main cause by it

The states are the question that is asked, and nothing that is fitted: thirds are those of all patients of known
outcome, and the horizon is the middle one of the target, which are quartiles of their event times unless it names some.
Who was censored before the horizon says nothing; the others are weighted by the inverse probability of not being
censored (Graf et al. 1999, `metrics.censoring`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Unsupported
from chiasm.metrics.censoring import seen_by
from chiasm.metrics.weighted import Floats
from chiasm.targets import Outcome, Target

Ints = NDArray[np.int_]
PARTS_OF_NUMBERS = 3


@dataclass(frozen=True)
class OutcomeStates:
    """One question about the outcome of n patients.

    Attributes:
        name: what is asked, as `died by 24 months`; a label, or the column.
        column: which column of a link answers it; None for all of them.
        code: (n,) state from 0, of who has a weight.
        weight: (n,) 0 of unknown outcome, else 1 or the inverse probability of not being censored.
        states: how many there are.
    """

    name: str
    column: int | None
    code: Ints
    weight: Floats
    states: int

    def rarest(self, rows: NDArray[np.bool_]) -> float:
        """Patients of the rarest state among these rows, weighted ones as (sum w)^2 / sum w^2."""
        sizes = []
        for state in range(self.states):
            own = self.weight[rows & (self.code == state)]
            sizes.append(own.sum() ** 2 / (own**2).sum() if own.any() else 0.0)
        return float(min(sizes))


def outcome_states(target: Target, outcome: Outcome, horizon: float | None = None) -> list[OutcomeStates]:
    """Cut the outcomes of all patients of a cohort into states, a row a label.

    Args:
        target: with its columns, and horizons if it has any.
        outcome: (n,) or (n, K), of whom some are unknown.
        horizon: time by which the event is asked for; None takes the middle one of the target.

    Raises:
        Unsupported: a choice or a text; a horizon for a target without times, or one past which nobody is followed.
    """
    if not target.has_level:
        raise Unsupported(
            "bits are told of an outcome in states that all patients share, which neither texts nor options of each "
            "patient's own are: take a class as the target"
        )
    if horizon is not None and not target.has_times:
        raise Unsupported("a horizon is a time, and the target has no times: leave it out")
    known = outcome.known
    if target.has_times:
        return [_by_horizon(target, outcome, horizon)]
    if target.has_labels:
        return [
            OutcomeStates(
                name, k, np.nan_to_num(outcome.value[:, k]).astype(int),
                np.where(np.isnan(outcome.value[:, k]), 0.0, 1.0), 2,
            )
            for k, name in enumerate(target.names)
        ]  # fmt: skip
    name, weight = target.columns[0], known.astype(np.float64)
    if target.has_classes:
        code = np.where(known, np.nan_to_num(outcome.value), 0).astype(int)
        return [OutcomeStates(name, None, code, weight, len(target.names))]
    number = target.in_one_number(outcome)  # of channels, their first component
    value = number[known]
    cuts = np.unique(np.quantile(value, np.arange(1, PARTS_OF_NUMBERS) / PARTS_OF_NUMBERS)) if len(value) else value
    code = np.searchsorted(cuts, np.nan_to_num(number), side="right")
    return [OutcomeStates(name, None, code, weight, len(cuts) + 1)]


def _by_horizon(target: Target, outcome: Outcome, horizon: float | None) -> OutcomeStates:
    """Event by one horizon, of the main cause, with censoring weights."""
    known = np.flatnonzero(outcome.known)
    seen = outcome.take(known)
    assert seen.event is not None and seen.main_event is not None  # a target with times has events
    times = target.with_horizons(seen).times
    if horizon is None and not times:
        raise Unsupported("nobody has an event: there is no horizon by which to ask for it")
    at = float(times[len(times) // 2] if horizon is None else horizon)
    _, found = seen_by(seen.value, seen.event, [at], seen.value, seen.event)
    if not at > 0 or np.isnan(found).any():
        raise Unsupported(f"nobody is followed past the horizon {at:g}: ask for an earlier one")
    code, weight = np.zeros(len(outcome.value), dtype=int), np.zeros(len(outcome.value))
    code[known] = (seen.value <= at) & seen.main_event
    weight[known] = found[:, 0]
    what = target.names[0] if target.has_causes and target.names else "event"
    return OutcomeStates(f"{what} by {at:g} {target.unit}".strip(), 0, code, weight, 2)
