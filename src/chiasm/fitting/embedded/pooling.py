"""One vector of each patient from the tokens of a frozen encoder: slices of a volume, patches of an image, words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Bags, Cohort, Unsupported
from chiasm.fitting.embedded.vectors import Vectors
from chiasm.store.stored_tokens import StoredTokens

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
SHARPNESS = 10.0
AT_ONCE = 64
WIDEST = 65_536


def _mean(values: Floats, mask: Bools) -> Floats:
    real = mask[..., None]
    return np.asarray(np.where(real, values, 0.0).sum(1, dtype=np.float64) / np.maximum(real.sum(1), 1), np.float32)


def _max(values: Floats, mask: Bools) -> Floats:
    return np.asarray(np.where(mask[..., None], values, -np.inf).max(1), np.float32)


def _attention(values: Floats, mask: Bools) -> Floats:
    mean = _mean(values, mask)
    sizes = np.linalg.norm(values, axis=2) * np.linalg.norm(mean, axis=1)[:, None]
    cosine = np.einsum("btd,bd->bt", values, mean) / np.maximum(sizes, 1e-12)
    weight = np.where(mask, np.exp(SHARPNESS * cosine), 0.0)
    return np.asarray(np.einsum("bt,btd->bd", weight / weight.sum(1, keepdims=True), values), np.float32)


def _flat(values: Floats, mask: Bools) -> Floats:
    return np.where(mask[..., None], values, np.float32(0.0)).reshape(len(values), -1)


POOLS: dict[str, Callable[[Floats, Bools], Floats]] = {
    "mean": _mean,
    "max": _max,
    "attention": _attention,
    "flat": _flat,
}
"""Ways to make one vector of tokens, none of which learns anything; `flat` sets tokens of fixed positions side by side.

`attention` weighs a token by `exp(10 cos(token, mean token))`, one step of attention with the mean as the query: tokens
like most of the others count most. Attention that is learned is the recipe `probe`.
"""


def require_pool(pool: str) -> str:
    """Return the way to pool.

    Raises:
        ValueError: there is no such way.
    """
    if pool not in POOLS:
        raise ValueError(f"tokens are pooled by {', '.join(POOLS)}, not by '{pool}'")
    return pool


def pooled_vectors(cohort: Cohort, modality: str, name: str, pool: str = "mean") -> Vectors:
    """Return one vector of each patient of an encoded cohort, pooled over the tokens of a modality.

    Raises:
        Unsupported: the modality holds no tokens of a frozen encoder, or tokens side by side have no positions, or are
            over 65,536 numbers a patient.
        ValueError: there is no such way to pool.
    """
    way = POOLS[require_pool(pool)]
    raw, rows = cohort.raw(modality), cohort.rows_of(modality)
    if not isinstance(raw, StoredTokens | Bags):
        raise Unsupported(
            f"modality '{modality}' of kind '{cohort.kinds[modality]}' has no tokens of a frozen encoder: name an "
            "encoder that learns nothing from patients (chiasm encoders), or give a file of embeddings"
        )
    slots = raw.slots if isinstance(raw, StoredTokens) else 0
    if pool == "flat" and not 0 < slots * raw.width <= WIDEST:
        raise Unsupported(f"the tokens of modality '{modality}' cannot stand side by side: pool them by mean or max")
    parts = [way(values, mask) for values, mask in batches(raw)]
    found = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
    values = np.full((len(cohort), found.shape[1]), np.nan, np.float32)
    values[rows] = found
    return Vectors(name, values)


def batches(raw: StoredTokens | Bags) -> Iterator[tuple[Floats, Bools]]:
    """Yield tokens `(b, T, D)` with their masks, some patients at a time; bags one by one, as they may be large."""
    if isinstance(raw, StoredTokens):
        for start in range(0, len(raw), AT_ONCE):
            yield raw.batch(np.arange(start, min(start + AT_ONCE, len(raw))))
        return
    for own in raw:
        yield np.asarray(own, np.float32)[None], np.ones((1, len(own)), bool)
