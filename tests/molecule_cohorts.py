"""Small cohorts of molecules, notes and a table, for recipes that read a molecule as a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from chiasm.testing.cohorts import Parts, synthetic_parts

CHAINS = ("C", "CC", "CCC", "CC(C)C", "CCCC", "CC(C)CC", "CCCCC", "CCC(C)C")
GROUPS = {"alcohol": "O", "amine": "N", "acid": "C(=O)O", "chloride": "Cl", "ring": "c1ccccc1"}


def molecule_parts(kind: str, n: int, seed: int) -> Parts:
    """`m1`, a table, and `drug`, molecules as graphs; a third lacks either."""
    made = synthetic_parts(kind, n, seed)
    ids, rng = made.patients.index.sort_values(), np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 2)), index=ids, columns=["a", "b"])
    written = [rng.choice(CHAINS) + rng.choice(list(GROUPS.values())) for _ in ids]
    molecules = pd.DataFrame({"smiles": written}, index=ids)
    pattern = np.arange(n) // 4 % 3
    values: dict[str, Any] = {"drug": molecules[pattern != 1], "m1": table[pattern != 0]}
    return Parts(made.patients, values, {"drug": "molecule", "m1": "table"}, made.target, encoders={"drug": "bonds"})
