"""A metamodel: a neural differential equation that stands for a simulator through which no gradient passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from chiasm.dynamics.twins.limits import Limits
from chiasm.dynamics.twins.ode import runge_kutta
from chiasm.dynamics.twins.simulator import Diverged, Quantity, Scenario, Simulator
from chiasm.dynamics.twins.training import Schedule

HIDDEN, EPOCHS, RATE = 32, 300, 0.01
WINDOW, HELD = 8, 10
"""Steps that a prediction runs in training; steps for which a random dose is held."""
COURSES = 8


@dataclass(frozen=True, eq=False)
class Metamodel:
    """`dz/dt = f(z, dose)` in what is measured, z standardised, f a network of one hidden layer; a simulator itself.

    It knows what all patients have in common, not what sets one apart, and nothing that is not measured. Source: the
    metamodels of arXiv 2402.05750 and 2403.13851.

    Attributes:
        simulator: what it stands for; asked for first measurements alone.
        weights: of f.
        centre, scale: of measurements, `(O,)`.
        least, span: of doses, `(A,)`.
        error: root mean squared error of a prediction over `WINDOW` steps on courses that it was not fitted on, in
            standard deviations of each measurement, `(O,)`.
    """

    simulator: Simulator
    weights: tuple[Tensor, ...]
    centre: Tensor
    scale: Tensor
    least: Tensor
    span: Tensor
    error: Tensor

    @property
    def name(self) -> str:
        return f"metamodel of {self.simulator.name}"

    @property
    def patients(self) -> tuple[str, ...]:
        return self.simulator.patients

    @property
    def measures(self) -> tuple[Quantity, ...]:
        return self.simulator.measures

    @property
    def doses(self) -> tuple[Quantity, ...]:
        return self.simulator.doses

    @property
    def usual(self) -> Tensor:
        return self.simulator.usual

    @property
    def differentiable(self) -> bool:
        return True

    @property
    def minutes(self) -> float:
        return self.simulator.minutes

    def rows(self, rows: Sequence[int]) -> Self:
        return dataclasses.replace(self, simulator=self.simulator.rows(rows))

    def scenario(self, steps: int, seed: int) -> Scenario:
        return self.simulator.scenario(steps, seed)

    def start(self, scenario: Scenario) -> Tensor:
        return (self.simulator.measure(self.simulator.start(scenario)) - self.centre) / self.scale

    def step(self, state: Tensor, dose: Tensor, scenario: Scenario, step: int) -> Tensor:
        return advanced(self.weights, state, (dose - self.least) / self.span)

    def measure(self, state: Tensor) -> Tensor:
        return state * self.scale + self.centre


def advanced(weights: Sequence[Tensor], state: Tensor, dose: Tensor) -> Tensor:
    """One step of the equation, by one Runge-Kutta step; the dose is a share of its range."""
    first, bias, second, offset = weights

    def slope(own: Tensor) -> Tensor:
        return torch.addmm(offset, torch.tanh(torch.addmm(bias, torch.cat([own, dose], 1), first)), second)

    return runge_kutta(slope, state, 1.0)


def fit_metamodel(simulator: Simulator, limits: Limits, schedule: Schedule) -> Metamodel:
    """Fit a metamodel to courses of the training patients under random doses, each held for ten steps.

    The last of the courses are left out of the fit, and give its error.

    Raises:
        ValueError: a dose has no finite range.
        Diverged: the simulator diverges under random doses.
    """
    least, most = (torch.tensor(own, dtype=torch.float64) for own in (limits.least, limits.most))
    if not bool(torch.isfinite(torch.cat([least, most])).all()):
        raise ValueError("a metamodel needs a lowest and a highest dose: give both limits")
    courses = [_course(simulator, limits, schedule.steps, schedule.first_seed - 10 - own) for own in range(COURSES)]
    measured = torch.stack([own[0] for own in courses])  # (C, T + 1, B, O)
    doses = (torch.stack([own[1] for own in courses]) - least) / (most - least)
    kept = max(1, COURSES - 2)
    centre = measured[:kept].flatten(0, 2).mean(0)
    scale = measured[:kept].flatten(0, 2).std(0).clamp_min(1e-6)
    states = (measured - centre) / scale
    generator = torch.Generator().manual_seed(schedule.seed)
    weights = _fresh(states.shape[-1], doses.shape[-1], generator)
    optimiser = torch.optim.Adam(weights, RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS, RATE / 20)
    window = min(WINDOW, schedule.steps)
    for _ in range(EPOCHS):
        begin = int(torch.randint(schedule.steps - window + 1, (1,), generator=generator))
        optimiser.zero_grad()
        loss = (_ahead(weights, states[:kept], doses[:kept], begin, window) ** 2).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        falling.step()
    with torch.no_grad():
        places = range(0, schedule.steps - window + 1, window)
        missed = torch.cat([_ahead(weights, states[kept:], doses[kept:], own, window)[-1] for own in places])
    if not bool(torch.isfinite(missed).all()):
        raise Diverged(f"the metamodel of '{simulator.name}' diverged: lower the highest dose, or train on more steps")
    own = tuple(weight.detach() for weight in weights)
    return Metamodel(simulator, own, centre, scale, least, most - least, (missed**2).mean(0).sqrt())


def _fresh(measures: int, doses: int, generator: torch.Generator) -> list[Tensor]:
    sizes = ((measures + doses, HIDDEN), (HIDDEN,), (HIDDEN, measures), (measures,))
    drawn = [torch.randn(own, generator=generator, dtype=torch.float64) for own in sizes]
    shares = (sizes[0][0] ** -0.5, 0.0, 0.1 * HIDDEN**-0.5, 0.0)
    return [(share * own).requires_grad_() for share, own in zip(shares, drawn, strict=True)]


def _course(simulator: Simulator, limits: Limits, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """Measurements, `(T + 1, B, O)`, under random doses, `(T, B, A)`; limits of rise and stop do not hold here."""
    scenario = simulator.scenario(steps, seed)
    generator = torch.Generator().manual_seed(seed)
    shape = (-(-steps // HELD), *simulator.usual.shape)
    least, most = torch.tensor(limits.least, dtype=torch.float64), torch.tensor(limits.most, dtype=torch.float64)
    drawn = least + (most - least) * torch.rand(shape, generator=generator, dtype=torch.float64)
    doses = drawn.repeat_interleave(HELD, 0)[:steps]
    with torch.no_grad():
        state = simulator.start(scenario)
        measured = [simulator.measure(state)]
        for step in range(steps):
            state = simulator.step(state, doses[step], scenario, step)
            measured.append(simulator.measure(state))
    found = torch.stack(measured)
    if not bool(torch.isfinite(found).all()):
        raise Diverged(f"the simulator '{simulator.name}' diverged under random doses: lower the highest dose")
    return found, doses


def _ahead(weights: Sequence[Tensor], states: Tensor, doses: Tensor, begin: int, window: int) -> Tensor:
    """Errors of `window` predictions one after another from the measurement at `begin`, `(window, C B, O)`."""
    own = states[:, begin].flatten(0, 1)
    missed = []
    for step in range(begin, begin + window):
        own = advanced(weights, own, doses[:, step].flatten(0, 1))
        missed.append(own - states[:, step + 1].flatten(0, 1))
    return torch.stack(missed)
