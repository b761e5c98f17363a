"""SaRA (arXiv 2409.06633): only the smallest weights of an encoder are trained, fewer from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from chiasm.adapters import narrowed, nuclear_norm, small_weights
from chiasm.adapters.sites import linear_maps
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import Training
from chiasm.fitting.neural import finish
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe
from chiasm.recipes.adaptation.trunks import open_trunks


@dataclass(frozen=True)
class SaraRecipe(AdaptedRecipe):
    """Weights with `|w| < threshold` of linear maps and convolutions move; all others keep their bits.

    Args:
        share: of these weights that are below the threshold, of each network.
        stages: after each but the last, places whose weight has left the threshold stay as they are from then on.
        nuclear: times the nuclear norm of the changed weights in one matrix, drawn each step, is added to the loss.
        epochs: of each stage.
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
        """Where weights are small before any training."""
        sites = tuple(name for name in linear_maps(trunk.network) if name not in trunk.unread)
        delta = small_weights(trunk.network, lambda name, _: name in sites, self.threshold(trunk))
        return Adaptation(delta, tuple(name for name in sites if delta.where(name, trunk.network)))

    def threshold(self, trunk: Trunk) -> float:
        """The size below which a `share` of the weights of the sites lies."""
        sites = [trunk.network.get_submodule(name) for name in linear_maps(trunk.network) if name not in trunk.unread]
        sizes = torch.cat([own.detach().abs().flatten() for site in sites for own in _own(site)])
        largest = sizes.kthvalue(max(1, int(self.share * len(sizes)))).values
        return float(torch.nextafter(largest, torch.full_like(largest, torch.inf)))

    def penalty(self, attached: Any) -> Tensor:
        """`nuclear` times the norm of one matrix; the generator of the training draws it."""
        if not self.nuclear:
            return torch.zeros(())
        return self.nuclear * nuclear_norm(attached, torch.default_generator)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Stage after stage, each from where the one before has ended."""
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
