"""MiniRocket-style signal encoder: fixed convolutions, one token per lead, no weights and no fitting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.artifact import storable
from chiasm.encoders.frozen import identity_of
from chiasm.readers.reading import ReadError, Signal
from chiasm.tokens import PackedTokens, Tokens

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LENGTH = 9
DILATIONS = (1, 4, 16)  # at 100 Hz a kernel spans 90 ms, 0.33 s, 1.3 s: a QRS complex, an ST segment, a beat
THRESHOLDS = (0.5, -0.5, 0.1, -0.1)  # assigned to the kernels in turn
PER_KERNEL = 2
LEVELS = 4
BLOCK = 8192  # samples convolved at once
MILLIVOLT = 0.2  # one unit of an ECG: two small squares of the paper
STEPS = 2000  # the finest ratio of two sampling rates
FINEST = 100  # the largest factor by which a signal is upsampled


@storable("encoder-rocket")
@dataclass(frozen=True)
class RandomConvolutions:
    """Signal encoder with 84 fixed kernels at three dilations: how often and by how much each exceeds its threshold.

    A kernel has nine weights, three of 2/6 and six of -1/6. Its output `c(t)` at sample t is the mean of three samples
    minus the mean of the six others, which no constant offset changes. For each kernel and dilation a token holds

        PPV = mean over t of [c(t) > b],    MPV = mean over t of max(c(t) - b, 0),

    followed by 1 for a present lead (a missing one is all zeros), and the lead's standard deviation, minimum and
    maximum about its median. Width 84 x 3 x 2 + 4 = 508.

    With `kind="ecg"` the slots are the twelve standard leads in their usual order, and amplitudes are kept: one unit is
    0.2 mV in every lead of every patient. With `kind="signal"` the tokens are an unordered bag of all channels, each in
    units of its own standard deviation.

    Source: Dempster et al., MiniRocket (KDD 2021, arXiv:2012.08791); PPV and MPV as in MultiRocket (arXiv:2102.00457).
    We deviate so that nothing has to be fitted: thresholds are constants, not quantiles of a training series, and
    dilations do not depend on its length; both ends are padded with the edge sample. Where samples are missing (NaN)
    the means are taken over the t at which no sample under the kernel is.

    Args:
        kind: `ecg` or `signal`.
        leads: names joined by `+`, one slot each, instead of the standard twelve or the bag.
        hz: rate to which every signal is resampled, so that kernels span the same time; 0 leaves signals as they are.

    Raises:
        ValueError: an option is out of range.
        ReadError: at `encode`, a signal with none of the leads, or an ECG that is not in mV.
    """

    kind: str = "ecg"
    leads: str = ""
    hz: float = 100.0

    id: ClassVar[str] = "rocket"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 32

    def __post_init__(self) -> None:
        if self.kind not in ("ecg", "signal"):
            raise ValueError("option 'kind' of encoder 'rocket' is ecg or signal")
        if not 0 <= self.hz <= 100_000:
            raise ValueError("option 'hz' of encoder 'rocket' lies between 0 (as it is) and 100,000")

    @property
    def width(self) -> int:
        return len(_kernels()) * len(DILATIONS) * PER_KERNEL + LEVELS

    @property
    def slots(self) -> int:
        return len(self._names)

    @property
    def identity(self) -> str:
        return identity_of(self)

    @property
    def _names(self) -> tuple[str, ...]:
        if self.leads:
            return tuple(self.leads.split("+"))
        return STANDARD_LEADS if self.kind == "ecg" else ()

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    def encode(self, raw: Sequence[Signal]) -> Tokens:
        """Encode signals to tokens `(B, slots or most channels, width)`, float32."""
        parts = [self._record(signal) for signal in raw]
        rows = np.arange(len(parts))
        return PackedTokens.scatter(parts, rows, len(parts), self.width, self.slots).take(rows)

    def _record(self, signal: Signal) -> NDArray[np.float32]:
        if self.kind == "ecg" and not set(signal.units) <= {"mV", ""}:
            raise ReadError("the recording is not in mV", "write it in mV, or give the modality the kind signal")
        values, there = filled(signal)
        gaps = np.isnan(signal.values).astype(np.float64)
        if self._names:
            gaps = ordered(gaps, there, signal.leads, self._names)[0]
            values, there = ordered(values, there, signal.leads, self._names)
        if not there.any():
            raise ReadError("the signal has none of the leads", "name its leads, or check the file")
        values = resampled(values, signal.hz, self.hz)
        known = np.array([~(at_samples(row, values.shape[1]) > 0) for row in gaps]) if gaps[there].any() else None
        if known is not None:
            known[~there | ~known.any(axis=1)] = True  # a lead that is not there is all zeros
        values -= _of_known(np.median, values, known)
        if self.kind == "ecg":
            values /= MILLIVOLT
        else:
            spread = _of_known(np.std, values, known)
            values /= np.where(spread > 0, spread, 1.0)
        levels = np.hstack([there[:, None], *(_of_known(level, values, known) for level in (np.std, np.min, np.max))])
        means = convolved(
            torch.from_numpy(values.astype(np.float32)), None if known is None else torch.from_numpy(known)
        )
        found = np.concatenate([means, levels], axis=1)
        found[~there] = 0.0
        return found.astype(np.float32) if self._names else found[there].astype(np.float32)


@lru_cache
def _kernels() -> NDArray[np.float32]:
    """Build the kernels `(84, 9)`: 2/6 at three of nine places, -1/6 at the six others."""
    weights = np.full((84, LENGTH), -1 / 6, np.float32)
    for row, places in enumerate(combinations(range(LENGTH), 3)):
        weights[row, list(places)] = 2 / 6
    return weights


def convolved(values: Tensor, known: Tensor | None = None) -> NDArray[np.float64]:
    """Compute PPV and MPV of every kernel and dilation, `(L, 84 x dilations x 2)`, from `values` `(L, T)` float32.

    BLOCK samples are processed at a time, so that the temporary memory does not grow with the length of a recording.

    Args:
        known: `(L, T)` bool, True where a sample is known; None if all are. A kernel that nowhere lies on known samples
            alone gives zeros.
    """
    kernels = torch.from_numpy(_kernels())[:, None]  # (84, 1, 9)
    thresholds = torch.tensor([THRESHOLDS[row % len(THRESHOLDS)] for row in range(len(kernels))])[:, None]
    length = values.shape[1]
    found = []
    for dilation in DILATIONS:
        reach = dilation * (LENGTH // 2)
        padded = torch.nn.functional.pad(values[:, None], (reach, reach), mode="replicate")
        whole = None if known is None else _whole(known, dilation)  # (L, 1, T)
        sums = torch.zeros(len(values), len(kernels), PER_KERNEL, dtype=torch.float64)
        for start in range(0, length, BLOCK):
            piece = padded[..., start : start + BLOCK + 2 * reach]
            above = torch.conv1d(piece, kernels, dilation=dilation) - thresholds  # (L, 84, t)
            if whole is not None:
                above = above.masked_fill(~whole[..., start : start + BLOCK], -1.0)
            sums[..., 0] += (above > 0).sum(-1)
            sums[..., 1] += above.clamp_min_(0).sum(-1)
        number = length if whole is None else whole.sum(-1, keepdim=True).clamp_min(1)  # (L, 1, 1)
        found.append((sums / number).flatten(1))
    return np.asarray(torch.cat(found, dim=1).numpy())


def _whole(known: Tensor, dilation: int) -> Tensor:
    """Tell at which samples a kernel lies on known ones alone, `(L, 1, T)` bool."""
    reach = dilation * (LENGTH // 2)
    lacking = torch.nn.functional.pad((~known).float()[:, None], (reach, reach), mode="replicate")
    return torch.conv1d(lacking, torch.ones(1, 1, LENGTH), dilation=dilation) < 0.5


def _of_known(
    level: Callable[..., NDArray[np.float64]], values: NDArray[np.float64], known: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Compute a level of each row `(L, 1)`, of its known samples alone."""
    if known is None:
        return np.asarray(level(values, axis=1, keepdims=True))
    return np.array([[level(row[own])] for row, own in zip(values, known, strict=True)])


