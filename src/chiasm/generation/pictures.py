"""Images and volumes of a cohort side by side in one size, as a generator of pictures reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.image.pixels import prepared
from chiasm.errors import count
from chiasm.progress import followed
from chiasm.readers.image.generated import note_of
from chiasm.readers.reading import LIMITS, Image, ReadError, Volume
from chiasm.readers.registry import reader_for

MOST_SIDE = {2: 64, 3: 32}
"""Pixels or voxels a side up to which pictures of one size stay as they are; others are resized to it."""
MOST_VALUES = 1 << 28
"""Values of all pictures of a modality, 1 GB."""
OUTER = 0.001  # share of voxels at either end of a scale that nobody's extreme sets
EIGHT, SIXTEEN = 255.0, 65_535.0


@dataclass(frozen=True)
class Scale:
    """How values of -1 to 1 become those of files: `low + (x + 1) / 2 (high - low)`.

    Args:
        kind: `image` or `volume`.
        channels: their names.
        size: of a picture as it is drawn. stored: as most files have it.
        spacing: millimetres along each axis at `size`; None: it is not known.
    """

    kind: str
    channels: tuple[str, ...]
    low: float
    high: float
    size: tuple[int, ...]
    stored: tuple[int, ...]
    spacing: tuple[float, ...] | None

    def scaled(self, values: Tensor) -> Tensor:
        """Values of files as -1 to 1, those beyond the ends at the end."""
        return ((values - self.low) / (self.high - self.low) * 2 - 1).clamp(-1, 1)

    def values(self, pictures: Tensor) -> NDArray[np.float32]:
        """Drawn pictures in the units of the files."""
        return cast("NDArray[np.float32]", (self.low + (pictures + 1) / 2 * (self.high - self.low)).numpy())


@dataclass(frozen=True)
class Pictures:
    """Pictures `(n, C, ...)` in -1 to 1 of the patients `rows` `(n,)` of a cohort, and how they were scaled.

    Args:
        beyond_png: what images hold that no PNG does; empty where it holds them.
    """

    values: Tensor
    rows: NDArray[np.int_]
    scale: Scale
    beyond_png: str = ""

    def require_png(self, name: str) -> None:
        """Refuse images of which drawn ones could not be written as PNG, the numbers of their files kept.

        Raises:
            Unsupported: they hold what no PNG does.
        """
        if self.beyond_png:
            raise Unsupported(
                f"the pictures of '{name}' hold {self.beyond_png}, which the PNG that drawn ones are written as does "
                f"not: write grey in whole numbers of 0 to {SIXTEEN:,.0f}, colours of 0 to {EIGHT:,.0f}"
            )


def pictures_of(cohort: Cohort, name: str, held: NDArray[np.bool_] | None = None) -> Pictures:
    """Read the pictures of all who have a modality, in one size.

    Args:
        held: `(B,)` whose pictures say nothing of the size and the scale, which are applied to them; None: nobody's.

    Raises:
        Unsupported: not one is of two values or more; they differ in channels; they were encoded already; they are too
            many to hold; a file's header says that it was generated, and the manifest does not.
        ReadError: a file cannot be read.
    """
    items, rows, kind = cohort.raw(name), cohort.rows_of(name), cohort.kinds[name]
    reader = reader_for(kind)
    with followed(f"reading '{name}'", None) as told:
        read: list[Image | Volume] = []
        for place in range(len(rows)):
            if cohort.generated is None:
                _require_observed(reader, items[place], name, int(cohort.file_rows[rows[place]]))
            read.append(read_picture(reader, items[place], name, place, read))
            told(place + 1, len(rows))
    if not read:
        raise Unsupported(f"nobody has modality '{name}': leave it out of the manifest")
    inside = np.ones(len(rows), dtype=bool) if held is None else ~held[rows]
    if not inside.any():
        raise Unsupported(f"all who have modality '{name}' are held out, and nothing is left to learn from")
    known = [own for own, kept in zip(read, inside, strict=True) if kept]
    shapes = [own.values.shape[1:] for own in known]
    axes = len(shapes[0])
    alike = len(set(shapes)) == 1 and max(shapes[0]) <= MOST_SIDE[axes]
    size = shapes[0] if alike else (MOST_SIDE[axes],) * axes
    channels = read[0].channels
    if len(read) * len(channels) * math.prod(size) > MOST_VALUES:
        raise Unsupported(
            f"the {len(read):,} pictures of '{name}' are too many to hold at {' x '.join(map(str, size))}: "
            "take a part of the patients"
        )
    values = torch.stack([
        torch.from_numpy(np.array(own.values, dtype=np.float32)) if own.values.shape[1:] == size
        else prepared(own.values, len(channels), cast("Any", size), colour=kind == "image") for own in read
    ])  # fmt: skip
    low, high = _ends(values[torch.from_numpy(inside)], kind)
    if not low < high:
        raise Unsupported(f"the pictures of '{name}' hold one value alone, and nothing is to be learnt from them")
    stored = tuple(int(np.median([shape[axis] for shape in shapes])) for axis in range(axes))
    spacings = [own.spacing for own in known if own.spacing is not None]
    spacing = None
    if len(spacings) == len(known):
        whole = np.median(np.array(spacings) * np.array(shapes), axis=0)
        spacing = tuple(float(side / pixels) for side, pixels in zip(whole, size, strict=True))
    scale = Scale(kind, channels, low, high, tuple(size), stored, spacing)
    beyond = next(filter(None, (beyond_png(own.values) for own in read)), "") if kind == "image" else ""
    return Pictures(scale.scaled(values), rows, scale, beyond)


def beyond_png(values: NDArray[np.float32]) -> str:
    """What an image `(C, H, W)` holds that no PNG does, grey of 8 or 16 bits or colours of 8; empty where it does."""
    if len(values) not in (1, 3):
        return count(len(values), "channel")
    if values.min() < 0:
        return "values below 0"
    if (values % 1 != 0).any():
        return "fractions"
    high = SIXTEEN if len(values) == 1 else EIGHT
    return f"{'values' if len(values) == 1 else 'colours'} above {high:,.0f}" if values.max() > high else ""


def file_of_picture(item: Any, name: str) -> Path:
    """The file of a picture.

    Raises:
        Unsupported: it was encoded already.
    """
    if isinstance(item, (np.ndarray, Tensor)):
        raise Unsupported(f"modality '{name}' was encoded already: generate from the files")
    return Path(item)


def _require_observed(reader: Any, item: Any, name: str, row: int) -> None:
    """Refuse a file whose header says that its pixels or voxels were generated; what cannot be read is told later."""
    with suppress(ReadError):
        notes = reader.inspect(file_of_picture(item, name), LIMITS)
        if any(note_of(what) in notes for what in ("pixels", "voxels")):
            raise Unsupported(
                f"the header of the picture of '{name}' in row {row:,} says that it was generated, and it would be "
                "learnt from as a real one: leave it out"
            )


def read_picture(
    reader: Any, item: Any, name: str, place: int, before: Sequence[Image | Volume] = ()
) -> Image | Volume:
    """Read the picture `place` of a modality, which has the channels of those before.

    Raises:
        Unsupported: it was encoded already, holds values that are no numbers, or has other channels.
        ReadError: the file cannot be read.
    """
    item = file_of_picture(item, name)
    try:
        found: Image | Volume = reader.read(item, LIMITS)
    except ReadError as error:
        what = f"picture {place + 1:,} of modality '{name}' is not read: {error.what}"
        raise ReadError(what, f"{error.fix}, or leave the patient out") from None
    if not np.isfinite(found.values).all():
        raise Unsupported(f"picture {place + 1:,} of modality '{name}' holds values that are no numbers: fill them")
    if before and found.channels != before[0].channels:
        raise Unsupported(
            f"pictures of '{name}' have {len(before[0].channels)} and {len(found.channels)} channels: "
            "write them with the same ones"
        )
    return found


def _ends(values: Tensor, kind: str) -> tuple[float, float]:
    """The values of black and white: of images of 8 bits those of these bits, of others what most values lie between.

    Of volumes a thousandth lies beyond either end. The ends of images stand half as far again from each other on
    either side, where there are values: few are cut, and no single bright point sets white.
    """
    least, most = float(values.min()), float(values.max())
    if kind == "image" and least >= 0 and EIGHT / 2 < most <= EIGHT and least < most:
        return 0.0, EIGHT
    flat = values.flatten()
    flat = flat[:: max(1, len(flat) // 1_000_000)]
    low, high = map(float, np.quantile(flat.numpy(), [OUTER, 1 - OUTER]))
    if not low < high:
        return least, most
    room = (high - low) / 2 if kind == "image" else 0.0
    return max(low - room, least) if room else low, min(high + room, most) if room else high
