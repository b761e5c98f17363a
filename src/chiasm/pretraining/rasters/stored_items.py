"""The rasters of a corpus as they lie in the token store: read batch by batch, so that memory stays bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from chiasm.store.stored_tokens import StoredTokens
from chiasm.tokens import Tokens


@dataclass(frozen=True, repr=False)
class StoredItems:
    """Rasters of the items of a corpus, one token each, read when a batch of them is taken.

    Args:
        raw: stored rasters, `(1, P)` each.
        places: `(n,)` the place of each item in `raw`.
    """

    raw: StoredTokens
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    @property
    def width(self) -> int:
        """P, numbers of a raster."""
        return self.raw.width

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
        values, mask = self.raw.batch(self.places[rows])
        return Tokens(torch.from_numpy(values), torch.from_numpy(mask))

    def subset(self, rows: np.ndarray) -> StoredItems:
        """Return some items, still on disk."""
        return StoredItems(self.raw, self.places[rows])
