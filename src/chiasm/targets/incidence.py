"""Predictions of competing risks: a risk of each cause, its cumulative incidence at each horizon, and their links."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from chiasm.targets.follow_up import written_time
from chiasm.targets.target import FLOOR, Floats

RISK, INCIDENCE = "risk_", "incidence_"


def incidence_column(cause: str, time: float) -> str:
    """Name the column of the cumulative incidence of a cause at a horizon."""
    return f"{INCIDENCE}{cause}_{written_time(time)}"


def causes_of_columns(columns: Iterable[object]) -> list[str]:
    """Causes that these columns have a risk of, the main one first."""
    return [str(name).removeprefix(RISK) for name in columns if str(name).startswith(RISK)]


def main_columns(frame: pd.DataFrame) -> dict[float, str]:
    """Columns of the incidence of the main cause, {time: column} by time."""
    causes = causes_of_columns(frame.columns)
    if not causes:
        return {}
    start = f"{INCIDENCE}{causes[0]}_"
    ends = {name: name.removeprefix(start) for name in map(str, frame.columns) if name.startswith(start)}
    return dict(sorted((float(end), name) for name, end in ends.items() if _is_time(end)))


def event_free_of(frame: pd.DataFrame) -> Floats:
    """(n, T) predicted probability of no event of any cause by each horizon."""
    causes, times = causes_of_columns(frame.columns), main_columns(frame)
    each = [frame[[incidence_column(name, time) for name in causes]].sum(axis=1) for time in times]
    return np.clip(1 - np.stack(each, axis=1), 0.0, 1.0) if each else np.zeros((len(frame), 0))


def links_of(values: Floats, causes: int) -> Floats:
    """Log hazard of each cause; then at each horizon log odds of the main cause, and log(F_k(t) / S(t)) of others.

    S is the share without any event. A common shift moves the incidence of the main cause of all patients the same way,
    whatever competes, and so keeps their order; the others share what it leaves.

    Args:
        values: (n, K + K T) the K log hazards, then the K incidences at each of T horizons.
    """
    parts = [values[:, :causes]]
    for start in range(causes, values.shape[1], causes):
        own = np.clip(values[:, start : start + causes], FLOOR, 1.0)
        free = np.clip(1 - own.sum(axis=1, keepdims=True), FLOOR, 1.0)
        rest = np.clip(1 - own[:, :1], FLOOR, 1.0)
        parts.append(np.log(own / np.c_[rest, np.repeat(free, causes - 1, axis=1)]))
    return np.concatenate(parts, axis=1)


def values_of(links: Floats, causes: int) -> Floats:
    """Convert links back; where a shift would have an incidence fall with time, the later one bounds it.

    The last horizon, by which patients are ranked, stays as it is, and so does what never falls.
    """
    later, parts = np.full((len(links), causes), np.inf), list[Floats]()
    for start in range(links.shape[1] - causes, 0, -causes):
        main, others = links[:, [start]], links[:, start + 1 : start + causes]
        share = others - np.logaddexp.reduce(np.c_[others, np.zeros(len(others))], axis=1)[:, None]
        left = -np.logaddexp(0, main)  # log(1 - F of the main cause)
        later = np.minimum(later, np.exp(np.c_[left + main, left + share]))
        parts.append(later)
    return np.concatenate([links[:, :causes], *parts[::-1]], axis=1)


def _is_time(end: str) -> bool:
    """True for the end of a column's name that is a time: `1_5` is the end of another cause's."""
    try:
        return "_" not in end and float(end) > 0
    except ValueError:
        return False
