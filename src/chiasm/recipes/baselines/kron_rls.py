"""`kron-rls`: kernel ridge on the product of one kernel per modality, which captures interactions between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders import features_of
from chiasm.encoders.registry import part_of
from chiasm.errors import count
from chiasm.fitting.base import Training
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.row import Row
from chiasm.heads.response import Response, calibration
from chiasm.linear.kernel_ridge import (
    MOST_DENSE,
    TOLERANCE,
    Items,
    ProductKernel,
    is_short,
    kernel_blocks,
    median_distance,
    places,
    solve,
)
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.protocols import Predictor
from chiasm.recipes.baselines import ROWS

WIDTHS = (0.3, 1.0, 3.0)
CODE = 6.0  # gap between a class's own target logit and the others', so that probabilities near 0 and 1 can be reached
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
CHOSEN_AT = 1e-3  # tolerance of inner folds beyond `MOST_DENSE` patients: far below the error of a prediction
KERNEL_AT_ONCE = 1 << 25  # entries of a kernel that is formed to predict: 256 MB


@storable("item-kernel")
@dataclass(frozen=True)
class ItemKernel:
    """Distinct training items of one modality: fitted features, values `(U, F)`, and the scale of their distances."""

    keeps_rows: ClassVar[bool] = True

    features: object
    values: np.ndarray
    scale: float

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return (
            f"the {self.values.shape[1]:,} features of {count(len(self.values), 'distinct training item')}, row by row"
        )


@storable("kron-rls")
@dataclass(frozen=True)
class KronRLSPredictor:
    """Product-kernel predictor: `centre + sum over training patients of coef_i k(x, x_i)`, calibrated.

    Args:
        modalities: modality names, sorted.
        items: modality to its distinct training items.
        index: item of each training patient, `(n, M)`, -1 where absent.
        coef: dual coefficients, `(n, K)`.
        centre: mean of the training targets, `(K,)`.
        offset: constant added to each kernel.
        slope, level: calibration, from inner out-of-fold links.
    """

    keeps_rows: ClassVar[bool] = True

    modalities: tuple[str, ...]
    items: dict[str, ItemKernel]
    index: np.ndarray
    coef: np.ndarray
    centre: np.ndarray
    offset: float
    slope: float
    level: float

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"which of these items each of {count(len(self.coef), 'training patient')} has, and a weight of each"

    @property
    def trained_parameters(self) -> int:
        return int(self.coef.size + self.centre.size)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        new = [self._items(cohort, name) for name in self.modalities]
        kernels = [self.items[name] for name in self.modalities]
        old = [Items(own.values, self.index[:, m]) for m, own in enumerate(kernels)]
        blocks = kernel_blocks(new, old, [own.scale for own in kernels], self.offset)
        out = []
        short = is_short(blocks, len(cohort), len(self.coef))
        step = max(1, len(cohort) if short else min(4_096, KERNEL_AT_ONCE // max(1, len(self.coef))))
        for start in range(0, len(cohort), step):
            rows = np.arange(start, min(start + step, len(cohort)))
            kernel = ProductKernel(blocks, places(new, rows), places(old, np.arange(len(self.coef))))
            out.append(kernel @ self.coef)
        raw = np.concatenate(out) + self.centre if out else np.zeros((0, len(self.centre)))
        return np.asarray(self.level + self.slope * (raw - self.level))

    def _items(self, cohort: Cohort, name: str) -> Items:
        if name not in cohort.modalities or not len(cohort.rows_of(name)):
            width = self.items[name].values.shape[1]
            return Items(np.zeros((0, width)), np.full(len(cohort), -1))
        index, first = different(cohort, name)
        values = self.items[name].features.features(part_of(cohort.raw(name), first))  # type: ignore[attr-defined]
        return Items(np.ascontiguousarray(values), index)


def different(cohort: Cohort, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Index the distinct items of a modality.

    Returns each patient's item number `(B,)`, -1 where absent, and the row of `raw` where each item occurs first.
    """
    rows = cohort.rows_of(modality)
    digests = cohort.digests[rows, cohort.modalities.index(modality)]
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    index = np.full(len(cohort), -1)
    index[rows] = inverse.reshape(-1)
    return index, first


