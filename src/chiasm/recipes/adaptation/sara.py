"""`sara`: SaRA (arXiv 2409.06633), training of only the smallest weights of an encoder, fewer from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from chiasm.adapters import narrowed, nuclear_norm, small_weights
from chiasm.adapters.sites import linear_maps
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import Training
from chiasm.fitting.neural import Prepared, finish
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe
from chiasm.recipes.adaptation.adapted_fusion import Penalised
from chiasm.recipes.adaptation.trunks import open_trunks
from chiasm.training import Phase


@dataclass(frozen=True)
class SaraRecipe(AdaptedRecipe):
    """Train only the weights with `|w| < threshold` of linear maps and convolutions; all others stay bitwise unchanged.

    Args:
        share: share of these weights below the threshold, per network.
        stages: number of stages; after each but the last, weights that have left the threshold are frozen.
        nuclear: weight of the nuclear norm of the changes in one matrix, drawn in each step, in the loss.
        epochs: epochs of each stage.
    """

    share: float = 0.1
    stages: int = 2
    nuclear: float = 1e-4

    row: ClassVar[Row] = ROWS["sara"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1 or self.stages < 1 or self.nuclear < 0:
            raise ValueError("share lies above 0 and at most at 1, stages is 1 or more, nuclear 0 or more")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt the weights that are small before training."""
        sites = tuple(name for name in linear_maps(trunk.network) if name not in trunk.unread)
        delta = small_weights(trunk.network, lambda name, _: name in sites, self.threshold(trunk))
        return Adaptation(delta, tuple(name for name in sites if delta.where(name, trunk.network)))

    def threshold(self, trunk: Trunk) -> float:
        """Return the absolute value below which a `share` of the weights of the sites lies."""
        sites = [trunk.network.get_submodule(name) for name in linear_maps(trunk.network) if name not in trunk.unread]
        sizes = torch.cat([own.detach().abs().flatten() for site in sites for own in _own(site)])
        largest = sizes.kthvalue(max(1, int(self.share * len(sizes)))).values
        return float(torch.nextafter(largest, torch.full_like(largest, torch.inf)))

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return one phase with the nuclear norm; every stage is trained so."""
        return (Phase(self.training_options, Penalised(self.penalty)),)

    def penalty(self, attached: Any) -> Tensor:
        """Return `nuclear` times the nuclear norm for one matrix, drawn by the training's generator."""
        if not self.nuclear:
            return torch.zeros(())
        return self.nuclear * nuclear_norm(attached, torch.default_generator)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train stage after stage, each continuing from the previous one."""
        data, design, trunks = self.prepared(training)
        limits = {name: self.threshold(trunk) for name, trunk in trunks.items()}
        network = self.network(training, data, design, trunks, "-1")
        for number in range(2, self.stages + 1):
            attached: dict[str, Any] = network.fusion.attached  # type: ignore[assignment]
            deltas = {name: narrowed(own, limits[name]) for name, own in attached.items()}
            chosen = {name: replace(design.adaptations[name], adapter=delta) for name, delta in deltas.items()}
            design = replace(design, adaptations=chosen)
            network = self.network(training, data, design, open_trunks(data), f"-{number}", after=network)
        return finish(training, data, network, design)


def _own(site: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in site._parameters.values() if parameter is not None]
