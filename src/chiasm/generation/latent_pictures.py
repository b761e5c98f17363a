"""`latent-diffusion`: pictures drawn as the few numbers that MONAI's autoencoder makes of them, which it then shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.compute.isolation import own_randomness, seeded
from chiasm.generation.picture_diffusion import PROCESSES, FittedPictures, PictureDiffusion
from chiasm.generation.picture_generator import (
    MOST_VALUES,
    Told,
    cropped,
    even,
    halvings_of,
    kept_state,
    line_of,
    monai_part,
    partly,
    require_options,
    require_pictures,
    trained,
    with_state,
)

GROUPS = 8
WITHIN = 0.999  # of the numbers of latents lie between -1 and 1
SMALLER_RATE = 0.3
"""Of the autoencoder, whose first steps are the steepest."""


@storable("picture-autoencoder")
@dataclass(frozen=True)
class AutoencoderDesign:
    """Sizes of an autoencoder of pictures.

    Args:
        axes: 2 of images, 3 of volumes.
        channels: of the pictures.
        latent: numbers at each place of a latent.
        width: channels of the finest level, a multiple of 8; each level below has twice as many, at most four times.
        halvings: how often each side is halved.
    """

    axes: int
    channels: int
    latent: int = 4
    width: int = 16
    halvings: int = 2

    def __post_init__(self) -> None:
        if self.axes not in (2, 3) or min(self.channels, self.latent, self.halvings) < 1:
            raise ValueError("an autoencoder of pictures has 2 or 3 axes, and one channel, number and halving or more")
        if self.width < GROUPS or self.width % GROUPS:
            raise ValueError(f"width={self.width} is no multiple of {GROUPS}")

    @property
    def step(self) -> int:
        """Pixels a side that one place of a latent stands for."""
        return int(2**self.halvings)

    def build(self) -> nn.Module:
        """Create MONAI's `AutoencoderKL` without attention, with random weights."""
        wide = tuple(self.width * min(2**level, 4) for level in range(self.halvings + 1))
        made: nn.Module = monai_part("networks.nets.autoencoderkl", "AutoencoderKL")(
            spatial_dims=self.axes, in_channels=self.channels, out_channels=self.channels, num_res_blocks=1,
            channels=wide, attention_levels=(False,) * len(wide), latent_channels=self.latent, norm_num_groups=GROUPS,
            with_encoder_nonlocal_attn=False, with_decoder_nonlocal_attn=False,
        )  # fmt: skip
        return made


