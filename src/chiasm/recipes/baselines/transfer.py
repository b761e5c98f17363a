"""`transfer`: a multi-penalty ridge whose coefficients are shrunk towards those of its sources, where that pays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.lending import shared_parts
from chiasm.errors import count
from chiasm.fitting.base import Training
from chiasm.fitting.block_choice import MOST_SQUARE, MOST_TRIED
from chiasm.fitting.borrowed_choice import Offer, Setting, choose_borrowing, expanded
from chiasm.fitting.coefficients import Coefficients, feature_names, placed
from chiasm.fitting.lent import lent_to
from chiasm.fitting.lineage import BegunFrom
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.row import Row
from chiasm.fitting.source_model import SourceModel, SourceScore
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.multi_ridge import MultiRidgePredictor, ReadBlocks, chosen_blocks, read_blocks


@storable("transfer")
@dataclass(frozen=True)
class TransferPredictor:
    """A ridge of all modalities that holds whatever it borrowed, and needs no source cohort and no other folder.

    Args:
        ridge: the linear model; coefficients that were borrowed are in its own.
        tau: `(k, K)` how far the coefficients are shrunk towards the source cohorts' score; empty where nothing was
            borrowed of them.
        gain: log likelihood that borrowing gained on held-out patients of inner folds.
        lenders: number of patients of the source cohorts.
        models: `(k, K)` the same as `tau` for each source model whose coefficients were borrowed, by its name.
        scores: source models whose score was borrowed, each whole.
        weights: coefficients `(k, K)` of these scores.
        lineage: what tells the patients of those whose coefficients were borrowed, and of whom these learned from.
    """

    ridge: MultiRidgePredictor
    tau: np.ndarray
    gain: float
    lenders: int
    models: dict[str, np.ndarray] = field(default_factory=dict)
    scores: tuple[SourceScore, ...] = ()
    weights: tuple[np.ndarray, ...] = ()
    lineage: tuple[BegunFrom, ...] = ()

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.weights):
            raise ValueError("each score that was borrowed has coefficients")

    @property
    def trained_parameters(self) -> int:
        """Number of coefficients and of factors of scores; what a source model holds was trained elsewhere."""
        taus = (self.tau, *self.models.values(), *self.weights)
        return self.ridge.trained_parameters + sum(int(own.size) for own in taus)

    def of_training(self) -> str:
        """Say what a model folder holds of the patients of source cohorts and source models by this part."""
        said = []
        if self.tau.size:
            said.append(f"coefficients shrunk towards those of {count(self.lenders, 'patient')} of source cohorts")
        if self.models:
            said.append(f"coefficients shrunk towards those of {count(len(self.models), 'source model')}")
        if self.scores:
            said.append(f"{count(len(self.scores), 'source model')}, whole")
        return "; ".join(said)

    def coefficients(self) -> Coefficients | None:
        """Return those of the ridge; None where the score of a source model is part of the link."""
        return None if self.scores else self.ridge.coefficients()

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        link = self.ridge.link(cohort)
        for score, weight in zip(self.scores, self.weights, strict=True):
            link = link + self.ridge.slope * (score.columns(cohort) @ weight)
        return link


@dataclass(frozen=True)
class Transfer(OneOrAll):
    """Ridge with a penalty for each modality, shrunk towards a multiple of what source cohorts and models tell.

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
    def borrows(self) -> bool:
        """True: it reads the sources of a cohort."""
        return True

    @property
    def settings(self) -> int:
        """Largest number of combinations of penalties that are tried, without and with the score of one source."""
        return 2 * MOST_TRIED

    def settings_on(self, cohort: Cohort) -> int:
        """Return the same with all sources of a cohort: k offers are tried, then the k - 1 that are left, and so on."""
        read = self.read(cohort)
        offers = int(any(shared_parts(read, own) for own in read.lenders))
        offers += sum(bool(own.shared(read)) for own in source_models(read))
        return MOST_TRIED * (1 + offers * (offers + 1) // 2)

    def multiplications(self, cohort: Cohort) -> float:
        """Estimate those of a factorisation with more columns than patients."""
        most = max([len(cohort), sum(map(len, cohort.lenders))])
        return float(min(most, MOST_SQUARE) ** 2 * most)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if no source is named, or none shares a column with the cohort."""
        super().supports(cohort)
        models = source_models(cohort)
        if not cohort.lenders and not models:
            raise Unsupported(
                'borrows from source cohorts and models, and none is named: write sources = ["../other/cohort.toml"] '
                "at the top of the manifest, or name one by --source (sources=[other])"
            )
        read = self.read(cohort)
        if not any(shared_parts(read, own) for own in read.lenders) and not any(own.shared(read) for own in models):
            raise Unsupported("no source has a modality and a column of this cohort's names: name them alike")

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit the source cohorts, select what is borrowed and the penalties on inner folds, and fit on all patients."""
        cohort, kind = training.cohort, training.target.kind
        read, folds = read_blocks(training, ()), self.inner_folds(cohort, training.seed)
        base = chosen_blocks(training, read, folds)
        setting = Setting(kind, read.values, training.outcome, folds, training.classes, read.held, base)
        lent = of_cohorts(training, read)
        offered = [own for source in source_models(cohort) if (own := of_model(source, training, read)) is not None]
        found = choose_borrowing(setting, [*([] if lent is None else [lent]), *(offer for _, _, offer in offered)])
        tau = None if lent is None else found.taus[0]
        taken = [(*own[:2], tau) for own, tau in zip(offered, found.taus[lent is not None :], strict=True)]
        ridge = read.predictor(kind, found.chosen, found.blocks)
        models = {name: own for name, score, own in taken if own is not None and score is None}
        predictor = TransferPredictor(
            ridge,
            np.zeros((0, 0)) if tau is None else tau,
            found.gain,
            sum(map(len, cohort.lenders)),
            models,
            tuple(score for _, score, own in taken if own is not None and score is not None),
            tuple(own for _, score, own in taken if own is not None and score is not None),
            lineage_of(cohort, tau is not None, models),
        )
        return predictor, Response.fit(
            training.target, found.chosen.links, training.outcome, calibrate=False, folds=folds, in_the_large=True
        )


def source_models(cohort: Cohort) -> list[SourceModel]:
    """Return the fitted models among the sources of a cohort."""
    return [own for own in cohort.lent_models if isinstance(own, SourceModel)]


def lineage_of(cohort: Cohort, lenders: bool, models: Collection[str]) -> tuple[BegunFrom, ...]:
    """Return of the source cohorts, where these lent, and of source models of these names what tells their patients."""
    own = [BegunFrom.of_cohort(lender) for lender in cohort.lenders] if lenders else []
    return (*own, *(kept for source in source_models(cohort) if source.name in models for kept in source.lineage()))


def of_cohorts(training: Training, read: ReadBlocks) -> Offer | None:
    """Return what the source cohorts offer together; None where they share nothing, or found nothing themselves."""
    cohort = training.cohort
    if not any(shared_parts(cohort, lender) for lender in cohort.lenders):
        return None
    lent = lent_to(cohort, training.target)
    return Offer.of(read.values, on_columns(lent.coefficients, read)) if lent.finds else None


def of_model(source: SourceModel, training: Training, read: ReadBlocks) -> tuple[str, SourceScore | None, Offer] | None:
    """Return the name of a source model, its score unless its coefficients serve, and what it offers; None: nothing."""
    cohort, names = training.cohort, training.target.names
    shared = source.shared(cohort)
    if not shared:
        return None
    if source.is_linear_on(shared):
        return source.name, None, Offer.of(read.values, on_columns(source.lent(shared, names), read))
    score = SourceScore.fit(source, cohort, shared, names)
    columns = score.columns(cohort)
    return source.name, score, Offer(expanded(columns, len(names)))


def on_columns(coefficients: Coefficients, read: ReadBlocks) -> list[np.ndarray]:
    """Return a source's coefficients of the cohort's own columns, modality by modality."""
    own = read.features
    return [placed(coefficients, name, feature_names(own[name], len(mean))) for name, mean in read.means.items()]
