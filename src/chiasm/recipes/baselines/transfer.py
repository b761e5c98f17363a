"""`transfer`: a multi-penalty ridge whose coefficients are shrunk towards those of source cohorts, where that pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.lending import shared_parts
from chiasm.errors import count
from chiasm.fitting.base import Training
from chiasm.fitting.block_choice import MOST_SQUARE, MOST_TRIED
from chiasm.fitting.borrowed_choice import Borrowing, choose_borrowing
from chiasm.fitting.lent import Lent, feature_names, lent_to
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.multi_ridge import MultiRidgePredictor, ReadBlocks, chosen_blocks, read_blocks


@storable("transfer")
@dataclass(frozen=True)
class TransferPredictor:
    """A ridge of all modalities that holds what it borrowed in its own coefficients, and needs no source cohort.

    Args:
        ridge: the linear model.
        tau: `(k, K)` how far the coefficients are shrunk towards the sources' score; empty where nothing was borrowed.
        gain: log likelihood that borrowing gained on held-out patients of inner folds.
        lenders: number of patients of the source cohorts.
    """

    ridge: MultiRidgePredictor
    tau: np.ndarray
    gain: float
    lenders: int

    @property
    def trained_parameters(self) -> int:
        return self.ridge.trained_parameters + int(self.tau.size)

    def of_training(self) -> str:
        """Say what a model folder holds of the patients of source cohorts by this part."""
        whose = f"{count(self.lenders, 'patient')} of source cohorts"
        return f"coefficients shrunk towards those of {whose}" if self.tau.size else ""

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        return self.ridge.link(cohort)


@dataclass(frozen=True)
class Transfer(OneOrAll):
    """Ridge with a penalty for each modality, shrunk towards a multiple of a ridge of the source cohorts.

    Args:
        modality: the one modality to read; empty: all.
    """

    row: ClassVar[Row] = ROWS["transfer"]

    @property
    def reads_presence(self) -> bool:
        """False: an absent modality adds nothing, and no column says that it is absent."""
        return False

    @property
    def against(self) -> str:
        """Name of the recipe that this one is where nothing is borrowed, with which a trial compares it."""
        return "" if self.modality else "multi-ridge"

    @property
    def settings(self) -> int:
        """Largest number of combinations of penalties that are tried, without and with the score."""
        return 2 * MOST_TRIED

    def multiplications(self, cohort: Cohort) -> float:
        """Estimate those of a factorisation with more columns than patients."""
        most = max([len(cohort), sum(map(len, cohort.lenders))])
        return float(min(most, MOST_SQUARE) ** 2 * most)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if no source cohort is named, or none shares a column with the cohort."""
        super().supports(cohort)
        if not cohort.lenders:
            raise Unsupported(
                'borrows from source cohorts, and none is named: write sources = ["../other/cohort.toml"] at the top '
                "of the manifest, or name one by --source (sources=[other])"
            )
        if not any(shared_parts(cohort, lender) for lender in cohort.lenders):
            raise Unsupported("no source cohort has a modality and a column of this one's names: name them alike")

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit the sources, select what is borrowed and the penalties on inner folds, and fit on all patients."""
        cohort, kind = training.cohort, training.target.kind
        read, folds = read_blocks(training, ()), self.inner_folds(cohort, training.seed)
        base = chosen_blocks(training, read, folds)
        found = Borrowing(base, base.blocks, None, 0.0)
        if any(shared_parts(cohort, lender) for lender in cohort.lenders):
            lent = lent_to(cohort, training.target)
            if lent.finds:
                theirs = lent_blocks(lent, read)
                found = choose_borrowing(
                    kind, read.values, training.outcome, folds, training.classes, read.held, theirs, base
                )
        predictor = TransferPredictor(
            read.predictor(kind, found.chosen, found.blocks),
            np.zeros((0, 0)) if found.tau is None else found.tau,
            found.gain,
            sum(map(len, cohort.lenders)),
        )
        return predictor, Response.fit(
            training.target, found.chosen.links, training.outcome, calibrate=False, folds=folds, in_the_large=True
        )


def lent_blocks(lent: Lent, read: ReadBlocks) -> list[np.ndarray]:
    """Return the sources' coefficients of the cohort's own columns, modality by modality."""
    return [lent.on(name, feature_names(read.features[name], len(mean))) for name, mean in read.means.items()]