@storable("latent-pictures")
@dataclass(frozen=True)
class FittedLatents:
    """A generator of latents and the network that shows them as pictures of one size; it keeps no picture.

    Args:
        design: of the autoencoder. state: its parameters, their mean over the training.
        reach: what latents were divided by.
        latents: draws them, in -1 to 1.
        size: of a picture, without its channels.
    """

    design: AutoencoderDesign
    state: dict[str, np.ndarray]
    reach: float
    latents: FittedPictures
    size: tuple[int, ...]

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"the weights of networks that draw pictures of {' x '.join(map(str, self.size))}"

    def network(self) -> Any:
        """The autoencoder with its weights, for prediction."""
        with own_randomness(0):
            network = self.design.build()
        return with_state(network, self.state)

    def sample(self, n: int, seed: int, condition: Tensor | None = None, told: Told | None = None) -> Tensor:
        """Draw n pictures `(n, C, ...)` in -1 to 1; see `FittedPainter`."""
        network, parts = self.network(), [torch.zeros(0, self.design.channels, *self.size)]
        latents = self.latents.sample(n, seed, condition, told) * self.reach
        at_once = max(1, MOST_VALUES // (self.design.channels * torch.Size(self.size).numel()))
        with torch.no_grad():
            parts += [cropped(network.decode(some), self.size) for some in torch.split(latents, at_once) if len(some)]
        return torch.cat(parts)


@dataclass(frozen=True)
class LatentDiffusion:
    """A generator of latents and pictures with its options, before it has seen one.

    First an autoencoder is trained, `|x - D(z)| + kl KL(N(m, s^2) | N(0, 1))` with `z = m + s e`, the first a mean over
    values and the second a sum over a latent's; then `diffusion` or `flow` learns m, divided by what 99.9 % of its
    numbers lie within.

    Source: Rombach et al. 2022 (arXiv 2112.10752), as in MONAI. The autoencoder has no adversary and no perceptual
    loss, whose networks were trained on photographs.

    Args:
        process: of the latents, `diffusion` or `flow`.
        latent, halvings, encoder_width: of the autoencoder; fewer halvings where a picture has no room for them.
        encoder_steps: of its training. kl: of its loss.
        width, levels, steps, batch, learning_rate, guidance, draws: as of `PictureDiffusion`.
    """

    process: str = "diffusion"
    latent: int = 4
    halvings: int = 2
    encoder_width: int = 16
    encoder_steps: int = 1000
    kl: float = 1e-6
    width: int = 32
    levels: int = 3
    steps: int = 1500
    batch: int = 32
    learning_rate: float = 1e-3
    guidance: float = 1.0
    draws: int = 50

    def __post_init__(self) -> None:
        require_options(self.learning_rate, encoder_steps=self.encoder_steps, halvings=self.halvings)
        AutoencoderDesign(2, 1, self.latent, self.encoder_width)
        if self.kl < 0:
            raise ValueError(f"kl={self.kl:g} would spread latents without end: give 0 or more")
        if self.process not in PROCESSES:
            raise ValueError(f"no process is called '{self.process}': there are {' and '.join(PROCESSES)}")
        _ = self.of_latents

    @property
    def name(self) -> str:
        """The line by which it is asked for."""
        return line_of(self, "latent-diffusion")

    @property
    def of_latents(self) -> PictureDiffusion:
        """The generator of latents."""
        return PictureDiffusion(
            self.process, self.width, self.levels, self.steps, self.batch, self.learning_rate, self.guidance, self.draws
        )

    def fit(self, pictures: Tensor, condition: Tensor | None, seed: int, told: Told | None = None) -> FittedLatents:
        """Fit to pictures `(n, C, ...)` in -1 to 1, and numbers `(n, F)` that are known of each patient or None.

        Raises:
            ValueError: fewer than 8 pictures, a value outside of -1 to 1, or a side of fewer than 4.
            Unsupported: MONAI is not installed.
        """
        require_pictures(pictures)
        size = tuple(pictures.shape[2:])
        halvings = halvings_of(size, self.halvings)
        design = AutoencoderDesign(len(size), pictures.shape[1], self.latent, self.encoder_width, halvings)
        with own_randomness(seeded(seed, "picture-autoencoder")):
            network: Any = design.build()
        filled, total = even(pictures, design.step), self.encoder_steps + self.steps
        network = trained(
            network, lambda chosen, generator: self.loss(network, filled[chosen], generator), len(filled),
            steps=self.encoder_steps, batch=self.batch, rate=self.learning_rate * SMALLER_RATE,
            seed=seeded(seed, "picture-encoder-steps"), told=partly(told, 0, total),
        ).eval()  # fmt: skip
        with torch.no_grad():
            latents = torch.cat([network.encode(some)[0] for some in torch.split(filled, self.batch)])
        reach = max(float(np.quantile(latents.abs().flatten()[:: 1 + latents.numel() // 1_000_000], WITHIN)), 1e-6)
        learnt = self.of_latents.fit(
            (latents / reach).clamp(-1, 1), condition, seed, partly(told, self.encoder_steps, total)
        )
        return FittedLatents(design, kept_state(network), reach, learnt, size)

    def loss(self, network: Any, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of an autoencoder on a batch."""
        mean, spread = network.encode(pictures)
        shown = network.decode(mean + spread * torch.randn(mean.shape, generator=generator))
        far = 0.5 * (mean**2 + spread**2 - (spread**2).log() - 1).flatten(1).sum(1).mean()
        found: Tensor = (shown - pictures).abs().mean() + self.kl * far
        return found
