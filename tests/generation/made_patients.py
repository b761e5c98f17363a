"""Patients with known dependence: a table, an outcome and a wide block upon one latent."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chiasm.generation.rows import OUTCOME, Rows

N = 600


def patients(seed: int = 0, n: int = N, width: int = 70) -> Rows:
    """A number, a word and a survival upon one latent; a wide block upon it too, which some lack."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    age = np.round(60 + 10 * (0.8 * x + 0.6 * rng.normal(size=n)), 1)
    stage = np.array(["I", "II", "III"])[np.digitize(0.7 * x + 0.71 * rng.normal(size=n), [-0.5, 0.8])]
    table = pd.DataFrame(
        {"age": age, "stage": pd.Series(stage, dtype=object), "marker": (rng.normal(size=n) > 1.0) * 1.0}
    )
    table.loc[rng.uniform(size=n) < 0.15, "marker"] = np.nan
    wide = pd.DataFrame(x[:, None] * 0.5 + rng.normal(size=(n, width)), columns=[f"g{k}" for k in range(width)])
    has = rng.uniform(size=n) < 0.7
    wide[~has] = np.nan
    time = 20 * np.exp(-0.6 * x) * rng.exponential(size=n) + 0.01
    outcome = pd.DataFrame({"months": time, "died": (rng.uniform(size=n) < 0.6) * 1.0})
    everyone = np.ones(n, dtype=bool)
    return Rows(
        {OUTCOME: outcome, "clinical": table, "rna": wide}, {OUTCOME: everyone, "clinical": everyone, "rna": has}, {}
    )
