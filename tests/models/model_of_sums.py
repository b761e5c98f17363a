"""A model of a rule that a test writes down, whose explanation is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort


class Sums:
    """A model whose output is a function of the columns of `m1`, and nothing of those who lack it."""

    trained_parameters = 0

    def __init__(self, rule: Callable[[pd.DataFrame], Any]) -> None:
        self.rule = rule
        self.seen: set[tuple[str, ...]] = set()

    def predict(self, cohort: Cohort) -> pd.DataFrame:
        texts, own = cohort.patterns()
        self.seen.add(tuple(np.unique(texts[own])))
        value = np.zeros(len(cohort))
        value[cohort.rows_of("m1")] = self.rule(cohort.raw("m1"))
        frame = pd.DataFrame({"pattern": texts[own], "value": value}, index=pd.Index(cohort.ids, name="patient"))
        return frame.iloc[cohort.order]

    def save(self, path: Path | str) -> None:
        raise NotImplementedError
