"""The page of hidden states: how well they foresee, states over time, what each is like, and its network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from chiasm.errors import count
from chiasm.report.page import filled
from chiasm.report.states import SHOWN, draw_networks, draw_states
from chiasm.report.wording import number, percent
from chiasm.shown import NOT_ESTIMABLE

TEMPLATE = "states.html.j2"


def render_states(
    bins: pd.DataFrame,
    states: pd.DataFrame,
    connections: pd.DataFrame,
    *,
    recipe: str,
    cohort: str,
    recordings: int,
    neurons: int,
    spikes: int,
    sentence: str,
    notes: Sequence[str],
) -> str:
    """Render the page as text; recordings are numbered on it, and not named.

    Args:
        bins, states, connections: of `dynamics.states.described`.
        recipe, cohort: names. recordings, neurons, spikes: how many were read.
        sentence: how well bins are foreseen. notes: what a reader must know.
    """
    return filled(
        TEMPLATE,
        title="Hidden states",
        cohort=cohort,
        recipe=recipe,
        read=f"{count(recordings, 'recording')}, {count(neurons, 'neuron')}, {count(spikes, 'spike')}",
        sentence=sentence,
        notes=list(notes),
        shown=min(SHOWN, recordings),
        recordings=recordings,
        over_time=draw_states(bins),
        networks=draw_networks(connections),
        states=[_state(row, connections) for row in states.to_dict("records")],
        one_hot=bool(connections["p_none"].notna().any()),
    )


def _state(row: Mapping[Any, Any], connections: pd.DataFrame) -> list[str]:
    """A line of the table of states."""
    own = connections[(connections["state"] == row["state"]) & (connections["onto"] != connections["source"])]
    does = own["does"].value_counts()
    length = NOT_ESTIMABLE if np.isnan(row["length"]) else number(row["length"], 1)
    rate = NOT_ESTIMABLE if np.isnan(row["spikes_a_bin"]) else number(row["spikes_a_bin"])
    numbers = [percent(row["share"]), f"{row['visits']:,}", length, number(row["stays"]), rate]
    return [str(row["state"]), *numbers, *(f"{does.get(own, 0):,}" for own in ("excites", "inhibits", "none"))]
