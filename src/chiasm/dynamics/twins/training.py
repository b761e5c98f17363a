"""Controllers trained through a simulator: the gradient of what they cost, back through every step of the patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chiasm.dynamics.twins.controllers import Constant, Controller, Network, Proposer, fresh_weights, with_ratio
from chiasm.dynamics.twins.limits import Limits
from chiasm.dynamics.twins.rollout import Course, rollout, rollouts
from chiasm.dynamics.twins.simulator import Diverged, Simulator
from chiasm.errors import Unsupported

Cost = Callable[[Course], Tensor]
CLIP = 1.0
CHECKS = 10  # how often in a training the controller is tried on scenarios that it is not trained on


@dataclass(frozen=True)
class Schedule:
    """How long and on what a controller is trained.

    Attributes:
        steps: of the simulator in an epoch.
        epochs: gradient steps; each sees a scenario of its own.
        learning_rate: of Adam, which falls to a tenth along a cosine.
        hidden: width of the two hidden layers of a network.
        first_seed: of the scenarios of the epochs, which count on from it.
        checks: seeds of the scenarios on which the best epoch is chosen; none of them is one of an epoch.
        repeats: how often each patient is simulated in an epoch, for simulators that draw.
        seed: of the first weights.
    """

    steps: int
    epochs: int = 60
    learning_rate: float = 0.02
    hidden: int = 16
    first_seed: int = 1_000_000
    checks: tuple[int, ...] = (900_000, 900_001)
    repeats: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "epochs", "hidden", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"a training of {getattr(self, name)} {name} cannot be: ask for one or more")
        if not self.learning_rate > 0:
            raise ValueError(f"a learning rate of {self.learning_rate:g} is not above 0: try 0.02")
        if set(self.checks) & set(range(self.first_seed, self.first_seed + self.epochs)):
            raise ValueError("a scenario is one of training and of checking: choose other seeds")


@dataclass(frozen=True)
class Trained:
    """Weights of the best check, and how the cost fell.

    Attributes:
        weights: of the check that cost least.
        checked: epoch and mean cost of each check.
        diverged: epochs whose simulation or gradient was no number, which were left out.
    """

    weights: list[Tensor]
    checked: list[tuple[int, float]]
    diverged: int


def descend(
    weights: Sequence[Tensor],
    made: Callable[[Sequence[Tensor]], Controller],
    simulator: Simulator,
    cost: Cost,
    limits: Limits,
    schedule: Schedule,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train weights by the gradient of the mean cost of a rollout, which passes through the simulator.

    Args:
        weights: to start from.
        made: the controller of these weights.
        simulator: of training patients alone.
        cost: of a course, `(B,)`.
        limits: hold in training, too.
        schedule: how long and on what.
        progress: is told epochs done and to do.

    Raises:
        Unsupported: no gradient passes through the simulator.
        Diverged: the simulator diverges at the start, or in over half of the epochs.
    """
    if not simulator.differentiable:
        raise Unsupported(
            f"no gradient passes through the simulator '{simulator.name}': train through a metamodel of it"
        )
    own = [weight.detach().clone().requires_grad_() for weight in weights]
    optimiser = torch.optim.Adam(own, schedule.learning_rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, schedule.epochs, schedule.learning_rate / 10)
    many = simulator.rows(list(range(len(simulator.patients))) * schedule.repeats)
    checked = [(0, _checked(made(own), many, cost, limits, schedule))]  # a simulator that diverges at once is told here
    best, kept, diverged = checked[0][1], [weight.detach().clone() for weight in own], 0
    every = max(1, schedule.epochs // CHECKS)
    for epoch in range(schedule.epochs):
        optimiser.zero_grad()
        try:
            loss = cost(rollout(many, made(own), limits, schedule.steps, schedule.first_seed + epoch)).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(own, CLIP)
        except Diverged:
            norm = torch.tensor(float("nan"))
        if bool(torch.isfinite(norm)):
            optimiser.step()
        else:
            diverged += 1
            if 2 * diverged > schedule.epochs:
                raise Diverged(
                    f"the simulator '{simulator.name}' diverged in {diverged} of {epoch + 1} epochs: lower the "
                    "learning rate or the highest dose"
                )
        falling.step()
        if (epoch + 1) % every == 0 or epoch + 1 == schedule.epochs:
            found = _tried(made(own), many, cost, limits, schedule)
            checked.append((epoch + 1, found))
            if found < best:
                best, kept = found, [weight.detach().clone() for weight in own]
        if progress is not None:
            progress(epoch + 1, schedule.epochs)
    return Trained(kept, checked, diverged)


def _checked(controller: Controller, simulator: Simulator, cost: Cost, limits: Limits, schedule: Schedule) -> float:
    with torch.no_grad():
        courses = rollouts(simulator, controller, limits, schedule.steps, schedule.checks)[0]
        costs = [cost(course).mean() for course in courses]
    return float(torch.stack(costs).mean())


def _tried(controller: Controller, simulator: Simulator, cost: Cost, limits: Limits, schedule: Schedule) -> float:
    """The cost on the scenarios of the checks; infinite where the simulator diverges."""
    try:
        return _checked(controller, simulator, cost, limits, schedule)
    except Diverged:
        return float("inf")


def train_network(
    simulator: Simulator,
    cost: Cost,
    limits: Limits,
    schedule: Schedule,
    progress: Callable[[int, int], None] | None = None,
    over: tuple[int, ...] = (),
) -> tuple[Network, Trained]:
    """Train a network controller on the patients of a simulator; `over` names two measurements whose ratio it sees.

    Measurements are standardised by what these patients show under the usual dose.

    Raises:
        ValueError: a dose has no finite range, which a network needs.
        Unsupported, Diverged: as in `descend`.
    """
    least, most = (torch.tensor(own, dtype=torch.float64) for own in (limits.least, limits.most))
    if not bool(torch.isfinite(torch.cat([least, most])).all()):
        raise ValueError("a network needs a lowest and a highest dose: give both limits")
    with torch.no_grad():
        times = Constant((1.0,) * len(simulator.doses))
        shown = rollout(simulator, times, limits, schedule.steps, schedule.first_seed - 1)
        seen = with_ratio(shown.measured, over).flatten(0, 1)
    centre, scale = seen.mean(0), seen.std(0).clamp_min(1e-6)
    first = fresh_weights(len(centre), len(simulator.doses), schedule.hidden, schedule.seed)

    def made(weights: Sequence[Tensor]) -> Controller:
        return Proposer(weights, centre, scale, least, most, over)

    trained = descend(first, made, simulator, cost, limits, schedule, progress)
    arrays = [np.asarray(weight) for weight in trained.weights]
    return Network(arrays, np.asarray(centre), np.asarray(scale), np.asarray(least), np.asarray(most), over), trained
