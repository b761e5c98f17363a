"""Ordinary differential equations as simulators: `dx/dt = f(x, dose, parameters)`, in steps whose gradient is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from chiasm.dynamics.twins.simulator import Quantity, Scenario, Twin
from chiasm.errors import Unsupported

Slope = Callable[[Tensor], Tensor]
Field = Callable[[Tensor, Tensor, Tensor], Tensor]
ADAPTIVE = ("dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun")
"""Solvers of torchdiffeq that choose their own steps; its others would take a whole step of the twin at once."""
FIXED = "rk4"


def runge_kutta(slope: Slope, state: Tensor, length: float, steps: int = 1) -> Tensor:
    """Advance `state` by `length` in equal classical Runge-Kutta steps of fourth order; the dose is held meanwhile."""
    h = length / steps
    for _ in range(steps):
        first = slope(state)
        second = slope(state + h / 2 * first)
        third = slope(state + h / 2 * second)
        fourth = slope(state + h * third)
        state = state + h / 6 * (first + 2 * second + 2 * third + fourth)
    return state


def adaptive(slope: Slope, state: Tensor, length: float, method: str, tolerance: float) -> Tensor:
    """Advance `state` by `length` with a solver of torchdiffeq, which chooses its own steps; gradients pass through.

    Raises:
        Unsupported: torchdiffeq is not installed.
        ValueError: no method of this name chooses its own steps.
    """
    if method not in ADAPTIVE:
        raise ValueError(f"no method '{method}' chooses its own steps: choose one of {', '.join((*ADAPTIVE, FIXED))}")
    try:
        from torchdiffeq import odeint  # type: ignore[import-untyped]
    except ImportError:
        raise Unsupported("equations with a step of their own need torchdiffeq: pip install 'chiasm[twins]'") from None
    times = torch.tensor([0.0, length], dtype=state.dtype)
    reached: Tensor = odeint(lambda _, own: slope(own), state, times, method=method, rtol=tolerance, atol=tolerance)[-1]
    return reached


@dataclass(frozen=True, eq=False)
class Equations(Twin):
    """Equations of one's own: a function, a first state, and what is measured.

    Attributes:
        law: `f(state (B, S), dose (B, A), parameters (B, P))` to `(B, S)`, in torch, a unit of time.
        first: `(B, S)`, the state at the start.
        columns: which columns of the state are measured.
        quantities: what these are.
        given: what is given.
        length: of a step, in the unit of the law's time.
        method: one of `ADAPTIVE`, by torchdiffeq, or "rk4" for `substeps` fixed steps.
        substeps: of "rk4".
        tolerance: relative and absolute, of the others.
    """

    law: Field = field(kw_only=True)
    first: Tensor = field(kw_only=True)
    columns: tuple[int, ...] = field(kw_only=True)
    quantities: tuple[Quantity, ...] = field(kw_only=True)
    given: tuple[Quantity, ...] = field(kw_only=True)
    length: float = 1.0
    method: str = "dopri5"
    substeps: int = 4
    tolerance: float = 1e-7

    NAME: ClassVar[str] = "equations"

    def __post_init__(self) -> None:
        if self.parameters.ndim != 2 or {len(self.parameters), len(self.first)} != {len(self.patients)}:
            raise ValueError("parameters and first states have a row for each patient: give as many rows as names")

    @property
    def measures(self) -> tuple[Quantity, ...]:
        return self.quantities

    @property
    def doses(self) -> tuple[Quantity, ...]:
        return self.given

    def rows(self, rows: object) -> Equations:
        import dataclasses

        own = list(rows)  # type: ignore[call-overload]
        return dataclasses.replace(super().rows(own), first=self.first[own])

    def start(self, scenario: Scenario) -> Tensor:
        return self.first.clone()

    def step(self, state: Tensor, dose: Tensor, scenario: Scenario, step: int) -> Tensor:
        def slope(own: Tensor) -> Tensor:
            return self.law(own, dose, self.parameters)

        if self.method == FIXED:
            return runge_kutta(slope, state, self.length, self.substeps)
        return adaptive(slope, state, self.length, self.method, self.tolerance)

    def measure(self, state: Tensor) -> Tensor:
        return state[:, list(self.columns)]
