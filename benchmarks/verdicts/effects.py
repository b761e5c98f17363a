"""The effect of z2 at which a population gains so much in its primary metric, found by simulation once."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chiasm.metrics.scores import PRIMARY, score
from chiasm.targets import Outcome
from verdicts.cells import BASE, CELLS, Cell, both, outcome

PATIENTS = 300_000
GAINS = (0.02, 0.05)
STEPS = 11


def find_effects() -> dict[tuple[str, float], float]:
    """(kind, gain) to the effect, by bisection on one large draw, to three digits."""
    found = {}
    for kind in BASE:
        for gain in GAINS:
            low, high = 0.0, 2.0
            for _ in range(STEPS):
                middle = (low + high) / 2
                low, high = (middle, high) if gain_of(kind, middle) < gain else (low, middle)
            found[kind, gain] = round((low + high) / 2, 3)
    return found


def gain_of(kind: str, effect: float) -> float:
    """The primary metric of the true signal less that of z1 alone; for R2, of the best predictions from each."""
    rng = np.random.default_rng(0)
    cell = next(cell for cell in CELLS.values() if cell.kind == kind)
    z1, z2 = (both(rng.normal(size=(PATIENTS, 2))) for _ in range(2))
    signal = BASE[kind] * z1 + effect * z2
    table, _ = outcome(cell_without(cell), signal, z2, rng)
    return metric(kind, signal, table) - metric(kind, BASE[kind] * z1, table)


def cell_without(cell: Cell) -> Cell:
    """The plain cell of this kind."""
    return Cell(cell.kind, cell.n, "noise")


def metric(kind: str, link: np.ndarray, table: pd.DataFrame) -> float:
    """The primary metric of a link."""
    known = np.ones(len(link), dtype=bool)
    if kind == "survival":
        seen = Outcome(table["time"].to_numpy(float), table["event"].to_numpy(bool), known)
        frame, classes = pd.DataFrame({"risk": link}), ()
    elif kind == "regression":
        seen, frame, classes = Outcome(table["y"].to_numpy(float), None, known), pd.DataFrame({"prediction": link}), ()
    else:
        seen, classes = Outcome(table["y"].to_numpy(float), None, known), ("0", "1")
        frame = pd.DataFrame({"p_0": -link, "p_1": link})
    name = PRIMARY[kind]
    return float(score(kind, frame, seen, classes, metrics=[name])[name][0])
