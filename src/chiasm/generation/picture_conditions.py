"""What is known of a patient as the numbers that lead a generator of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from chiasm.generation.distances import Space
from chiasm.generation.pictures import Pictures
from chiasm.generation.rows import THERE, Rows

GRID = {2: 6, 3: 4}
"""Places along each axis by which a picture of another modality is told."""


@dataclass(frozen=True)
class Conditions:
    """Numbers of columns and of other pictures, with mean 0 and deviation 1 among those who were fitted to.

    Args:
        space: of the tables, as distances are measured in it; None without one.
        names: other modalities of pictures.
        mean, spread: `(F,)`.
    """

    space: Space | None
    names: tuple[str, ...]
    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, rows: Rows, beside: Mapping[str, Pictures]) -> Self | None:
        """Fit to patients whose pictures are learnt from; None where nothing else is known of any of them.

        Args:
            beside: other modalities of pictures, whose `rows` are places among these patients.
        """
        tables = [name for name, own in rows.blocks.items() if own.shape[1] and list(own.columns) != [THERE]]
        made = cls(Space.fit(rows.only(tables)) if tables else None, tuple(beside), np.zeros(1), np.ones(1))
        numbers = made._numbers(rows, beside)
        if not numbers.shape[1]:
            return None
        spread = numbers.std(0)
        return cls(made.space, made.names, numbers.mean(0), np.where(spread > 1e-9, spread, 1.0))

    def of(self, rows: Rows, beside: Mapping[str, Pictures]) -> Tensor:
        """`(n, F)` float32 of patients, each number within 5 deviations."""
        scaled = ((self._numbers(rows, beside) - self.mean) / self.spread).clip(-5, 5)
        return torch.tensor(scaled, dtype=torch.float32)

    def _numbers(self, rows: Rows, beside: Mapping[str, Pictures]) -> np.ndarray:
        parts = [np.zeros((len(rows), 0))]
        if self.space is not None:
            parts.append(self.space.features(rows.only(list(self.space.margins))))
        for name in self.names:
            own = beside[name]
            axes = own.values.ndim - 2
            pool: Any = functional.adaptive_avg_pool2d if axes == 2 else functional.adaptive_avg_pool3d
            coarse = pool(own.values, [min(GRID[axes], side) for side in own.values.shape[2:]]).flatten(1).numpy()
            whole = np.zeros((len(rows), 1 + coarse.shape[1]))
            whole[own.rows] = np.concatenate([np.ones((len(coarse), 1)), coarse], axis=1)
            parts.append(whole)
        return np.concatenate(parts, axis=1)
