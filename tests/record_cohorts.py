"""Small cohorts of event records and a table, for recipes that read records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from chiasm.testing.cohorts import Parts, synthetic_parts

CODES = ("LAB//lactate", "LAB//sodium", "DRUG//insulin", "ADMISSION")


def record_parts(kind: str, n: int, seed: int) -> Parts:
    """`events`, records of four codes, and the tables `m1` and `m2`; every pattern of them occurs."""
    made, rng = synthetic_parts(kind, n, seed), np.random.default_rng(seed)
    ids = made.patients.index.sort_values()
    table = pd.DataFrame(rng.normal(size=(n, 2)), index=ids, columns=["a", "b"])
    pattern = np.arange(n) // 4 % 7 + 1
    values: dict[str, Any] = {"events": records(ids[(pattern & 1) > 0], rng), "m1": table[(pattern & 2) > 0]}
    values["m2"] = table[(pattern & 4) > 0].rename(columns={"a": "c", "b": "d"})
    kinds = {"events": "events", "m1": "table", "m2": "table"}
    return Parts(made.patients, values, kinds, made.target, encoders={"events": "events"})


def records(ids: pd.Index, rng: np.random.Generator) -> pd.DataFrame:
    """Return 3 to 9 events of each patient, over two days; drugs and admissions have no value."""
    owner = np.repeat(np.asarray(ids), rng.integers(3, 10, len(ids)))
    code = rng.choice(CODES, len(owner))
    value = np.where(np.char.startswith(code, "LAB"), rng.normal(size=len(owner)).round(2), np.nan)
    rows = {"hours": rng.uniform(0, 60, len(owner)).round(1), "code": code, "numeric_value": value}
    return pd.DataFrame(rows, index=pd.Index(owner, name=ids.name))
