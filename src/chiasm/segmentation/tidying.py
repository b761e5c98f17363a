"""What is done to a drawn label map afterwards: its largest part alone, holes filled; chosen on held-out patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics.segmentation import dice

Codes = NDArray[np.integer]
PLAIN, LARGEST, FILLED = "", "largest", "filled"
WAYS = (PLAIN, LARGEST, FILLED, f"{LARGEST} {FILLED}")
"""What may be done to a label: nothing, all parts but the largest taken away, holes filled, both."""
CHOSEN = ("none", "held-out")


def tidied(codes: Codes, ways: Sequence[str]) -> Codes:
    """A label map after what is done to each label, in their order.

    Parts hang together across sides, edges and corners; a hole is what has no label and no way out, across sides.

    Args:
        ways: of each label one of `WAYS`; empty: nothing is done.
    """
    from scipy import ndimage  # type: ignore[import-untyped]

    if not any(ways):
        return codes
    found = codes.copy()
    for code, way in enumerate(ways, 1):
        own = found == code
        if LARGEST in way and own.any():
            parts, many = ndimage.label(own, np.ones((3,) * own.ndim))
            if many > 1:
                sizes = np.bincount(parts.reshape(-1))
                sizes[0] = 0
                found[own & (parts != sizes.argmax())] = 0
                own = found == code
        if FILLED in way:
            found[ndimage.binary_fill_holes(own) & (found == 0)] = code
    return found


def chosen_ways(pairs: Iterable[tuple[Codes, Codes]], labels: int) -> tuple[str, ...]:
    """What is done to each label, of `WAYS`: where the mean dice of patients rises by it; the most, and the least ado.

    Args:
        pairs: of each patient what was drawn, and the truth, one after another.
        labels: K.
    """
    told = np.full((0, labels, len(WAYS)), np.nan)
    for drawn, truth in pairs:
        own = np.full((1, labels, len(WAYS)), np.nan)
        for k in range(labels):
            for place, way in enumerate(WAYS):
                ways = [way if other == k else PLAIN for other in range(labels)]
                own[0, k, place] = dice(tidied(drawn, ways) == k + 1, truth == k + 1)
        told = np.concatenate([told, own])
    chosen = []
    for k in range(labels):
        known = told[np.isfinite(told[:, k, 0]), k]
        means = np.round(known.mean(axis=0), 9) if len(known) else np.zeros(len(WAYS))
        chosen.append(WAYS[int(means.argmax())])
    return tuple(chosen)