def at_samples(row: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Bring marks of missing samples to another rate: a sample is marked if one of its two neighbours is."""
    if len(row) == length:
        return row
    places = np.arange(length) * (len(row) / length)
    before = np.minimum(places.astype(np.int64), len(row) - 1)
    return np.asarray(np.maximum(row[before], row[np.minimum(before + 1, len(row) - 1)]))


def filled(signal: Signal) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Interpolate gaps linearly: return values `(L, T)` float64, and which leads have at least half their samples.

    Raises:
        ReadError: the signal has no samples or no sampling rate.
    """
    values = np.array(signal.values, np.float64)
    if values.ndim != 2 or not values.size or not (np.isfinite(signal.hz) and signal.hz > 0):
        raise ReadError("the signal is empty or has no sampling rate", "write the file again")
    known = np.isfinite(values)
    there = known.mean(axis=1) >= 0.5
    steps = np.arange(values.shape[1])
    for row in np.flatnonzero(there & ~known.all(axis=1)):
        values[row] = np.interp(steps, steps[known[row]], values[row, known[row]])
    values[~there] = 0.0
    return values, there


def ordered(
    values: NDArray[np.float64], there: NDArray[np.bool_], leads: Sequence[str], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Select the leads `names`, in any order or case, as `(len(names), T)`; zeros and False for a missing lead."""
    own = {name.strip().casefold(): values[row] for row, name in reversed(list(enumerate(leads))) if there[row]}
    wanted = [name.strip().casefold() for name in names]
    empty = np.zeros(values.shape[1])
    return np.stack([own.get(name, empty) for name in wanted]), np.array([name in own for name in wanted])


def resampled(values: NDArray[np.float64], hz: float, wanted: float) -> NDArray[np.float64]:
    """Resample to `(L, T * wanted / hz)` with an anti-aliasing filter; unchanged if `wanted` is 0 or equals `hz`.

    Raises:
        ReadError: `wanted` exceeds `hz` by more than a factor of 100, so that most samples would be interpolated.
    """
    from scipy.signal import resample_poly  # type: ignore[import-untyped]

    if wanted > FINEST * hz:
        raise ReadError(
            f"the signal has {hz:g} samples a second, under a hundredth of the encoder's {wanted:g}",
            "choose the encoder with a lower hz, or hz=0 to take every signal as it is",
        )
    ratio = max(Fraction(wanted / hz).limit_denominator(STEPS), Fraction(1, STEPS)) if wanted else Fraction(1)
    if ratio == 1:
        return values
    return np.asarray(resample_poly(values, ratio.numerator, ratio.denominator, axis=1, padtype="median"), np.float64)
