"""`nearest-patient`: a text is answered with that of the most similar training patient, and nothing is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Target, Unsupported
from chiasm.encoders import features_of
from chiasm.encoders.table.scaling import Projected, Projection
from chiasm.errors import count
from chiasm.fitting.base import Training
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.row import Row
from chiasm.fitting.text_space import TextSpace
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.baselines import ROWS
from chiasm.retrieval.embed import COMPONENTS
from chiasm.targets.texts import Texts, typical
from chiasm.targets.words import normalised

EQUALLY_NEAR = 1e-5  # distances that what an encoder gives in float32 cannot tell apart
UNKNOWN = 1.0
"""Squared distance to a patient who lacks a modality: the mean over pairs of training patients who have it."""
AT_ONCE = 1_024

Array = NDArray[np.float64]


@storable("patients-compared")
@dataclass(frozen=True)
class Compared:
    """Training patients by one modality.

    Args:
        features: fitted components of the modality.
        values: `(U, F)` those of the training patients who have it.
        place: `(n,)` row of `values` of each training patient; -1 where he lacks the modality.
        weight: one over the mean squared distance of two training patients who have it; 0 where all are the same.
    """

    keeps_rows: ClassVar[bool] = True

    features: Any
    values: np.ndarray
    place: np.ndarray
    weight: float

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.place.ndim != 1 or not (self.place >= -1).all():
            raise ValueError("patients are compared by rows of values, and each has one or -1")
        if len(self.values) <= self.place.max(initial=-1):
            raise ValueError("a patient is compared by a row of values that is not there")

    @classmethod
    def fit(cls, cohort: Cohort, modality: str) -> Compared:
        """Scale and project the modality of the training patients who have it."""
        raw, rows = cohort.raw(modality), cohort.rows_of(modality)
        scaled = features_of(cohort, modality).fit(raw, [])
        features = Projected(scaled, Projection.fit(scaled.features(raw), COMPONENTS))
        values = np.ascontiguousarray(features.features(raw))
        place = np.full(len(cohort), -1)
        place[rows] = np.arange(len(rows))
        apart = 2 * float(values.var(axis=0).sum())
        return cls(features, values, place, 1 / apart if apart > 0 else 0.0)

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"{self.values.shape[1]:,} components of {count(len(self.values), 'training patient')}, row by row"

    def distances(self, raw: Any) -> Array:
        """Squared distances `(B, n)` to the training patients; `UNKNOWN` to those who lack the modality."""
        own = self.weight * cdist(self.features.features(raw), self.values, "sqeuclidean")
        return np.where(self.place >= 0, own[:, self.place], UNKNOWN) if len(self.values) else own


@storable("nearest-patient")
@dataclass(frozen=True)
class NearestPatientPredictor:
    """Share `(B, J)` of the most similar training patients who have each text.

    Args:
        compared: modality to the training patients by it, sorted by name.
        texts: `(n, R)` which of the J texts each training patient has, padded by -1; all -1 where none may be said.
        prior: `(J,)` what is said of a patient who shares no modality with any: one for the typical text.
        neighbours: how many are asked; of those as near as the last all.
    """

    compared: dict[str, Compared]
    texts: np.ndarray
    prior: np.ndarray
    neighbours: int
    trained_parameters: int = 0

    keeps_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.texts.ndim != 2 or self.prior.ndim != 1 or self.neighbours < 1:
            raise ValueError("a model of nearest patients has the texts of each of them, and asks one or more")
        if not ((self.texts >= -1) & (self.texts < len(self.prior))).all():
            raise ValueError("a training patient has a text that is not one of those that may be said")
        if any(len(own.place) != len(self.texts) for own in self.compared.values()):
            raise ValueError("the training patients of each modality are those of the texts")

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"which of the texts each of {count(len(self.texts), 'training patient')} has"

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the shares, float64, in the cohort's sorted row order."""
        parts = [self._shares(cohort, start) for start in range(0, len(cohort), AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.prior)))

    def _shares(self, cohort: Cohort, start: int) -> Array:
        """Those of `AT_ONCE` patients."""
        here = cohort.subset(np.arange(start, min(start + AT_ONCE, len(cohort))))
        says = np.asarray((self.texts >= 0).any(axis=1))
        total, read, met = np.zeros((len(here), len(says))), np.zeros(len(here)), np.zeros((len(here), len(says)), bool)
        for name, own in self.compared.items():
            rows = here.rows_of(name) if name in here.modalities else np.zeros(0, int)
            if len(rows):
                total[rows] += own.distances(here.raw(name))
                read[rows] += 1
                met[rows] |= own.place >= 0
        mean = np.where(met & says, total / np.maximum(read, 1)[:, None], np.inf)
        out = np.tile(self.prior, (len(here), 1))
        for row in np.flatnonzero(np.isfinite(mean).any(axis=1)):
            last = np.sort(mean[row])[min(self.neighbours, int(np.isfinite(mean[row]).sum())) - 1]
            out[row] = self._shared(mean[row] <= last + EQUALLY_NEAR)
        return out

    def _shared(self, asked: NDArray[np.bool_]) -> Array:
        """Share `(J,)` of the patients asked who have each text; of several references each counts in part."""
        own = self.texts[asked]
        weight = (own >= 0) / np.maximum((own >= 0).sum(axis=1, keepdims=True), 1) / len(own)
        shares = np.bincount(own[own >= 0], weights=weight[own >= 0], minlength=len(self.prior))
        return shares.astype(np.float64)


