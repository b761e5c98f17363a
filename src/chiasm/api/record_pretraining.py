"""Pretraining on the event records of a cohort, for `chiasm.pretrain` with method next-event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm import artifact
from chiasm.api.encoding import encode
from chiasm.api.pretraining_words import notes_on_events, said_of_events
from chiasm.cohort import Cohort, Problem, Unsupported
from chiasm.cohort.units import alone_where_empty
from chiasm.encoders.seen import item_of
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.records.folder import as_stored_records
from chiasm.pretraining.records.options import METHOD, RecordOptions, record_config
from chiasm.pretraining.records.stage import pretrained_on_records
from chiasm.pretraining.stage import most_epochs

KIND = "events"


@dataclass(frozen=True)
class ToldOfRecords:
    """How a pretraining on records went: what its folder tells, its curve, and what it says of both."""

    facts: dict[str, Any]
    curve: pd.DataFrame
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]


def pretrain_on_records(
    cohort: Cohort,
    modality: str,
    out: Path,
    *,
    network: str,
    options: RecordOptions,
    steps: int | None,
    marks: bool,
    checkpoint: Path,
    seed: int,
    device: str,
    jobs: int | None,
    followed: Callable[[int, int], None],
) -> ToldOfRecords:
    """Pretrain a network to tell the next event of the records of a modality, and write it as an encoder's folder.

    Args:
        checkpoint: file that is written after each epoch, and gone on from if it exists; it is deleted at the end.
        followed: called with (finished, all) epochs.

    Raises:
        Unsupported: too few patients, no code that they share, or a batch that memory does not hold.
        ValueError: an option out of range, or a loss that is not finite.
    """
    config = record_config(network)
    encoded = encode(cohort.with_modalities([modality]), {modality: "events"}, jobs=jobs)
    rows, values = encoded.cohort.rows_of(modality), list(encoded.cohort.raw(modality))
    items = [item_of(value) for value in values]
    units = np.arange(len(cohort)).astype(str) if cohort.group is None else alone_where_empty(cohort.group)
    corpus = corpus_of(items, units[rows].tolist(), options.held_out, seed)
    if steps is not None:
        epochs = most_epochs(steps, int((~corpus.held_out).sum()), options.batch)
        options = RecordOptions(**{**vars(options), "epochs": epochs})
    records = dict(zip(items, values, strict=True))
    out.parent.mkdir(parents=True, exist_ok=True)
    found = pretrained_on_records(
        corpus, [records[item] for item in corpus.items], config, options, seed=seed, checkpoint=checkpoint,
        device=device, progress=followed,
    )  # fmt: skip
    stored = as_stored_records(found, corpus, config, options, marks=marks)
    artifact.save(out, stored)
    checkpoint.unlink(missing_ok=True)
    facts = {key: value for key, value in stored.facts.items() if key != "seen"}
    curve = pd.DataFrame(facts["curve"])
    curve.insert(0, "epoch", np.arange(1, len(curve) + 1))
    curve.insert(3, "perplexity", np.exp(curve["held_out"].clip(upper=700)))
    return ToldOfRecords(facts, curve, tuple(said_of_events(facts)), tuple(notes_on_events(facts)), encoded.problems)


def require_unused(**asked: object) -> None:
    """Refuse options of sequences that mean nothing for records.

    Raises:
        ValueError: one is not None.
    """
    named = [name for name, value in asked.items() if value is not None]
    if named:
        raise ValueError(f"{METHOD} reads records, and {named[0]} is for sequences of letters: leave it out")


def require_kind(cohort: Cohort, modality: str, method: str) -> bool:
    """Tell whether a modality is pretrained on by next-event; refuse a method and a kind that do not go together.

    Raises:
        Unsupported: the method tells letters and the modality is events, or the other way round.
    """
    is_events = cohort.kinds[modality] == KIND
    if is_events != (method == METHOD):
        raise Unsupported(
            f"modality '{modality}' is events, which are pretrained on by method {METHOD} alone, not by '{method[:40]}'"
            if is_events
            else f"method {METHOD} reads event records, and modality '{modality}' is of kind "
            f"'{cohort.kinds[modality]}': name a modality of kind {KIND}, or another method"
        )
    return is_events
