"""`got-d`: GOT-D (ICLR 2024, arXiv 2405.02774), selection of patients from many sites for a model of one site."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.isolation import seeded
from chiasm.encoders import features_of
from chiasm.encoders.table.scaling import Projection
from chiasm.fitting.base import LEAST_PATIENTS, BaseRecipe, Training, trainable
from chiasm.fitting.model import FittedModel
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.specs import nested_spec
from chiasm.training.selection import MOST_PAIRS, select, transport

COMPONENTS = 32


@dataclass(frozen=True)
class GotD(BaseRecipe):
    """Fit a recipe on the training patients of one site and on a selected share of those of other sites.

    Patients of other sites are ranked by the gradient of optimal transport from them to the patients of the site; no
    label is read, and no patient outside the training set. Intended for a pool of mixed origin and a model for one
    site.

    Args:
        site: the site that the model is for, as in the column `site` of the cohort.
        share: share of the other patients to keep, above 0 and at most 1.
        compare: modality by which patients are compared; "": the one that most of them have.
        recipe: inner recipe, fitted on the kept patients, its options after semicolons: `lora;rank=4;epochs=20`.
    """

    site: str = ""
    share: float = 0.5
    compare: str = ""
    recipe: str = "healnet"

    row: ClassVar[Row] = ROWS["got-d"]

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError("share lies above 0 and at most at 1")
        _ = self.inner  # a recipe that it cannot fit is refused here

    @property
    def inner(self) -> BaseRecipe:
        """The recipe that is fitted on the kept patients."""
        from chiasm.recipes.registry import make_recipe

        made = make_recipe(nested_spec(self.recipe))
        if not isinstance(made, BaseRecipe) or made.id == self.id or made.family == "single":
            raise ValueError("got-d fits a recipe of chiasm for any modalities: healnet or lora, say")
        return made

    @property
    def reads_inputs(self) -> bool:
        """True if the inner recipe needs encoder inputs."""
        return self.inner.reads_inputs

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the names of this recipe with each one-modality form of the inner recipe; none if it has none."""
        named = self.inner.alone(cohort)
        return tuple(replace(self, recipe=name.replace(":", ";", 1).replace(",", ";")).name for name in named)

    @property
    def reads_presence(self) -> bool:
        """True if the inner recipe may learn from which modalities a patient has."""
        return self.inner.reads_presence

    @property
    def settings(self) -> int:
        """Number of settings that the inner recipe tries."""
        return self.inner.settings

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if POT, the site or other sites are missing, or the inner recipe raises it."""
        transport()
        self.inner.supports(cohort)
        if not self.site or cohort.site is None:
            raise Unsupported(
                "selects towards one site of several: name the column in [patients] site, and got-d:site=... ; where "
                "all patients come from one place, the pool is its own target and there is nothing to select"
            )
        name = self._compared(cohort)
        here = cohort.site[cohort.rows_of(name)] == self.site
        for count, whose in ((int(here.sum()), "of this site"), (int((~here).sum()), "of other sites")):
            if count < LEAST_PATIENTS:
                raise Unsupported(f"{count} patients {whose} have '{name}', and {LEAST_PATIENTS} are needed to compare")

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Select among the usable training patients, then fit the inner recipe."""
        usable = trainable(cohort, seed, checkpoint, device).cohort
        kept = np.isin(cohort.ids, usable.ids[self.chosen(usable, seed)])
        model = self.inner.fit(cohort.subset(kept), seed=seed, checkpoint=checkpoint, device=device)
        return replace(model, recipe=self.name)

    def chosen(self, cohort: Cohort, seed: int) -> NDArray[np.bool_]:
        """Select the patients to keep, `(B,)` bool: the site, the share of the others, and those without the modality.

        All patients are kept if fewer than ten of the site or of the others can be compared, as in a small training set
        of a trial.

        Args:
            cohort: training patients only.
            seed: seed for subsampling a large target.
        """
        kept = np.ones(len(cohort), dtype=bool)
        if cohort.site is None or (self.compare and self.compare not in cohort.modalities):
            return kept
        name = self._compared(cohort)
        rows, raw = cohort.rows_of(name), cohort.raw(name)
        here = cohort.site[rows] == self.site
        if min(int(here.sum()), int((~here).sum())) < LEAST_PATIENTS:
            return kept
        values = features_of(cohort, name).fit(raw, []).features(raw)
        places = Projection.fit(values, COMPONENTS)(values)  # (n, <= 32)
        target, others = places[here], np.flatnonzero(~here)
        most = max(1, MOST_PAIRS // len(others))
        if len(target) > most:
            target = target[np.random.default_rng(seeded(seed, self.id)).permutation(len(target))[:most]]
        picked = select(places[others], target, max(1, round(self.share * len(others))))
        kept[rows[others]] = False
        kept[rows[others[picked]]] = True
        return kept

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Learn as the inner recipe does."""
        return self.inner.learn(training)

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that the inner recipe reads."""
        return self.inner.modalities(cohort)

    def _compared(self, cohort: Cohort) -> str:
        if self.compare and self.compare not in cohort.modalities:
            raise Unsupported("the modality by which got-d compares patients is not among those of the cohort")
        return self.compare or max(cohort.modalities, key=lambda name: len(cohort.rows_of(name)))
