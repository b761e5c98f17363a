"""Edits of an image by a diffusion model: in rounds towards a condition, or from the noise that the image came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.generation.diffusion import (
    CLEAN,
    Predict,
    Prediction,
    Schedule,
    ddim_inverse_step,
    ddim_step,
    pairs,
    q_sample,
)


@dataclass(frozen=True)
class Rounds:
    """How an image is edited in rounds.

    Args:
        rounds: N, one or more; each goes on from the last.
        strength: share of the schedule that noise is put back to in each round, above 0 and at most 1.
        steps: of the whole schedule; a round takes its share of them.
        inside: b2, how much of a round's change is kept inside of the mask, from 0 to 1.
        outside: b1, the same outside; with 0 every pixel there stays as it was.

    Raises:
        ValueError: one is out of range, or so few steps are left that a round has none.
    """

    rounds: int = 10
    strength: float = 0.5
    steps: int = 50
    inside: float = 0.75
    outside: float = 0.0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"{self.rounds} rounds edit nothing: give 1 or more")
        if not 0 < self.strength <= 1:
            raise ValueError(f"strength {self.strength:g} is no share of the schedule: give above 0 and at most 1")
        if not (0 <= self.inside <= 1 and 0 <= self.outside <= 1):
            raise ValueError("inside and outside are shares of a change, from 0 to 1")
        if round(self.strength * self.steps) < 1:
            raise ValueError(f"of {self.steps} steps strength {self.strength:g} leaves none: give more of either")

    def of(self, schedule: Schedule) -> list[int]:
        """The steps of one round, descending."""
        return schedule.descending(self.steps)[-round(self.strength * self.steps) :]


def progressive_edit(
    predict: Predict, image: Tensor, condition: Any, schedule: Schedule, *, how: Rounds, mask: Tensor | None = None,
    prediction: Prediction = "epsilon", clip: float | None = None, generator: torch.Generator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:  # fmt: skip
    """Return the image and what it is after each of N rounds, `(N + 1, B, ...)`.

        x_t = sqrt(a_t) x_(n-1) + sqrt(1 - a_t) e          noise is put back, up to the step that `strength` says
        z   = DDIM from there, given the condition         outside of the mask, x_0 with the same noise at each step
        x_n = x_0 + b2 (z - x_0) inside, x_0 + b1 (z - x_0) outside

    Of a Gaussian with mean mu and deviation s the mean of x_n nears a fixed point by `b2 r` a round, in the limit of
    many steps `r = s sqrt(a_t) / sqrt(a_t s^2 + 1 - a_t)`; with b2 = 1 that point is mu.

    Source: Liang et al., PIE (arXiv 2309.11745) and its released code. Deviations: b1 is 0 and not .01, so that what
    was not to be edited is the original exactly; without a mask b2 holds everywhere, where theirs is 1; noise outside
    of the mask is that of inside, where theirs is drawn anew.

    Args:
        predict: what the network says, guided or not.
        image: `(B, ...)`, x_0.
        condition: what the image is to become, as `predict` takes it.
        how: rounds, strength, steps and the two shares.
        mask: bool, broadcast to the image, True where it is edited; None: everywhere.
        clip: what the predicted image is held within at each step.
        generator: of the noise of each round.
        progress: told of (rounds that are finished, all).

    Raises:
        ValueError: the mask does not fit the image, or marks no pixel.
    """
    inside = _fitting(mask, image)
    share = torch.where(inside, how.inside, how.outside).to(image)
    steps = how.of(schedule)
    found = [image]
    for n in range(how.rounds):
        noise = torch.randn(image.shape, generator=generator, dtype=image.dtype).to(image.device)
        x = q_sample(found[-1], steps[0], noise, schedule)
        for t, before in pairs(steps):
            x = torch.where(inside, x, q_sample(image, t, noise, schedule)) if t != steps[0] else x
            said = predict(x, _all_at(t, x), condition)
            x = ddim_step(x, t, before, said, schedule, prediction, clip=clip)
        found.append(torch.where(share > 0, image + share * (x - image), image))
        if progress is not None:
            progress(n + 1, how.rounds)
    return torch.stack(found)


def inverted_edit(
    predict: Predict, image: Tensor, source: Any, target: Any, schedule: Schedule, *, steps: list[int],
    mask: Tensor | None = None, prediction: Prediction = "epsilon", refined: int = 0, clip: float | None = None,
) -> Tensor:  # fmt: skip
    """Return the image as it would be had the same noise been drawn given `target` in place of `source`.

    DDIM backwards given `source`, then forwards given `target`, with eta 0: nothing is drawn. Outside of the mask each
    step stands on the way that led there, and the result is the image itself. With `target` equal to `source` it is the
    image but for the error of the inversion, which goes to 0 with the steps.

    Source: the pivotal inversion of HiFi Tuner (arXiv 2312.00079), without tuning what is said of no condition.

    Args:
        steps: descending; the first says how far back it goes.
        refined: how often a step backwards is done again from where it led.

    Raises:
        ValueError: the mask does not fit the image, or marks no pixel.
    """
    inside = _fitting(mask, image)
    way, x = {CLEAN: image}, image
    for t, before in reversed(list(pairs(steps))):
        asked = x
        for _ in range(refined + 1):
            said = predict(asked, _all_at(t, x), source)
            asked = ddim_inverse_step(x, before, t, said, schedule, prediction, asked)
        way[t] = x = asked
    for t, before in pairs(steps):
        said = predict(x, _all_at(t, x), target)
        x = torch.where(inside, ddim_step(x, t, before, said, schedule, prediction, clip=clip), way[before])
    return x


def _fitting(mask: Tensor | None, image: Tensor) -> Tensor:
    if mask is None:
        return torch.ones((), dtype=torch.bool, device=image.device)
    try:
        fits = np.broadcast_shapes(mask.shape, image.shape) == tuple(image.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"the mask is {_sides(mask)} and the image {_sides(image)}: give a mask of its size")
    if not bool(mask.any()):
        raise ValueError("the mask marks no pixel, so that nothing would be edited")
    return mask.to(image.device, torch.bool)


def _sides(values: Tensor) -> str:
    return " x ".join(f"{side:,}" for side in values.shape)


def _all_at(t: int, x: Tensor) -> Tensor:
    return torch.full((len(x),), t, dtype=torch.long, device=x.device)
