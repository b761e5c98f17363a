"""Patients whose records have a grammar: a drug follows a high value within hours, the old are seen more often."""

from __future__ import annotations

import numpy as np
import pandas as pd

import chiasm


def recorded(n: int = 120, seed: int = 0) -> chiasm.Cohort:
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{k}" for k in range(n)], dtype=object)
    age = rng.normal(60, 10, n).round()
    rows = []
    for row in range(n):
        hour = 0.0
        for _ in range(2 + int(age[row] > 60) * 3):
            value = float(np.round(rng.normal(5, 2), 1))
            rows.append((index[row], hour, "lab", value))
            if value > 5:
                rows.append((index[row], hour + float(np.round(rng.uniform(0.5, 2), 2)), "drug", np.nan))
            hour += float(np.round(rng.uniform(20, 30), 2))
    events = pd.DataFrame(rows, columns=["id", "hours", "code", "numeric_value"]).set_index("id")
    events.loc[events.index == index[3], "code"] = "Musterfrau"  # a code of one patient
    outcome = pd.DataFrame(
        {"died": np.where(rng.random(n) < 1 / (1 + np.exp(-(age - 60) / 5)), "yes", "no")}, index=index
    )
    return chiasm.cohort_from_frames(
        outcome, {"clinical": pd.DataFrame({"age": age}, index=index), "visits": events}, chiasm.Classification("died"),
        kinds={"visits": "events"}, name="recorded",
    )  # fmt: skip
