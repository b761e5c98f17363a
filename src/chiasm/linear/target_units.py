"""Units of a regression target: every fit sees `(y - centre) / scale`, and its links are brought back.

Half the squared error grows with the square of y and an L1 norm with y, so that a penalty would mean another thing for
metres than for millimetres; trees store their leaves in single precision. In standard units neither matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from chiasm.targets import Outcome, kind_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TargetUnits:
    """Mean and standard deviation of the known outcomes of a regression; 0 and 1 for other kinds and constant ones."""

    centre: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, kind: str, outcome: Outcome) -> Self:
        """Measure the units of an outcome."""
        if not kind_of(kind).is_scaled or not outcome.known.any():
            return cls()
        known = np.asarray(outcome.value, np.float64)[outcome.known]
        # numpy squares the deviations, which underflows for small units and overflows for large ones
        largest = float(np.abs(known).max()) or 1.0
        shares = known / largest
        return cls(float(shares.mean()) * largest, float(shares.std()) * largest or 1.0)

    def inside(self, outcome: Outcome) -> Outcome:
        """Express outcomes in these units."""
        return outcome if self == TargetUnits() else replace(outcome, value=self.number(outcome.value))

    def number(self, value: Any) -> Array:
        """Express numbers, or links, in these units."""
        return np.asarray((np.asarray(value, np.float64) - self.centre) / self.scale)

    def outside(self, link: Any) -> Array:
        """Bring links back to the target's own unit."""
        return np.asarray(np.asarray(link, np.float64) * self.scale + self.centre)
