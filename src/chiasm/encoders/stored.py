"""Scaling and projection of a frozen encoder's tokens to a small width, fitted on training patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from scipy import linalg  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.encoders.table.scaling import Array
from chiasm.store.stored_tokens import StoredTokens
from chiasm.tokens import Tokens

WIDTH = 64
MOST_TOKENS = 200_000  # tokens used in a fit, from evenly chosen patients
BLOCK = 4_096
SHARED_FROM = 4_096  # patients; from as many on, tokens that several share are read once in a fit
FLAT = 8_192  # number of columns up to which positions are concatenated without projection


@storable("stored-tokens", infinite=("scale",))
@dataclass(frozen=True)
class StoredTokensEncoder:
    """Standardise tokens and project them on at most 64 principal components: `((token - mean) / scale) @ components`.

    Tokens with positions (`slots` > 0) are centred position by position and each divided by one number, so that
    positions of different origin weigh the same; exchangeable ones share one mean and scale. The components are those
    of all scaled tokens together. Everything is fitted on training patients, in blocks.

    Args:
        width: k, known after `fit`.
        slots: positions, 0 for bags.
        mean: `(slots or 1, D)`.
        scale: `(slots or 1,)` root mean square of the centred tokens.
        components: `(D, k)`, orthonormal columns divided by the standard deviation of the first component.
    """

    width: int = 0
    slots: int = 0
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None
    components: np.ndarray | None = None

    fitted_on_cohort = True

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Fit on `raw`, the `StoredTokens` of the training patients."""
        wide, slots = int(raw.width), int(raw.slots)
        places = slots or 1
        total, count = np.zeros((places, wide)), np.zeros(places)
        for values, place, times in _blocks(raw, slots):
            np.add.at(total, place, values if times is None else values * times[:, None])
            count += np.bincount(place, times, minlength=places)
        mean = total / np.maximum(count, 1)[:, None]
        spread = np.zeros(places)
        for values, place, times in _blocks(raw, slots):
            squares = ((values - mean[place]) ** 2).sum(1)
            spread += np.bincount(place, squares if times is None else squares * times, minlength=places)
        scale = np.sqrt(spread / np.maximum(count, 1) / wide)
        scale[scale < 1e-8] = np.inf
        moments = np.zeros((wide, wide))
        for values, place, times in _blocks(raw, slots):
            centred = (values - mean[place]) / scale[place][:, None]
            moments += centred.T @ (centred if times is None else centred * times[:, None])
        variance, vectors = linalg.eigh(moments / max(1.0, count.sum()))
        keep = min(wide, WIDTH)
        variance, vectors = variance[::-1][:keep], vectors[:, ::-1][:, :keep]
        signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(keep)])
        largest = float(np.sqrt(max(variance[0], 1e-12)))
        components = np.ascontiguousarray(
            vectors * signs / largest
        )  # memory layout as after loading, for bit-identical products
        return type(self)(keep, slots, mean, scale, components)

    def encode(self, raw: Any) -> Tokens:
        """Project stored tokens to `(n, T, k)` float32, padded and masked."""
        if self.mean is None or self.scale is None or self.components is None:
            raise ValueError("the encoder is not fitted: call fit on training patients first")
        values, mask = raw.batch(np.arange(len(raw)))
        if values.shape[2] != len(self.components) or (self.slots and values.shape[1] != self.slots):
            raise ValueError(
                f"tokens were {len(self.components)} wide at {self.slots or 'any'} positions at fit, "
                f"and are {values.shape[2]} wide at {values.shape[1]} now: encode with the same encoder"
            )
        values -= self.mean.astype(np.float32)
        values /= self.scale.astype(np.float32)[:, None]
        out = values @ self.components.astype(np.float32)
        out[~mask] = 0.0
        return Tokens(torch.from_numpy(np.ascontiguousarray(out)), torch.from_numpy(np.array(mask)))

    def features(self, raw: Any) -> Array:
        """Compute features for linear models, `(n, F)` float64: concatenated positions, or a bag's mean and maximum."""
        if self.mean is None or self.scale is None or self.components is None:
            raise ValueError("the encoder is not fitted: call fit on training patients first")
        whole = self.slots * len(self.mean[0]) <= FLAT
        parts = []
        for start in range(0, len(raw), 256):
            rows = np.arange(start, min(start + 256, len(raw)))
            if self.slots and whole:
                values, mask = raw.batch(rows)
                scaled = (values - self.mean) / self.scale[:, None]
                parts.append(np.where(mask[..., None], scaled, 0.0).reshape(len(rows), -1))
                continue
            tokens = self.encode(raw.take(rows))
            if self.slots:
                parts.append(tokens.values.double().numpy().reshape(len(rows), -1))
                continue
            values, real = tokens.values.double().numpy(), tokens.mask.numpy()[..., None]
            mean = np.where(real, values, 0.0).sum(1) / np.maximum(real.sum(1), 1)
            parts.append(np.concatenate([mean, np.where(real, values, -np.inf).max(1)], axis=1))
        columns = self.slots * (len(self.mean[0]) if whole else self.width) if self.slots else 2 * self.width
        return np.concatenate(parts) if parts else np.zeros((0, columns))


def _blocks(raw: Any, slots: int) -> Iterator[tuple[Array, np.ndarray, Array | None]]:
    """Yield blocks of tokens `(b, D)` float64 of evenly chosen patients with their positions, zero for bags.

    Of many patients who share tokens each different source is read once; the third part is then how many have a token.
    """
    counts = None
    if len(raw) >= SHARED_FROM and isinstance(raw, StoredTokens):
        different, times = raw.different()
        if len(different) <= len(raw) // 4:
            raw, counts = different, times
    lengths = np.asarray(raw.lengths)
    step = max(1, -(-int(lengths.sum()) // MOST_TOKENS))
    chosen = np.arange(0, len(raw), step)
    size = max(1, BLOCK // max(1, int(lengths.max(initial=1))))
    for start in range(0, len(chosen), size):
        values, mask = raw.batch(chosen[start : start + size])
        place = (
            np.broadcast_to(np.arange(values.shape[1]), mask.shape)[mask] if slots else np.zeros(int(mask.sum()), int)
        )
        weights = None if counts is None else np.repeat(counts[chosen[start : start + size]], mask.sum(1)).astype(float)
        yield values[mask].astype(np.float64), place, weights
