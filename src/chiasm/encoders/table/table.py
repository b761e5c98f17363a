"""A small table of numbers and categories: one token a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from chiasm.artifact import storable
from chiasm.encoders.table.scaling import Array, Scaler, select
from chiasm.tokens import Tokens

MAX_SLOTS = 32
WHOLE = re.compile(r"-?[1-9]\d*\.0|0\.0")  # as a float is written, and no code such as 250.00


@storable("table-encoder")
@dataclass(frozen=True)
class TableEncoder:
    """Numbers scaled as `Scaler` does, categories one-hot, and a flag for what is missing; fitted on training rows.

    A column without any value in training is ignored. A category that fewer than two training patients have is all
    zeros, and is not kept: nothing is learned from one, and the value of one patient may be a name. A
    missing value inside a present table is the training median (or no category) and raises its flag, where training had
    a missing value in that column at all. Up to 32 columns give a token each, more are dealt to 32 tokens in order.

    Args:
        scaler: of the numeric columns.
        categories: of each categorical column, the values that two training patients have, sorted; () for none.
        flagged: the columns that get a missing flag.
    """

    scaler: Scaler | None = None
    categories: dict[str, tuple[str, ...]] | None = None
    flagged: tuple[str, ...] = ()

    fitted_on_cohort = True

    def fit(self, raw: pd.DataFrame, patients: Sequence[str] = ()) -> Self:
        """From the training rows of a table, `(n, columns)`; the order of its columns does not matter."""
        columns = sorted(str(column) for column in raw.columns if raw[column].notna().any())
        plain = [column for column in columns if is_numeric(raw[column])]
        categories = {c: shared_values(raw[c]) for c in columns if c not in plain}
        flagged = tuple(c for c in columns if raw[c].isna().any())
        return type(self)(Scaler.fit(raw[plain]), categories, flagged)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it was fitted on, sorted."""
        if self.scaler is None or self.categories is None:
            raise ValueError("the table encoder is not fitted: call fit on training rows first")
        return tuple(sorted([*self.scaler.columns, *self.categories]))

    @property
    def slots(self) -> int:
        return min(len(self.columns), MAX_SLOTS)

    @property
    def width(self) -> int:
        return max(sum(self._widths[column] for column in part) for part in self._parts())

    def features(self, raw: pd.DataFrame) -> Array:
        """The table as one numeric matrix `(n, F)` float64, for linear models."""
        return np.concatenate(list(self._blocks(raw).values()), axis=1)

    def encode(self, raw: Any) -> Tokens:
        """`(n, slots, width)`: each token holds the numbers of its columns and zeros behind them."""
        blocks = self._blocks(raw)
        values = np.zeros((len(raw), self.slots, self.width), np.float32)
        for slot, part in enumerate(self._parts()):
            row = np.concatenate([blocks[column] for column in part], axis=1)
            values[:, slot, : row.shape[1]] = row
        return Tokens(torch.from_numpy(values), torch.ones(values.shape[:2], dtype=torch.bool))

    def _parts(self) -> list[list[str]]:
        return [list(part) for part in np.array_split(np.array(self.columns, object), self.slots)]

    @property
    def _widths(self) -> dict[str, int]:
        own = self.categories or {}
        return {c: (max(1, len(own[c])) if c in own else 1) + (c in self.flagged) for c in self.columns}

    def _blocks(self, raw: pd.DataFrame) -> dict[str, Array]:
        raw = select(raw, self.columns)
        own, scaler = self.categories or {}, self.scaler
        assert scaler is not None  # self.columns raised otherwise
        plain = [column for column in scaler.columns if not is_numeric(raw[column])]
        if plain:
            raise ValueError(
                f"column '{plain[0]}' held numbers at fit and holds text now: write numbers, or leave it empty"
            )
        scaled = dict(zip(scaler.columns, scaler(raw).T, strict=True))
        blocks = {}
        for column in self.columns:
            if column in own:
                text = as_text(raw[column])
                known = [text == written(value) for value in own[column]]
                block = np.stack(known or [np.zeros(len(raw), bool)], axis=1)
            else:
                block = scaled[column][:, None]
            if column in self.flagged:
                block = np.concatenate([block, raw[column].isna().to_numpy()[:, None]], axis=1)
            blocks[column] = np.asarray(block, dtype=np.float64)
        return blocks


def shared_values(column: pd.Series[Any]) -> tuple[str, ...]:
    """The values that at least two rows have, as text, sorted."""
    values, counts = np.unique(as_text(column.dropna()).astype(str), return_counts=True)
    return tuple(str(value) for value in values[counts > 1])


def is_numeric(column: pd.Series[Any]) -> bool:
    """Numbers, booleans or nothing at all; text and categories are not."""
    return bool(pd.api.types.is_numeric_dtype(column) or column.isna().all())


def as_text(column: pd.Series[Any]) -> np.ndarray:
    """The values of a categorical column as text, `(n,)` object; missing ones as None, equal to no category."""
    return np.array(
        [None if missing else written(value) for value, missing in zip(column, column.isna(), strict=True)], object
    )


def written(value: object) -> str:
    """A value as text, a whole number without its fraction of zeros: `1.0` is `1`.

    A column of words and numbers is text in one file, and numbers in another that happens to hold no word.
    """
    text = str(value)
    return text.split(".")[0] if WHOLE.fullmatch(text) else text
