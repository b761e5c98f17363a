"""The folder that a pretraining on rasters leaves: the network, how it went, and marks of what it saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from chiasm.encoders.frozen import hash_state
from chiasm.encoders.raster.reading import RasterReading
from chiasm.encoders.raster.stored_raster import StoredRaster
from chiasm.encoders.seen import SeenItems
from chiasm.pretraining.corpus import Corpus
from chiasm.pretraining.folder import finite
from chiasm.pretraining.rasters.options import RasterOptions
from chiasm.pretraining.rasters.stage import RasterPretraining


def as_stored_raster(
    found: RasterPretraining,
    corpus: Corpus,
    reading: RasterReading,
    options: RasterOptions,
    *,
    marks: Sequence[str] | None = None,
    contrasts: Mapping[str, int] | None = None,
) -> StoredRaster:
    """Return what is stored: the network, how sources become its rasters, and facts about its training.

    Args:
        corpus: its items are digests of what the sources hold.
        marks: digests of the sources, of which marks are kept, by which `check` finds them again in a cohort
            (`SeenItems`); None: none are.
        contrasts: where several modalities were read together, the number of each one's first channel.
    """
    state = found.network.state_dict()
    facts: dict[str, Any] = {
        "kind": reading.kind,
        "patients": corpus.patients,
        "held_out_patients": corpus.held_out_patients,
        "items": len(corpus.items),
        "held_out_items": int(corpus.held_out.sum()),
        "shared_items": corpus.dropped,
        "flat_items": found.flat,
        "network": asdict(found.network.config),
        "options": asdict(options),
        "curve": [dict(row) for row in found.curve],
        "best_epoch": found.history.best_epoch,
        "steps": found.history.steps,
        "held_out_loss": found.curve[found.history.best_epoch - 1]["held_out"],
        "nothing": found.nothing,
    }
    stored = {name: value.detach().cpu().numpy() for name, value in state.items()}
    facts = finite(facts)
    if contrasts:
        facts["contrasts"] = dict(contrasts)
    if marks is not None:
        facts["seen"] = SeenItems.of(marks, hash_state(state)[:32])
    return StoredRaster(
        found.network.config, reading, found.mean, found.deviation, stored, options.method, facts
    )  # fmt: skip
