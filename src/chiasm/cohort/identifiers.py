"""Find repeated identifiers or labels in text arrays, and look them up, without copying them to objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def repeats(texts: NDArray[np.str_]) -> NDArray[np.bool_]:
    """`(n,)` True where a text also occurs in an earlier row."""
    order = np.argsort(texts, kind="stable")
    ordered = texts[order]
    found = np.zeros(len(texts), dtype=bool)
    found[order[1:]] = ordered[1:] == ordered[:-1]
    return found


def places_of(wanted: NDArray[np.str_], texts: NDArray[np.str_]) -> NDArray[np.int_]:
    """`(n,)` index of the first occurrence of each wanted text in `texts`, -1 if absent."""
    if not len(texts):
        return np.full(len(wanted), -1)
    order = np.argsort(texts, kind="stable")
    at = order[np.minimum(np.searchsorted(texts, wanted, sorter=order), len(texts) - 1)]
    return np.where(texts[at] == wanted, at, -1)
