"""`diffusion` and `flow`: pictures drawn out of noise by a U-Net, given what is known of a patient or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.compute.isolation import own_randomness, seeded
from chiasm.generation.diffusion import Predict, Prediction, Schedule, guided, q_sample, sample, target_of
from chiasm.generation.flows import euler, flow_point, flow_target
from chiasm.generation.picture_generator import (
    MOST_VALUES,
    Told,
    kept_state,
    line_of,
    require_pictures,
    some_untold,
    trained,
    with_state,
)
from chiasm.generation.picture_net import PictureNet, PictureNetDesign

PROCESSES = ("diffusion", "flow")
SCHEDULE = Schedule("cosine")
PREDICTION: Prediction = "v"
PATCHED = 16  # pixels a side from which on two by two are taken together


@storable("fitted-pictures")
@dataclass(frozen=True)
class FittedPictures:
    """A generator of pictures of one size, which keeps weights and no picture.

    Args:
        process: `diffusion` or `flow`.
        design: of the U-Net.
        state: parameters of the U-Net, their mean over the training.
        size: of a picture, without its channels.
        guidance: how strongly a condition leads, 1: as it was learnt.
        draws: steps from noise to a picture.
    """

    process: str
    design: PictureNetDesign
    state: dict[str, np.ndarray]
    size: tuple[int, ...]
    guidance: float
    draws: int

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"the weights of a network that draws pictures of {' x '.join(map(str, self.size))}"

    @property
    def predict(self) -> Predict:
        """What the network says at steps of `SCHEDULE`, or at shares of a flow; conditions are `(B, F)` or None."""
        network = self.network()

        def said(x: Tensor, t: Tensor, condition: Any, /) -> Tensor:
            with torch.no_grad():
                found: Tensor = network(x, share_of(t), condition)
            return found

        return said

    def network(self) -> PictureNet:
        """The U-Net with its weights, for prediction."""
        with own_randomness(0):
            network = self.design.build()
        return with_state(network, self.state)

    def sample(self, n: int, seed: int, condition: Tensor | None = None, told: Told | None = None) -> Tensor:
        """Draw n pictures `(n, C, ...)` in -1 to 1; the same seed gives the same ones.

        Args:
            condition: `(n, F)` of what is known of each patient, a row of NaN where nothing is.
            told: is called with how many are drawn, and n.
        """
        parts = []
        at_once = max(1, MOST_VALUES // (self.design.channels * torch.Size(self.size).numel()))
        predict = guided(self.predict, self.guidance)
        generator = torch.Generator().manual_seed(seeded(seed, "pictures"))
        for start in range(0, n, at_once):
            many = min(at_once, n - start)
            noise = torch.randn(many, self.design.channels, *self.size, generator=generator)
            known = None if condition is None else condition[start : start + many]
            if self.process == "flow":
                drawn = euler(predict, noise, steps=self.draws, condition=known)
            else:
                drawn = sample(
                    predict, noise, SCHEDULE, steps=self.draws, condition=known, prediction=PREDICTION, clip=1.0
                )  # fmt: skip
            parts.append(drawn.clamp(-1, 1))
            if told is not None:
                told(start + many, n)
        return torch.cat(parts) if parts else torch.zeros(0, self.design.channels, *self.size)


@dataclass(frozen=True)
class PictureDiffusion:
    """A generator of pictures with its options, before it has seen one.

    The loss is `|f(x_t, t, c) - target|^2`, in the mean over values: of `diffusion` `v` on a cosine schedule of 1,000
    steps, of `flow` the velocity of the straight path; c is left out of 15 % of pictures, so that it may be weighed.

    Args:
        process: `diffusion` or `flow`.
        width, levels: of the U-Net; fewer levels where a picture cannot be halved so often.
        steps: of training. batch: pictures in each.
        learning_rate: of Adam, by a cosine to 0 after a tenth in which it rises.
        guidance, draws: see `FittedPictures`.
    """

    process: str = "diffusion"
    width: int = 32
    levels: int = 3
    steps: int = 1500
    batch: int = 32
    learning_rate: float = 1e-3
    guidance: float = 1.0
    draws: int = 50

    def __post_init__(self) -> None:
        if self.process not in PROCESSES:
            raise ValueError(f"no process is called '{self.process}': there are {' and '.join(PROCESSES)}")
        if min(self.steps, self.batch, self.draws) < 1 or self.draws > SCHEDULE.steps:
            raise ValueError(f"steps, batch and draws are 1 or more, and draws at most {SCHEDULE.steps:,}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate={self.learning_rate:g} leads nowhere: give one above 0")

    @property
    def name(self) -> str:
        """The line by which it is asked for, with the options that are not as they would be."""
        return line_of(self, self.process, ("process",))

    def fit(self, pictures: Tensor, condition: Tensor | None, seed: int, told: Told | None = None) -> FittedPictures:
        """Fit to pictures `(n, C, ...)` in -1 to 1, and numbers `(n, F)` that are known of each patient or None.

        Raises:
            ValueError: fewer than 8 pictures, or a value outside of -1 to 1.
        """
        require_pictures(pictures)
        least = min(pictures.shape[2:])
        design = PictureNetDesign(
            pictures.ndim - 2, pictures.shape[1], 0 if condition is None else condition.shape[1], self.width,
            max(1, min(self.levels, int(least).bit_length() - 1)), 2 if least >= PATCHED else 1,
        )  # fmt: skip
        with own_randomness(seeded(seed, "picture-net")):
            network = design.build()
        mean = trained(
            network,
            lambda chosen, generator: self.loss(
                network, pictures[chosen], None if condition is None else condition[chosen], generator
            ),
            len(pictures), steps=self.steps, batch=self.batch, rate=self.learning_rate,
            seed=seeded(seed, "picture-steps"), told=told,
        )  # fmt: skip
        return FittedPictures(
            self.process, design, kept_state(mean), tuple(pictures.shape[2:]), self.guidance, self.draws
        )  # fmt: skip

    def loss(
        self, network: Callable[..., Tensor], pictures: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """The loss of a batch, its noise, steps and who is not told of drawn from the generator in this order."""
        n = len(pictures)
        noise = torch.randn(pictures.shape, generator=generator)
        if self.process == "flow":
            at = torch.rand(n, generator=generator)
            noised, target = flow_point(pictures, at, noise), flow_target(pictures, noise)
        else:
            at = torch.randint(SCHEDULE.steps, (n,), generator=generator)
            noised = q_sample(pictures, at, noise, SCHEDULE)
            target = target_of(pictures, at, noise, SCHEDULE, PREDICTION)
        known = some_untold(condition, generator)
        return ((network(noised, share_of(at), known) - target) ** 2).mean()


def share_of(t: Tensor) -> Tensor:
    """A step of `SCHEDULE` as a share from 0 to 1; a share is one already."""
    return t if t.is_floating_point() else (t + 1).float() / SCHEDULE.steps