@dataclass(frozen=True)
class KronRLS(OneOrAll):
    """Regularised least squares with a product kernel, which learns interactions between modalities.

    Deviations from Pahikkala et al.: the kernels are Gaussian kernels on encoder features (theirs: Smith-Waterman and
    2-D fingerprint similarities); `offset` is added to each, so that a modality also counts alone, and an absent
    modality is left out of the product; width and penalty are selected on inner folds; classes are fitted as indicators
    of value 0 and 6 and calibrated.

    Args:
        modality: the one modality to read; empty: all.
        offset: constant added to each kernel, > 0.
    """

    offset: float = 0.3

    row: ClassVar[Row] = ROWS["kron-rls"]

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` for survival and multilabel targets, and if a modality or an encoder is missing."""
        super().supports(cohort)
        if cohort.target is None or not (
            cohort.target.has_classes or cohort.target.is_scaled or cohort.target.has_texts
        ):
            raise Unsupported("least squares learns classes, numbers or texts: choose another recipe for this target")
        if not self.offset > 0:
            raise ValueError("offset lies above zero: an absent modality counts as it")

    @property
    def settings(self) -> int:
        """Number of combinations of kernel width and penalty."""
        return len(WIDTHS) * len(PENALTIES)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Select width and penalty on inner folds and solve on all patients."""
        cohort, outcome, kind = training.cohort, training.outcome, training.target.kind
        fitted, items = {}, []
        for name in cohort.modalities:
            index, first = different(cohort, name)
            raw = part_of(cohort.raw(name), first)
            # an encoder cannot learn from one item that all patients share: it sees all of them then
            features = features_of(cohort, name).fit(raw if len(first) > 1 else cohort.raw(name), [])
            values = np.ascontiguousarray(features.features(raw))
            fitted[name] = ItemKernel(features, values, 1.0 / median_distance(values))
            items.append(Items(values, index))
        target = outcome.value if outcome.value.ndim == 2 else outcome.value[:, None]
        if training.target.has_classes:
            target = CODE * np.eye(training.classes or 2)[outcome.value.astype(int)]
        folds = self.inner_folds(cohort, training.seed)
        scales = np.array([own.scale for own in fitted.values()])
        tolerance = TOLERANCE if len(cohort) <= MOST_DENSE else CHOSEN_AT
        links = {(width, penalty): np.zeros_like(target) for width in WIDTHS for penalty in PENALTIES}
        for width in WIDTHS:
            blocks = kernel_blocks(items, items, list(width * scales), self.offset)
            for fold in np.unique(folds):
                rows, rest = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
                own, other = places(items, rows), places(items, rest)
                inside, across = ProductKernel(blocks, own, own), ProductKernel(blocks, other, own)
                centre = target[rows].mean(0)
                found = solve(inside, target[rows] - centre, PENALTIES, tolerance=tolerance)
                for penalty, coef in zip(PENALTIES, found, strict=True):
                    links[width, penalty][rest] = across @ coef + centre
        calibrated = {chosen: calibration(kind, link, outcome, folds) for chosen, link in links.items()}
        likelihood = FoldLikelihood(kind, outcome)
        scores = {
            c: likelihood(calibrated[c][1] + calibrated[c][0] * (own - calibrated[c][1])) for c, own in links.items()
        }
        width, penalty = min(scores, key=lambda chosen: scores[chosen])
        slope, level = calibrated[width, penalty]
        everybody = places(items, np.arange(len(cohort)))
        kernel = ProductKernel(kernel_blocks(items, items, list(width * scales), self.offset), everybody, everybody)
        centre = target.mean(0)
        coef = np.ascontiguousarray(solve(kernel, target - centre, [penalty])[0])
        kept = {name: ItemKernel(own.features, own.values, width * own.scale) for name, own in fitted.items()}
        index = np.ascontiguousarray(np.stack([own.index for own in items], axis=1))
        predictor = KronRLSPredictor(cohort.modalities, kept, index, coef, centre, self.offset, slope, level)
        link = level + slope * (links[width, penalty] - level)
        return predictor, Response.fit(training.target, link, outcome, calibrate=False, folds=folds)
