"""Find what in event records gives the outcome away: their number of events, their end and span, and codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.leaks.columns import knowing
from chiasm.cohort.leaks.questions import FEWEST, event_question, questions_of
from chiasm.targets import Outcome, Target

MOST_CODES = 500
LENGTH = ("the number of events", "the time of the last event", "the time from the first event to the last")
OF_MEMBERS = 0.5  # share of the patients with the outcome who have the code
OF_OTHERS = 0.01
FEWEST_WITH = 15

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Record:
    """Events of one patient: `hours` and `codes` (n,), `values` (n,) with NaN for none."""

    hours: Array
    codes: NDArray[np.str_]
    values: NDArray[np.floating]


def knowing_record(records: Sequence[Record], target: Target, outcome: Outcome) -> tuple[list[str], list[str]]:
    """List the measures of record length, and the codes, that give the outcome away; `records` match its rows.

    Length is the number of events, the hour of the last one and the span, judged as columns are (`knowing`). For each
    of the 500 codes that most patients have, whether a patient has it, how often, its first hour and its last value are
    judged likewise. A code also counts if half of the patients of a class (or with the event, or the label), 15 or
    more, have it and at most 1 % of the others: it is written down once the outcome is there.
    """
    length = np.array([[len(own.hours), own.hours[-1], np.ptp(own.hours)] for own in records], dtype=np.float64)
    told = [name for name, knows in zip(LENGTH, knowing(length, target, outcome), strict=True) if knows]
    of_code: dict[str, list[int]] = {}
    for row, own in enumerate(records):
        for code in np.unique(own.codes).tolist():
            of_code.setdefault(code, []).append(row)
    frequent = sorted(
        (code for code, rows in of_code.items() if len(rows) >= FEWEST), key=lambda code: -len(of_code[code])
    )
    codes = frequent[:MOST_CODES]
    if not codes:
        return told, []
    place = {code: k for k, code in enumerate(codes)}
    features = np.full((4, len(records), len(codes)), np.nan)  # has it, how often, first hour, last value
    features[:2] = 0
    for row, own in enumerate(records):
        for code in np.unique(own.codes).tolist():
            if code in place:
                at = own.codes == code
                valued = own.values[at][~np.isnan(own.values[at])]
                last = float(valued[-1]) if len(valued) else np.nan
                features[:, row, place[code]] = 1, at.sum(), own.hours[at].min(), last
    knows = np.any([knowing(block, target, outcome) for block in features], axis=0)
    knows |= _only_with(features[0] == 1, target, outcome)
    return told, [code for code, leaks in zip(codes, knows, strict=True) if leaks]


def _only_with(has: Bools, target: Target, outcome: Outcome) -> Bools:
    """(K,) True for codes that half of the members of a group have, and at most 1 % of the others."""
    found = np.zeros(has.shape[1], dtype=bool)
    groups: list[tuple[Bools, Bools]] = []
    if target.has_times:
        if event_question(target, outcome) is not None and outcome.event is not None:
            groups = [(outcome.event, ~outcome.event)]
    elif target.has_labels:
        groups = [(column == 1, column == 0) for column in outcome.value.T]
    elif target.has_classes and questions_of(target, outcome):
        groups = [(outcome.value == code, outcome.value != code) for code in np.unique(outcome.value)]
    for members, others in groups:
        if min(members.sum(), others.sum()) < FEWEST_WITH:
            continue
        with_it = has[members].sum(axis=0)
        found |= (with_it >= np.maximum(FEWEST_WITH, OF_MEMBERS * members.sum())) & (
            has[others].mean(axis=0) <= OF_OTHERS
        )
    return found
