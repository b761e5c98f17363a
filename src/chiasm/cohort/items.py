"""What is not decoded yet, a file, a cell or the rows of a table for each patient; and the values once they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort.digests import Digests

Rows = NDArray[np.int_]
Item = Path | str | pd.DataFrame
CODE = "code"  # the column of events that is text


class Items(Sequence[Item]):
    """Item i is a `Path`, a cell of text, or a frame of a patient's rows.

    `file_rows` (n,) is where each stands in the file of the user that `template` names, for messages.
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


class RowsOfPatients(Sequence[pd.DataFrame]):
    """Item i is the part of a frame that belongs to patient i: `rows[i]` are its positions.

    A word among the numbers of one patient leaves the numbers of the others numbers.
    """

    def __init__(self, frame: pd.DataFrame, rows: Sequence[Rows]) -> None:
        self._frame = frame
        self._rows = rows

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
        for name in part.columns[[str(kind) == "object" for kind in part.dtypes]].difference([CODE]):
            numbers = pd.to_numeric(part[name], errors="coerce")
            if (numbers.notna() == part[name].notna()).all():
                part = part.assign(**{str(name): numbers})
        return part


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
        """Some of them."""
        return Values([self._values[int(row)] for row in rows])


@storable("encoding")
@dataclass(frozen=True)
class Encoding:
    """How a modality became what it is: its `kind` in the manifest, the encoder as chosen, and the encoder's identity.

    Equal identities give equal tokens for equal content; a model asks for the identity it was trained on. `refused` is
    how many sources could not be read and count as absent.
    """

    kind: str
    encoder: str
    identity: str
    refused: int = 0


class ValueSource:
    """Values or tokens in place of a source that was decoded, one item a patient who has the modality.

    `inputs` are what the encoder's network reads of each, where they were asked for.
    """

    def __init__(self, values: Any, digests: Digests, path: str | None, inputs: Any = None) -> None:
        self.path = path
        self._values = values
        self._digests = digests
        self._inputs = inputs

    @property
    def columns(self) -> list[str]:
        return []

    def values(self, rows: Rows, file_rows: Rows) -> Any:
        return self._values.take(rows)

    def inputs(self, rows: Rows) -> Any:
        """The inputs of some, None where there are none."""
        return None if self._inputs is None else self._inputs.take(rows)

    def digests(self, rows: Rows) -> Digests:
        return self._digests[rows]
