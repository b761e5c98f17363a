"""Controllers: from what is measured to a proposed dose. What is stored of one is numbers, and nothing executable."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable

SLOW = (12.0, 36.0)
"""Steps over which a network remembers measurements and doses, as exponential averages."""


class Controller(Protocol):
    """Protocol of a controller; what it remembers is a tensor of its own, `(B, H)`."""

    def memory(self, measured: Tensor, usual: Tensor) -> Tensor:
        """Return what is remembered before the first step; measured `(B, O)`, usual `(B, A)`."""

    def propose(self, measured: Tensor, before: Tensor, usual: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return a dose, `(B, A)`, and what is remembered after it; before is the dose of the step before."""


@storable("constant-dose")
@dataclass(frozen=True)
class Constant:
    """The same dose at every step: `times` the usual dose of each patient, plus `more`."""

    times: tuple[float, ...]
    more: tuple[float, ...] = ()

    def memory(self, measured: Tensor, usual: Tensor) -> Tensor:
        return usual.new_zeros(len(usual), 0)

    def propose(self, measured: Tensor, before: Tensor, usual: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        more = usual.new_tensor(self.more) if self.more else usual.new_zeros(usual.shape[1])
        return usual * usual.new_tensor(self.times) + more, memory


@storable("pid")
@dataclass(frozen=True)
class Pid:
    """Proportional, integral and derivative control of one measurement by one dose.

    `dose = usual + scale (P e + I sum e + D (e - e'))`, where `e = measured - setpoint` and e' is that of the step
    before. The scale is the usual dose, so that a gain is a share of it (1 where that is 0). The sum is held within
    `+- reach / |I|`, so that what has gathered can be undone (anti-windup).

    Attributes:
        proportional, integral, derivative: gains, shares of the usual dose for a unit of the measurement and a step.
        setpoint: what the measurement should be.
        of: which measurement.
        over: the measurement that it is divided by, -1 for none.
        dose: which dose.
        reach: the most that the integral part may add, in usual doses.
    """

    proportional: float
    integral: float
    derivative: float
    setpoint: float
    of: int = 0
    over: int = -1
    dose: int = 0
    reach: float = 2.0

    def _error(self, measured: Tensor) -> Tensor:
        own = measured[:, self.of]
        return (own if self.over < 0 else own / measured[:, self.over].clamp_min(1e-6)) - self.setpoint

    def memory(self, measured: Tensor, usual: Tensor) -> Tensor:
        error = self._error(measured)
        return torch.stack([torch.zeros_like(error), error], 1)

    def propose(self, measured: Tensor, before: Tensor, usual: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        error = self._error(measured)
        most = self.reach / max(abs(self.integral), 1e-12)
        summed = (memory[:, 0] + error).clamp(-most, most)
        share = self.proportional * error + self.integral * summed + self.derivative * (error - memory[:, 1])
        proposed = usual.clone()
        scale = torch.where(usual[:, self.dose] == 0, torch.ones_like(share), usual[:, self.dose])
        proposed[:, self.dose] = usual[:, self.dose] + scale * share
        return proposed, torch.stack([summed, error], 1)


@dataclass(frozen=True)
class Feedback:
    """Linear feedback, `dose = usual - gain (measured - setpoint)`.

    Attributes:
        gain: `(A, O)`.
        setpoint: `(O,)`.
    """

    gain: Tensor
    setpoint: Tensor

    def memory(self, measured: Tensor, usual: Tensor) -> Tensor:
        return usual.new_zeros(len(usual), 0)

    def propose(self, measured: Tensor, before: Tensor, usual: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        return usual - (measured - self.setpoint) @ self.gain.T, memory


@dataclass(frozen=True, eq=False)
class Proposer:
    """What a network proposes with weights that may be in training; see `Network`."""

    weights: Sequence[Tensor]
    centre: Tensor
    scale: Tensor
    least: Tensor
    most: Tensor
    over: Sequence[int] = ()

    def _inputs(self, measured: Tensor) -> Tensor:
        """Measurements and, where the goal is a ratio, that ratio, standardised, `(B, O)` or `(B, O + 1)`."""
        return (with_ratio(measured, self.over) - self.centre) / self.scale

    def memory(self, measured: Tensor, usual: Tensor) -> Tensor:
        own = self._inputs(measured)
        return torch.cat([own, *([own] * len(SLOW)), *([torch.zeros_like(usual)] * len(SLOW))], 1)

    def propose(self, measured: Tensor, before: Tensor, usual: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        own = self._inputs(measured)
        o, a = own.shape[1], usual.shape[1]
        span = self.most - self.least
        doses = (before - usual) / torch.where(usual == 0, span, usual.abs())
        last, slow, given = memory[:, :o], memory[:, o : o * (1 + len(SLOW))], memory[:, o * (1 + len(SLOW)) :]
        keep = torch.tensor([1 - 1 / own for own in SLOW], dtype=own.dtype)
        slow = keep.repeat_interleave(o) * slow + (1 - keep).repeat_interleave(o) * own.repeat(1, len(SLOW))
        given = keep.repeat_interleave(a) * given + (1 - keep).repeat_interleave(a) * doses.repeat(1, len(SLOW))
        hidden = torch.cat([own, 5 * (own - last), slow, given], 1)
        for weight, bias in zip(self.weights[:-2:2], self.weights[1:-2:2], strict=True):
            hidden = torch.tanh(torch.addmm(bias, hidden, weight))
        moved = torch.addmm(self.weights[-1], hidden, self.weights[-2])
        share = ((usual - self.least) / span).clamp(1e-3, 1 - 1e-3)
        proposed = self.least + span * torch.sigmoid(moved + torch.log(share / (1 - share)))
        return proposed, torch.cat([own, slow, given], 1)


@storable("network-controller")
@dataclass(frozen=True)
class Network:
    """A small network that proposes a dose from measurements, their change, and what it remembers.

    `dose = least + (most - least) sigmoid(f(h) + logit of the usual dose)`: a network of weights 0 gives each patient
    the usual dose. h holds each measurement, standardised by training patients, five times its change since the step
    before, its exponential averages over 12 and 36 steps, and those of the dose less the usual one.

    Attributes:
        weights: by turns the weight, `(inputs, outputs)`, and the bias of each layer; tanh between.
        centre: `(O,)`, or `(O + 1,)` with a ratio: mean of each on training patients under the usual dose.
        scale: its standard deviation.
        least: `(A,)`, the lowest dose.
        most: `(A,)`, the highest dose.
        over: the two measurements whose ratio the goal asks for; none for another goal.
    """

    weights: list[np.ndarray]
    centre: np.ndarray
    scale: np.ndarray
    least: np.ndarray
    most: np.ndarray
    over: tuple[int, ...] = ()

    def _proposer(self) -> Proposer:
        own = [torch.as_tensor(weight) for weight in self.weights]
        centre, scale, least, most = map(torch.as_tensor, (self.centre, self.scale, self.least, self.most))
        return Proposer(own, centre, scale, least, most, tuple(self.over))

    def memory(self, measured: Tensor, usual: Tensor) -> Tensor:
        return self._proposer().memory(measured, usual)

    def propose(self, measured: Tensor, before: Tensor, usual: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self._proposer().propose(measured, before, usual, memory)


def with_ratio(measured: Tensor, over: Sequence[int]) -> Tensor:
    """Return measurements, `(..., O)`, and the ratio of two of them where two are named, `(..., O + 1)`."""
    if not over:
        return measured
    first, second = over
    return torch.cat([measured, (measured[..., first] / measured[..., second].clamp_min(1e-6))[..., None]], -1)


def fresh_weights(measures: int, doses: int, hidden: int, seed: int) -> list[Tensor]:
    """Draw the weights of two hidden layers; those of the last are 0, so that a fresh network gives the usual dose."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [measures * (2 + len(SLOW)) + doses * len(SLOW), hidden, hidden, doses]
    weights = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        drawn = torch.randn(inputs, outputs, generator=generator, dtype=torch.float64) / inputs**0.5
        last = number == len(sizes) - 2
        weights += [drawn * 0 if last else drawn, torch.zeros(outputs, dtype=torch.float64)]
    return weights
