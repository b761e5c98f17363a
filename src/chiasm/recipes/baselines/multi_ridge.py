"""`multi-ridge`: one ridge of all modalities, each under a penalty of its own, or all but free."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.memo import remember
from chiasm.encoders import features_of
from chiasm.errors import FindingWarning
from chiasm.fitting.base import Training
from chiasm.fitting.block_choice import MOST_SQUARE, MOST_TRIED, ChosenBlocks, choose_blocks, require_size
from chiasm.fitting.coefficients import Coefficients, parted
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import inner_folds
from chiasm.linear.linear import Linear, stretched
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.columns import blocks_of, columns, means_of

FREE = -3.0  # power of ten of the penalty of a free modality: enough to keep a category without events finite
A_COLUMN = 2  # patients that a free column needs: events, for survival; of classes and labels those of the rarer value


@storable("multi-ridge")
@dataclass(frozen=True)
class MultiRidgePredictor:
    """One linear model of the scaled columns of all modalities; an absent modality adds nothing.

    Args:
        features: modality to its fitted scaling, in the order of `means`.
        means: modality to the mean `(F_m,)` of its scaled columns over the training patients who have it.
        linear: linear model on the concatenated centred columns.
        penalties: modality to its penalty, in units of information; of a lasso, that on the sum of its coefficients.
        slope, centre: calibration, from inner out-of-fold links.
    """

    features: dict[str, Any]
    means: dict[str, np.ndarray]
    linear: Linear
    penalties: dict[str, float]
    slope: float
    centre: float

    @property
    def trained_parameters(self) -> int:
        """Number of coefficients that are not zero, and of intercepts."""
        return int(np.count_nonzero(self.linear.coef) + self.linear.intercept.size)

    def coefficients(self) -> Coefficients:
        """Return the coefficients of the calibrated link by modality and column."""
        features = {name: self.features[name] for name in self.means}
        return parted(features, [len(mean) for mean in self.means.values()], self.slope * self.linear.coef)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        raw = self.linear.linear_predictor(columns(cohort, self.features, self.means))
        return stretched(raw, self.slope, self.centre)


@dataclass(frozen=True)
class MultiRidge(CrossFittedRecipe):
    """Ridge with a penalty for each modality, which inner folds select together.

    Args:
        free: modalities that are all but free, joined by "+", as clinical variables whose effect is known to be there:
            their penalty is a thousandth of the information that a column carries, and is not selected.
    """

    free: str = ""

    row: ClassVar[Row] = ROWS["multi-ridge"]

    @property
    def settings(self) -> int:
        """Largest number of combinations of penalties that are tried."""
        return MOST_TRIED

    def multiplications(self, cohort: Cohort) -> float:
        """Estimate those of a factorisation with more columns than patients."""
        return float(min(len(cohort), MOST_SQUARE) ** 2 * len(cohort))

    @property
    def named_free(self) -> tuple[str, ...]:
        """Names of the free modalities."""
        return tuple(filter(None, (name.strip() for name in self.free.split("+"))))

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if a free modality is not there, or none is left whose penalty is selected."""
        super().supports(cohort)
        for name in self.named_free:
            if name not in cohort.modalities:
                known = ", ".join(cohort.modalities)
                raise Unsupported(f"free={self.free} names '{name}', and the cohort's modalities are {known}")
        if set(self.named_free) == set(cohort.modalities):
            raise Unsupported(f"free={self.free} leaves no modality whose penalty could be selected: name fewer")

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Select the penalties on inner folds and fit on all patients.

        Where too few training patients have the modalities that are not free, the free ones are penalised too.
        """
        read = read_blocks(training, self.named_free)
        found = chosen_blocks(training, read, inner_folds(training.cohort, training.seed))
        predictor = read.predictor(training.target.kind, found, found.blocks)
        return CrossFitted.of(training, predictor, found.links, calibrate=False)


@dataclass(frozen=True)
class ReadBlocks:
    """What a multi-penalty ridge reads: for each modality its scaling, the mean of its columns, and the columns.

    Args:
        features: modality to its fitted scaling.
        means: modality to the mean `(F_m,)` of its scaled columns over the training patients who have it.
        values: the centred columns of each modality, `(n, F_m)`; zeros where a patient lacks it.
        held: of each modality the power of ten at which its penalty is held, None where it is selected.
    """

    features: dict[str, Any]
    means: dict[str, np.ndarray]
    values: list[np.ndarray]
    held: list[float | None]

    def predictor(self, kind: str, found: ChosenBlocks, blocks: Sequence[np.ndarray]) -> MultiRidgePredictor:
        """Return the predictor of a choice, with these coefficients of each modality."""
        linear = Linear(kind, np.concatenate([*blocks]), found.intercept)
        penalties = dict(zip(self.means, found.penalties, strict=False))
        return MultiRidgePredictor(self.features, self.means, linear, penalties, found.slope, found.centre)


def read_blocks(training: Training, named_free: Sequence[str]) -> ReadBlocks:
    """Scale and centre the columns of each modality on the training patients who have it.

    Raises:
        Unsupported: too many patients with too many columns, or too few for a free modality.
    """
    cohort = training.cohort
    free = set(named_free) & set(cohort.modalities)
    if free == set(cohort.modalities):
        named = "+".join(named_free)
        what = f"too few training patients have a modality that is not free, so that free={named} is penalised too"
        warnings.warn(what, FindingWarning, stacklevel=6)
        free = set()
    features = {name: features_of(cohort, name).fit(cohort.raw(name), []) for name in cohort.modalities}
    means = means_of(cohort, features)
    require_size(len(cohort), sum(map(len, means.values())), "patients")
    for name in sorted(free):
        require_room(training, name, len(means[name]))
    held = [FREE if name in free else None for name in means]
    return ReadBlocks(features, means, blocks_of(cohort, features, means), held)


def chosen_blocks(training: Training, read: ReadBlocks, folds: np.ndarray) -> ChosenBlocks:
    """Select the penalties on inner folds `(n,)` and fit on all patients; once for all recipes of a training set."""
    cohort, kind = training.cohort, training.target.kind
    return remember(
        cohort.fingerprint,
        ("multi-ridge", tuple(read.held), training.seed),
        lambda: choose_blocks(kind, read.values, training.outcome, folds, training.classes, read.held),
    )


def require_room(training: Training, name: str, width: int) -> None:
    """Refuse a free modality with more columns than those who have it can tell apart.

    Raises:
        Unsupported: fewer than two patients a column.
    """
    outcome = training.outcome.take(training.cohort.rows_of(name))
    told = training.target.rarest(outcome)
    if width * A_COLUMN > told:
        raise Unsupported(
            f"the free modality '{name}' has {width:,} columns, and who has it allow {told // A_COLUMN:,}, one for "
            f"{A_COLUMN} patients (events, for survival, or of the rarest class): name a smaller one, or none"
        )
