"""Undecoded items (a file, a cell or table rows for each patient), and the decoded values that replace them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, overload, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort.digests import Digests

Rows = NDArray[np.int_]
Item = Path | str | pd.DataFrame
CODE = "code"  # the events column that holds text


class Items(Sequence[Item]):
    """Sequence of undecoded items: item i is a `Path`, a cell of text, or a frame of a patient's rows.

    `template` is the path as the user writes it and `file_rows` (n,) the row of each item; both serve messages.
    """

    def __init__(
        self, values: Sequence[Item], *, modality: str, kind: str, template: str | None, file_rows: Rows
    ) -> None:
        self._values = values
        self.modality = modality
        self.kind = kind
        self.template = template
        self.file_rows = file_rows

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        return [*self._values[index]] if isinstance(index, slice) else self._values[index]

    @property
    def are_rows(self) -> bool:
        """True if every item is rows of one table, so that none is a file."""
        return isinstance(self._values, RowsOfPatients)


class RowsOfPatients(Sequence[pd.DataFrame]):
    """Sequence of frames: item i is the part of a frame that belongs to patient i, at positions `rows[i]`.

    Columns become numeric patient by patient, so text in one patient's column does not affect the others.
    """

    def __init__(self, frame: pd.DataFrame, rows: Sequence[Rows]) -> None:
        self._frame = frame
        self._rows = rows
        texts = frame.columns[[str(kind) == "object" for kind in frame.dtypes]]
        self._texts = texts.difference([CODE]) if len(texts) else texts

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> pd.DataFrame: ...
    @overload
    def __getitem__(self, index: slice) -> list[pd.DataFrame]: ...
    def __getitem__(self, index: int | slice) -> pd.DataFrame | list[pd.DataFrame]:
        if isinstance(index, slice):
            return [self._part(rows) for rows in self._rows[index]]
        return self._part(self._rows[index])

    def _part(self, rows: Rows) -> pd.DataFrame:
        part = self._frame.iloc[rows]
        for name in self._texts:
            numbers = pd.to_numeric(part[name], errors="coerce")
            if (numbers.notna() == part[name].notna()).all():
                part = part.assign(**{str(name): numbers})
        return part


@runtime_checkable
class Ragged(Protocol):
    """Protocol of a sequence whose items have different numbers of tokens: `lengths` (n,) is that of each."""

    @property
    def lengths(self) -> Rows: ...


class Values(Sequence[Any]):
    """Decoded values of the patients who have a modality, in memory."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = list(values)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def take(self, rows: Rows) -> Values:
        """Select some of the values."""
        return Values([self._values[int(row)] for row in rows])


@storable("encoding")
@dataclass(frozen=True)
class Encoding:
    """Record of how a modality was encoded: its `kind` in the manifest, the `encoder` as chosen, and its `identity`.

    Equal identities give equal tokens for equal content; a model asks for the identity it was trained on. `refused` is
    the number of sources that could not be read and count as absent.
    """

    kind: str
    encoder: str
    identity: str
    refused: int = 0


class ValueSource:
    """Source of already decoded values or tokens, one item per patient who has the modality.

    `inputs` are the inputs to the encoder's network for each patient, if requested; `written` is the text from which
    the values were made, undecoded, where the modality is text.
    """

    known: dict[bytes, bytes] | None = None  # there is no content to read

    def __init__(
        self, values: Any, digests: Digests, path: str | None, inputs: Any = None, written: Values | None = None
    ) -> None:
        self.path = path
        self._values = values
        self._digests = digests
        self._inputs = inputs
        self._written = written

    @property
    def columns(self) -> list[str]:
        return []

    def values(self, rows: Rows, file_rows: Rows) -> Any:
        return self._values.take(rows)

    def inputs(self, rows: Rows) -> Any:
        """Select some of the inputs; None if there are none."""
        return None if self._inputs is None else self._inputs.take(rows)

    def written(self, rows: Rows) -> Values | None:
        """Select some of the undecoded texts; None if there are none."""
        return None if self._written is None else self._written.take(rows)

    def digests(self, rows: Rows) -> Digests:
        return self._digests[rows]
