"""`staged-transfer`: a network learns another column of the patients first, as benign or malignant, then the target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, cast

import numpy as np
import torch

from chiasm.cohort import Cohort, Unsupported, holdout
from chiasm.cohort.subgroups import Subgroup
from chiasm.compute.isolation import seeded
from chiasm.encoders import pack
from chiasm.encoders.adaptable import Trunk
from chiasm.errors import nearest
from chiasm.fitting.base import Training
from chiasm.fitting.neural import VALIDATION, Prepared, build, finish
from chiasm.fitting.row import Row
from chiasm.heads.head import Head
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import AdaptedDesign, AdaptedFusion, adapted_fusion
from chiasm.recipes.adaptation.full_tuning import FullTuning
from chiasm.targets import Classification
from chiasm.training import Examples, Network, Objective, Phase, TargetTensors, train
from chiasm.training.balanced import Balanced
from chiasm.training.batches import presence

FIRST_PATIENTS, FIRST_CLASSES = "patients of the first phase", "classes of the first phase"
LEAST = 2  # levels


@dataclass(frozen=True)
class StagedTransfer(FullTuning):
    """Full fine-tuning in two phases: a declared column of the patients first, then the target, with a head each.

    The first phase sees the training patients alone, those whose column is filled, also without an outcome; network
    and fusion stay as it leaves them, its head is dropped. Where these have one level alone, it is left out.

    Args:
        first: the column, one of `subgroups` of the manifest; it is learned and never read.
        first_epochs: most epochs of the first phase.
    """

    first: str = ""
    first_epochs: int = 10

    row: ClassVar[Row] = ROWS["staged-transfer"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = replace(self.training_options, epochs=self.first_epochs)  # refuses a negative number

    @property
    def reads_unlabelled(self) -> bool:
        """True where there is a first phase, which needs no outcome."""
        return self.first_epochs > 0

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if the column is not declared, or has one level."""
        super().supports(cohort)
        self.column(cohort)

    def column(self, cohort: Cohort) -> Subgroup:
        """Return the declared column that is learned first; raises as `supports`."""
        known = {own.column: own for own in cohort.subgroups}
        if self.first not in known:
            like = nearest(self.first, known)
            hint = f"did you mean '{like}'?" if like else f"declared are: {', '.join(sorted(known)) or 'none'}"
            what = "name the column that is learned first, as first=benign, and declare it by subgroups of [patients]"
            raise Unsupported(f"{what}; {hint}")
        if len(known[self.first].levels) < LEAST:
            raise Unsupported(f"column '{self.first}' has one level alone, so that nothing can be learned of it first")
        return known[self.first]

    def learned(
        self, training: Training, data: Prepared, design: AdaptedDesign, trunks: dict[str, Trunk]
    ) -> tuple[Predictor, Response]:
        """Train on the column, then on the target, and calibrate."""
        examples, classes = first_examples(training, data, self.first)
        if not self.first_epochs or classes < LEAST or examples.held_out.all() or not examples.held_out.any():
            return super().learned(training, data, design, trunks)
        before = self.first_network(training, data, examples, design, trunks, classes)
        fusion = partial(transferred, design, trunks, data.shapes, self.dropout, before)
        network = self.fitted(training, data, fusion)
        notes = {FIRST_PATIENTS: float(len(examples.present)), FIRST_CLASSES: float(classes)}
        return finish(training, data, network, design, notes)

    def first_network(
        self,
        training: Training,
        data: Prepared,
        examples: Examples,
        design: AdaptedDesign,
        trunks: dict[str, Trunk],
        classes: int,
    ) -> Network:
        """Train a network on the column; the trunks hold what it learned."""
        seed = seeded(training.seed, "first")
        fusion = build(partial(adapted_fusion, design, trunks, data.shapes, self.dropout), seeded(seed, "fusion"))
        head = build(partial(Head, self.latent_width, classes, Classification.kind), seeded(seed, "head"))
        network = Network(fusion, head)
        trained = examples.target.value[np.flatnonzero(~examples.held_out)]
        objective = Balanced(trained, classes) if self.balanced else Objective()
        options = replace(self.training_options, epochs=self.first_epochs)
        phase = Phase(options, objective, groups=self.rates(), name="first")
        file = training.file(f"{self.id}-first")
        train(network, examples, [phase], seed=seed, checkpoint=file, device=training.device)
        return network


def first_examples(training: Training, data: Prepared, column: str) -> tuple[Examples, int]:
    """Return the training patients whose column is filled, and the number of its levels among them.

    They need no outcome of the target. Who is held out from the target is held out from the column too, with all of the
    same group, and so is a fifth of the others.
    """
    whole = data.cohort if training.everyone is None else training.everyone.with_modalities(data.cohort.modalities)
    level = next((own.level for own in whole.subgroups if own.column == column), np.full(len(whole), ""))
    held_out = np.isin(whole.ids, np.asarray(data.cohort.ids)[data.held_out])
    if training.everyone is not None:
        held_out |= holdout(whole, VALIDATION, seed=training.seed)
    if whole.group is not None:
        held_out |= np.isin(whole.group, whole.group[held_out]) & (whole.group != "")
    rows = np.flatnonzero((level != "") & whole.present.any(1))
    names = sorted(set(level[rows].tolist()))
    codes = [float(names.index(own)) for own in level[rows].tolist()]
    target = TargetTensors(torch.tensor(codes), torch.zeros(len(rows), dtype=torch.bool))
    chosen = whole.subset(rows)
    tokens = pack(chosen, data.encoders)
    return Examples(tokens, presence(tokens, data.cohort.modalities), target, held_out[rows]), len(names)


def transferred(
    design: AdaptedDesign,
    trunks: dict[str, Trunk],
    shapes: dict[str, tuple[int, int]],
    dropout: float,
    before: Network,
) -> AdaptedFusion:
    """Return the fusion of a design, with networks and maps as an earlier phase left them."""
    fusion = adapted_fusion(design, trunks, shapes, dropout)
    fusion.load_state_dict(cast(AdaptedFusion, before.fusion).state_dict())
    return fusion
