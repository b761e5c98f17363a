"""Embeddings of several modalities brought to one centre, without training: the gap between them is moved away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable

Array = NDArray[np.float64]
TINY = 1e-12


@storable("centre-shift")
@dataclass(frozen=True)
class CentreShift:
    """`x_m -> normalise(normalise(x_m) - strength (centre_m - centre))`, `centre` the mean of the `centre_m`.

    For two modalities it is the shift by plus and minus half of the gap `centre_1 - centre_2` of Liang et al. ("Mind
    the gap", NeurIPS 2022) that "Multimodal alignment by embeddings for low-resource settings" (arXiv 2406.02601) puts
    between frozen encoders; for more, each moves to the common centre. The statistics are those of the rows given to
    `fit`, so give it training rows only.

    Args:
        centres: modality to the mean of its training embeddings, each of unit length, `(D,)`.
        strength: 0 leaves the directions as they are, 1 brings all centres together.
    """

    centres: dict[str, np.ndarray]
    strength: float = 1.0

    @classmethod
    def fit(cls, embeddings: Mapping[str, Array], strength: float = 1.0) -> Self:
        """From training patients, `(n_m, D)` a modality; the modalities need not be of the same patients.

        Raises:
            ValueError: fewer than two modalities, an empty one, or widths that differ; a strength outside 0 to 1.
        """
        if not 0.0 <= strength <= 1.0:
            raise ValueError(f"the strength lies between 0 and 1, not at {strength}")
        if len(embeddings) < 2:
            raise ValueError(f"a gap lies between two modalities or more, and {len(embeddings)} were given")
        widths = {name: np.shape(values)[1] for name, values in embeddings.items()}
        if len(set(widths.values())) > 1:
            listed = ", ".join(f"{name} {width}" for name, width in widths.items())
            raise ValueError(f"embeddings of one width are needed, and they are: {listed}; project them first")
        for name, values in embeddings.items():
            if not len(values):
                raise ValueError(f"modality '{name}' has no training patient: leave it out")
        return cls({name: unit(values).mean(0) for name, values in embeddings.items()}, float(strength))

    def __call__(self, modality: str, embeddings: Array) -> Array:
        """`(n, D)` of unit length, shifted."""
        centre = np.mean([self.centres[name] for name in sorted(self.centres)], axis=0)
        return unit(self.shifted(modality, embeddings, centre))

    def shifted(self, modality: str, embeddings: Array, centre: Array | None = None) -> Array:
        """`(n, D)` before the second normalising; at strength 1 the training means of all modalities coincide here."""
        if centre is None:
            centre = np.mean([self.centres[name] for name in sorted(self.centres)], axis=0)
        return unit(embeddings) - self.strength * (self.centres[modality] - centre)

    def gap(self) -> float:
        """The largest distance between two training centres after the shift, before the second normalising."""
        left = [self.centres[name] for name in sorted(self.centres)]
        return max(
            (1 - self.strength) * float(np.linalg.norm(one - other)) for k, one in enumerate(left) for other in left[:k]
        )


def unit(embeddings: Array) -> Array:
    """Rows of unit length; a row of zeros stays one."""
    values = np.asarray(embeddings, np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), TINY))
