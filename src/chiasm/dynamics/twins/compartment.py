"""A drug by mouth in one compartment: absorbed and eliminated in first order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from chiasm.dynamics.twins.simulator import Quantity, Scenario, Twin


@dataclass(frozen=True, eq=False)
class Compartment(Twin):
    """One compartment with first-order absorption: `gut' = dose - absorb gut`, `body' = absorb gut - eliminate body`.

    The concentration is `body / volume`. Over a step of h hours, in which the dose comes at its start, it is exact:
    `gut(h) = gut e^(-ka h)` and `body(h) = body e^(-ke h) + gut ka / (ka - ke) (e^(-ke h) - e^(-ka h))`. Of one dose
    D at time 0 this is `c(t) = D ka / (volume (ka - ke)) (e^(-ke t) - e^(-ka t))`, the model that R fits as `SSfol`.

    Attributes:
        hours: length of a step.
    """

    hours: float = 1.0

    NAME: ClassVar[str] = "compartment"
    PARAMETERS: ClassVar[tuple[str, ...]] = ("absorb", "eliminate", "volume")
    MIDDLE: ClassVar[tuple[float, ...]] = (1.5, 0.08, 0.48)
    UNITS: ClassVar[tuple[str, ...]] = ("1/h", "1/h", "L/kg")
    MINUTES: ClassVar[float] = 60.0
    MEASURES: ClassVar[tuple[Quantity, ...]] = (Quantity("concentration", "mg/L"),)
    DOSES: ClassVar[tuple[Quantity, ...]] = (Quantity("dose", "mg/kg"),)

    @property
    def minutes(self) -> float:
        return 60 * self.hours

    @property
    def usual(self) -> Tensor:
        return torch.full((len(self.patients), 1), 0.4 * self.hours, dtype=torch.float64)

    def start(self, scenario: Scenario) -> Tensor:
        return torch.zeros(len(self.patients), 2, dtype=torch.float64)

    def step(self, state: Tensor, dose: Tensor, scenario: Scenario, step: int) -> Tensor:
        return self.after(state + torch.cat([dose, torch.zeros_like(dose)], 1), self.hours)

    def after(self, state: Tensor, hours: float) -> Tensor:
        """Return the state, `(B, 2)`, so many hours later, without a dose."""
        absorb, eliminate = self.of("absorb"), self.of("eliminate")
        apart = absorb - eliminate
        apart = torch.where(apart.abs() < 1e-9, torch.full_like(apart, 1e-9), apart)
        gone, kept = torch.exp(-absorb * hours), torch.exp(-eliminate * hours)
        arrived = -torch.expm1(-apart * hours) / apart * kept  # where both are alike, too
        gut, body = state.unbind(1)
        return torch.stack([gut * gone, body * kept + gut * absorb * arrived], 1)

    def measure(self, state: Tensor) -> Tensor:
        return (state[:, 1] / self.of("volume"))[:, None]
