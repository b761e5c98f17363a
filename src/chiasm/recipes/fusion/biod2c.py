"""`biod2c`: BioD2C (MICCAI 2025), a gated residual on one modality and consistency by a queue of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import Training
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_sizes, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.biod2c import ASKS, BASE, BioD2C
from chiasm.fusion.transformer import check_heads
from chiasm.heads.response import Response
from chiasm.objectives.queue_consistency import queue_consistency
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.training import Batch, Network, Objective, Phase

QUEUE = 256  # patients before that are kept of each modality


@storable("biod2c")
@dataclass(frozen=True)
class BioD2CDesign:
    """Sizes of a BioD2C, its base, and the start of its gates."""

    base: str
    latent_width: int
    heads: int
    beta: float

    def __post_init__(self) -> None:
        check_sizes(1, self.latent_width, 1, self.heads)
        check_heads(self.latent_width, self.heads)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> BioD2C:
        """Create a fresh fusion module of these sizes."""
        return BioD2C(
            shapes, base=self.base, latent_width=self.latent_width, heads=self.heads, beta=self.beta, dropout=dropout
        )


class Consistent(Objective):
    """The target's loss, and `weight` times the mean queue consistency of each other modality with the output.

    The queues hold the last 256 mean tokens of each modality that earlier steps saw; validation neither reads nor
    fills them.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.queues: dict[str, Tensor] = {}

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return both terms, then put the batch into the queues."""
        found = [link.sum() * 0.0]
        for name, asks in fused.extras.items():
            if name.startswith(ASKS):
                here = ~torch.isnan(asks[:, 0])
                queue = self.queues.get(name, asks[:0].detach()).to(asks)
                found.append(queue_consistency(asks[here], fused.extras[BASE][here], queue))
                self.queues[name] = torch.cat([queue, asks[here].detach()])[-QUEUE:].cpu()
        own = super().losses(network, batch, link, fused)
        return {**own, "consistency": self.weight * torch.stack(found).sum() / max(1, len(found) - 1)}

    def state(self) -> Any:
        """Return the queues."""
        return dict(self.queues)

    def restore(self, state: Any) -> None:
        """Restore the queues."""
        self.queues = dict(state)


@dataclass(frozen=True)
class BioD2CRecipe(NetworkRecipe):
    """BioD2C, trained end to end on the target and on consistency.

    Args:
        base: the modality that the others ask; empty: the first by name.
        latent_width, heads: D, and attention heads.
        beta: start of the gates of the others.
        consistency: weight of the consistency by a queue.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    needs_pairs: ClassVar[bool] = True

    base: str = ""
    heads: int = 4
    beta: float = 0.1
    consistency: float = 1.0

    row: ClassVar[Row] = ROWS["biod2c"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._design("")  # refuses invalid sizes
        if not (0 <= self.consistency < math.inf and math.isfinite(self.beta)):
            raise ValueError("consistency is 0 or more, and it and beta are finite")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if the cohort has no modality of the name `base`."""
        super().supports(cohort)
        if self.base and self.base not in cohort.modalities:
            known = ", ".join(cohort.modalities)
            raise Unsupported(f"the cohort has no modality '{self.base}' as a base: it has {known}")

    def _design(self, base: str) -> BioD2CDesign:
        return BioD2CDesign(base, self.latent_width, self.heads, self.beta)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network about its base, train and calibrate it; a base that nobody has gives way to the first."""
        data = prepare(training)
        names = sorted(data.tokens)
        design = self._design(self.base if self.base in names else names[0])
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Train on the target and the consistency at once."""
        return (Phase(self.training_options, Consistent(self.consistency)),)
