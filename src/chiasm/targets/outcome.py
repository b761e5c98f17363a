"""The known outcomes of the patients of a cohort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Outcome:
    """Outcomes of the patients of a cohort, in its row order.

    `value` (B,) float64 is the class code, the number or the time, NaN where unknown; for K labels (B, K), 0 or 1, or
    NaN in a missing cell. `event` (B,) bool for survival, else None; `known` (B,) bool, for labels at least one known.
    """

    value: NDArray[np.float64]
    event: NDArray[np.bool_] | None
    known: NDArray[np.bool_]

    def __repr__(self) -> str:
        events = "" if self.event is None else f", {int(self.event.sum()):,} events"
        return f"Outcome of {len(self.known):,} patients: {int(self.known.sum()):,} known{events}"

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Outcome:
        """Select the outcomes of some patients; `rows` are integers or a mask."""
        return Outcome(self.value[rows], None if self.event is None else self.event[rows], self.known[rows])
