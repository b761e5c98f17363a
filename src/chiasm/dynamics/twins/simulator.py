"""What a simulator of patients is: a state, a dose, one step in time, and what is measured of it."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import torch
from torch import Tensor

from chiasm.errors import count, nearest


class Diverged(ValueError):
    """A simulated patient whose state is no number any more, or one that no patient can have."""


@dataclass(frozen=True)
class Quantity:
    """What is measured or given: its name, its unit, and the values that can be."""

    name: str
    unit: str
    least: float = 0.0
    most: float = float("inf")

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True)
class Scenario:
    """What happens to patients whatever they are given.

    Attributes:
        generator: of all that is drawn on the way.
        disturbances: `(T, B, V)`, such as meals; None without any.
        errors: `(T + 1, B, O)`, added to what is measured; None for a perfect measurement.
    """

    generator: torch.Generator
    disturbances: Tensor | None = None
    errors: Tensor | None = None

    def repeated(self, times: int) -> Scenario:
        """Return what happens to the same patients so many times over, one whole batch after another."""
        drawn = (None if own is None else own.repeat(1, times, 1) for own in (self.disturbances, self.errors))
        return Scenario(self.generator, *drawn)

    @staticmethod
    def beside(scenarios: Sequence[Scenario]) -> Scenario:
        """Return several scenarios as one of as many batches, one after another; what is drawn on the way is shared."""
        parts = [(own.disturbances, own.errors) for own in scenarios]
        disturbed, erred = (tuple(own for own in kind if own is not None) for kind in zip(*parts, strict=True))
        return Scenario(
            scenarios[0].generator,
            torch.cat(disturbed, 1) if disturbed else None,
            torch.cat(erred, 1) if erred else None,
        )


class Simulator(Protocol):
    """Protocol of a simulator of a batch of B patients.

    Attributes:
        name: of the simulator.
        patients: their names, B of them.
        measures: the O quantities that are measured.
        doses: the A quantities that are given.
        usual: `(B, A)`, the dose that each patient would have without a controller.
        differentiable: whether gradients pass through `step`, exactly or by straight-through.
        minutes: length of a step where time has a unit, else 0.
    """

    @property
    def name(self) -> str: ...
    @property
    def patients(self) -> tuple[str, ...]: ...
    @property
    def measures(self) -> tuple[Quantity, ...]: ...
    @property
    def doses(self) -> tuple[Quantity, ...]: ...
    @property
    def usual(self) -> Tensor: ...
    @property
    def differentiable(self) -> bool: ...
    @property
    def minutes(self) -> float: ...

    def rows(self, rows: Sequence[int]) -> Self:
        """Return the simulator of these patients, each as often as it is named."""

    def scenario(self, steps: int, seed: int) -> Scenario:
        """Draw what will happen in so many steps; the same seed draws the same."""

    def start(self, scenario: Scenario) -> Tensor:
        """Return the first state, `(B, S)`."""

    def step(self, state: Tensor, dose: Tensor, scenario: Scenario, step: int) -> Tensor:
        """Return the next state, `(B, S)`, after a dose of `(B, A)`."""

    def measure(self, state: Tensor) -> Tensor:
        """Return what a perfect instrument measures, `(B, O)`."""


@dataclass(frozen=True, eq=False)
class Twin(ABC):
    """Base of the simulators of this package: each patient is a row of parameters.

    Attributes:
        patients: names, B of them.
        parameters: `(B, P)`, one column for each of `PARAMETERS`.
    """

    patients: tuple[str, ...]
    parameters: Tensor

    PARAMETERS: ClassVar[tuple[str, ...]] = ()
    NAME: ClassVar[str] = ""
    MEASURES: ClassVar[tuple[Quantity, ...]] = ()
    DOSES: ClassVar[tuple[Quantity, ...]] = ()
    MINUTES: ClassVar[float] = 0.0
    DIFFERENTIABLE: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.parameters.shape != (len(self.patients), len(self.PARAMETERS)):
            raise ValueError(
                f"the twin '{self.NAME}' has {count(len(self.PARAMETERS), 'parameter')} for each of "
                f"{count(len(self.patients), 'patient')}: give {len(self.patients)} x {len(self.PARAMETERS)} numbers"
            )
        if not bool(torch.isfinite(self.parameters).all()):
            raise ValueError(f"a parameter of the twin '{self.NAME}' is not finite: give numbers alone")

    @property
    def name(self) -> str:
        return self.NAME

    @property
    def measures(self) -> tuple[Quantity, ...]:
        return self.MEASURES

    @property
    def doses(self) -> tuple[Quantity, ...]:
        return self.DOSES

    @property
    def minutes(self) -> float:
        return self.MINUTES

    @property
    def differentiable(self) -> bool:
        return self.DIFFERENTIABLE

    @property
    def usual(self) -> Tensor:
        return torch.ones(len(self.patients), len(self.doses), dtype=torch.float64)

    def of(self, parameter: str) -> Tensor:
        """Return one parameter of all patients, `(B,)`."""
        return self.parameters[:, self.PARAMETERS.index(parameter)]

    def rows(self, rows: Sequence[int]) -> Self:
        return dataclasses.replace(
            self, patients=tuple(self.patients[row] for row in rows), parameters=self.parameters[list(rows)]
        )

    def with_parameters(self, parameters: Tensor) -> Self:
        """Return the same patients with other parameters, `(B, P)`."""
        return dataclasses.replace(self, parameters=parameters)

    def scenario(self, steps: int, seed: int) -> Scenario:
        return Scenario(torch.Generator().manual_seed(seed))

    @abstractmethod
    def start(self, scenario: Scenario) -> Tensor: ...

    @abstractmethod
    def step(self, state: Tensor, dose: Tensor, scenario: Scenario, step: int) -> Tensor: ...

    @abstractmethod
    def measure(self, state: Tensor) -> Tensor: ...


def one_named(quantities: Sequence[Quantity], name: str, what: str) -> int:
    """Return which of the quantities has this name.

    Raises:
        ValueError: none has; the nearest name is told.
    """
    names = [own.name for own in quantities]
    if name not in names:
        near = nearest(name, names)
        meant = f", did you mean '{near}'?" if near else ""
        raise ValueError(f"{what} '{name}' is not there: it is one of {', '.join(names)}{meant}")
    return names.index(name)


def spread_patients(
    known: Sequence[str], middle: Sequence[float], number: int, spread: float, seed: int
) -> tuple[tuple[str, ...], Tensor]:
    """Draw virtual patients about a middle one: each parameter log-normal, `exp(spread z)` times the middle.

    Args:
        known: names of the parameters, for the message.
        middle: the middle patient, all above 0.
        number: of patients.
        spread: standard deviation of the logarithm.
        seed: of the draw.
    """
    if number < 1:
        raise ValueError(f"{number} patients cannot be simulated: ask for one or more")
    if not 0 <= spread <= 1:
        raise ValueError(f"a spread of {spread:g} between patients is not between 0 and 1: choose one that is")
    if low := [name for name, value in zip(known, middle, strict=True) if not value > 0]:
        raise ValueError(f"the parameter '{low[0]}' is not above 0: give a number above 0")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(number, len(middle), generator=generator, dtype=torch.float64)
    names = tuple(f"virtual-{seed}-{own + 1:03d}" for own in range(number))
    return names, torch.tensor(list(middle), dtype=torch.float64) * torch.exp(spread * drawn)
