"""A cohort of noise and an honest signal, into which a test plants one leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import chiasm

N = 400


class Bench:
    """What `cohort_from_frames` is given: change it, then take `cohort()`."""

    def __init__(self, seed: int = 0, n: int = N) -> None:
        self.rng = np.random.default_rng(seed)
        self.n = n
        self.ids = [f"p{number:03d}" for number in range(n)]
        self.signal = self.rng.normal(size=n)
        self.y = (self.signal + self.rng.normal(size=n) > 0).astype(int)
        time = np.exp(6 - 0.5 * self.signal + self.rng.normal(size=n))
        self.censor = np.exp(6.2 + self.rng.normal(size=n))
        self.event = (time <= self.censor).astype(int)
        self.time = np.minimum(time, self.censor)
        self.labs = pd.DataFrame(self.rng.normal(size=(n, 6)), self.ids, [f"lab_{k}" for k in range(6)])
        self.labs["lab_0"] += self.signal
        self.genes = pd.DataFrame(self.rng.normal(size=(n, 10)), self.ids, [f"gene_{k}" for k in range(10)])
        columns = {"ill": self.y, "days": self.time, "died": self.event, "score": self.signal}
        self.patients = pd.DataFrame(columns, self.ids)
        self.target: Any = chiasm.Classification("ill")
        self.more: dict[str, Any] = {}
        self.kinds: dict[str, str] = {}
        self.options: dict[str, Any] = {}

    def survival(self) -> None:
        self.target = chiasm.Survival("days", "died", unit="days")

    def cohort(self) -> chiasm.Cohort:
        modalities = {"labs": self.labs, "genes": self.genes, **self.more}
        return chiasm.cohort_from_frames(self.patients, modalities, self.target, kinds=self.kinds, **self.options)

    def found(self) -> dict[str, chiasm.Problem]:
        """The problems of the check by their names."""
        return {problem.finding: problem for problem in chiasm.check_cohort(self.cohort())}
