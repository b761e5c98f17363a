"""A controller in a simulator, step by step, under limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.dynamics.twins.controllers import Controller
from chiasm.dynamics.twins.limits import Limits, require_fitting
from chiasm.dynamics.twins.simulator import Diverged, Scenario, Simulator

FAR = 1e9  # of any measurement: the state of no patient


@dataclass(frozen=True, eq=False)
class Course:
    """What happened to B patients in T steps.

    Attributes:
        measured: `(T + 1, B, O)`, as a perfect instrument would.
        doses: `(T, B, A)`, as given, after the limits.
    """

    measured: Tensor
    doses: Tensor


def rollout(
    simulator: Simulator,
    controller: Controller,
    limits: Limits,
    steps: int,
    seed: int,
    scenario: Scenario | None = None,
) -> Course:
    """Let a controller give doses for so many steps; gradients pass where the simulator's do.

    The controller sees the instrument: what is measured plus the scenario's error, held within the instrument's range.

    Args:
        seed: of the scenario, where none is given.

    Raises:
        Diverged: a state is no number any more.
        ValueError: the limits do not fit the simulator.
    """
    require_fitting(limits, simulator.doses, simulator.measures)
    scenario = simulator.scenario(steps, seed) if scenario is None else scenario
    state, usual = simulator.start(scenario), simulator.usual
    lowest = torch.tensor([own.least for own in simulator.measures], dtype=torch.float64)
    highest = torch.tensor([own.most for own in simulator.measures], dtype=torch.float64)
    measured = simulator.measure(state)
    all_measured, doses = [measured], []
    before, memory = usual, None
    for step in range(steps):
        shown = measured if scenario.errors is None else measured + scenario.errors[step]
        shown = torch.maximum(torch.minimum(shown, highest), lowest)
        memory = controller.memory(shown, usual) if memory is None else memory
        proposed, memory = controller.propose(shown, before, usual, memory)
        dose = limits.allowed(proposed, before if step else None, shown)
        state = simulator.step(state, dose, scenario, step)
        measured = simulator.measure(state)
        _require_sound(measured, simulator, step)
        all_measured.append(measured)
        doses.append(dose)
        before = dose
    return Course(torch.stack(all_measured), torch.stack(doses))


def rollouts(
    simulator: Simulator, controller: Controller, limits: Limits, steps: int, seeds: Sequence[int], times: int = 1
) -> list[list[Course]]:
    """Let a controller give doses in several scenarios at once, all rows as one batch; else as `rollout`.

    Args:
        seeds: of the scenarios; what a simulator draws on the way is drawn by the first.
        times: how often all of it is simulated, for as many controllers side by side (`baselines.Beside`).

    Returns:
        For each time, the course of each scenario.
    """
    many = simulator.rows(list(range(len(simulator.patients))) * len(seeds) * times)
    scenario = Scenario.beside([simulator.scenario(steps, seed) for seed in seeds]).repeated(times)
    whole = rollout(many, controller, limits, steps, seeds[0], scenario)
    parts = [own.chunk(len(seeds) * times, 1) for own in (whole.measured, whole.doses)]
    each = [Course(measured, doses) for measured, doses in zip(*parts, strict=True)]
    return [each[first : first + len(seeds)] for first in range(0, len(each), len(seeds))]


def _require_sound(measured: Tensor, simulator: Simulator, step: int) -> None:
    sound = (measured.detach().abs() < FAR).all(1)  # NaN is not below it
    if not bool(sound.all()):
        lost = len({simulator.patients[row] for row in torch.nonzero(~sound)[:, 0].tolist()})
        every = len(set(simulator.patients))
        after = f" ({(step + 1) * simulator.minutes / 60:.3g} hours)" if simulator.minutes else ""
        raise Diverged(
            f"the simulator '{simulator.name}' diverged for {lost} of {every} patients in step {step + 1}{after}: "
            "lower the highest dose, or look at the patients' parameters"
        )
