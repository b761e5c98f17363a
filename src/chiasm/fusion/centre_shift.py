"""Centre shift: closes the modality gap by moving the embeddings of all modalities to a common centre, untrained."""

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
    """Shift of embeddings towards the common centre of all modalities.

        x_m -> normalise(normalise(x_m) - strength (centre_m - centre)),    centre = mean of all centre_m

    For two modalities it is the shift by plus and minus half of the gap `centre_1 - centre_2` of Liang et al. ("Mind
    the gap", NeurIPS 2022) that "Multimodal Deep Learning for Low-Resource Settings: A Vector Embedding Alignment
    Approach for Healthcare Applications" (arXiv 2406.02601) applies to embeddings of frozen encoders; for more, each
    moves to the common centre. The statistics are those of the rows given to `fit`, so give it training rows only. A
    single modality is its own centre and does not move.

    Args:
        centres: mean of the unit-length training embeddings of each modality, `(D,)`.
        strength: 0 leaves the directions unchanged, 1 makes all centres coincide.
    """

    centres: dict[str, np.ndarray]
    strength: float = 1.0

    @classmethod
    def fit(cls, embeddings: Mapping[str, Array], strength: float = 1.0) -> Self:
        """Fit on training embeddings `(n_m, D)` per modality, which need not be of the same patients.

        Raises:
            ValueError: no modality, an empty one, differing widths, or a strength outside 0 to 1.
        """
        if not 0.0 <= strength <= 1.0:
            raise ValueError(f"the strength lies between 0 and 1, not at {strength}")
        if not embeddings:
            raise ValueError("no modality was given: there is no centre")
        widths = {name: np.shape(values)[1] for name, values in embeddings.items()}
        if len(set(widths.values())) > 1:
            listed = ", ".join(f"{name} {width}" for name, width in widths.items())
            raise ValueError(f"embeddings of one width are needed, and they are: {listed}; project them first")
        for name, values in embeddings.items():
            if not len(values):
                raise ValueError(f"modality '{name}' has no training patient: leave it out")
        return cls({name: unit(values).mean(0) for name, values in embeddings.items()}, float(strength))

    def __call__(self, modality: str, embeddings: Array) -> Array:
        """Shift embeddings of one modality; return `(n, D)` of unit length."""
        centre = np.mean([self.centres[name] for name in sorted(self.centres)], axis=0)
        return unit(self.shifted(modality, embeddings, centre))

    def shifted(self, modality: str, embeddings: Array, centre: Array | None = None) -> Array:
        """Shift embeddings `(n, D)` without the second normalisation; at strength 1 the training means coincide."""
        if centre is None:
            centre = np.mean([self.centres[name] for name in sorted(self.centres)], axis=0)
        return unit(embeddings) - self.strength * (self.centres[modality] - centre)

    def gap(self) -> float:
        """Return the largest distance between two training centres after the shift, before the second normalisation."""
        left = [self.centres[name] for name in sorted(self.centres)]
        gaps = [float(np.linalg.norm(one - other)) for k, one in enumerate(left) for other in left[:k]]
        return (1 - self.strength) * max(gaps, default=0.0)


def unit(embeddings: Array) -> Array:
    """Scale rows to unit length; rows of zeros stay zero."""
    values = np.asarray(embeddings, np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), TINY))
