"""Table encoder for a small table of numbers and categories: one token per column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort.rare_words import kept_levels
from chiasm.encoders.table.scaling import Array, Scaler, select
from chiasm.errors import count
from chiasm.tokens import Tokens

MAX_SLOTS = 32
WHOLE = re.compile(r"-?[1-9]\d*\.0|0\.0")  # a whole number written as a float, but not a code such as 250.00


@storable("table-encoder")
@dataclass(frozen=True)
class TableEncoder:
    """Table encoder with scaled numbers (`Scaler`), one-hot categories and missing flags, fitted on training rows.

    A column without any value in training is ignored. A category of fewer than two training patients is encoded as all
    zeros and not stored: nothing can be learned from one patient, and the value may be a name. In a column of over ten
    categories, most of them of fewer than five patients, those of fewer than five are not stored either, unless the
    column is declared (`kept_levels`). A missing value in a present table is imputed by the training median (or no
    category) and flagged, if the column had missing values in training: the flag tells it from a category that is not
    stored. Up to 32 columns become one token each, more are split in order into 32 tokens.

    Args:
        scaler: the scaler of the numeric columns.
        categories: for each categorical column, the values that enough training patients have, sorted.
        flagged: the columns that get a missing flag.
        declared: the columns whose words are no names, as their owner says.
        left_out: number of values of categorical columns that are not stored: too few training patients have them.
    """

    scaler: Scaler | None = None
    categories: dict[str, tuple[str, ...]] | None = None
    flagged: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    left_out: int = 0

    fitted_on_cohort = True

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        levels = sum(len(own) for own in (self.categories or {}).values())
        if not levels and not self.left_out:
            return ""
        held = f"{count(levels, 'level')} of categories as written, each of two patients or more"
        verb = "is" if self.left_out == 1 else "are"
        left = f"; {self.left_out:,} that too few share {verb} not kept" if self.left_out else ""
        return (held if levels else "no level of categories as written") + left

    def fit(self, raw: pd.DataFrame, patients: Sequence[str] = ()) -> Self:
        """Fit on the training rows of a table, `(n, columns)`; the order of its columns does not matter."""
        lacking = raw.isna()
        empty, flags = lacking.all().to_numpy(), lacking.any().to_numpy()
        columns = sorted(str(column) for column, nothing in zip(raw.columns, empty, strict=True) if not nothing)
        numbers = numeric_columns(raw)
        plain = [column for column in columns if column in numbers]
        words = {c: levels_of(raw[c], declared=c in self.declared) for c in columns if c not in numbers}
        categories = {c: tuple(str(level) for level in levels[kept]) for c, (levels, kept) in words.items()}
        left_out = sum(int((~kept).sum()) for _, kept in words.values())
        lacked = {str(column) for column, some in zip(raw.columns, flags, strict=True) if some}
        flagged = tuple(column for column in columns if column in lacked)
        return type(self)(Scaler.fit(raw[plain]), categories, flagged, self.declared, left_out)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of the fit, sorted."""
        if self.scaler is None or self.categories is None:
            raise ValueError("the table encoder is not fitted: call fit on training rows first")
        return tuple(sorted([*self.scaler.columns, *self.categories]))

    @property
    def slots(self) -> int:
        return min(len(self.columns), MAX_SLOTS)

    @property
    def width(self) -> int:
        widths = self._widths
        return max(sum(widths[column] for column in part) for part in self._parts())

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features: `column`, `column is level` for a category, `column is missing` for a flag."""
        own, flagged, names = self.categories or {}, set(self.flagged), list[str]()
        for column in self.columns:
            levels = [f"{column} is {written(level)!r}" for level in own.get(column) or ("",)]
            names += levels if column in own else [column]
            names += [f"{column} is missing"] if column in flagged else []
        return tuple(names)

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The column of each feature, in the order of `feature_names`."""
        widths = self._widths
        return tuple(column for column in self.columns for _ in range(widths[column]))

    @property
    def token_names(self) -> tuple[tuple[str, ...], ...]:
        """Names of the features of each token, as in `feature_names`."""
        widths, names = self._widths, iter(self.feature_names)
        return tuple(tuple(next(names) for column in part for _ in range(widths[column])) for part in self._parts())

    def features(self, raw: pd.DataFrame) -> Array:
        """Encode the table as one numeric matrix `(n, F)` float64, for linear models."""
        return np.concatenate(list(self._blocks(raw).values()), axis=1)

    def encode(self, raw: Any) -> Tokens:
        """Encode rows to tokens `(n, slots, width)`: the numbers of each token's columns, padded with zeros."""
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
        own, flagged = self.categories or {}, set(self.flagged)
        return {c: (max(1, len(own[c])) if c in own else 1) + (c in flagged) for c in self.columns}

    def _blocks(self, raw: pd.DataFrame) -> dict[str, Array]:
        raw = select(raw, self.columns)
        own, scaler = self.categories or {}, self.scaler
        assert scaler is not None  # self.columns raised otherwise
        numbers = numeric_columns(raw)
        text = [column for column in scaler.columns if column not in numbers]
        if text:
            raise ValueError(
                f"column '{text[0]}' held numbers at fit and holds text now: write numbers, or leave it empty"
            )
        scaled = dict(zip(scaler.columns, scaler(raw).T, strict=True))
        blocks, flagged = {}, set(self.flagged)
        for column in self.columns:
            if column in own:
                words = as_text(raw[column])
                known = [words == written(value) for value in own[column]]
                block = np.stack(known or [np.zeros(len(raw), bool)], axis=1)
            else:
                block = scaled[column][:, None]
            if column in flagged:
                block = np.concatenate([block, raw[column].isna().to_numpy()[:, None]], axis=1)
            blocks[column] = np.asarray(block, dtype=np.float64)
        return blocks


def levels_of(column: pd.Series[Any], *, declared: bool = False) -> tuple[np.ndarray, NDArray[np.bool_]]:
    """Return the values of a column as text, sorted `(K,)`, and which of them a model keeps, `(K,)` bool."""
    values, patients = np.unique(as_text(column.dropna()).astype(str), return_counts=True)
    return values, kept_levels(patients, declared=declared)


def numeric_columns(frame: pd.DataFrame) -> set[str]:
    """Return the columns that are numeric or boolean, or have no values; text and categories are not numeric."""
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    return {
        str(column)
        for place, (column, plain) in enumerate(zip(frame.columns, numeric, strict=True))
        if plain or frame.iloc[:, place].isna().all()
    }


def as_text(column: pd.Series[Any]) -> np.ndarray:
    """Convert a categorical column to text, `(n,)` object; missing values become None, which equals no category."""
    return np.array(
        [None if missing else written(value) for value, missing in zip(column, column.isna(), strict=True)], object
    )


def written(value: object) -> str:
    """Convert a value to text, a whole number without its decimals: `1.0` becomes `1`.

    The same column may be read as text from a file that contains words, and as numbers from one that does not.
    """
    text = str(value)
    return text.split(".")[0] if WHOLE.fullmatch(text) else text
