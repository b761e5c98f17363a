"""A controller as it is stored: with the limits it was chosen under, its goal, and the twin that it is for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.dynamics.twins.controllers import Constant, Network, Pid
from chiasm.dynamics.twins.goals import Goal
from chiasm.dynamics.twins.limits import Limits


@storable("limited-controller")
@dataclass(frozen=True)
class LimitedController:
    """A controller whose proposals are held within limits. Not for treatment: it was tried on a simulator alone.

    Attributes:
        controller: what proposes.
        limits: what is held.
        goal: what it was chosen for.
        twin: name of the simulator.
        minutes: length of its step, 0 where it has no unit.
    """

    controller: Network | Pid | Constant
    limits: Limits
    goal: Goal
    twin: str
    minutes: float

    def memory(self, measured: Tensor, usual: Tensor) -> Tensor:
        """Return what is remembered before the first step, and in a last column that no dose was given yet."""
        return torch.cat([self.controller.memory(measured, usual), usual.new_zeros(len(usual), 1)], 1)

    def propose(self, measured: Tensor, before: Tensor, usual: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return a dose within the limits, `(B, A)`, and a memory; a first step reads no `before`."""
        begun = bool((memory[:, -1] > 0).any())
        proposed, kept = self.controller.propose(measured, before if begun else usual, usual, memory[:, :-1])
        dose = self.limits.allowed(proposed, before if begun else None, measured)
        return dose, torch.cat([kept, torch.ones_like(memory[:, -1:])], 1)
