"""Regression: a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, error
from chiasm.targets.cells import Cells
from chiasm.targets.outcome import Outcome
from chiasm.targets.reach import EXTREME, is_extreme, reach_problems
from chiasm.targets.target import Floats, Target


@dataclass(frozen=True)
class Regression(Target):
    """Regression target: a number, read from `column`, in `unit`."""

    column: str
    unit: str = ""
    kind: ClassVar[str] = "regression"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {"column": (str | None, None), "unit": (str, "")}
    is_scaled: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        return cls(keys["column"], keys["unit"])

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        numbers = cells.numbers(self.column)
        infinite = np.isinf(numbers)
        cells.note(f"column '{self.column}' is infinite", "correct or empty the cell", infinite)
        extreme = is_extreme(numbers)
        cells.note(f"column '{self.column}' {EXTREME}", "correct or empty the cell", extreme)
        numbers[infinite | extreme] = np.nan
        return self, Outcome(numbers, None, ~np.isnan(numbers))

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        known = outcome.value[outcome.known]
        found = reach_problems(self.column, known, path)
        if found or np.ptp(known):
            return found
        what = f"column '{self.column}' has a single value"
        return [error(what, "there is nothing to tell apart: name another column", path=path, finding="single-class")]

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Number of patients of known outcome."""
        return int(outcome.known.sum())

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return ["prediction"]

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """The number itself, `(n, 1)`."""
        return np.asarray(frame[cls.answers(names)].to_numpy(np.float64), dtype=np.float64)

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(links, columns=list(columns))

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """The mean."""
        return {"prediction": float(known.value.mean())}

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """The mean."""
        return np.array([float(outcome.value.mean())])

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw y = s + N(0, 1)."""
        value = signal + rng.normal(size=len(signal))
        return pd.DataFrame({"value": value}), cls("value"), value + 0.01 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        """Write the number far from zero and of a wide spread."""
        return pd.DataFrame({"value": 50 + 20 * outcome.value}, index=ids), type(self)("value")
