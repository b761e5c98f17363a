"""A recipe from scratch with two phases, gradient modulation and extra outputs obeys the laws of every recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.artifact import storable
from chiasm.citation import Citation
from chiasm.cohort import synthetic_cohort
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.protocols import Fused
from chiasm.testing import check_recipe
from chiasm.tokens import Tokens
from chiasm.training import Batch, Hook, Network, Objective, Phase, Step


class Summed(nn.Module):
    """`e = sum_m W_m x_m` over the m present, x_m the mean token; each `W_m x_m` is an extra."""

    def __init__(self, shapes: Any, width: int) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.maps = nn.ModuleList(nn.Linear(shapes[name][0], width) for name in self.names)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        parts = {}
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            mean = (own.values * own.mask[..., None]).sum(1) / own.mask.sum(1, keepdim=True).clamp_min(1)
            parts[name] = self.maps[m](mean) * present[:, [m]]
        return Fused(torch.stack(list(parts.values())).sum(0), extras=parts)


@storable("scratch-summed")
@dataclass(frozen=True)
class SummedDesign:
    latent_width: int

    def fusion(self, shapes: Any, dropout: float = 0.0) -> Summed:
        return Summed(shapes, self.latent_width)


def alone(network: Network, batch: Batch, fused: Fused) -> dict[str, Tensor]:
    """The loss of each modality's own part."""
    known = batch.target.value, batch.target.event
    return {name: network.head.loss(network.head(part), *known) for name, part in fused.extras.items()}


class Alone(Objective):
    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        return alone(network, batch, fused)


class Modulation(Hook):
    """Who predicts better alone than the others do gets a smaller gradient (after OGM-GE, CVPR 2022)."""

    def __call__(self, step: Step) -> None:
        with torch.no_grad():
            losses = torch.stack(list(alone(step.network, step.batch, step.computed.fused).values()))
            share = 1 - torch.tanh(functional.relu(losses.mean() / losses.clamp_min(1e-6) - 1))
            for parameter, own in zip(step.network.fusion.maps, share, strict=True):
                for gradient in (parameter.weight.grad, parameter.bias.grad):
                    gradient.mul_(own)


@dataclass(frozen=True)
class SummedRecipe(NetworkRecipe):
    id, family, needs = "scratch-summed", "fusion", "two modalities or more"
    paper = Citation("A scratch recipe", "nowhere", 2026, "https://example.org")

    def design(self) -> SummedDesign:
        return SummedDesign(self.latent_width)

    def phases(self, data: Any) -> tuple[Phase, ...]:
        return (
            Phase(self.training_options, Alone(), name="alone"),
            Phase(self.training_options, hooks=(Modulation(),), name="together"),
        )


def test_it_obeys_the_laws() -> None:
    check_recipe(SummedRecipe(epochs=2, latent_width=8), kinds=("survival",), n=56)


def test_its_two_phases_and_its_hook_count() -> None:
    cohort = synthetic_cohort("complementary", 60, target="classification")

    class OnePhase(SummedRecipe):
        def phases(self, data: Any) -> tuple[Phase, ...]:
            return super().phases(data)[1:]

    class NoHook(SummedRecipe):
        def phases(self, data: Any) -> tuple[Phase, ...]:
            first, second = super().phases(data)
            return first, Phase(second.options, name=second.name)

    whole, *others = (
        cls(epochs=2, latent_width=8).fit(cohort, seed=0).predict(cohort) for cls in (SummedRecipe, OnePhase, NoHook)
    )
    assert all(not whole.equals(other) for other in others)
