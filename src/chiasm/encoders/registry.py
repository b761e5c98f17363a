"""Which encoder reads which kind of modality, and the encoders of a whole cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.bag import BagEncoder
from chiasm.encoders.omics import OmicsEncoder
from chiasm.encoders.scaling import Columns, PooledTokens
from chiasm.encoders.table import TableEncoder
from chiasm.protocols import Encoder
from chiasm.tokens import PackedTokens

BATCH = 64

# kind of modality -> a fresh encoder, given the feature groups that the manifest names for it
ENCODERS: dict[str, Callable[[Mapping[str, Any] | None], Encoder]] = {
    "table": lambda groups: TableEncoder(),
    "omics": OmicsEncoder.with_groups,
    "bag": lambda groups: BagEncoder(),
}

# kind of modality -> what a linear model reads of it, where that is not the encoder's own `features`
COLUMNS: dict[str, Callable[[], Any]] = {"omics": Columns}


def features_for(kind: str) -> Any:
    """What turns a modality of this kind into a matrix for linear models: fresh, with `fit` and `features`.

    Raises:
        Unsupported: nothing installed reads this kind.
    """
    if kind in COLUMNS:
        return COLUMNS[kind]()
    encoder = encoder_for(kind)
    return encoder if hasattr(encoder, "features") else PooledTokens(encoder)


def encoder_for(kind: str, groups: Mapping[str, Any] | None = None) -> Encoder:
    """A fresh encoder for a kind of modality, ours or one that a package brings by the entry point `chiasm.encoders`.

    Raises:
        Unsupported: nothing installed reads this kind.
    """
    if kind in ENCODERS:
        return ENCODERS[kind](groups)
    for point in entry_points(group="chiasm.encoders"):
        if point.name == kind:
            made: Encoder = point.load()(groups)
            return made
    raise Unsupported(
        f"no encoder reads modalities of kind '{kind}' yet: turn them into a table or a bag, or leave them out"
    )


def fit_encoders(cohort: Cohort) -> dict[str, Encoder]:
    """One encoder a modality, fitted on this cohort's patients (so: give it training rows only)."""
    fitted = {}
    for modality in cohort.modalities:
        encoder = encoder_for(cohort.kinds[modality], cohort.groups_of(modality))
        rows = cohort.rows_of(modality)
        if not len(rows):
            raise Unsupported(f"no patient of the training set has the modality '{modality}': leave it out")
        fitted[modality] = encoder.fit(cohort.raw(modality), [str(name) for name in cohort.ids[rows]])
    return fitted


def pack(cohort: Cohort, encoders: Mapping[str, Encoder]) -> dict[str, PackedTokens]:
    """The tokens of every patient and modality that has an encoder; bags are encoded in batches of like length."""
    packed = {}
    for modality, encoder in encoders.items():
        if modality not in cohort.modalities or not len(cohort.rows_of(modality)):
            packed[modality] = PackedTokens.scatter(
                [], np.zeros(0, np.int64), len(cohort), encoder.width, encoder.slots
            )
            continue
        rows = cohort.rows_of(modality)
        raw = cohort.raw(modality)
        if encoder.slots:
            values = encoder.encode(raw).values.numpy()
            packed[modality] = PackedTokens.scatter(list(values), rows, len(cohort), encoder.width, encoder.slots)
            continue
        order = np.argsort(raw.lengths, kind="stable")
        parts: list[np.ndarray] = [np.zeros((0, encoder.width), np.float32)] * len(rows)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            tokens = encoder.encode([raw[int(k)] for k in chosen])
            for k, values, mask in zip(chosen, tokens.values.numpy(), tokens.mask.numpy(), strict=True):
                parts[k] = values[mask]
        packed[modality] = PackedTokens.scatter(parts, rows, len(cohort), encoder.width)
    return packed
