"""Base of recipes that read images and nothing else, whose models say themselves what is told without one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import kind_of_source
from chiasm.fitting.base import Training
from chiasm.fitting.model import FittedModel
from chiasm.fitting.one_modality import OneOrAll
from chiasm.heads.response import Response
from chiasm.protocols import Predictor


@dataclass(frozen=True)
class OfImages(OneOrAll):
    """Base of recipes that read the modalities of images that `modalities` names, and the patients who have one.

    Args:
        modality: the one of the images; empty: those that `modalities` says.
    """

    least_modalities: ClassVar[int] = 1
    has_prior: ClassVar[bool] = True

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Fit on all patients of known outcome who have an image."""
        self.supports(cohort)
        return super().fit(cohort, seed=seed, checkpoint=checkpoint, device=device)

    def restricted(self, training: Training) -> Training:
        """Restrict the training set to the images and the patients who have one."""
        alone = training.cohort.with_modalities(list(self.modalities(training.cohort)))
        rows = np.flatnonzero(alone.present.any(axis=1))
        return replace(training, cohort=alone.subset(rows), outcome=training.outcome.take(rows))

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """Return the model unchanged: it says itself what is told without an image."""
        return predictor, response


def images_named(cohort: Cohort, named: str, kinds: tuple[str, ...], what: str) -> tuple[str, ...]:
    """Return the modalities of images: the one that is named, or all that there are.

    Args:
        named: a modality; empty: none is named.
        kinds: of modality, as the manifest names them.
        what: is in images, as "boxes are".

    Raises:
        Unsupported: there is none, or the named one is none.
    """
    every = tuple(name for name in cohort.modalities if kind_of_source(cohort, name) in kinds)
    if named and named not in cohort.modalities:
        raise Unsupported(f"the cohort has no modality '{named}': it has {', '.join(cohort.modalities)}")
    if named and named not in every:
        raise Unsupported(f"modality '{named}' is of kind '{kind_of_source(cohort, named)}', and {what} in images")
    if not every:
        raise Unsupported(f"the cohort has no modality of images, in which {what}: add one")
    return (named,) if named else every


def image_named(cohort: Cohort, named: str, what: str, example: str) -> str:
    """Return the one modality of pictures: the one that is named, or the only one.

    Args:
        what: is in images, as "boxes are".
        example: how it is named, for the error.

    Raises:
        Unsupported: none is named and there are several, or there is none, or it is none.
    """
    every = images_named(cohort, named, ("image",), what)
    if len(every) > 1:
        raise Unsupported(f"the cohort has images in {' and '.join(every)}: name the one in which {what}, as {example}")
    return every[0]
