"""`gan`: pictures by one network of MONAI that another one, which is trained beside it, cannot tell from real ones."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.compute.isolation import own_randomness, seeded
from chiasm.generation.picture_generator import (
    MOST_VALUES,
    Told,
    average_in,
    cropped,
    halvings_of,
    kept_state,
    line_of,
    monai_part,
    require_options,
    require_pictures,
    some_untold,
    with_state,
)

TOLD_AS = 4  # channels by which the critic is told of a patient
LEAST_SIDE, DEEPER_SIDE = 8, 16
MOMENTA = (0.5, 0.99)


@storable("picture-artist")
@dataclass(frozen=True)
class ArtistDesign:
    """Sizes of a network that makes pictures of noise.

    Args:
        channels: of the pictures.
        size: of a picture, without its channels.
        condition: numbers that are known of a patient; 0: none.
        noise: numbers that a picture is made of.
        width: channels of the finest level; each level below has twice as many.
        halvings: how many levels lie below.
    """

    channels: int
    size: tuple[int, ...]
    condition: int = 0
    noise: int = 32
    width: int = 16
    halvings: int = 2

    def __post_init__(self) -> None:
        if len(self.size) not in (2, 3) or min(self.channels, self.noise, self.width, self.halvings, *self.size) < 1:
            raise ValueError("pictures have 2 or 3 axes; channels, noise, width and halvings are 1 or more")
        if self.condition < 0:
            raise ValueError("there are no fewer numbers that are known than none")

    def build(self) -> Artist:
        """Create a network with random weights."""
        return Artist(self)


class Artist(nn.Module):
    """`G(z, c)`: MONAI's `Generator` of noise `(B, Z)` and numbers `(B, F)`, cut to the size, between -1 and 1.

    Nothing known, a condition of None or a row of NaN, is zeros and a number that says so.
    """

    def __init__(self, design: ArtistDesign) -> None:
        super().__init__()
        self.design = design
        step = 2**design.halvings
        wide = [design.width * 2**level for level in range(design.halvings, -1, -1)]
        self.network: Any = monai_part("networks.nets.generator", "Generator")(
            latent_shape=(design.noise + design.condition + 1,),
            start_shape=(wide[0], *(-(-side // step) for side in design.size)),
            channels=(*wide[1:], design.channels), strides=(2,) * design.halvings + (1,), num_res_units=1,
        )  # fmt: skip

    def forward(self, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """Pictures `(B, C, ...)`."""
        known = numbers_of(condition, len(noise), self.design.condition)
        made = self.network(torch.cat([noise, known.to(noise)], 1)).tanh()
        return cropped(made, self.design.size)


class Critic(nn.Module):
    """`D(x, c)`: MONAI's `PatchDiscriminator` of a picture beside channels that tell of its patient."""

    def __init__(self, design: ArtistDesign, width: int) -> None:
        super().__init__()
        self.design = design
        self.told = nn.Linear(design.condition + 1, TOLD_AS)
        self.network: Any = monai_part("networks.nets.patchgan_discriminator", "PatchDiscriminator")(
            spatial_dims=len(design.size), channels=width, in_channels=design.channels + TOLD_AS,
            num_layers_d=2 if min(design.size) >= DEEPER_SIDE else 1, norm=None,
        )  # fmt: skip

    def forward(self, pictures: Tensor, condition: Tensor | None = None) -> Tensor:
        """How real each patch looks, `(B, 1, ...)`."""
        told = self.told(numbers_of(condition, len(pictures), self.design.condition).to(pictures))
        beside = told[(...,) + (None,) * (pictures.ndim - 2)].expand(-1, -1, *pictures.shape[2:])
        found: Tensor = self.network(torch.cat([pictures, beside], 1))[-1]
        return found