@dataclass(frozen=True)
class NearestPatient(OneOrAll):
    """The text of the training patient who is nearest by the modalities that a patient has.

    Distances are squared ones of each modality's scaled principal components, in units of their mean over pairs of
    training patients, and averaged over the modalities of the patient who asks. Nothing is known of a training patient
    who lacks one of these, who then stands as far away in it as two stand apart on average. Of equally near patients,
    as those of whom the same question is asked, the text that most of them have is said.

    Args:
        neighbours: how many patients are asked; above one, the text that most of them have.
    """

    neighbours: int = 1

    row: ClassVar[Row] = ROWS["nearest-patient"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbours < 1:
            raise ValueError(f"neighbours={self.neighbours} asks nobody: one or more are asked")

    @property
    def reads_presence(self) -> bool:
        """False: what a patient lacks is left out of the comparison, and means nothing by itself."""
        return False

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` for other targets than texts, and if a modality or an encoder is missing."""
        super().supports(cohort)
        self.supports_target(cohort.target)

    def supports_target(self, target: Target | None) -> None:
        """Raise `Unsupported` for other targets than texts."""
        super().supports_target(target)
        if target is None or not target.has_texts:
            raise Unsupported(
                "the nearest patient lends a text: take a target of texts, or kron-rls for a number or class"
            )

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Keep the training patients; nothing is selected, and nothing learned but scales."""
        space, texts = training.space, training.outcome.texts
        assert isinstance(space, TextSpace) and texts is not None  # a text is learned in its space
        said = space.said
        compared = {name: Compared.fit(training.cohort, name) for name in training.cohort.modalities}
        most = typical(texts)
        prior = np.array([float(text == most) for text in said])
        nothing, places = np.zeros(0), tuple(str(place + 1) for place in range(len(said)))
        response = Response(training.target.kind, places, (), 1.0, 0.0, nothing, nothing, texts=said)
        return NearestPatientPredictor(compared, places_of(texts, said), prior, self.neighbours), response

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """Return the model unchanged: of one modality too it says the typical text where that is absent."""
        return predictor, response

    def in_terms(self, predictor: Predictor, response: Response, whole: Training) -> tuple[Predictor, Response]:
        """Return the model unchanged: it says texts of training patients, and no point of their space."""
        return predictor, response


def places_of(texts: Texts, said: Sequence[str]) -> NDArray[np.int_]:
    """Which of the texts that may be said each patient's references are, `(B, R)`, padded by -1."""
    place = {normalised(text): k for k, text in enumerate(said)}
    own = [[place[key] for key in map(normalised, several) if key in place] for several in texts.references.tolist()]
    found = np.full((len(own), max([1, *map(len, own)])), -1)
    for row, several in enumerate(own):
        found[row, : len(several)] = several
    return found
