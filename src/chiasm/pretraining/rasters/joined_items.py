"""Several contrasts of each patient as one raster of all their channels, read batch by batch from the token store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from chiasm.pretraining.rasters.stored_items import StoredItems
from chiasm.tokens import Tokens


@dataclass(frozen=True, repr=False)
class JoinedItems:
    """Sums of rasters, each of which is zero but for the channels of its contrast: what an item lacks stays zero.

    Args:
        contrasts: the rasters of each contrast, those alone that there are.
        places: `(n, M)` the place of each item among the rasters of each contrast; -1 where it has none.
    """

    contrasts: tuple[StoredItems, ...]
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    @property
    def width(self) -> int:
        """P, numbers of a raster."""
        return self.contrasts[0].width

    @property
    def slots(self) -> int:
        """One token an item."""
        return 1

    @property
    def lengths(self) -> np.ndarray:
        """One token an item, `(n,)`."""
        return np.ones(len(self.places), np.int64)

    def take(self, rows: np.ndarray) -> Tokens:
        """Read some items, `(b, 1, P)`."""
        values = torch.zeros(len(rows), 1, self.width)
        for own, places in zip(self.contrasts, self.places[rows].T, strict=True):
            here = np.flatnonzero(places >= 0)
            if len(here):
                values[torch.from_numpy(here)] += own.take(places[here]).values
        return Tokens(values, torch.ones(len(rows), 1, dtype=torch.bool))

    def subset(self, rows: np.ndarray) -> JoinedItems:
        """Return some items, still on disk."""
        return JoinedItems(self.contrasts, self.places[rows])


def joined(contents: Sequence[Sequence[str]], places: np.ndarray) -> list[str]:
    """Return of each item the contents of its contrasts in one text, in their order, empty where one lacks.

    Args:
        contents: of each contrast the contents of its sources.
        places: as of `JoinedItems`.
    """
    return [
        "+".join(own[place] if place >= 0 else "" for own, place in zip(contents, row, strict=True))
        for row in places.tolist()
    ]
