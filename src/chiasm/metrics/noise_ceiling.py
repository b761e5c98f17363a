"""Noise ceilings of responses: how much of each channel could be predicted at all, from repetitions of the same items.

Repetitions are (n, R, V), items by repetitions by channels, NaN where an item has fewer. Everything returned is (V,),
one value a channel; NaN is not estimable, as without items of two repetitions. Where there is little signal, noise may
be estimated above the variance of the means: a signal power below zero is kept, or means over channels are biased.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from chiasm.metrics.response import channel_r, noise_of_mean
from chiasm.metrics.weighted import Floats, ratio

FEWEST_ITEMS = 3


@dataclass(frozen=True)
class NoiseCeiling:
    """Noise ceiling of each channel (V,).

    Args:
        items: items of two repetitions or more, on which it rests.
        signal: signal power, the variance of the means between items less what noise adds to it (Sahani and Linden,
            NeurIPS 2002); below zero where noise explains more than all of it.
        explainable: largest R2 that a model can have of the mean over repetitions: signal power by the means' variance.
        split_half: correlation of two halves of the repetitions over items, brought to all of them by the formula of
            Spearman and Brown, 2 r / (1 + r), which needs r above -1.
        largest_r: largest correlation with the mean over repetitions, the root of `explainable`; zero where that is
            below zero. By it CC_norm divides (Schoppe et al. 2016, doi:10.3389/fncom.2016.00010).
    """

    items: int
    signal: Floats
    explainable: Floats
    split_half: Floats

    @property
    def largest_r(self) -> Floats:
        return np.sqrt(np.where(np.isnan(self.explainable), np.nan, np.maximum(self.explainable, 0.0)))

    @property
    def without_signal(self) -> int:
        """Number of channels whose signal power is estimated at zero or below."""
        return int((self.signal <= 0).sum())


def noise_ceiling(repeats: ArrayLike) -> NoiseCeiling:
    """Estimate the noise ceiling from items of two repetitions or more; all NaN with fewer than three such items.

    Raises:
        ValueError: the array is not items x repetitions x channels.
    """
    whole = np.asarray(repeats, dtype=np.float64)
    if whole.ndim != 3:
        raise ValueError(f"repetitions of shape {whole.shape}: give items x repetitions x channels")
    several = (~np.isnan(whole).any(axis=2)).sum(axis=1) > 1
    own, unknown = whole[several], np.full(whole.shape[2], np.nan)
    if len(own) < FEWEST_ITEMS:
        return NoiseCeiling(len(own), unknown, unknown, unknown)
    noise = noise_of_mean(own)
    assert noise is not None  # there are repetitions
    there = ~np.isnan(own)
    mean = np.where(there, own, 0.0).sum(axis=1) / there.sum(axis=1)
    variance = mean.var(axis=0, ddof=1)
    signal = variance - noise.mean(axis=0)
    return NoiseCeiling(len(own), signal, ratio(signal, variance), split_half(own))


def split_half(repeats: ArrayLike) -> Floats:
    """Reliability of the mean over repetitions: odd against even ones, brought to their full number.

    Items have two repetitions or more; of an odd number the last is left out, so that both halves are as large.
    """
    whole = np.asarray(repeats, dtype=np.float64)
    number = (~np.isnan(whole).any(axis=2)).sum(axis=1)
    places = np.arange(whole.shape[1])[None, :]
    used = places < (number // 2 * 2)[:, None]
    halves = []
    for parity in (0, 1):
        mask = (used & (places % 2 == parity))[:, :, None]
        halves.append(ratio(np.where(mask, whole, 0.0).sum(axis=1), mask.sum(axis=1)))
    r = channel_r(*halves)[0]
    return np.where(r > -1, 2 * r / np.where(r > -1, 1 + r, 1.0), np.nan)


def normalised_r(r: ArrayLike, ceiling: NoiseCeiling) -> Floats:
    """CC_norm (V,): a correlation with the means over repetitions by the largest that there is; NaN without signal."""
    return ratio(np.asarray(r, dtype=np.float64), np.where(ceiling.signal > 0, ceiling.largest_r, 0.0))
