"""The folder that a pretraining leaves: the network, how it went, and marks of what it saw, without an identifier."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from chiasm.encoders.frozen import hash_state
from chiasm.encoders.seen import SeenItems
from chiasm.encoders.sequence.stored_network import StoredNetwork
from chiasm.pretraining.corpus import Corpus
from chiasm.pretraining.options import PretrainOptions
from chiasm.pretraining.stage import Pretraining


def as_stored(
    found: Pretraining, corpus: Corpus, options: PretrainOptions, kind: str, *, marks: bool = False
) -> StoredNetwork:
    """Return what is stored: the network, and facts about its training.

    Args:
        marks: keep marks of the items, by which `check` finds them again in a cohort (`SeenItems`).
    """
    state = found.network.state_dict()
    facts: dict[str, Any] = {
        "kind": kind,
        "patients": corpus.patients,
        "held_out_patients": corpus.held_out_patients,
        "items": len(corpus.items),
        "held_out_items": int(corpus.held_out.sum()),
        "shared_items": corpus.dropped,
        "letters": found.letters,
        "unknown_letters": found.foreign,
        "options": asdict(options),
        "curve": [dict(row) for row in found.curve],
        "best_epoch": found.history.best_epoch,
        "steps": found.history.steps,
        **found.judged.as_facts(),
    }
    stored = {name: value.detach().cpu().numpy() for name, value in state.items()}
    facts = finite(facts)
    if marks:
        facts["seen"] = SeenItems.of(corpus.items, hash_state(state)[:32])
    return StoredNetwork(found.network.config, stored, options.method, facts)


def finite(value: Any) -> Any:
    """Write what is not known, NaN, as None."""
    if isinstance(value, dict):
        return {key: finite(own) for key, own in value.items()}
    if isinstance(value, list):
        return [finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
