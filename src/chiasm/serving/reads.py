"""What a model reads of one modality of a request: columns with their reach and levels, or a text, records, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.kinds import CELL, EVENTS, FILES, TABLE, has_form, kind_named
from chiasm.encoders.table.table import written
from chiasm.errors import Unsupported
from chiasm.fitting.expected import Expected, expected_of
from chiasm.fitting.model import FittedModel

Array = NDArray[np.float64]
FIGURES = 2  # to which a reach is rounded outward, so that it tells no training patient's value


@dataclass(frozen=True)
class ReadsColumns:
    """A table or an omics block.

    Args:
        numbers: columns of numbers, in the order in which they are read.
        low, high: `(F,)` their reach, infinite where there is none.
        levels: columns of words, with the levels that the model has.
    """

    name: str
    kind: str
    numbers: tuple[str, ...]
    low: Array
    high: Array
    levels: Mapping[str, frozenset[str]]

    @property
    def form(self) -> str:
        return TABLE

    @cached_property
    def columns(self) -> frozenset[str]:
        return frozenset((*self.numbers, *self.levels))

    @property
    def is_wide(self) -> bool:
        """True of an omics block, of which one odd number among thousands is no reason to refuse a patient."""
        return self.kind == "omics"


@dataclass(frozen=True)
class ReadsItem:
    """One text, one patient's records, or one source of files."""

    name: str
    kind: str
    form: str


Reads = ReadsColumns | ReadsItem


def reads_of(model: FittedModel) -> dict[str, Reads]:
    """Find what a model reads of each modality.

    Raises:
        Unsupported: a table of which the model does not say the columns, or a kind that nothing reads here.
    """
    expected = expected_of(model.predictor, model.modalities)
    return {name: _reads(name, kind, expected.get(name)) for name, kind in sorted(model.kinds.items())}


def _reads(name: str, kind: str, own: Expected | None) -> Reads:
    if has_form(kind, TABLE):
        if own is None:  # presence of a table: it reads no column
            return ReadsColumns(name, kind, (), np.zeros(0), np.zeros(0), {})
        low, high = outward(*own.limits())
        levels = {column: frozenset(map(written, known)) for column, known in own.levels.items()}
        return ReadsColumns(name, kind, tuple(own.scaler.columns), low, high, levels)
    found = kind_named(kind)
    if found is None or found.form not in (CELL, EVENTS, FILES):
        raise Unsupported(f"modality '{name}' is of kind '{kind}', which nothing reads here: install what brings it")
    return ReadsItem(name, kind, found.form)


def outward(low: Array, high: Array) -> tuple[Array, Array]:
    """Round ends `(F,)` to two figures of the larger one, away from the middle; infinite ones stay."""
    size = np.maximum(np.abs(low), np.abs(high))
    there = np.isfinite(size) & (size > 0)
    step = np.ones_like(size)
    step[there] = 10.0 ** (np.floor(np.log10(size[there])) - (FIGURES - 1))
    with np.errstate(invalid="ignore"):
        ends = np.where(there, np.floor(low / step) * step, low), np.where(there, np.ceil(high / step) * step, high)
    return ends[0].round(12), ends[1].round(12)
