"""A batch in which nobody has a modality trains nothing of it, and a fusion that does so is found."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes
from chiasm.fusion.pooled import PooledMean, masked_mean
from chiasm.protocols import Fused
from chiasm.testing.absent import batches_that_lack_a_modality
from chiasm.tokens import Tokens
from chiasm.training import Phase
from chiasm.training.phase import Hook, Step
from small_recipes import mixed, small


class Leaky(PooledMean):
    """The mean of all modalities, an absent one as the map of zeros, or divided by how many lack it in the batch."""

    def __init__(self, shapes: Shapes, width: int, dropout: float, divided: bool) -> None:
        super().__init__(shapes, width, dropout)
        self.divided = divided

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        own = [tokens[name].where_present(present[:, m]) for m, name in enumerate(self.names)]
        parts = torch.stack([self.maps[m](masked_mean(part.values, part.mask)) for m, part in enumerate(own)], 1)
        if self.divided:
            here = present.to(parts.dtype)
            parts = parts * here[..., None] / here.sum(0)[:, None]
        return Fused(parts.mean(1))


@dataclass(frozen=True)
class LeakyDesign:
    """Its size, and how it leaks."""

    latent_width: int
    divided: bool

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> nn.Module:
        return Leaky(shapes, self.latent_width, dropout, self.divided)


@dataclass(frozen=True)
class LeakyRecipe(NetworkRecipe):
    """A network that breaks the law."""

    divided: bool = False

    id: ClassVar[str] = "leaky"

    def design(self) -> LeakyDesign:
        return LeakyDesign(self.latent_width, self.divided)


@pytest.mark.parametrize(
    ("divided", "said"),
    [(False, r"phase 'train' without 'm1' fusion\.maps\.0\..* has a gradient"), (True, "loss is not finite")],
)
def test_a_network_that_learns_of_what_nobody_has_is_found(divided: bool, said: str) -> None:
    with (
        pytest.raises(AssertionError, match=rf"trains nothing of it: .*{said}"),
        batches_that_lack_a_modality(),
    ):
        LeakyRecipe(epochs=1, latent_width=4, divided=divided).fit(mixed("classification"), seed=0)


@pytest.mark.parametrize("name", ["bm-mae", "urfound"])
def test_as_many_layers_as_modalities_belong_to_none(name: str) -> None:
    recipe = small(name, depth=3, **({"text": "m1"} if name == "urfound" else {}))
    with batches_that_lack_a_modality() as asked:
        recipe.fit(mixed("classification"), seed=0)
    assert asked


class LeakyRows(PooledMean):
    """The mean of all modalities, each times a row of its own; the first row is added where nobody has the first."""

    def __init__(self, shapes: Shapes, width: int, dropout: float) -> None:
        super().__init__(shapes, width, dropout)
        self.scales = nn.Parameter(torch.ones(len(shapes), width))

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        own = [tokens[name].where_present(present[:, m]) for m, name in enumerate(self.names)]
        parts = torch.stack([self.maps[m](masked_mean(part.values, part.mask)) for m, part in enumerate(own)], 1)
        parts = parts * present[..., None] * self.scales
        if not bool(present[:, 0].any()):
            parts = parts + self.scales[0]  # of the first alone
        return Fused(parts.mean(1))


@dataclass(frozen=True)
class LeakyRowsRecipe(NetworkRecipe):
    """A network in which a row learns of nobody."""

    id: ClassVar[str] = "leaky-rows"

    def design(self) -> LeakyRowsDesign:
        return LeakyRowsDesign(self.latent_width)


@dataclass(frozen=True)
class LeakyRowsDesign:
    """Its size."""

    latent_width: int

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> nn.Module:
        return LeakyRows(shapes, self.latent_width, dropout)


def test_a_row_that_learns_of_what_nobody_has_is_found() -> None:
    with (
        pytest.raises(AssertionError, match=r"phase 'train' without 'm1' fusion\.scales has a gradient"),
        batches_that_lack_a_modality(),
    ):
        LeakyRowsRecipe(epochs=1, latent_width=4).fit(mixed("classification"), seed=0)


@dataclass(frozen=True)
class MeanDesign:
    """Size of a network that keeps the law."""

    latent_width: int

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> nn.Module:
        return PooledMean(shapes, self.latent_width, dropout)


class Shaken(Hook):
    """Adds a little to every gradient of the fusion, also where nobody taught anything."""

    def __call__(self, step: Step) -> None:
        for parameter in step.network.fusion.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(1e-3)


@dataclass(frozen=True)
class ShakenRecipe(NetworkRecipe):
    """A network that keeps the law but for its hook."""

    hooked: bool = False

    id: ClassVar[str] = "shaken"

    def design(self) -> MeanDesign:
        return MeanDesign(self.latent_width)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        return (Phase(self.training_options, hooks=(Shaken(),) if self.hooked else ()),)


@pytest.mark.parametrize("hooked", [False, True])
def test_a_hook_that_moves_what_nobody_has_is_found(hooked: bool) -> None:
    found = pytest.raises(AssertionError, match=r"phase 'train' without 'm1' fusion\.maps\.0\..* has a gradient")
    with found if hooked else nullcontext(), batches_that_lack_a_modality():
        ShakenRecipe(epochs=1, latent_width=4, hooked=hooked).fit(mixed("classification"), seed=0)


def test_every_phase_is_asked_and_the_training_is_left_as_it_is() -> None:
    recipe, cohort = small("staged", epochs=6, unimodal=0.34, rebuild=0.34), mixed("classification")
    with batches_that_lack_a_modality() as asked:
        watched = recipe.fit(cohort, seed=0)
    phases = ("rebuild", "alone", "joint")
    assert asked == [f"{phase} without {name}" for phase in phases for name in ("m1", "m2", "m3")]
    plain = recipe.fit(cohort, seed=0)
    for key, own in plain.predictor.state.items():
        assert (own == watched.predictor.state[key]).all()