@storable("adversarial-pictures")
@dataclass(frozen=True)
class FittedArtist:
    """A network that makes pictures of one size; it keeps no picture, and the critic is left behind.

    Args:
        design: of the network. state: its parameters, their mean over the training.
    """

    design: ArtistDesign
    state: dict[str, np.ndarray]

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"the weights of a network that draws pictures of {' x '.join(map(str, self.design.size))}"

    def network(self) -> Artist:
        """The network with its weights, for prediction."""
        with own_randomness(0):
            network = self.design.build()
        return with_state(network, self.state)

    def sample(self, n: int, seed: int, condition: Tensor | None = None, told: Told | None = None) -> Tensor:
        """Draw n pictures `(n, C, ...)` in -1 to 1; see `FittedPainter`."""
        network, generator = self.network(), torch.Generator().manual_seed(seeded(seed, "pictures"))
        at_once = max(1, MOST_VALUES // (self.design.channels * torch.Size(self.design.size).numel()))
        parts = [torch.zeros(0, self.design.channels, *self.design.size)]
        for start in range(0, n, at_once):
            noise = torch.randn(min(at_once, n - start), self.design.noise, generator=generator)
            with torch.no_grad():
                parts.append(network(noise, None if condition is None else condition[start : start + at_once]))
            if told is not None:
                told(start + len(noise), n)
        return torch.cat(parts)


@dataclass(frozen=True)
class AdversarialPictures:
    """A generator of pictures by an adversary, with its options, before it has seen one.

    Each step the critic D learns `(L(D(x, c), 1) + L(D(G(z, c), c), 0)) / 2 + r1 / 2 |dD/dx|^2`, then the network G
    `L(D(G(z, c), c), 1)`, L MONAI's least squares of patches.

    Source: Mao et al. 2017 (arXiv 1611.04076) and Isola et al. 2017 (arXiv 1611.07004), as in MONAI; the penalty of
    Mescheder et al. 2018 (arXiv 1801.04406), without which few pictures are soon known by heart.

    Args:
        noise, width, halvings: of the network; fewer halvings where a picture has no room for them.
        critic_width: channels of the critic's first layer.
        r1: weight of the penalty.
        steps: of training. batch: pictures in each. learning_rate: of both.
    """

    noise: int = 32
    width: int = 16
    halvings: int = 2
    critic_width: int = 24
    r1: float = 1.0
    steps: int = 3000
    batch: int = 32
    learning_rate: float = 5e-4

    def __post_init__(self) -> None:
        require_options(
            self.learning_rate, steps=self.steps, batch=self.batch, critic_width=self.critic_width, noise=self.noise,
            width=self.width, halvings=self.halvings,
        )  # fmt: skip
        if self.r1 < 0:
            raise ValueError(f"r1={self.r1:g} would reward steepness: give 0 or more")

    @property
    def name(self) -> str:
        """The line by which it is asked for."""
        return line_of(self, "gan")

    def fit(self, pictures: Tensor, condition: Tensor | None, seed: int, told: Told | None = None) -> FittedArtist:
        """Fit to pictures `(n, C, ...)` in -1 to 1, and numbers `(n, F)` that are known of each patient or None.

        Raises:
            ValueError: fewer than 8 pictures, a value outside of -1 to 1, or a side of fewer than 8.
            Unsupported: MONAI is not installed.
        """
        require_pictures(pictures)
        size = tuple(pictures.shape[2:])
        if min(size) < LEAST_SIDE:
            raise ValueError(
                f"a critic of patches needs sides of {LEAST_SIDE} or more, and a picture has {min(size)}: take "
                "another generator"
            )
        design = ArtistDesign(
            pictures.shape[1], size, 0 if condition is None else condition.shape[1], self.noise, self.width,
            halvings_of(size, self.halvings),
        )  # fmt: skip
        with own_randomness(seeded(seed, "picture-artist")):
            artist, critic = design.build(), Critic(design, self.critic_width)
        mean, (drawing, judging) = deepcopy(artist), self.optimisers(artist, critic)
        generator = torch.Generator().manual_seed(seeded(seed, "picture-adversary-steps"))
        for step in range(self.steps):
            chosen = torch.randint(len(pictures), (min(self.batch, len(pictures)),), generator=generator)
            known = some_untold(None if condition is None else condition[chosen], generator)
            made = artist(torch.randn(len(chosen), self.noise, generator=generator), known)
            judged = self.judged(critic, pictures[chosen], made.detach(), known)
            judging.zero_grad()
            judged.backward()  # type: ignore[no-untyped-call]
            judging.step()
            drawn = patch_loss(critic(made, known), real=True, critic=False)
            drawing.zero_grad()
            drawn.backward()  # type: ignore[no-untyped-call]
            drawing.step()
            average_in(mean, artist, step)
            if told is not None:
                told(step + 1, self.steps)
        return FittedArtist(design, kept_state(mean))

    def optimisers(self, artist: nn.Module, critic: nn.Module) -> tuple[torch.optim.Adam, torch.optim.Adam]:
        """One for each of the two networks."""
        return (
            torch.optim.Adam(artist.parameters(), lr=self.learning_rate, betas=MOMENTA),
            torch.optim.Adam(critic.parameters(), lr=self.learning_rate, betas=MOMENTA),
        )

    def judged(self, critic: nn.Module, real: Tensor, made: Tensor, condition: Tensor | None) -> Tensor:
        """The loss of the critic on as many real pictures and made ones."""
        shown = real.clone().requires_grad_(self.r1 > 0)
        said = critic(shown, condition)
        both = patch_loss(said, real=True, critic=True) + patch_loss(critic(made, condition), real=False, critic=True)
        if not self.r1:
            return both / 2
        (slope,) = torch.autograd.grad(said.flatten(1).mean(1).sum(), shown, create_graph=True)
        return both / 2 + self.r1 / 2 * (slope**2).flatten(1).sum(1).mean()


def patch_loss(said: Tensor, *, real: bool, critic: bool) -> Tensor:
    """MONAI's adversarial loss by least squares of patches that are to look real or not."""
    made: Any = monai_part("losses.adversarial_loss", "PatchAdversarialLoss")(criterion="least_squares")
    found: Tensor = made(said, target_is_real=real, for_discriminator=critic)
    return found


def numbers_of(condition: Tensor | None, n: int, known: int) -> Tensor:
    """What is known `(n, F)` beside one number that is 1 where nothing is, `(n, F + 1)`."""
    if condition is None or not known:
        return torch.cat([torch.zeros(n, known), torch.ones(n, 1)], 1)
    lacks = condition.isnan().any(1, keepdim=True)
    return torch.cat([condition.nan_to_num().where(~lacks, 0.0), lacks.to(condition)], 1)
