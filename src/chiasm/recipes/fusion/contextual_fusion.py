"""`contextual-fusion`: frozen branches, one linear map, and a penalty on a branch that is named (2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, cast

from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import Training
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_size, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.contextual import ContextualFusion
from chiasm.heads.head import output_width
from chiasm.heads.response import Response
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.training import Batch, Network, Objective, Phase


@storable("contextual-fusion")
@dataclass(frozen=True)
class ContextualDesign:
    """Number of outputs of a contextual fusion, K."""

    outputs: int

    def __post_init__(self) -> None:
        check_size("outputs", self.outputs)

    @property
    def latent_width(self) -> int:
        """Always 0: the fusion returns the link itself."""
        return 0

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> ContextualFusion:
        """Create a fresh fusion module."""
        return ContextualFusion(shapes, outputs=self.outputs, dropout=dropout)


class Penalised(Objective):
    """The target's loss and `alpha |theta_m|^2` of one branch; of none where the network does not read it."""

    def __init__(self, modality: str, alpha: float) -> None:
        self.modality, self.alpha = modality, alpha

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return both terms."""
        own, fusion = super().losses(network, batch, link, fused), cast(ContextualFusion, network.fusion)
        if self.modality not in fusion.names:
            return own
        return {**own, "penalty": self.alpha * fusion.weight(self.modality).square().sum()}


@dataclass(frozen=True)
class ContextualFusionRecipe(NetworkRecipe):
    """Linear fusion of frozen branches, one of which is held back where it is named; by default none is.

    Args:
        guarded: the modality that may be attacked, whose weights are penalised; empty: none.
        alpha: the penalty on the square of its weights, above 0 with `guarded` and 0 without it.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`;
            `latent_width` is not used.
    """

    guarded: str = ""
    alpha: float = 0.0

    row: ClassVar[Row] = ROWS["contextual-fusion"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"alpha is {self.alpha}, and must be 0 or more, and finite")
        if bool(self.guarded) != (self.alpha > 0):
            raise ValueError("guarded and alpha go together: name the modality and a penalty above 0, as alpha=0.1")
        if self.guarded and self.modality not in ("", self.guarded):
            raise ValueError(f"'{self.guarded}' cannot be guarded where '{self.modality}' alone is read")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if the cohort has no modality of the name `guarded`."""
        super().supports(cohort)
        if self.guarded and self.guarded not in cohort.modalities:
            known = ", ".join(cohort.modalities)
            raise Unsupported(f"the cohort has no modality '{self.guarded}' to guard: it has {known}")

    def reading(self, modality: str) -> ContextualFusionRecipe:
        """Return this recipe restricted to one modality, which is guarded if it is the one named."""
        if modality == self.guarded:
            return replace(self, modality=modality)
        return replace(self, modality=modality, guarded="", alpha=0.0)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network for the target's outputs, train and calibrate it."""
        data, design = prepare(training), ContextualDesign(output_width(training.target))
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Train on the target with the penalty."""
        return (Phase(self.training_options, Penalised(self.guarded, self.alpha)),)
