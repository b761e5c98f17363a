"""What a controller is for: a cost of each step, differentiable, and the range that is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.dynamics.twins.rollout import Course

RISK_AT = 10.0  # mg/dL, below which the risk is not defined


@storable("control-goal")
@dataclass(frozen=True)
class Goal:
    """What is asked for.

    Attributes:
        kind: a key of `COSTS`.
        of: the measurement.
        over: "ratio" alone: the measurement that `of` is divided by.
        target: what it should be; not used by "risk".
        scale: a deviation of this size costs 1.
        low: below it, out of range on the low side.
        high: above it, out of range on the high side.
        very_low: a second threshold that is counted, None for none.
        dose_weight: cost of the highest dose, held, for a step: `(dose / most)^2` is weighted by it.
    """

    kind: str
    of: int = 0
    over: int = 1
    target: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 1.0
    very_low: float | None = None
    dose_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in COSTS:
            raise ValueError(f"a goal of kind '{self.kind}' is not there: choose one of {', '.join(COSTS)}")
        if not self.low < self.high:
            raise ValueError(f"the range from {self.low:g} to {self.high:g} is empty: put the lower number first")
        if self.very_low is not None and self.very_low > self.low:
            raise ValueError(
                f"very low is below {self.very_low:g}, and low below {self.low:g}: put the second threshold "
                "no higher than the range begins"
            )
        if not self.scale > 0:
            raise ValueError(f"a scale of {self.scale:g} is not above 0: give the deviation that costs 1")
        if self.dose_weight < 0:
            raise ValueError(f"a weight of the dose of {self.dose_weight:g} is below 0: a dose may not be a gain")

    def value(self, measured: Tensor) -> Tensor:
        """Return the quantity in question, `(...)`, of what is measured, `(..., O)`."""
        own = measured[..., self.of]
        return own / measured[..., self.over].clamp_min(1e-6) if self.kind == "ratio" else own


def cost(goal: Goal, course: Course, most: Tensor) -> Tensor:
    """Return the mean cost of each patient over the steps after the first, `(B,)`.

    Args:
        goal: what is asked for.
        course: what happened.
        most: `(A,)`, the highest doses; infinite ones count as 1.
    """
    own = COSTS[goal.kind](goal, goal.value(course.measured[1:]))
    span = torch.where(torch.isfinite(most), most.abs(), torch.ones_like(most))
    given = ((course.doses / span) ** 2).sum(-1) if goal.dose_weight else torch.zeros_like(own)
    return (own + goal.dose_weight * given).mean(0)


def _squared(goal: Goal, value: Tensor) -> Tensor:
    return ((value - goal.target) / goal.scale) ** 2


def _risk(goal: Goal, value: Tensor) -> Tensor:
    """Risk of blood glucose in mg/dL: `10 f^2`, `f = 1.509 (ln(g)^1.084 - 5.381)`, 0 at 112.5 (Kovatchev, 1997)."""
    return 10 * (1.509 * (torch.log(value.clamp_min(RISK_AT)) ** 1.084 - 5.381)) ** 2 / goal.scale


COSTS: dict[str, Callable[[Goal, Tensor], Tensor]] = {"target": _squared, "ratio": _squared, "risk": _risk}
"""By kind: the squared deviation from a target, that of a ratio of two measurements, the risk of blood glucose."""
