"""Encoder of precomputed bags of features, `(tokens, width)` per patient, which are passed through unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.encoders.table.scaling import Array
from chiasm.room import column_maxima, column_means
from chiasm.tokens import Tokens


@storable("bag-encoder")
@dataclass(frozen=True)
class BagEncoder:
    """Pass-through encoder of bags, which fits only the width they must have; the tokens of a bag are unordered.

    Args:
        width: D, known after `fit`.
    """

    width: int = 0

    slots = 0
    fitted_on_cohort = False

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Record the width; `raw` is a sequence of `(T_i, D)` arrays with an attribute `width`."""
        return type(self)(int(raw.width))

    def features(self, raw: Any) -> Array:
        """Compute mean and maximum over each bag's tokens, `(n, 2 D)` float64, for linear models."""
        if not len(raw):
            return np.zeros((0, 2 * self.width))
        bags = map(self._checked, raw)
        return np.stack([np.concatenate([column_means(bag), column_maxima(bag)]) for bag in bags]).astype(np.float64)

    def encode(self, raw: Any) -> Tokens:
        """Pad and mask the bags: `(n, longest, D)`."""
        bags = [self._checked(bag) for bag in raw]
        longest = max((len(bag) for bag in bags), default=1)
        values = np.zeros((len(bags), max(1, longest), self.width), np.float32)
        mask = np.zeros(values.shape[:2], bool)
        for row, bag in enumerate(bags):
            values[row, : len(bag)], mask[row, : len(bag)] = bag, True
        return Tokens(torch.from_numpy(values), torch.from_numpy(mask))

    def _checked(self, bag: np.ndarray) -> np.ndarray:
        if bag.ndim != 2 or bag.shape[1] != self.width or not len(bag):
            raise ValueError(f"bags are (tokens, {self.width}) at fit, and one has shape {bag.shape} now")
        return bag
