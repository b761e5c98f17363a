"""A metabolic network: one substrate, a branch, and a product that slows the first enzyme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from chiasm.dynamics.twins.ode import runge_kutta
from chiasm.dynamics.twins.simulator import Quantity, Scenario, Twin

TIGHT, LOOSE = 0.2, 2.0  # mM: half-saturation of the two enzymes of the branch


@dataclass(frozen=True, eq=False)
class Metabolic(Twin):
    """Michaelis-Menten steps with feedback: the dose u is the inflow of the substrate S, in mM an hour.

    `S' = u - v1`, `A' = v1 - v2 - v3`, `B' = v2 - clear_b B`, `C' = v3 - clear_c C` with
    `v1 = first S / (0.5 + S) / (1 + B / feedback)`, `v2 = tight A / (0.2 + A)`, `v3 = loose A / (2 + A)`. The tight
    branch saturates and the loose one does not, so that the ratio of C to B rises with the flow. In a steady state
    `u = v1 = v2 + v3`: what flows in flows out.

    Source: the second model of arXiv 2403.13851 is a regulated network whose inflow is controlled; the enzymes and the
    numbers here are ours.
    """

    NAME: ClassVar[str] = "metabolic"
    PARAMETERS: ClassVar[tuple[str, ...]] = ("first", "feedback", "tight", "loose", "clear_b", "clear_c")
    MIDDLE: ClassVar[tuple[float, ...]] = (6.0, 2.0, 1.0, 4.0, 0.5, 0.7)
    UNITS: ClassVar[tuple[str, ...]] = ("mM/h", "mM", "mM/h", "mM/h", "1/h", "1/h")
    MINUTES: ClassVar[float] = 15.0
    MEASURES: ClassVar[tuple[Quantity, ...]] = tuple(Quantity(own, "mM") for own in "SABC")
    DOSES: ClassVar[tuple[Quantity, ...]] = (Quantity("inflow", "mM/h"),)

    def start(self, scenario: Scenario) -> Tensor:
        return torch.tensor([[0.5, 0.2, 0.5, 0.2]], dtype=torch.float64).repeat(len(self.patients), 1)

    def flows(self, state: Tensor) -> Tensor:
        """Return v1, v2 and v3, `(B, 3)`, in mM an hour."""
        substrate, middle, b, _ = state.unbind(1)
        first = self.of("first") * substrate / (0.5 + substrate) / (1 + b / self.of("feedback"))
        tight, loose = self.of("tight") * middle / (TIGHT + middle), self.of("loose") * middle / (LOOSE + middle)
        return torch.stack([first, tight, loose], 1)

    def step(self, state: Tensor, dose: Tensor, scenario: Scenario, step: int) -> Tensor:
        inflow, (clear_b, clear_c) = dose[:, 0], (self.of("clear_b"), self.of("clear_c"))

        def slope(own: Tensor) -> Tensor:
            v1, v2, v3 = self.flows(own).unbind(1)
            return torch.stack([inflow - v1, v1 - v2 - v3, v2 - clear_b * own[:, 2], v3 - clear_c * own[:, 3]], 1)

        return runge_kutta(slope, state, self.MINUTES / 60, 2)

    def measure(self, state: Tensor) -> Tensor:
        return state
