"""Thumbnail of a sound that its copies share, whatever their format, rate, channels and loudness."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.reading import Signal

STRETCHES, FEWEST = 32, 8
MOST_FRAMES = 50  # half a second of each: over a long stretch all voices are alike
BANDS = 40
LOW_HZ, HIGH_HZ = 200.0, 3_400.0  # what telephones and slow rates keep too, without the thump of a start
DEEPEST = 20.0  # dB below the loudest of a middling band: deeper lies the noise of a format
LEAST = 2.0  # dB of deviation that count for as much as more
STEADY = 0.25  # of that: a steady sound has nothing to tell it from another by

Array = NDArray[np.float64]


def sound_thumbnail(signal: Signal) -> Array | None:
    """Reduce a sound to the levels of its mel bands in 32 stretches, standardised; None for a steady or short one.

    Channels are averaged and brought to 16 kHz. The level of a band is that of its mean power in the first half second
    of a stretch, at most 20 dB below the loudest of a middling band. From each stretch its median is taken off, from
    each band its mean, and each band counts alike (but for one that deviates by less than 2 dB): a microphone's colour,
    a room's hum, a beep or a thump that all recordings share does not make them one.
    """
    from chiasm.encoders.signal.melbands import HOP, WINDOW, band_centres, decibels, frames_at, resampled_between

    frames = frames_at(signal)
    if frames < FEWEST:
        return None
    stretches = min(STRETCHES, frames)
    centres = band_centres(BANDS)
    chosen = (centres >= LOW_HZ) & (centres <= HIGH_HZ)
    offset = float(signal.values.mean(dtype=np.float64))
    edges = np.linspace(0, frames, stretches + 1).astype(int)
    power = np.empty((stretches, int(chosen.sum())))
    for k, (first, last) in enumerate(pairwise(edges)):
        until = min(int(last), int(first) + MOST_FRAMES)
        wave = resampled_between(signal, offset, int(first) * HOP, (until - 1) * HOP + WINDOW)
        power[k] = (10 ** (decibels(wave, BANDS)[:, chosen] / 10)).mean(0)
    levels = 10 * np.log10(power)
    levels = np.maximum(levels, np.median(levels.max(0)) - DEEPEST)
    levels -= np.median(levels, axis=1, keepdims=True)
    levels -= levels.mean(0)
    levels /= np.maximum(levels.std(0), LEAST)
    spread = float(levels.std())
    return None if spread < STEADY else np.asarray((levels.ravel() - levels.mean()) / spread)
