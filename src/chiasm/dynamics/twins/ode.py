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


@dataclass(frozen=True, eq=False)
class Exponential:
    """A step of fourth order of `x' = M x + N(x)` that is exact where N is constant, however fast M is.

    With `E = e^(hM)`, `phi_1 = (e^z - 1) / z` and `phi_k+1 = (phi_k - 1 / k!) / z` of hM, and p of `h/2 phi_1(hM/2)`:
    `a = E^(1/2) x + p N(x)`, `b = E^(1/2) x + p N(a)`, `c = E^(1/2) a + p (2 N(b) - N(x))`, and `x(h) = E x +
    h ((phi_1 - 3 phi_2 + 4 phi_3) N(x) + (2 phi_2 - 4 phi_3) (N(a) + N(b)) + (4 phi_3 - phi_2) N(c))`.

    Attributes:
        half, whole: `(B, S, S)`, of half a step and of one.
        into: `(B, S, S)`, p.
        weights: `(B, S, 3 S)`, of N at x, at a and b, and at c.

    Source: Cox and Matthews, Journal of Computational Physics 2002, https://doi.org/10.1006/jcph.2002.6995, equations
    26 to 29.
    """

    half: Tensor
    whole: Tensor
    into: Tensor
    weights: Tensor

    @classmethod
    def of(cls, matrix: Tensor, length: float) -> Exponential:
        """Return the step of this length for M, `(B, S, S)`."""
        half, first, _, _ = _phis(matrix, length / 2)
        whole, one, two, three = _phis(matrix, length)
        weights = [one - 3 * two + 4 * three, 2 * two - 4 * three, 4 * three - two]
        return cls(half, whole, length / 2 * first, length * torch.cat(weights, 2))

    def __call__(self, rest: Slope, state: Tensor) -> Tensor:
        """Advance `state`, `(B, S)`; rest is N."""
        x = state[..., None]
        first = rest(state)[..., None]
        begun = torch.bmm(self.half, x)
        a = torch.baddbmm(begun, self.into, first)
        second = rest(a[..., 0])[..., None]
        third = rest(torch.baddbmm(begun, self.into, second)[..., 0])[..., None]
        c = torch.baddbmm(torch.bmm(self.half, a), self.into, 2 * third - first)
        every = torch.cat([first, second + third, rest(c[..., 0])[..., None]], 1)
        return torch.baddbmm(torch.bmm(self.whole, x), self.weights, every)[..., 0]


def _phis(matrix: Tensor, length: float) -> list[Tensor]:
    """`e^(hM)`, `phi_1`, `phi_2` and `phi_3` of hM, as the first row of blocks of one exponential."""
    n, size = matrix.shape[:2]
    blocks = matrix.new_zeros(n, 4 * size, 4 * size)
    blocks[:, :size, :size] = length * matrix
    for k in range(3):
        blocks[:, k * size : (k + 1) * size, (k + 1) * size : (k + 2) * size] = torch.eye(size, dtype=matrix.dtype)
    return list(torch.matrix_exp(blocks)[:, :size].chunk(4, 2))


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
