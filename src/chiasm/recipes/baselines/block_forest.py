"""`block-forest`: a random forest whose trees each read some of the modalities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.units import units_of
from chiasm.encoders import features_of
from chiasm.fitting.base import BaseRecipe, Training, require_trees
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.forest_choice import TRIED, choose_forest
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.row import Row
from chiasm.fitting.shared import shared_features
from chiasm.heads.response import Response
from chiasm.linear.forest import Forest
from chiasm.linear.losses import LOSSES
from chiasm.linear.tree_walk import single_precision
from chiasm.recipes.baselines import ROWS

MOST_CELLS = 250_000_000  # patients times columns: 1 GB


@storable("block-forest")
@dataclass(frozen=True)
class BlockForestPredictor:
    """Mean vote of the trees that read nothing which a patient lacks; the prior counts as one tree more.

    Args:
        kind: kind of target.
        features: modality to its fitted scaling, in the order of `widths`.
        widths: modality to its number of columns.
        forest: trees on the columns side by side.
        reads: `(T, M)` bool, the modalities that each tree reads.
        odds: modality to the odds that a tree reads it.
        prior: `(V,)` votes of the prior.
        slope: calibration of the deviation from the prior, from the links of patients left out.
    """

    kind: str
    features: dict[str, Any]
    widths: dict[str, int]
    forest: Forest
    reads: np.ndarray
    odds: dict[str, float]
    prior: np.ndarray
    slope: float

    def __post_init__(self) -> None:
        if self.kind not in LOSSES:
            raise ValueError(f"a forest predicts one of the kinds {', '.join(LOSSES)}")
        if sum(self.widths.values()) != self.forest.columns or set(self.widths) != set(self.features):
            raise ValueError("the trees read other columns than the modalities have")
        if self.reads.dtype != bool or self.reads.shape != (len(self.forest.start), len(self.widths)):
            raise ValueError("it does not say of each tree which modalities it reads")
        if self.prior.shape != (self.forest.votes,):
            raise ValueError("the prior has one vote for each that the trees cast")

    @property
    def trained_parameters(self) -> int:
        return self.forest.trained_parameters

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        x, present = side_by_side(cohort, self.features, self.widths)
        serves = (~present).astype(int) @ self.reads.T.astype(int) == 0  # (B, T): nothing that it reads is absent
        sums, numbers = self.forest.polled(x, serves)
        link_of = LOSSES[self.kind].link_of
        level = link_of(self.prior[None])
        return np.asarray(level + self.slope * (link_of((sums + self.prior) / (numbers + 1.0)) - level))


def side_by_side(
    cohort: Cohort, features: Mapping[str, Any], widths: Mapping[str, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Put the scaled columns of modalities beside each other, `(B, sum of F_m)`; also return who has which, `(B, M)`.

    Columns that a patient lacks are zero, and no tree that votes for him asks for them.
    """
    x = np.zeros((len(cohort), sum(widths.values())), np.float32, order="F")
    present, first = np.zeros((len(cohort), len(widths)), bool), 0
    for m, (name, width) in enumerate(widths.items()):
        rows = cohort.rows_of(name) if name in cohort.modalities else np.zeros(0, int)
        if len(rows):
            own = np.asarray(shared_features(cohort, name, features[name].features))
            x[rows, first : first + width], present[rows, m] = single_precision(own), True
        first += width
    return x, present


@dataclass(frozen=True)
class BlockForest(OneOrAll, CrossFittedRecipe):
    """Random forest whose trees each read some modalities, and vote for the patients who have these.

    Args:
        trees: number of trees; several labels share them, with a hundred each at least.
    """

    trees: int = 500

    row: ClassVar[Row] = ROWS["block-forest"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 10 <= self.trees <= 10_000:
            raise ValueError(f"trees={self.trees} must lie between 10 and 10,000")

    @property
    def reads_presence(self) -> bool:
        """Always False: each tree without a split votes as the prior, whoever has the modalities that it reads."""
        return False

    @property
    def settings(self) -> int:
        """Number of combinations of odds; of one modality there is one."""
        return 1 if self.modality else TRIED

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also for a kind of target that no tree is grown for."""
        super().supports(cohort)
        require_trees(cohort)

    # A forest gives patients without its modality the prior by itself: a form learns from all, and holds for all.
    restricted = BaseRecipe.restricted
    completed = BaseRecipe.completed

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Grow the trees, and select how often they read each modality by the patients whom they left out."""
        cohort, kind = self.read(training.cohort), training.target.kind
        features, widths = {}, {}
        for name in cohort.modalities:
            features[name] = features_of(cohort, name).fit(cohort.raw(name), [])
            widths[name] = shared_features(cohort, name, features[name].features).shape[1]
        require_size(len(cohort), sum(widths.values()))
        x, present = side_by_side(cohort, features, widths)
        units = units_of(cohort, None, False)
        found = choose_forest(
            kind,
            x,
            list(widths.values()),
            present,
            training.outcome,
            training.classes,
            np.arange(len(cohort)) if units is None else units,
            self.trees,
            training.seed,
        )
        odds = dict(zip(widths, found.odds, strict=True))
        predictor = BlockForestPredictor(
            kind, features, widths, found.forest, found.reads, odds, found.prior, found.slope
        )
        # a form says the prior itself of who lacks its modality, without a shift
        response = Response.fit(
            training.target, found.links, training.outcome, calibrate=False, in_the_large=not self.modality
        )
        # the links are of one forest, and are compared within any folds; the response compares them without
        return CrossFitted(predictor, found.links, self.inner_folds(cohort, training.seed), response)


def require_size(patients: int, width: int) -> None:
    """Refuse what does not fit into memory, before it is spread out.

    Raises:
        Unsupported: too many patients with too many columns.
    """
    if patients * width > MOST_CELLS:
        raise Unsupported(
            f"{patients:,} patients and {width:,} columns are too many for block-forest: both together may be "
            f"{MOST_CELLS:,} values"
        )
