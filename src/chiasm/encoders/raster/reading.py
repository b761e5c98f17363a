"""How an image, a volume or a signal becomes a raster of one size: `(C, *space)` float32 in the units of its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.encoders.image.pixels import RESIZES, prepared
from chiasm.encoders.signal.rocket import STANDARD_LEADS, filled, ordered, resampled
from chiasm.readers.reading import Image, ReadError, Signal, Volume

AXES = {"image": 2, "volume": 3, "dicom": 3, "ecg": 1, "signal": 1}
SIZES = {1: 1000, 2: 64, 3: 32}  # that are taken where nobody named one
SMALLEST = 4  # pixels, voxels or samples along an axis, below which there is nothing to learn from
Floats = NDArray[np.float32]


@storable("raster-reading")
@dataclass(frozen=True)
class RasterReading:
    """How sources become rasters.

    Images are resized to a square, volumes to a cube, of `size` along each axis, and values in HU clipped to a window.
    Signals are brought to `hz` samples a second, of which `size` from the middle are kept, or zeros follow; each lead
    is taken about its median, a lead that is missing is zero.

    Args:
        kind: of the modality: image, volume, dicom, ecg, signal.
        channels: C: as for `pixels.with_channels`; of signals the number of leads.
        size: length of each axis of space.
        resize: `stretch`, or `pad`, which keeps the proportions.
        low, high: the window in HU.
        hz: samples a second; 0 leaves signals as they are.
        leads: names joined by `+`; else the twelve of an ECG, and those of a signal in their order.
        first: a source's channels are those from this number on, of `channels`, and the others are absent, zeros; -1:
            it has all of them, or one that stands for all, or as many as are reduced to one.

    Raises:
        ValueError: an option is out of range.
    """

    kind: str
    channels: int
    size: int
    resize: str = "stretch"
    low: float = -1000.0
    high: float = 1000.0
    hz: float = 100.0
    leads: str = ""
    first: int = -1

    def __post_init__(self) -> None:
        if self.kind not in AXES:
            raise ValueError(f"rasters are of kind {', '.join(AXES)}, not '{self.kind[:40]}'")
        if self.resize not in RESIZES or not self.low < self.high or not 0 <= self.hz <= 100_000:
            raise ValueError(f"resize is {' or '.join(RESIZES)}, low below high, and hz between 0 and 100,000")
        if self.channels < 1 or self.size < 2:
            raise ValueError("a raster has one channel or more, and a size of 2 or more")
        if not -1 <= self.first < self.channels or (self.first >= 0 and self.axes == 1):
            raise ValueError("first is a number below channels, or -1, and of signals leads are named instead")
        names = self.lead_names
        if self.axes == 1 and names and len(names) != self.channels:
            raise ValueError(f"{len(names)} leads are named, and channels is {self.channels}: leave channels out")

    @property
    def axes(self) -> int:
        """Axes of space."""
        return AXES[self.kind]

    @property
    def lead_names(self) -> tuple[str, ...]:
        """Names of the leads; () where they are taken in their order."""
        if self.leads:
            return tuple(self.leads.split("+"))
        return STANDARD_LEADS if self.kind == "ecg" else ()

    def raster(self, value: Any) -> Floats:
        """Return the raster `(C, *space)` of what a reader gave.

        Raises:
            ReadError: fewer than four pixels or samples along an axis, or a signal without the leads.
            ValueError: other channels, or values that are not finite.
        """
        shortest = min(value.values.shape[1:], default=0)
        if shortest < SMALLEST:
            shape = " x ".join(map(str, value.values.shape[1:]))
            raise ReadError(
                f"it has {shape} {'samples' if self.axes == 1 else 'pixels'}, and {SMALLEST} along each axis are the "
                "fewest that are read",
                "take it away, or write it whole",
            )
        return self._signal(value) if isinstance(value, Signal) else self._grid(value)

    def _grid(self, value: Image | Volume) -> Floats:
        if value.values.ndim != 1 + self.axes:
            raise ValueError(f"a raster of kind '{self.kind}' has {self.axes} axes, and the file has others")
        window = (self.low, self.high) if isinstance(value, Volume) and value.unit == "HU" else None
        apart = self.first >= 0
        own = len(value.values) if apart else self.channels
        if apart and self.first + own > self.channels:
            raise ReadError(
                f"it has {own} channels from number {self.first} on, and {self.channels} are read",
                f"set channels={self.first + own}, or take it away",
            )
        found = prepared(
            value.values, own, self.size, self.resize, value.spacing, colour=self.axes == 2 and not apart, window=window
        ).numpy()
        if apart:
            after = self.channels - self.first - own
            found = np.pad(found, ((self.first, after), *[(0, 0)] * self.axes))
        return np.ascontiguousarray(found, np.float32)

    def _signal(self, value: Signal) -> Floats:
        if self.kind == "ecg" and not set(value.units) <= {"mV", ""}:
            raise ReadError("the recording is not in mV", "write it in mV, or give the modality the kind signal")
        values, there = filled(value)
        if self.lead_names:
            values, there = ordered(values, there, value.leads, self.lead_names)
        if len(values) != self.channels or not there.any():
            raise ReadError(
                f"the signal has {len(values)} leads, {int(there.sum())} of them with samples, and {self.channels} are "
                "read",
                f"set channels={len(values)} if all have so many, name those that are read by leads=, or check it",
            )
        values = resampled(values, value.hz, self.hz)
        values = values - np.median(values, axis=1, keepdims=True)
        start = max(0, (values.shape[1] - self.size) // 2)
        found = np.zeros((self.channels, self.size), np.float32)
        kept = values[:, start : start + self.size]
        found[:, : kept.shape[1]] = kept
        found[~there] = 0.0
        return found


def own_size(shape: tuple[int, ...], axes: int) -> int:
    """Return the size for sources of this shape, where nobody names one: their own up to `SIZES`, a multiple of 4."""
    return min(SIZES[axes], max(8, -(-max(shape) // 4) * 4))
