"""Predators and prey as agents on a torus of patches, as immune cells and what they hunt.

Every agent of a patch is like another one, so that what strikes each with a chance of its own strikes a binomial count
of them: agents are counted, not listed, and a batch of patients advances at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from chiasm.dynamics.twins.simulator import Quantity, Scenario, Twin
from chiasm.dynamics.twins.straight_through import drawn_count

WAYS = 5  # up, down, left, right, or stay


@dataclass(frozen=True, eq=False)
class PredatorPrey(Twin):
    """Agents that are born, move, hunt and die; the dose removes predators.

    In a step of length h each prey gives birth with chance `birth h`, dies of crowding with `birth x h / room` and is
    eaten with `hunt y h`, x and y the prey and predators of its patch over `room` a patch; each prey eaten becomes a
    predator with chance `yield`; each predator dies with `(death + kill u) h`. Then every agent moves to one of four
    neighbours with chance `move`. With many agents the densities follow
    `x' = birth x (1 - x) - hunt x y`, `y' = yield hunt x y - (death + kill u) y`, whose steady state is `steady`.

    Source: the first of the two models of Boettcher, Fonseca and Laubenbacher (arXiv 2403.13851) is of this kind. Ours
    deviates in that chances are linear in densities, so that its limit is the equation above.

    Attributes:
        side: patches along a side of the torus.
        room: agents of each kind that make a density of 1 in a patch.
        first: density of prey and of predators at the start.
    """

    side: int = 3
    room: int = 100
    first: tuple[float, float] = (0.7, 0.4)

    NAME: ClassVar[str] = "predator-prey"
    PARAMETERS: ClassVar[tuple[str, ...]] = ("birth", "hunt", "yield", "death", "kill", "move")
    MIDDLE: ClassVar[tuple[float, ...]] = (1.0, 2.0, 0.5, 0.2, 1.0, 0.2)
    UNITS: ClassVar[tuple[str, ...]] = ("a day", "a day", "", "a day", "a day and unit", "a step")
    MINUTES: ClassVar[float] = 144.0  # h is a tenth of a day
    STEP: ClassVar[float] = 0.1
    MEASURES: ClassVar[tuple[Quantity, ...]] = (Quantity("prey", "density"), Quantity("predators", "density"))
    DOSES: ClassVar[tuple[Quantity, ...]] = (Quantity("culling", "units"),)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side < 1 or self.room < 1:
            raise ValueError("agents need a side of one patch or more, and room for one agent or more in each")
        if bool((self.of("move") > 1).any()):
            raise ValueError("the parameter 'move' is a chance, and above 1 for a patient: lower it, or the spread")

    @property
    def usual(self) -> Tensor:
        return torch.full((len(self.patients), 1), 0.1, dtype=torch.float64)

    def steady(self, dose: Tensor) -> Tensor:
        """Return the steady densities of many agents under a held dose, `(B, 2)`; dose `(B, 1)`.

        `x = (death + kill u) / (yield hunt)`, `y = birth (1 - x) / hunt`, where predators survive: x below 1.
        """
        prey = (self.of("death") + self.of("kill") * dose[:, 0]) / (self.of("yield") * self.of("hunt"))
        return torch.stack([prey.clamp_max(1), (self.of("birth") * (1 - prey) / self.of("hunt")).clamp_min(0)], 1)

    def start(self, scenario: Scenario) -> Tensor:
        """Counts of prey and of predators in every patch, `(B, 2 * side * side)`."""
        counts = torch.tensor([round(own * self.room) for own in self.first], dtype=torch.float64)
        return counts.repeat_interleave(self.side**2).repeat(len(self.patients), 1)

    def step(self, state: Tensor, dose: Tensor, scenario: Scenario, step: int) -> Tensor:
        draw, h = scenario.generator, self.STEP
        birth, hunt, gain, death, kill, move = (own[:, None] for own in self.parameters.T)
        prey, predators = state.reshape(len(state), 2, -1).unbind(1)  # each (B, side * side)
        born = drawn_count(prey, (birth * h).expand_as(prey).clamp_max(1), draw)
        crowded, eaten = birth * h * prey / self.room, hunt * h * predators / self.room
        struck = drawn_count(prey, (crowded + eaten).clamp_max(1), draw)
        hunted = drawn_count(struck, eaten / (crowded + eaten).clamp_min(1e-12), draw)
        fed = drawn_count(hunted, gain.expand_as(prey).clamp_max(1), draw)
        lost = drawn_count(predators, ((death + kill * dose) * h).expand_as(prey).clamp(0, 1), draw)
        after = torch.stack([prey + born - struck, predators + fed - lost], 1)
        return self._moved(after, move[:, None].expand_as(after), draw).flatten(1)

    def _moved(self, counts: Tensor, chance: Tensor, draw: torch.Generator) -> Tensor:
        """Every agent stays or moves to one of four neighbours: a multinomial, as binomials one after another."""
        if self.side == 1:
            return counts
        grid = (len(counts), 2, self.side, self.side)
        left, stay = counts, torch.zeros_like(counts)
        arrived = torch.zeros(grid, dtype=counts.dtype)
        for way, (turn, axis) in enumerate(((1, 2), (-1, 2), (1, 3), (-1, 3))):
            each = chance / (WAYS - 1)
            gone = drawn_count(left, each / (1 - way * each), draw)
            left = left - gone
            arrived = arrived + torch.roll(gone.reshape(grid), turn, axis)
        return stay + left + arrived.reshape(counts.shape)

    def measure(self, state: Tensor) -> Tensor:
        return state.reshape(len(state), 2, -1).mean(2) / self.room


def many(rows: Sequence[str], **changed: float) -> PredatorPrey:
    """Return the middle patient under each of these names, with some parameters changed."""
    values = dict(zip(PredatorPrey.PARAMETERS, PredatorPrey.MIDDLE, strict=True)) | changed
    table = torch.tensor([list(values.values())] * len(rows), dtype=torch.float64)
    return PredatorPrey(tuple(rows), table)
