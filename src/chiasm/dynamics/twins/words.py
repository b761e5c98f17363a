"""What a control study says in sentences: who is ahead, by how much, and what it cost in low episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from chiasm.dynamics.twins.metamodel import WINDOW
from chiasm.dynamics.twins.scoring import FEWEST
from chiasm.dynamics.twins.settings import Settings
from chiasm.errors import count
from chiasm.shown import interval

NETWORK = "network"
TOLD = ("PID", "best constant")


def sentences_of(
    settings: Settings, table: pd.DataFrame, against: pd.DataFrame, diverged: Mapping[str, str]
) -> list[str]:
    """Say how the network fares beside PID and the best constant dose, on the patients that were tested."""
    said = []
    n, scenarios = len(settings.test.patients), len(settings.tests)
    where = f"on {count(n, 'test patient')}, {count(scenarios, 'scenario')} each"
    rows = {row["against"]: row for row in against.to_dict("records")}
    for name in TOLD:
        if name in rows:
            said.append(_beside(rows[name], name, where, n, settings))
    for name, why in diverged.items():
        said.append(f"{name}: not estimable, {why}.")
    if n < FEWEST:
        few = "is" if n == 1 else "are"
        said.append(f"{count(n, 'test patient')} {few} too few for an interval over patients: test {FEWEST} or more.")
    return said


def metamodel_told(missed: Mapping[str, float]) -> list[str]:
    """Say how well the metamodel foresees what the network was trained on; nothing without one."""
    each = ", ".join(f"{name} {error:.3f}" for name, error in missed.items())
    told = f"The metamodel that the network was trained through errs on courses it was not fitted on by: {each}"
    return [f"{told} (standard deviations of the measurement, {WINDOW} steps ahead)."] if missed else []


def _beside(row: Mapping[Any, Any], name: str, where: str, patients: int, settings: Settings) -> str:
    """One comparison: ahead where the interval of the paired difference of costs is on one side of 0."""
    low, high = row["cost_low"], row["cost_high"]
    difference = interval(row["cost"], low, high)
    if patients < FEWEST:
        verdict = "too few patients to say who is ahead"
    elif high < 0:
        verdict = f"the network is ahead of the {name}" if name != "PID" else "the network is ahead of PID"
    elif low > 0:
        verdict = f"{name} is ahead of the network" if name == "PID" else f"the {name} is ahead of the network"
    else:
        verdict = f"neither the network nor {name if name == 'PID' else f'the {name}'} is ahead"
    ends = [100 * row[f"in_range{end}"] for end in ("", "_low", "_high")]
    share = interval(ends[0], ends[1], ends[2], digits=1)
    episodes = interval(row["episodes"], row["episodes_low"], row["episodes_high"], digits=2)
    each = "a day" if settings.test.minutes else "a hundred steps"
    return (
        f"By cost {verdict} {where}: difference {difference}; time in range {share} percentage points; low episodes "
        f"{episodes} {each} (network less {name}, 95 % over patients)."
    )
