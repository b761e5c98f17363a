"""What a controller must beat: no dose, the usual one, the best constant one, and the best of many PID controllers.

All are chosen on the patients and scenarios on which a network is chosen, all candidates at once in one long batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chiasm.dynamics.twins.controllers import Constant, Controller, Pid
from chiasm.dynamics.twins.goals import Goal
from chiasm.dynamics.twins.limits import Limits
from chiasm.dynamics.twins.rollout import Course, rollout
from chiasm.dynamics.twins.simulator import Diverged, Simulator

GRID, ROUNDS = 17, 3
PIDS, PARENTS = 64, 4


@dataclass(frozen=True)
class Beside:
    """Several controllers side by side, each for as many rows in turn."""

    controllers: Sequence[Controller]

    def memory(self, measured: Tensor, usual: Tensor) -> Tensor:
        found = [own.memory(*parts) for own, *parts in self._parts(measured, usual)]
        widest = max(own.shape[1] for own in found)  # each reads the columns that it wrote
        return torch.cat([torch.nn.functional.pad(own, (0, widest - own.shape[1])) for own in found])

    def propose(self, measured: Tensor, before: Tensor, usual: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        found = [own.propose(*parts) for own, *parts in self._parts(measured, before, usual, memory)]
        kept = [torch.nn.functional.pad(own, (0, memory.shape[1] - own.shape[1])) for _, own in found]
        return torch.cat([dose for dose, _ in found]), torch.cat(kept)

    def _parts(self, *values: Tensor) -> list[tuple]:  # type: ignore[type-arg]
        return list(zip(self.controllers, *(own.chunk(len(self.controllers)) for own in values), strict=True))


def costs_of(
    controllers: Sequence[Controller],
    simulator: Simulator,
    cost: Callable[[Course], Tensor],
    limits: Limits,
    steps: int,
    seeds: Sequence[int],
) -> list[float]:
    """Return the mean cost of each controller on the same patients and scenarios; infinite where it diverges.

    Disturbances and errors are the same for each; what a simulator draws on the way, as agents do, is each one's own.
    """
    n = len(simulator.patients)
    many = simulator.rows(list(range(n)) * len(controllers))
    try:
        with torch.no_grad():
            drawn = [(seed, simulator.scenario(steps, seed).repeated(len(controllers))) for seed in seeds]
            found = [cost(rollout(many, Beside(controllers), limits, steps, seed, own)) for seed, own in drawn]
        return [float(own.mean()) for own in torch.stack(found).mean(0).chunk(len(controllers))]
    except Diverged:
        if len(controllers) == 1:
            return [math.inf]
        half = len(controllers) // 2
        parts = controllers[:half], controllers[half:]
        return [own for part in parts for own in costs_of(part, simulator, cost, limits, steps, seeds)]


def best_constant(
    simulator: Simulator, cost: Callable[[Course], Tensor], limits: Limits, steps: int, seeds: Sequence[int]
) -> tuple[Constant, float]:
    """Search the constant dose that costs least, on a grid that is drawn again about its best, three times in all.

    The dose is a multiple of each patient's usual one, the same for all; where the usual dose is 0, the dose itself.
    """
    usual = simulator.usual
    relative = bool((usual != 0).all())
    base = usual.abs().amin(0) if relative else torch.ones(usual.shape[1], dtype=torch.float64)
    low, high = (
        [float(end) / float(own) if math.isfinite(end) else sign * 10.0 for end, own in zip(ends, base, strict=True)]
        for ends, sign in ((limits.least, -1), (limits.most, 1))
    )
    points = max(3, round(GRID ** (1 / len(base))))
    best: tuple[float, tuple[float, ...]] = (math.inf, tuple(low))
    for _ in range(ROUNDS):
        axes = [np.linspace(one, other, points) for one, other in zip(low, high, strict=True)]
        grid = [tuple(float(value) for value in own) for own in itertools.product(*axes)]
        tried = [_constant(own, relative) for own in grid]
        best = min([best, *zip(costs_of(tried, simulator, cost, limits, steps, seeds), grid, strict=True)])
        widths = [(other - one) / (points - 1) for one, other in zip(low, high, strict=True)]
        ends = list(zip(best[1], widths, low, high, strict=True))
        low, high = [max(at - w, one) for at, w, one, _ in ends], [min(at + w, other) for at, w, _, other in ends]
    return _constant(best[1], relative), best[0]


def _constant(own: tuple[float, ...], relative: bool) -> Constant:
    return Constant(own) if relative else Constant((0.0,) * len(own), own)


def best_pid(
    simulator: Simulator,
    goal: Goal,
    cost: Callable[[Course], Tensor],
    limits: Limits,
    steps: int,
    seeds: Sequence[int],
    seed: int = 0,
) -> tuple[Pid, float]:
    """Search the gains and the setpoint that cost least: 64 drawn, then 64 more about the best four.

    Gains are drawn on a logarithmic scale, relative to the spread of the measurement under the usual dose, of either
    sign; the setpoint between the ends of the range, or the target.
    """
    rng = np.random.default_rng(seed)
    times = Constant((1.0,) * len(simulator.doses))
    with torch.no_grad():
        shown = goal.value(rollout(simulator, times, limits, steps, seeds[0]).measured)
    spread = max(float(shown.std()), 1e-6)
    over = goal.over if goal.kind == "ratio" else -1
    ends = goal.low, goal.high

    def _pid(gains: np.ndarray, setpoint: float) -> Pid:
        first, second, third = (float(own) for own in gains)
        return Pid(first, second, third, setpoint, goal.of, over)

    def drawn() -> Pid:
        sign = rng.choice([-1.0, 1.0]) / spread
        gains = 10 ** rng.uniform(np.array([-1.5, -4, -0.5]), np.array([1, -1, 1.5]))
        gains = sign * gains * (rng.random(3) < np.array([1, 0.7, 0.7]))
        aimed = goal.kind != "risk" and rng.random() < 0.5
        return _pid(gains, goal.target if aimed else rng.uniform(*ends))

    def about(own: Pid) -> Pid:
        gains = np.array([own.proportional, own.integral, own.derivative]) * np.exp(0.3 * rng.standard_normal(3))
        moved = own.setpoint + 0.05 * (ends[1] - ends[0]) * rng.standard_normal()
        return _pid(gains, min(max(moved, ends[0]), ends[1]))

    first = [drawn() for _ in range(PIDS)]
    found = list(zip(costs_of(first, simulator, cost, limits, steps, seeds), first, strict=True))
    parents = [own for _, own in sorted(found, key=lambda pair: pair[0])[:PARENTS]]
    second = [about(parents[k % PARENTS]) for k in range(PIDS)]
    found += zip(costs_of(second, simulator, cost, limits, steps, seeds), second, strict=True)
    least = min(found, key=lambda pair: pair[0])
    return least[1], least[0]
