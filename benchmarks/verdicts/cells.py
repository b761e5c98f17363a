"""The cells of the benchmark: a population each, from which cohorts and further patients are drawn.

Two modalities of four columns. With z1 the first two columns of m1 (their sum over the root of two), z2 those of m2,
x1 the product of the signs of m1's first two columns, and e, u independent draws:

    classification  y ~ Bernoulli(1 / (1 + exp(-s)))
    survival        T = -log(u) exp(-s), censored at an independent exponential time of mean 2
    regression      y = s + e, e ~ N(0, 1)

s = BASE z1 + effect z2, and for `xor` XOR x1. What a cell declares in `nothing` is not above zero by construction,
however the models turn out: there given m1 the outcome is independent of m2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

import chiasm
from chiasm.cohort import Classification, Cohort, Regression, Survival

COLUMNS = 4
BASE = {"classification": 0.8, "survival": 0.5, "regression": 0.6}
XOR = {"classification": 1.5, "survival": 0.8, "regression": 0.8}
EFFECTS: dict[tuple[str, float], float] = {
    ("classification", 0.02): 0.351,
    ("classification", 0.05): 0.59,
    ("survival", 0.02): 0.28,
    ("survival", 0.05): 0.472,
    ("regression", 0.02): 0.167,
    ("regression", 0.05): 0.268,
}
"""(kind, gain) to the effect of z2: what `verdict.py --find-effects` prints."""

COPY_NOISE = 1.0  # of m2 in `redundant` and `coverage`: it says less than m1
PRESENT = (0.9, 0.4)  # who has m2 where presence follows the outcome: those with the event, or a high number, or not
MISSING = 0.3  # of each modality, never both of one patient
ONLY_M2, ONLY_M1 = 0.4, 0.3  # in `coverage`
CENSORING = 1.0  # log hazard of being censored, for one unit of z2
WAIT = 2.0
CLUSTER = 5  # patients who share an effect on the outcome, and another on every column of m2
CLUSTER_EFFECT = 0.7

TOTAL, COVERAGE, COMBINING = "total", "coverage", "combining"
QUANTITIES = (TOTAL, COVERAGE, COMBINING)
ALL = frozenset(QUANTITIES)
NOTHING = {
    "noise": ALL, "redundant": ALL, "one": ALL, "xor": ALL, "presence": frozenset({COMBINING}),
    "content": frozenset[str](), "coverage": frozenset({COMBINING}), "gain02": frozenset({COVERAGE}),
    "gain05": frozenset({COVERAGE}),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A population and the size of its cohorts.

    Args:
        kind: of the target.
        n: patients of a cohort.
        truth: a key of `NOTHING`.
        also: "missing", "clusters" or "censoring" switched on, or "".
    """

    kind: str
    n: int
    truth: str
    also: str = ""

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.kind[0], str(self.n), self.truth, self.also)))

    @property
    def nothing(self) -> frozenset[str]:
        """The quantities that are not above zero by construction."""
        if self.also == "missing":  # who lacks m1 may gain by m2 where it says something
            return NOTHING[self.truth] & (ALL if self.truth in ("noise", "one", "xor") else {COMBINING})
        return NOTHING[self.truth]


C, S, R = "classification", "survival", "regression"
CELLS = {
    cell.name: cell
    for cell in (
        Cell(C, 100, "noise"), Cell(C, 1000, "noise"), Cell(S, 100, "noise"), Cell(S, 300, "noise"),
        Cell(R, 100, "noise"), Cell(R, 1000, "noise"),
        Cell(C, 300, "redundant"), Cell(S, 1000, "redundant"), Cell(R, 100, "redundant"),
        Cell(C, 1000, "one"), Cell(S, 300, "one"), Cell(R, 300, "one"),
        Cell(C, 300, "xor"), Cell(S, 1000, "xor"), Cell(R, 300, "xor"),
        Cell(C, 300, "presence"), Cell(S, 300, "presence"), Cell(S, 1000, "presence"), Cell(R, 300, "presence"),
        Cell(C, 1000, "content"), Cell(S, 300, "content"), Cell(R, 300, "content"),
        Cell(C, 300, "coverage"), Cell(S, 1000, "coverage"), Cell(R, 300, "coverage"),
        Cell(C, 1000, "gain02"), Cell(S, 1000, "gain02"), Cell(R, 1000, "gain02"),
        Cell(C, 1000, "gain05"), Cell(S, 300, "gain05"), Cell(R, 300, "gain05"),
        Cell(C, 300, "redundant", "missing"), Cell(S, 300, "noise", "missing"), Cell(R, 1000, "gain05", "missing"),
        Cell(C, 300, "noise", "clusters"), Cell(S, 300, "noise", "clusters"), Cell(R, 300, "noise", "clusters"),
        Cell(S, 1000, "noise", "censoring"),
    )
}  # fmt: skip
REPEATED = ("c-100-noise", "s-300-presence", "r-300-gain05", "c-300-coverage")
EVERY_RECIPE = ("c-300-presence", "s-300-noise", "r-300-xor", "c-300-coverage", "r-300-gain05", "s-300-gain05")


