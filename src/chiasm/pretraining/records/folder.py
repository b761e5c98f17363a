"""The folder that a pretraining on records leaves: the network, the codes it knows, marks of what it saw."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chiasm import artifact
from chiasm.artifact import storable
from chiasm.encoders.frozen import hash_state
from chiasm.encoders.record.event_tokens import EventTokens
from chiasm.encoders.seen import SeenItems
from chiasm.encoders.weights import fill
from chiasm.fusion.record_sequence import RecordSequence
from chiasm.pretraining.corpus import Corpus
from chiasm.pretraining.records.options import METHOD, RecordConfig, RecordOptions
from chiasm.pretraining.records.stage import RecordPretraining

OF_TARGET = ("tasks", "read.")


@storable("record-network")
@dataclass(frozen=True)
class StoredRecordNetwork:
    """What the folder of a network of records holds.

    Args:
        config: the network's shape; events: the encoder of single events with the codes that it knows.
        weights: its parameters by name, without those of a target.
        facts: what is known of its training, without identifiers: texts, numbers, lists of them.
    """

    config: RecordConfig
    events: EventTokens
    weights: dict[str, np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)

    def network(self) -> RecordSequence:
        """Return the network, in evaluation mode; what belongs to a target is untrained.

        Raises:
            ValueError: the weights are of another network.
        """
        network = self.config.network(self.events)
        fill(network, {name: torch.from_numpy(np.array(value)) for name, value in self.weights.items()}, OF_TARGET)
        return network.eval()


def as_stored_records(
    found: RecordPretraining, corpus: Corpus, config: RecordConfig, options: RecordOptions, *, marks: bool
) -> StoredRecordNetwork:
    """Return what is stored: the network, and facts about its training.

    Args:
        marks: keep marks of the records, by which `check` finds them again in a cohort (`SeenItems`).
    """
    state = {name: own for name, own in found.network.state_dict().items() if not name.startswith(OF_TARGET)}
    facts: dict[str, Any] = {
        "kind": "events",
        "unit": "event",
        "item": "record",
        "patients": corpus.patients,
        "held_out_patients": corpus.held_out_patients,
        "items": len(corpus.items),
        "held_out_items": int(corpus.held_out.sum()),
        "shared_items": corpus.dropped,
        "letters": found.told,
        "codes": len(found.events.vocabulary),
        "options": {"method": METHOD, **asdict(options)},
        "curve": [{name: _finite(value) for name, value in row.items()} for row in found.curve],
        "best_epoch": found.history.best_epoch,
        "steps": found.history.steps,
        "asked": found.asked,
        "perplexity": found.perplexity,
        "baselines": dict(found.baselines),
        "perplexity_by_item": [],
        "wait": found.wait,
        "constant_wait": found.constant_wait,
    }
    if marks:
        facts["seen"] = SeenItems.of(corpus.items, hash_state(state)[:32])
    weights = {name: value.detach().cpu().numpy() for name, value in state.items()}
    return StoredRecordNetwork(config, found.events, weights, facts)


def stored_record_network(folder: Path | str) -> StoredRecordNetwork:
    """Open the folder of a network of records.

    Raises:
        ArtifactError: it is no such folder, or it is damaged.
    """
    found = artifact.load(Path(folder))
    if not isinstance(found, StoredRecordNetwork):
        raise artifact.ArtifactError(
            f"'{Path(folder).name}' holds no network of records: name the folder of one, or sequence:weights= for one "
            "of sequences"
        )
    return found


def _finite(value: float) -> float | None:
    """Write what is not known, NaN, as None."""
    return value if math.isfinite(value) else None
