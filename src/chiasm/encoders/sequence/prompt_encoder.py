"""Encoders of MAMMAL's prompts: counts of their pieces, which every recipe reads, and their tokens one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd
import torch

from chiasm.artifact import storable
from chiasm.encoders.batches import Floats, in_order
from chiasm.encoders.sequence.prompt_pieces import PromptPieces
from chiasm.encoders.table.scaling import Array, Scaler
from chiasm.tokens import Tokens

FIELDS = ("id", "scalar", "is_scalar", "slot", "place")
MOST_NUMBERS = 16
MOST_COLUMNS = 4096


@storable("encoder-prompts")
@dataclass(frozen=True)
class Prompts:
    """Prompts as one token: how often each piece stands in it, its length, and its first sixteen numbers, scaled.

    The feature of a piece is the root of its share of the prompt. With several tasks each stands once more for each
    task, zero in prompts of another, so that a linear model may answer two tasks of one molecule differently; unless
    these are more than 4,096. A special token that no training prompt has counts as unknown. Embeddings of other
    encoders are modalities of their own, and only their places are counted.

    Args:
        longest, unknown: see `PromptPieces`.
        pieces: of the training prompts; None before `fit`.
        scaler: of the columns; None before `fit`.
        numbers: how many numbers a training prompt has at most, sixteen or fewer.
    """

    longest: int = 512
    unknown: bool = False
    pieces: PromptPieces | None = None
    scaler: Scaler | None = None
    numbers: int = 0

    id: ClassVar[str] = "prompts"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = True
    slots: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _ = PromptPieces(self.longest, self.unknown)  # which refuses what is out of range

    @property
    def width(self) -> int:
        return 1 if self.scaler is None else len(self.scaler.columns)

    def require(self, value: str) -> None:
        """Raise ReadError of a prompt that cannot be read whatever the training prompts hold."""
        PromptPieces(self.longest, self.unknown).require(value)

    def notes(self, value: str) -> tuple[str, ...]:
        """Tell what of a prompt is cut off, and how many of its letters are read as unknown."""
        return PromptPieces(self.longest, self.unknown).notes(value)

    def fit(self, raw: Sequence[str], patients: Sequence[str] = ()) -> Self:
        """Fit on the prompts of the training patients; raises as `PromptPieces.fit` does."""
        pieces = PromptPieces(self.longest, self.unknown).fit(raw)
        most = max((int(own.is_scalar.sum()) for own in pieces.read(raw, strict=False)), default=0)
        fitted = replace(self, pieces=pieces, numbers=min(most, MOST_NUMBERS))
        return replace(fitted, scaler=Scaler.fit(fitted._columns(raw)))

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode prompts to tokens `(n, 1, width)`."""
        values = torch.from_numpy(self.features(raw).astype(np.float32))[:, None]
        return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))

    def features(self, raw: Sequence[str]) -> Array:
        """Compute the features for linear models, `(n, F)` float64."""
        if self.scaler is None:
            raise ValueError("the encoder 'prompts' is not fitted: call fit on training patients first")
        return self.scaler(self._columns(raw))

    def _columns(self, raw: Sequence[str]) -> pd.DataFrame:
        assert self.pieces is not None
        size, tasks = len(self.pieces.vocabulary), len(self.pieces.tasks)
        counts = np.zeros((len(raw), size))
        numbers = np.full((len(raw), self.numbers), np.nan)
        lengths = np.zeros((len(raw), 1))
        for row, own in enumerate(self.pieces.read(raw, strict=False)):
            counts[row] = np.sqrt(np.bincount(own.ids, minlength=size) / max(1, len(own.ids)))
            told = own.scalars[own.is_scalar][: self.numbers]
            numbers[row, : len(told)] = told
            lengths[row] = np.log1p(len(own.ids))
        own_task = np.array(self.pieces.tasks_of(raw), np.int64)
        parts = [counts, lengths, numbers]
        if tasks > 1 and (tasks + 1) * size <= MOST_COLUMNS:
            parts += [np.where(own_task[:, None] == task, counts, 0.0) for task in range(1, tasks + 1)]
        table = np.concatenate(parts, axis=1)
        return pd.DataFrame(table, columns=[str(column) for column in range(table.shape[1])])


@storable("encoder-prompt-tokens")
@dataclass(frozen=True)
class PromptTokens:
    """Prompts as their tokens in order, which hold numbers to look up and not values to weigh.

    Of each token, `(T, 5)`: its id, the number that stands there, whether one does, and of a place of embeddings the
    number of what belongs there, from 1, with which of its tokens.

    Args:
        longest, unknown: see `PromptPieces`.
        pieces: of the training prompts; None before `fit`.
    """

    longest: int = 512
    unknown: bool = False
    pieces: PromptPieces | None = None

    slots: ClassVar[int] = 0
    fitted_on_cohort: ClassVar[bool] = True
    width: ClassVar[int] = len(FIELDS)

    def __post_init__(self) -> None:
        _ = PromptPieces(self.longest, self.unknown)

    def fit(self, raw: Sequence[str], patients: Sequence[str] = ()) -> Self:
        """Fit on the prompts of the training patients; raises as `PromptPieces.fit` does."""
        return replace(self, pieces=PromptPieces(self.longest, self.unknown).fit(raw))

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode prompts to tokens `(n, longest, 5)`; raises as `PromptPieces.read` does."""
        if self.pieces is None:
            raise ValueError("the tokens of prompts are not fitted: call fit on training patients first")
        found: list[Floats] = []
        for own in self.pieces.read(raw):
            values = np.zeros((len(own.ids), self.width), np.float32)
            values[:, 0], values[:, 1], values[:, 2] = own.ids, own.scalars, own.is_scalar
            for start, slot in own.slots:
                values[start : start + slot.length, 3] = 1 + self.pieces.placed.index(slot)
                values[start : start + slot.length, 4] = np.arange(slot.length)
            found.append(values)
        return in_order(found, self.width, 0)
