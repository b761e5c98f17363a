"""`boosted-trees`: gradient-boosted trees on the columns of all modalities side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.encoders.sharing import different_raw
from chiasm.fitting.base import Training, require_trees
from chiasm.fitting.bent import TreeInputs, tree_inputs
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.inner_choice import DEPTHS, ROUNDS, choose_depth
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import part_of_training
from chiasm.heads.response import Response
from chiasm.linear.boosted_trees import BoostedTrees
from chiasm.linear.linear import stretched
from chiasm.recipes.baselines import ROWS


@storable("boosted-modalities")
@dataclass(frozen=True)
class BoostedPredictor:
    """Boosted trees on the columns of all modalities; those of an absent one are missing values.

    Args:
        inputs: modality to what the trees read of it, in the order of the trees' columns.
        trees: trees on these columns side by side.
        slope, centre: calibration, from inner out-of-fold links.
    """

    inputs: dict[str, TreeInputs]
    trees: BoostedTrees
    slope: float
    centre: float

    def __post_init__(self) -> None:
        if sum(own.width for own in self.inputs.values()) != self.trees.columns:
            raise ValueError("the trees read another number of columns than the modalities have")

    @property
    def trained_parameters(self) -> int:
        return self.trees.trained_parameters

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        return stretched(self.trees.linear_predictor(side_by_side(cohort, self.inputs)), self.slope, self.centre)


def side_by_side(cohort: Cohort, inputs: Mapping[str, TreeInputs]) -> np.ndarray:
    """Put what trees read of each modality beside each other, `(B, sum of F_m)`; NaN where absent or missing."""
    blocks = []
    for name, own in inputs.items():
        block = np.full((len(cohort), own.width), np.nan)
        rows = cohort.rows_of(name) if name in cohort.modalities else np.zeros(0, int)
        if len(rows):
            raw, shared = different_raw(cohort, name)
            block[rows] = own(raw) if shared is None else own(raw)[shared.index]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


@dataclass(frozen=True)
class Boosted(OneOrAll, CrossFittedRecipe):
    """Gradient-boosted trees on all modalities at once; an absent modality is a missing value like any other."""

    row: ClassVar[Row] = ROWS["boosted-trees"]

    @property
    def settings(self) -> int:
        """Number of combinations of depth and rounds."""
        return len(DEPTHS) * len(ROUNDS)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also for a kind of target that no tree is grown for."""
        super().supports(cohort)
        require_trees(cohort)

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Select depth and rounds on inner folds and fit on all patients."""
        cohort, outcome = training.cohort, training.outcome
        folds = self.inner_folds(cohort, training.seed)
        inputs = {name: tree_inputs(part_of_training(training, name, folds)) for name in cohort.modalities}
        x = side_by_side(cohort, inputs)
        chosen = choose_depth(training.target.kind, x, outcome, folds, training.classes, training.seed)
        predictor = BoostedPredictor(inputs, chosen.model, chosen.slope, chosen.centre)
        large = not self.modality  # a form says the prior itself of who lacks its modality
        response = Response.fit(
            training.target, chosen.links, outcome, calibrate=False, folds=folds, in_the_large=large
        )
        return CrossFitted(predictor, chosen.links, folds, response)
