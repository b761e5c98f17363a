"""Images as the page shows them: whole numbers of 16 bits with their scale, looked at in slices of three planes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.encoders.image.pixels import with_channels
from chiasm.readers import LIMITS, Image, ReadError, Volume, reader_for
from chiasm.serving.faults import refused

PLANES = ("slices", "front", "side")
"""Slices as they lie in the file of a volume, foot to head; what is seen from the front; and from the side."""
MOST_VOXELS = 160_000_000
"""Pixels or voxels of one image that is shown, as 512 x 512 x 600."""
HIGHEST = 65_535
SOFT_TISSUE = (-160.0, 240.0)  # HU
LOOKED_AT = 200_000  # values of which the window that is shown first is learned
MIDDLE = (0.5, 99.5)  # percentiles that it holds
SHOWN = (1, 3)  # channels: grey, or red, green and blue

Stored = NDArray[np.uint16]


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """An image: `value = low + step * stored`.

    Args:
        stored: (C, D, H, W), C one for grey or three for colours; D is one for a picture.
        spacing: millimetres along D, H and W; ones where nobody says it.
        unit: of the values, or empty.
        window: (lowest, highest) value that is told from black and from white at first.
        flat: it is a picture, whose label map has two axes.
    """

    stored: Stored
    low: float
    step: float
    spacing: tuple[float, float, float]
    unit: str
    window: tuple[float, float]
    flat: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lengths of D, H and W."""
        depth, height, width = self.stored.shape[1:]
        return depth, height, width

    @property
    def nbytes(self) -> int:
        return self.stored.nbytes

    def slice(self, plane: str, number: int) -> bytes:
        """A slice as it is sent: channel by channel in row order, each value two bytes, the lower first."""
        parts = [seen(channel, plane, number) for channel in self.stored]
        return np.ascontiguousarray(np.stack(parts), dtype="<u2").tobytes()

    def values(self, plane: str, number: int) -> NDArray[np.float64]:
        """A slice in its own unit, `(rows, columns)`, colours as their mean."""
        mean = np.mean([seen(channel, plane, number) for channel in self.stored], axis=0)
        return np.asarray(self.low + self.step * mean, dtype=np.float64)

    def facts(self) -> dict[str, Any]:
        """What the page is told of it."""
        own = {"low": self.low, "step": self.step, "unit": self.unit, "window": list(self.window)}
        return {**own, "channels": len(self.stored)}


def read_picture(kind: str, path: Path) -> Picture:
    """Read an image, as the reader of a modality's kind reads it.

    Raises:
        Refused: 422, it cannot be read or is too large; what is wrong is said, and no value.
    """
    limits = replace(LIMITS, values=3 * MOST_VOXELS)
    try:
        found = reader_for(kind).read(path, limits)
    except ReadError as error:
        raise refused(422, "unreadable", f"this is no image that the model reads: {error}") from None
    if not isinstance(found, Image | Volume):
        raise refused(422, "no-image", f"modality of kind '{kind}' holds no image: nothing can be drawn in it")
    flat = isinstance(found, Image)
    values = found.values[:, None] if isinstance(found, Image) else found.values
    if values[0].size > MOST_VOXELS:
        raise refused(422, "too-large", f"an image of over {MOST_VOXELS:,} pixels is not shown: cut it, or shrink it")
    if len(values) not in SHOWN:
        values = with_channels(values, 3 if flat and len(values) == 4 else 1, colour=flat).numpy()
    low, step, stored = as_stored(values)
    sides = found.spacing or (1.0, 1.0)
    spacing = (1.0, *map(float, sides))[-3:]
    unit = found.unit if isinstance(found, Volume) else ""
    window = SOFT_TISSUE if unit == "HU" else first_window(values)
    return Picture(stored, low, step, (spacing[0], spacing[1], spacing[2]), unit, window, flat)


def as_stored(values: NDArray[np.float32]) -> tuple[float, float, Stored]:
    """Lowest value, step and whole numbers of `(C, D, H, W)`: exact where values are whole and within 65,536."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise refused(422, "not-finite", "the image holds values that are not finite: fill them and send it again")
    whole = high - low <= HIGHEST and all((np.rint(own) == own).all() for part in values for own in part)
    step = 1.0 if whole else (high - low) / HIGHEST or 1.0
    stored = np.empty(values.shape, dtype=np.uint16)
    for channel, place in np.ndindex(values.shape[:2]):  # slice by slice, so that no second volume stands beside it
        stored[channel, place] = np.rint((values[channel, place].astype(np.float64) - low) / step)
    return low, step, stored


def first_window(values: NDArray[np.float32]) -> tuple[float, float]:
    """The lowest and the highest of nearly all values."""
    flat = values.reshape(-1)
    low, high = np.percentile(flat[:: max(1, flat.size // LOOKED_AT)], MIDDLE)
    return float(low), float(high if high > low else low + 1.0)


def seen(volume: NDArray[Any], plane: str, number: int) -> NDArray[Any]:
    """A view `(rows, columns)` of a slice of `(D, H, W)`; the head is up where one looks from the front or the side.

    Raises:
        Refused: 404, there is no such slice.
    """
    if plane not in PLANES or not 0 <= number < volume.shape[PLANES.index(plane)]:
        raise refused(404, "no-slice", "there is no such slice: planes are slices, front and side, and count from 0")
    if plane == "slices":
        of: NDArray[Any] = volume[number]
    else:
        of = volume[::-1, number] if plane == "front" else volume[::-1, :, number]
    return of


def place_of(shape: tuple[int, int, int], plane: str, number: int, row: int, column: int) -> tuple[int, int, int]:
    """Where a pixel of a slice lies in the volume, `(d, h, w)`.

    Raises:
        Refused: 404, there is no such slice; 422, the place lies outside of it.
    """
    rows, columns = seen(np.broadcast_to(np.uint8(0), shape), plane, number).shape
    if not (0 <= row < rows and 0 <= column < columns):
        raise refused(
            422, "outside", f"the click lies outside of the image, which has {rows} rows and {columns} columns"
        )
    if plane == "slices":
        return number, row, column
    depth = shape[0] - 1 - row
    return (depth, number, column) if plane == "front" else (depth, column, number)
