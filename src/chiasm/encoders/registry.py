"""Encoders by kind of modality; fitting them on a cohort and packing the cohort's tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.items import Ragged
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.encoders.adaptable import InputsAsTheyAre
from chiasm.encoders.bag import BagEncoder
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.knowledge import Entities
from chiasm.encoders.sharing import sharing
from chiasm.encoders.stored import StoredTokensEncoder
from chiasm.encoders.streaming import StreamedTokens
from chiasm.encoders.table.omics import OmicsEncoder
from chiasm.encoders.table.scaling import Columns, HasFeatures, PooledTokens
from chiasm.encoders.table.table import TableEncoder
from chiasm.protocols import Encoder
from chiasm.tokens import Packed, PackedTokens

BATCH = 64
FRAME_BATCH = 8_192
STREAMED_BYTES = 1 << 30

# kind of modality -> factory of its encoder, called with the cohort and the modality
ENCODERS: dict[str, Callable[[Cohort, str], Encoder]] = {
    "table": lambda cohort, modality: TableEncoder(declared=cohort.declared_words(modality)),
    "omics": lambda cohort, modality: OmicsEncoder.with_groups(cohort.groups_of(modality)),
    "bag": lambda cohort, modality: BagEncoder(),
    "tokens": lambda cohort, modality: StoredTokensEncoder(),
}

# kind of modality -> factory of the features for linear models, if they are not the encoder's own `features`
COLUMNS: dict[str, Callable[[], Any]] = {"omics": Columns}


def features_of(cohort: Cohort, modality: str) -> Any:
    """Return a new, unfitted transformer (`fit`, `features`) of a modality into a matrix for linear models.

    Raises:
        Unsupported: the modality is not encoded yet, or nothing installed reads its kind.
    """
    if cohort.kinds[modality] in COLUMNS:
        return COLUMNS[cohort.kinds[modality]]()
    encoder = encoder_of(cohort, modality)
    return encoder if isinstance(encoder, HasFeatures) else PooledTokens(encoder)


def encoder_of(cohort: Cohort, modality: str) -> Encoder:
    """Return a new, unfitted encoder of a modality: by kind for tables and tokens, else the one chosen for it.

    Raises:
        Unsupported: the modality is not encoded yet, or nothing installed reads its kind.
    """
    kind, chosen = cohort.kinds[modality], cohort.encodings.get(modality)
    if kind in ENCODERS:
        return ENCODERS[kind](cohort, modality)
    if chosen is not None:
        made: Encoder = make_encoder(chosen.encoder, kind)
        return made
    raise Unsupported(
        f"modality '{modality}' of kind '{kind}' is not encoded yet: chiasm.encode(cohort) does it, "
        "and so do evaluate, fit and predict"
    )


def fit_encoders(cohort: Cohort, instead: Mapping[str, Encoder] | None = None) -> dict[str, Encoder]:
    """Fit one encoder per modality on this cohort, which should hold training patients only.

    Args:
        instead: unfitted encoders by modality, for recipes that read some in a way of their own; else `encoder_of`.

    Raises:
        Unsupported: no patient has a modality.
    """
    fitted = {}
    for modality in cohort.modalities:
        encoder = (instead or {}).get(modality) or encoder_of(cohort, modality)
        rows = cohort.rows_of(modality)
        if not len(rows):
            raise Unsupported(f"no patient of the training set has the modality '{modality}': leave it out")
        raw = cohort.raw(modality)
        names = raw.index if isinstance(raw, pd.DataFrame) else cohort.ids[rows]
        fitted[modality] = encoder.fit(raw, names.tolist())
    return fitted


def columns_among(encoders: Mapping[str, Encoder]) -> tuple[str, ...]:
    """Return the modalities whose tokens are columns that were fitted on the cohort, each in its place.

    Side by side they are one vector; their mean, which suits the patches of a frozen network, would mix the columns.
    Stored tokens are those of a frozen network, though their projection is fitted.
    """
    frozen = (StoredTokensEncoder, InputsAsTheyAre)
    return tuple(
        sorted(
            name for name, own in encoders.items() if own.fitted_on_cohort and own.slots and not isinstance(own, frozen)
        )
    )


def pack(cohort: Cohort, encoders: Mapping[str, Encoder]) -> dict[str, Packed]:
    """Encode every patient and modality that has an encoder; bags are encoded in batches of similar length.

    Stored tokens that would take more than a gigabyte stay on disk and are read batch by batch. Tokens that many
    patients share, as pairs share a drug, are encoded and kept once.
    """
    packed: dict[str, Packed] = {}
    for modality, encoder in encoders.items():
        if isinstance(encoder, Entities):
            packed[modality] = encoder.packed(cohort)
            continue
        if modality not in cohort.modalities or not len(cohort.rows_of(modality)):
            packed[modality] = PackedTokens.scatter(
                [], np.zeros(0, np.int64), len(cohort), encoder.width, encoder.slots
            )
            continue
        rows = cohort.rows_of(modality)
        once = _once(cohort, modality, encoder)
        if once is not None:
            packed[modality] = once
            continue
        if encoder.slots and cohort.kinds[modality] != "tokens":
            packed[modality] = _filled(cohort, modality, encoder, rows)
            continue
        adapted = isinstance(encoder, InputsAsTheyAre)
        raw = encoder.read(cohort, modality) if isinstance(encoder, InputsAsTheyAre) else cohort.raw(modality)
        lengths = np.asarray(raw.lengths) if isinstance(raw, Ragged) else np.zeros(len(raw), np.int64)
        if adapted or (cohort.kinds[modality] == "tokens" and 4 * int(lengths.sum()) * encoder.width > STREAMED_BYTES):
            packed[modality] = StreamedTokens.of(raw, encoder, rows, len(cohort))
            continue
        if encoder.slots:
            packed[modality] = _filled(cohort, modality, encoder, rows)
            continue
        order = np.argsort(lengths, kind="stable")
        parts: list[np.ndarray] = [np.zeros((0, encoder.width), np.float32)] * len(rows)
        times: list[np.ndarray] = []
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            tokens = encoder.encode(part_of(raw, chosen))
            for k, values, mask in zip(chosen, tokens.values.numpy(), tokens.mask.numpy(), strict=True):
                parts[k] = values[mask]
            if tokens.times is not None:
                times = times or [np.zeros(0, np.float32)] * len(rows)
                for k, own, mask in zip(chosen, tokens.times.numpy(), tokens.mask.numpy(), strict=True):
                    times[k] = own[mask]
        packed[modality] = PackedTokens.scatter(parts, rows, len(cohort), encoder.width, times=times or None)
    return packed


def _once(cohort: Cohort, modality: str, encoder: Encoder) -> Packed | None:
    """Encode what many patients share once; None if they share too little, or it is too large to keep."""
    shared = None if isinstance(encoder, InputsAsTheyAre) else sharing(cohort, modality)
    if shared is None:
        return None
    different = cohort.with_modalities([modality]).subset(shared.rows[shared.first])
    tokens = pack(different, {modality: encoder})[modality]
    if not isinstance(tokens, PackedTokens):
        return None
    places = np.full(len(cohort), -1)
    places[shared.rows] = np.argsort(np.argsort(shared.first))[shared.index]  # a subset is in the cohort's order
    return tokens.shared(places)


def _filled(cohort: Cohort, modality: str, encoder: Encoder, rows: np.ndarray) -> PackedTokens:
    """Encode a modality with a fixed number of tokens into one preallocated array."""
    values, times = torch.empty((len(rows), encoder.slots, encoder.width), dtype=torch.float32), list[torch.Tensor]()
    size = FRAME_BATCH if has_form(cohort.kinds[modality], TABLE) else BATCH
    for start in range(0, len(rows), size):
        tokens = encoder.encode(cohort.raw(modality, rows[start : start + size]))
        values[start : start + size] = tokens.values
        times.extend([] if tokens.times is None else [tokens.times.reshape(-1)])
    lengths = np.zeros(len(cohort), np.int64)
    lengths[rows] = encoder.slots
    when = torch.cat(times) if times else None
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return PackedTokens(values.reshape(-1, encoder.width), offsets, encoder.slots, when)


def part_of(raw: Any, rows: np.ndarray) -> Any:
    """Select rows of a modality's raw data, a frame or a sequence."""
    return raw.iloc[rows] if isinstance(raw, pd.DataFrame) else raw.take(rows)
