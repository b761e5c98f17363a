"""`memcontrol`: MemControl (WACV 2025, arXiv 2405.19458), a two-objective search for the encoder blocks to adapt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from chiasm.adapters import low_rank, search_sites
from chiasm.adapters.site_search import Choice, searcher
from chiasm.adapters.sites import blocks, projections
from chiasm.cohort import Cohort, holdout
from chiasm.compute.isolation import seeded
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import Training
from chiasm.fitting.neural import VALIDATION, Prepared, held_out_loss
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedDesign, AdaptedRecipe, adapted_fusion
from chiasm.recipes.adaptation.trunks import open_trunks
from chiasm.training import Phase

Sites = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class MemControlRecipe(AdaptedRecipe):
    """Search which blocks get LoRA, and a learning rate, to minimise inner loss and the number of trained parameters.

    Among the Pareto-optimal choices, the one with the fewest parameters whose loss is within `tolerance` of the best is
    trained. The patients used for early stopping and calibration of that training take no part in the search.

    Args:
        rank, alpha: rank and scale of LoRA.
        trials: maximum number of choices tried.
        trial_epochs: training epochs of each trial.
        lowest, highest: range of the learning rate; equal values fix it.
        tolerance: loss tolerance, relative to the best loss.
    """

    rank: int = 4
    alpha: float = 8.0
    trials: int = 16
    trial_epochs: int = 3
    lowest: float = 3e-4
    highest: float = 3e-3
    tolerance: float = 0.02

    row: ClassVar[Row] = ROWS["memcontrol"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trials < 1 or self.trial_epochs < 1 or not 0 < self.lowest <= self.highest or self.tolerance < 0:
            raise ValueError("trials and trial_epochs are 1 or more, 0 < lowest <= highest, tolerance is 0 or more")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Return no change, because the search selects it; raise `ValueError` if no block can be adapted."""
        if not self.sites(trunk):
            raise ValueError("no block has a map of a rank above the adapter's")
        return Adaptation()

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if optuna is not installed."""
        searcher()
        super().supports(cohort)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Search, then train the selected choice."""
        data, design, trunks = self.prepared(training)
        sites = {f"{name}:{block}": own for name, trunk in trunks.items() for block, own in self.sites(trunk).items()}
        if not sites:  # too few patients have a modality that could be adapted
            return self.learned(training, data, design, trunks)
        chosen = self.best(self.search(training, data, design, sites))
        final = replace(self, learning_rate=chosen.rate)
        design = final.chosen(design, sites, chosen.sites)
        return final.learned(training, data, design, open_trunks(data))

    def sites(self, trunk: Trunk) -> Sites:
        """Map each block to its query, key and value maps."""
        found = {}
        for block in blocks(trunk.network):
            names = [f"{block}.{name}" for name in projections(trunk.network.get_submodule(block), self.rank)]
            found[block] = tuple(name for name in names if name not in trunk.unread)
        return {block: own for block, own in found.items() if own}

    def chosen(self, design: AdaptedDesign, sites: Sites, labels: tuple[str, ...]) -> AdaptedDesign:
        """Return the design with LoRA in these blocks, each given as `modality:block`."""
        made = {}
        for name, own in design.trunks.items():
            found = tuple(site for label in labels if label.rpartition(":")[0] == name for site in sites[label])
            made[name] = Adaptation()
            if found:
                made[name] = Adaptation(low_rank(own.trunk().network, found, self.rank, self.alpha), found)
        return replace(design, adaptations=made)

    def search(self, training: Training, data: Prepared, design: AdaptedDesign, sites: Sites) -> list[Choice]:
        """Search the blocks and learning rate; return the Pareto-optimal choices."""
        inner, seed = inner_patients(data, training.seed), seeded(training.seed, "search")

        def costs(labels: tuple[str, ...], rate: float) -> tuple[float, float]:
            own = self.chosen(design, sites, labels)
            network = self.fitted(
                training,
                inner,
                lambda: adapted_fusion(own, open_trunks(data), data.shapes, self.dropout),
                f"-search-{seeded(0, '+'.join(labels))}-{rate:.6e}",
                phases=(Phase(replace(self.training_options, epochs=self.trial_epochs, learning_rate=rate)),),
                seed=seed,
            )
            attached: dict[str, Any] = network.fusion.attached  # type: ignore[assignment]
            return held_out_loss(network, inner), float(sum(one.count() for one in attached.values()))

        rates = (self.lowest, self.highest)
        return search_sites(list(sites), costs, goals=2, trials=self.trials, rates=rates, seed=training.seed)

    def best(self, front: list[Choice]) -> Choice:
        """Return the choice with fewest parameters among those within `tolerance` of the best loss; ties by loss."""
        limit = min(choice.costs[0] for choice in front)
        limit += self.tolerance * abs(limit)
        near = [choice for choice in front if choice.costs[0] <= limit]
        return min(near, key=lambda choice: (choice.costs[1], choice.costs[0]))


def inner_patients(data: Prepared, seed: int) -> Prepared:
    """Restrict to patients not held out for early stopping, and hold out a fifth of them instead."""
    inner = data.subset(np.flatnonzero(~data.held_out))
    return replace(inner, held_out=holdout(inner.cohort, VALIDATION, seed=seed))