def draw(cell: Cell, n: int, seed: int) -> Cohort:
    """`n` patients of the cell's population."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    m1, m2 = rng.normal(size=(n, COLUMNS)), rng.normal(size=(n, COLUMNS))
    cluster = np.arange(n) // CLUSTER
    shift = np.zeros(n)
    if cell.truth in ("redundant", "coverage"):
        m2 = m1 + COPY_NOISE * m2
    elif cell.truth == "one":
        m2 = m2 + rng.normal(size=(n, 1))  # a structure of its own
    if cell.also == "clusters":
        m2 = m2 + rng.normal(size=(cluster[-1] + 1, COLUMNS))[cluster]
        shift = CLUSTER_EFFECT * rng.normal(size=cluster[-1] + 1)[cluster]
    z1, z2 = both(m1), both(m2)
    if cell.truth == "xor":
        signal = XOR[cell.kind] * np.sign(m1[:, 0] * m1[:, 1])
    else:
        signal = BASE[cell.kind] * z1 + effect_of(cell) * z2
    table, high = outcome(cell, signal + shift, z2, rng)
    ids = pd.Index([f"p{row:06d}" for row in range(n)], dtype=object)
    if cell.also == "clusters":
        table["cluster"] = [f"c{number}" for number in cluster]
    has1, has2 = presence(cell, high, rng)
    frames = {
        name: pd.DataFrame(values[has], index=ids[has], columns=[f"{name}_{k}" for k in range(COLUMNS)])
        for name, values, has in (("m1", m1, has1), ("m2", m2, has2))
    }
    target = {C: Classification("y"), S: Survival("time", "event"), R: Regression("y")}[cell.kind]
    group = "cluster" if cell.also == "clusters" else None
    return chiasm.cohort_from_frames(table.set_axis(ids, axis=0), frames, target, group=group, name=cell.name)


def both(values: np.ndarray) -> np.ndarray:
    """(n,) what the first two columns say together."""
    return np.asarray((values[:, 0] + values[:, 1]) / np.sqrt(2))


def effect_of(cell: Cell) -> float:
    """Of z2, above zero where m2 has content."""
    gain = {"gain02": 0.02, "gain05": 0.05, "content": 0.05}.get(cell.truth)
    return 0.0 if gain is None else EFFECTS[cell.kind, gain]


def outcome(
    cell: Cell, signal: np.ndarray, z2: np.ndarray, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """The patients' table, and (n,) whose outcome is high: the event, a short time, a number above zero."""
    n = len(signal)
    if cell.kind == C:
        y = rng.uniform(size=n) < expit(signal)
        return pd.DataFrame({"y": y.astype(int)}), y
    if cell.kind == R:
        y = signal + rng.normal(size=n)
        return pd.DataFrame({"y": y}), y > 0
    time = rng.exponential(size=n) * np.exp(-signal)
    wait = rng.exponential(WAIT, size=n) * (np.exp(-CENSORING * z2) if cell.also == "censoring" else 1.0)
    table = pd.DataFrame({"time": np.maximum(np.minimum(time, wait), 1e-9), "event": (time <= wait).astype(int)})
    return table, time < np.log(2)


def presence(cell: Cell, high: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n,) who has m1 and who has m2; nobody lacks both."""
    u, everybody = rng.uniform(size=len(high)), np.ones(len(high), dtype=bool)
    if cell.truth in ("presence", "content"):
        return everybody, u < np.where(high, *PRESENT)
    if cell.truth == "coverage":
        return u >= ONLY_M2, u < 1 - ONLY_M1
    if cell.also == "missing":
        return u >= MISSING, u < 1 - MISSING
    return everybody, everybody
