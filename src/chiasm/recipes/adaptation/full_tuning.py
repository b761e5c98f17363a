"""`full-tuning`: full fine-tuning of every encoder weight that the tokens depend on; a reference for other recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, cast

import numpy as np

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.neural import Prepared
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedFusion, AdaptedRecipe
from chiasm.training import Network, Objective, Phase
from chiasm.training.balanced import Balanced
from chiasm.training.layers import falling_rates, layers_of


@dataclass(frozen=True)
class FullTuning(AdaptedRecipe):
    """Full fine-tuning of the network, with its dropout and its running statistics, if it has any.

    Args:
        layer_decay: by which the learning rate falls from each layer to the one below it; 1: all learn at one rate.
        balanced: count each class as much as the others, whatever its number of patients; of labels yes as much as no.
    """

    learning_rate: float = 1e-4
    layer_decay: float = 1.0
    balanced: bool = False

    row: ClassVar[Row] = ROWS["full-tuning"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay lies above 0 and is at most 1, not {self.layer_decay}")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if there are no classes to balance."""
        super().supports(cohort)
        target = cohort.target
        if self.balanced and target is not None and not (target.has_classes or target.has_labels):
            raise Unsupported(f"a target of kind '{target.kind}' has no classes to balance: leave out balanced")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Train every weight.

        Raises:
            ValueError: the layers of the network stand in no list, along which a rate could fall.
        """
        if self.layer_decay < 1:
            layers_of(trunk.network)
        return Adaptation(full=True)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the one phase, with rates by layer and a balanced loss where these are asked for."""
        return (Phase(self.training_options, self.objective(data), groups=self.rates()),)

    def objective(self, data: Prepared) -> Objective:
        """Return the loss of the target, balanced where that is asked for."""
        if not self.balanced or data.cohort.target is None:
            return Objective()
        return Balanced(data.target.value[np.flatnonzero(~data.held_out)], len(data.cohort.target.names))

    def rates(self) -> Any:
        """Return what makes the optimiser's groups; None where all parameters learn at one rate."""
        return (
            None if self.layer_decay == 1 else partial(groups, decay=self.layer_decay, weight_decay=self.weight_decay)
        )


def groups(network: Network, *, decay: float, weight_decay: float) -> Sequence[Mapping[str, Any]]:
    """Return the optimiser's groups: of each encoder's network rates that fall by layer, all else at the full rate."""
    found: list[Mapping[str, Any]] = []
    for own in cast(AdaptedFusion, network.fusion).attached.values():
        found += falling_rates(cast(Trunk, own).network, decay, weight_decay)
    listed = {id(parameter) for group in found for parameter in group["params"]}
    rest = [own for own in network.parameters() if own.requires_grad and id(own) not in listed]
    return [*found, {"params": rest}]
