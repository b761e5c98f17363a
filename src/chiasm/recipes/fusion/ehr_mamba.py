"""`ehr-mamba`: EHRMamba (2024), records of events as a language that a causal stack reads, one head for all tasks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported, holdout
from chiasm.compute.memo import remember
from chiasm.encoders import encoder_of, fit_encoders, pack
from chiasm.encoders.record.event_tokens import EventTokens
from chiasm.encoders.record.events import EventEncoder
from chiasm.encoders.sequence.stacks import CELLS, make_stack
from chiasm.fitting.base import Training, choice
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import (
    VALIDATION,
    NetworkPredictor,
    Prepared,
    Shapes,
    check_size,
    check_sizes,
    new_network,
    prepare,
)
from chiasm.fitting.row import Row
from chiasm.fusion.record_sequence import RecordSequence, Vocabulary
from chiasm.fusion.transformer import check_heads
from chiasm.heads.head import output_width
from chiasm.heads.response import Response
from chiasm.protocols import Encoder, Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.targets import Target
from chiasm.training import Examples, Network, Phase, TargetTensors, train
from chiasm.training.next_event import NextEvent

MOST = 4_000_000  # concepts
UNLABELLED = "patients read without an outcome"


@storable("ehr-mamba")
@dataclass(frozen=True)
class EhrMambaDesign:
    """Sizes of the network, the cell of its stack, and the concepts and types of each modality of events."""

    outputs: int
    labels: bool
    cell: str
    width: int
    depth: int
    heads: int
    concepts: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_size("outputs", self.outputs)
        check_sizes(1, self.width, self.depth, self.heads)
        check_heads(self.width, self.heads)
        choice("cell", self.cell, tuple(CELLS))
        if self.concepts.keys() != self.types.keys():
            raise ValueError("modalities of events have concepts and types")
        for own in (*self.concepts.values(), *self.types.values()):
            check_size("concepts", own, MOST)

    @property
    def latent_width(self) -> int:
        """Always 0: the fusion returns the link itself."""
        return 0

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> RecordSequence:
        """Create a fresh fusion module of these sizes."""
        return RecordSequence(
            shapes, {name: Vocabulary(own, self.types[name]) for name, own in self.concepts.items()},
            lambda: make_stack(self.cell, self.width, self.depth, self.heads),
            outputs=self.outputs, labels=self.labels, latent_width=self.width, dropout=dropout,
        )  # fmt: skip


@dataclass(frozen=True)
class EhrMambaRecipe(NetworkRecipe):
    """A causal stack on a patient's events, first trained to say what comes next, then on the target.

    What comes next is asked of all training patients, those too whose outcome is not known.

    Args:
        latent_width, depth, heads: D, layers, and heads where the cell has them.
        cell: of the stack; mamba2, mamba, mlstm, xlstm or gru.
        steps: events of a patient at most, the last ones.
        codes: the largest vocabulary.
        base_epochs: epochs of the first phase, which reads no label; 0: none, and no patient without an outcome.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    depth: int = 2
    heads: int = 4
    cell: str = "mamba2"
    steps: int = 256
    codes: int = 512
    base_epochs: int = 10

    row: ClassVar[Row] = ROWS["ehr-mamba"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = EhrMambaDesign(1, False, self.cell, self.latent_width, self.depth, self.heads)  # refuses invalid sizes
        check_size("steps", self.steps, 65_536)
        check_size("codes", self.codes, 100_000)
        _ = replace(self.training_options, epochs=self.base_epochs)  # refuses a negative number

    @property
    def reads_unlabelled(self) -> bool:
        """True where patients without an outcome are learned from: a trial hands them over on the training side."""
        return self.base_epochs > 0

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if no modality is event records."""
        super().supports(cohort)
        if not self.records(cohort):
            raise Unsupported(
                "ehr-mamba reads event records, and no modality of the cohort is one: name another recipe"
            )

    def records(self, cohort: Cohort) -> dict[str, Encoder]:
        """Return a fresh encoder for each modality of events that the recipe reads."""
        names = [self.modality] if self.modality else cohort.modalities
        return {name: EventTokens(steps=self.steps, codes=self.codes) for name in names
                if isinstance(encoder_of(cohort, name), EventEncoder)}  # fmt: skip

    def design_for(self, target: Target, encoders: dict[str, Any]) -> EhrMambaDesign:
        """Return the sizes of the network for a target and fitted encoders."""
        events = {name: own for name, own in encoders.items() if isinstance(own, EventTokens)}
        return EhrMambaDesign(
            output_width(target), target.has_labels, self.cell, self.latent_width, self.depth, self.heads,
            {name: own.concepts for name, own in events.items()},
            {name: len(own.types) + 1 for name, own in events.items()},
        )  # fmt: skip

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit encoders of single events, create the network for their vocabularies, train and calibrate it."""
        whole, records = self.whole(training), self.records(training.cohort)
        others = [name for name in training.cohort.modalities if name not in records]
        encoders = fit_encoders(whole.with_modalities(list(records)), records) if records else {}
        encoders |= fit_encoders(training.cohort.with_modalities(others)) if others else {}
        data = prepare(training, {name: encoders[name] for name in training.cohort.modalities})
        design = self.design_for(training.target, dict(data.encoders))
        network = new_network(training, data, design, self.dropout)
        if records and self.base_epochs:
            self.read_on(whole, training, data, network)
        if training.offset is not None:
            cast(RecordSequence, network.fusion).start_at_zero()
        predictor, response = self.trained(training, data, design, network)
        notes = {UNLABELLED: float(len(whole) - len(training.cohort))} if len(whole) > len(training.cohort) else {}
        return replace(cast(NetworkPredictor, predictor), notes=notes), response

    def whole(self, training: Training) -> Cohort:
        """Return who is read without a label: all training patients, those of unknown outcome too; the others else."""
        if not self.base_epochs or training.everyone is None:
            return training.cohort.with_target(None, None)
        everyone = training.everyone.with_modalities(training.cohort.modalities)
        return everyone.subset(np.flatnonzero(everyone.present.any(1)))

    def read_on(self, whole: Cohort, training: Training, data: Prepared, network: Network) -> None:
        """Train what reads records on the next event of everyone; a fifth is held out, by whom it is stopped.

        One process trains it once for the same patients, whatever is known of their outcomes.
        """
        records = {name: own for name, own in data.encoders.items() if isinstance(own, EventTokens)}
        whole = whole.subset(np.flatnonzero(whole.with_modalities(list(records)).present.any(1)))

        def state() -> dict[str, torch.Tensor]:
            nothing = TargetTensors(torch.zeros(len(whole)), torch.zeros(len(whole), dtype=torch.bool))
            held_out = holdout(whole, VALIDATION, seed=training.seed)
            examples = Examples(pack(whole, records), whole.present, nothing, held_out & ~held_out.all())
            file = training.file(f"{self.id} next event")
            train(network, examples, [self.first], seed=training.seed, checkpoint=file, device=training.device)
            return {name: own.clone() for name, own in network.state_dict().items() if _of_records(name)}

        key = (self.id, repr(self.first.options), repr(self.design_for(training.target, dict(data.encoders))),
               self.dropout, self.steps, training.seed, training.device)  # fmt: skip
        network.load_state_dict(remember(whole.fingerprint, key, state), strict=False)

    @property
    def first(self) -> Phase:
        """The phase of the next event, which reads no label."""
        options = replace(self.training_options, epochs=self.base_epochs, modality_dropout=0.0)
        objective = NextEvent(f"cell={self.cell}, heads={self.heads}, dropout={self.dropout}")
        return Phase(options, objective, trainable=_of_records, name="next event")


def _of_records(name: str) -> bool:
    return name.startswith("fusion.") and not name.startswith(("fusion.tasks", "fusion.read"))
