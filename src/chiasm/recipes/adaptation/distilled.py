"""`distilled`: a network learns from labels and from a teacher, by a token of its own (DeiT, ICML 2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, cast, get_args

import numpy as np
import torch

from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.isolation import seeded
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import LEAST_PATIENTS, Training, choice
from chiasm.fitting.neural import Prepared, build, finish
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import inner_folds
from chiasm.heads.head import Head
from chiasm.heads.response import Response
from chiasm.objectives.distil import Kind
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe
from chiasm.recipes.adaptation.distilled_fusion import DistilledDesign, has_room
from chiasm.training import Network, Phase
from chiasm.training.from_teacher import Distilling, TaughtTargets

FOLDS = 3  # of the teacher
AGREES = "share of training patients whose class the teacher tells"
LEAST_CHANCE = 1e-6


@dataclass(frozen=True)
class Distilled(AdaptedRecipe):
    """Full fine-tuning with a teacher: any recipe, which tells of each training patient what it learned of others.

    Args:
        teacher: name of the teacher's recipe; it reads the same modalities.
        kind: hard, the teacher's decision, or soft, its probabilities.
        alpha: weight of the teacher's term, from 0, labels alone, to 1.
        temperature: of the soft kind; 1 with the hard one.
        token: let a transformer over patches learn the teacher's term by a token of its own.
    """

    learning_rate: float = 1e-4
    teacher: str = "late-fusion"
    kind: str = "hard"
    alpha: float = 0.5
    temperature: float = 1.0
    token: bool = True

    row: ClassVar[Row] = ROWS["distilled"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("kind", self.kind, get_args(Kind))
        if not 0 <= self.alpha <= 1 or not 0 < self.temperature < float("inf"):
            raise ValueError("alpha lies between 0 and 1, and the temperature above 0")
        if self.kind == "hard" and self.temperature != 1:
            raise ValueError("the hard kind takes the teacher's decision, which has no temperature: leave it at 1")
        if self.upon:
            raise ValueError("a network that starts from a linear model has no teacher beside it: leave out upon")
        if self.teacher.partition(":")[0] == self.row.name:
            raise ValueError("the teacher is another recipe")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if there are no classes to tell, or the teacher does not support the cohort."""
        super().supports(cohort)
        if cohort.target is not None and not cohort.target.has_classes:
            raise Unsupported(f"a target of kind '{cohort.target.kind}' has no classes that a teacher could tell")
        self.teaching.supports(self.read(cohort))

    @property
    def teaching(self) -> Any:
        """The teacher's recipe."""
        from chiasm.recipes.registry import make_recipe

        return make_recipe(self.teacher)

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Train every weight."""
        return Adaptation(full=True)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the one phase, on labels and teacher."""
        return (Phase(self.training_options, Distilling(cast(Kind, self.kind), self.alpha, self.temperature)),)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit the teacher within folds, train the network by it, and calibrate it."""
        data, plain, trunks = self.prepared(training)
        taught = tuple(sorted(name for name, trunk in trunks.items() if self.token and has_room(trunk)))
        outputs = len(training.target.names)
        design = DistilledDesign(self.latent_width, outputs, plain.trunks, plain.adaptations, plain.columns, taught)
        teacher = self.told(training, data)
        data = replace(data, target=TaughtTargets(data.target.value, data.target.event, teacher))
        fusion = partial(design.fusion_of, trunks, data.shapes, self.dropout)
        network = Network(build(fusion, seeded(training.seed, "fusion")), Head(0, outputs, training.target.kind))
        self.run(training, data, network, self.phases(data))
        known = torch.isfinite(teacher).all(1)
        right = (teacher.argmax(1) == data.target.value)[known]
        return finish(training, data, network, design, {AGREES: float(right.float().mean())} if len(right) else {})

    def told(self, training: Training, data: Prepared) -> torch.Tensor:
        """Return the teacher's logits `(B, K)`, each patient's from a model that never saw the patient.

        Patients who are held out teach nothing and are told nothing, NaN; nor is anybody where the teacher has too few
        to learn from, or the weight is zero.
        """
        found = np.full((len(data.cohort), len(training.target.names)), np.nan, np.float32)
        rows = np.flatnonzero(~data.held_out)
        if not self.alpha or len(rows) < 2 * LEAST_PATIENTS:
            return torch.from_numpy(found)
        cohort = data.cohort.subset(rows)
        folds = inner_folds(cohort, training.seed, FOLDS)
        for fold in np.unique(folds):
            inside = np.flatnonzero(folds == fold)
            model = self.teaching.fit(cohort.subset(np.flatnonzero(folds != fold)), seed=training.seed)
            frame = model.predict(cohort.subset(inside))
            columns = [f"p_{name}" for name in training.target.names]
            chances = frame.reindex(columns=columns).to_numpy(np.float64)  # a class that the fold lacks has no column
            found[rows[inside]] = np.log(np.clip(np.nan_to_num(chances), LEAST_CHANCE, None))
        return torch.from_numpy(found)
