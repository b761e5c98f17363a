"""Units of a regression target: every fit sees `(y - centre) / scale`, and its links are brought back.

Half the squared error grows with the square of y and an L1 norm with y, so that a penalty would mean another thing for
metres than for millimetres; trees store their leaves in single precision. In standard units neither matters. Each
channel of a response has units of its own, so that none counts more than another for being written in a smaller one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from chiasm.targets import Outcome, kind_of

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TargetUnits:
    """Mean and standard deviation of the known outcomes, numbers or `(V,)` of channels; 0 and 1 for other kinds.

    What is constant has a scale of one.
    """

    centre: float | Array = 0.0
    scale: float | Array = 1.0

    @classmethod
    def of(cls, kind: str, outcome: Outcome) -> Self:
        """Measure the units of an outcome."""
        if not kind_of(kind).is_scaled or not outcome.known.any():
            return cls()
        known = np.asarray(outcome.value, np.float64)[outcome.known]
        # numpy squares the deviations, which underflows for small units and overflows for large ones
        largest = np.abs(known).max(axis=0)
        largest = np.where(largest > 0, largest, 1.0)
        shares = known / largest
        centre, scale = shares.mean(axis=0) * largest, shares.std(axis=0) * largest
        scale = np.where(scale > 0, scale, 1.0)
        return cls(float(centre), float(scale)) if known.ndim == 1 else cls(centre, scale)

    @property
    def several(self) -> bool:
        """True if each channel has units of its own."""
        return np.ndim(self.scale) > 0

    def inside(self, outcome: Outcome) -> Outcome:
        """Express outcomes in these units."""
        same = not self.several and self.centre == 0.0 and self.scale == 1.0
        return outcome if same else replace(outcome, value=self.number(outcome.value), repeats=None)

    def number(self, value: Any) -> Array:
        """Express numbers, or links, in these units."""
        return np.asarray((np.asarray(value, np.float64) - self.centre) / self.scale)

    def outside(self, link: Any) -> Array:
        """Bring links back to the target's own unit."""
        return np.asarray(np.asarray(link, np.float64) * self.scale + self.centre)

    def fixed_point(self, centre: float) -> float:
        """Bring the fixed point of a slope back; zero for channels, whose links have no slope in common."""
        return 0.0 if self.several else float(self.outside(centre))
