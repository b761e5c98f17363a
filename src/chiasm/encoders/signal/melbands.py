"""Encoder of sound: the levels of mel bands in each stretch of a few seconds, without weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.encoders.frozen import identity_of
from chiasm.readers.reading import ReadError, Signal
from chiasm.tokens import Tokens

HZ = 16_000
SLOWEST_HZ = 1_000.0  # a slower recording holds no sound
WINDOW, HOP = 400, 160  # 25 and 10 ms
FFT = 512
QUIETEST = 1e-10  # of power: -100 dB
DECIBELS = 20.0  # are one unit of a token
HOUR = 3600.0
LOWEST_HZ = 20.0
AT_ONCE = 60 * HZ  # samples at 16 kHz, so that the memory does not grow with the length of a sound
FINEST_RATIO = 2_000  # largest denominator of a ratio of two rates
REACH = 10  # of the filter of `resample_poly`, in samples of the slower of two rates


@storable("encoder-mel")
@dataclass(frozen=True)
class MelBands:
    """Sound encoder with one token a stretch of `seconds`: mean and deviation of each mel band's level in decibels.

    Channels are averaged and brought to 16 kHz, less their mean. A frame of 25 ms (Hann) every 10 ms gives its power
    spectrum; `bands` triangles, evenly spaced on the mel scale `2595 log10(1 + f / 700)` from 20 Hz to 8 kHz, sum it;
    the level is `10 log10(power + 1e-10)`, in units of 20 dB. A frame belongs to the stretch in which it begins; the
    last stretch may be shorter, down to a frame. `times` are the begins of the stretches.

    Source: Davis and Mermelstein, IEEE Trans. ASSP 28(4), 1980, for the bands; there is no cosine transform here.

    Args:
        seconds: length of a stretch.
        bands: number of mel bands.
        most: maximum number of stretches of a sound; a longer one is refused rather than thinned.

    Raises:
        ValueError: an option is out of range.
        ReadError: at `encode`, a sound shorter than a frame, longer than `most` stretches, or slower than 1 kHz.
    """

    seconds: float = 1.0
    bands: int = 64
    most: int = 4096

    id: ClassVar[str] = "mel"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 8
    slots: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if not 0.1 <= self.seconds <= 600 or not 4 <= self.bands <= 128 or self.most < 1:
            raise ValueError(
                "option 'seconds' of encoder 'mel' lies between .1 and 600, 'bands' between 4 and 128, 'most' is 1 up"
            )

    @property
    def width(self) -> int:
        return 2 * self.bands

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    def encode(self, raw: Sequence[Signal]) -> Tokens:
        """Encode sounds to tokens `(n, most stretches, 2 x bands)`, with times in hours from the sound's begin."""
        parts = [self._stretches(signal) for signal in raw]
        most = max(map(len, parts), default=0)
        values = torch.zeros(len(parts), most, self.width)
        mask = torch.zeros(len(parts), most, dtype=torch.bool)
        for row, part in enumerate(parts):
            values[row, : len(part)] = torch.from_numpy(part)
            mask[row, : len(part)] = True
        begins = torch.arange(most, dtype=torch.float32) * (self._frames * HOP / HZ / HOUR)
        return Tokens(values, mask, begins.expand(len(parts), most) * mask)

    @property
    def _frames(self) -> int:
        return max(1, round(self.seconds * HZ / HOP))

    def require(self, value: Signal) -> None:
        """Raise `ReadError` of a sound that is too slow, too short or too long; see `Refuses`."""
        if value.hz < SLOWEST_HZ:
            raise ReadError(
                f"the recording has {value.hz:g} samples a second, too few for sound", "give it the kind signal"
            )
        frames = frames_at(value)
        if frames < 1:
            raise ReadError("the sound is shorter than 25 ms", "take the file away if the patient has none")
        if frames > self.most * self._frames:
            raise ReadError(
                f"the sound has more than {self.most:,} stretches", "choose longer seconds, or a higher most"
            )

    def _stretches(self, signal: Signal) -> NDArray[np.float32]:
        self.require(signal)
        frames = frames_at(signal)
        found, per = [], self._frames
        offset = float(signal.values.mean(dtype=np.float64))
        whole = max(1, AT_ONCE // (per * HOP)) * per  # frames at once: whole stretches
        for first in range(0, frames, whole):
            last = min(first + whole, frames)
            wave = resampled_between(signal, offset, first * HOP, (last - 1) * HOP + WINDOW)
            levels = decibels(wave, self.bands) / DECIBELS
            parts = (levels[start : start + per] for start in range(0, len(levels), per))
            found += [np.concatenate([part.mean(0), part.std(0)]) for part in parts]
        return np.stack(found).astype(np.float32)


def ratio_of(hz: float) -> Fraction:
    """Return 16 kHz by a rate, as the nearest fraction with a denominator up to 2,000."""
    return max(Fraction(HZ / hz).limit_denominator(FINEST_RATIO), Fraction(1, FINEST_RATIO))


def samples_at(signal: Signal) -> int:
    """Return how many samples the sound has at 16 kHz."""
    ratio = ratio_of(signal.hz)
    return -(-int(signal.values.shape[1]) * ratio.numerator // ratio.denominator)


def frames_at(signal: Signal) -> int:
    """Return how many frames the sound has; 0 or less if it is shorter than one."""
    return (samples_at(signal) - WINDOW) // HOP + 1


def resampled_between(signal: Signal, offset: float, start: int, stop: int) -> NDArray[np.float64]:
    """Compute the samples from `start` to `stop` at 16 kHz of the mean of a sound's channels, less an offset.

    They are those of `scipy.signal.resample_poly` on the whole sound, of which only what the filter reaches is read.
    """
    from scipy.signal import resample_poly  # type: ignore[import-untyped]

    ratio = ratio_of(signal.hz)
    up, down = ratio.numerator, ratio.denominator
    margin = (REACH * max(up, down)) // (up * down) + 2  # in steps of `up` samples here and `down` there
    first = max(start // up - margin, 0)
    last = -(-stop // up) + margin
    wave = signal.values[:, first * down : last * down].mean(axis=0, dtype=np.float64) - offset
    if ratio != 1:
        wave = np.asarray(resample_poly(wave, up, down), np.float64)
    return np.asarray(wave[start - first * up : stop - first * up])


def decibels(wave: NDArray[np.float64], bands: int) -> NDArray[np.float64]:
    """Compute the level of each band in every frame, `(frames, bands)` in dB, of a wave `(T,)` at 16 kHz.

    A sine of amplitude 1 in the middle of a band has -6 dB in its own line of the spectrum, -3 dB in all.
    """
    frames = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP]
    taper, filters = np.hanning(WINDOW + 1)[:-1], triangles(bands)
    found = [np.abs(np.fft.rfft(part * taper, FFT)) ** 2 @ filters for part in _blocks(frames)]
    return np.asarray(10 * np.log10(np.concatenate(found) / taper.sum() ** 2 + QUIETEST))


def _blocks(frames: NDArray[np.float64], size: int = 1024) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(frames), size):
        yield frames[start : start + size]


def _edges(bands: int) -> NDArray[np.float64]:
    """Return the frequencies at which the bands begin, peak and end, `(bands + 2,)`, evenly spaced in mel."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HZ / 2))
    return np.asarray(700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1))


def band_centres(bands: int) -> NDArray[np.float64]:
    """Return the frequencies in Hz at which the bands peak."""
    return _edges(bands)[1:-1]


@lru_cache
def triangles(bands: int) -> NDArray[np.float64]:
    """Build the mel filters `(FFT / 2 + 1, bands)`, each with a peak of 1; narrower than a line: the nearest line."""
    edges = _edges(bands)
    lines = np.arange(FFT // 2 + 1)[:, None] * HZ / FFT
    rising = (lines - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - lines) / (edges[2:] - edges[1:-1])
    found = np.clip(np.minimum(rising, falling), 0, None)
    empty = np.flatnonzero(found.sum(0) == 0)
    found[np.rint(edges[1:-1][empty] * FFT / HZ).astype(int), empty] = 1.0
    return np.asarray(found)
