"""A linear twin, `x' = A x + B u + noise`, whose best controller is known in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from chiasm.dynamics.twins.simulator import Quantity, Scenario, Twin


@dataclass(frozen=True, eq=False)
class Linear(Twin):
    """Two states, one dose: `x1' = x1 + h x2 + noise`, `x2' = damping x2 + h effect u + noise`; both are measured.

    The first state is drawn, of a standard deviation of `spread`. With the cost `sum x'Qx + u'Ru` the best controller
    is `u = -K x`, K of the discrete algebraic Riccati equation.
    """

    spread: float = 1.0

    NAME: ClassVar[str] = "linear"
    PARAMETERS: ClassVar[tuple[str, ...]] = ("damping", "effect", "noise")
    MIDDLE: ClassVar[tuple[float, ...]] = (0.9, 1.0, 0.02)
    UNITS: ClassVar[tuple[str, ...]] = ("", "units a step", "units")
    STEP: ClassVar[float] = 0.2
    MEASURES: ClassVar[tuple[Quantity, ...]] = (
        Quantity("place", "units", -torch.inf),
        Quantity("speed", "units", -torch.inf),
    )
    DOSES: ClassVar[tuple[Quantity, ...]] = (Quantity("push", "units", -torch.inf),)

    @property
    def usual(self) -> Tensor:
        return torch.zeros(len(self.patients), 1, dtype=torch.float64)

    def matrices(self) -> tuple[Tensor, Tensor]:
        """Return A, `(B, 2, 2)`, and B, `(B, 2, 1)`."""
        n = len(self.patients)
        transition = torch.zeros(n, 2, 2, dtype=torch.float64)
        transition[:, 0, 0], transition[:, 0, 1], transition[:, 1, 1] = 1.0, self.STEP, self.of("damping")
        effect = torch.zeros(n, 2, 1, dtype=torch.float64)
        effect[:, 1, 0] = self.STEP * self.of("effect")
        return transition, effect

    def scenario(self, steps: int, seed: int) -> Scenario:
        generator = torch.Generator().manual_seed(seed)
        shape = (steps + 1, len(self.patients), 2)
        return Scenario(generator, torch.randn(shape, generator=generator, dtype=torch.float64))

    def start(self, scenario: Scenario) -> Tensor:
        assert scenario.disturbances is not None
        return self.spread * scenario.disturbances[-1]

    def step(self, state: Tensor, dose: Tensor, scenario: Scenario, step: int) -> Tensor:
        assert scenario.disturbances is not None
        transition, effect = self.matrices()
        moved = (transition @ state[..., None] + effect @ dose[..., None])[..., 0]
        return moved + self.of("noise")[:, None] * scenario.disturbances[step]

    def measure(self, state: Tensor) -> Tensor:
        return state
