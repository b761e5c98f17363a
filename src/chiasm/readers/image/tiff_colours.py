"""Colours of a TIFF that its reader has to compute: those under premultiplied alpha, and YCbCr without JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.reading import ReadError

PREMULTIPLIED, SEPARATE = 1, 2  # kinds of extra samples that are alpha
COEFFICIENTS, SUBSAMPLING, BLACK_WHITE = 529, 530, 532
LUMA = (0.299, 0.587, 0.114)
FULL_RANGE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)


def without_alpha(planes: NDArray[Any], extra: Sequence[int]) -> NDArray[Any]:
    """Drop the alpha among the last planes; colours that were multiplied by it are divided again, 0 where it is 0."""
    kinds = [int(kind) for kind in extra]
    first = len(planes) - len(kinds)
    kept = _kept(len(planes), kinds)
    if len(kept) == len(planes):
        return planes
    if PREMULTIPLIED in kinds:
        alpha = planes[first + kinds.index(PREMULTIPLIED)].astype(np.float64)
        whole = float(np.iinfo(planes.dtype).max) if planes.dtype.kind in "iu" else 1.0
        colours = planes[:first] * np.divide(whole, alpha, out=np.zeros_like(alpha), where=alpha > 0)
        colours = np.minimum(np.rint(colours), whole) if planes.dtype.kind in "iu" else colours
        return np.concatenate([colours, planes[[k for k in kept if k >= first]]])
    return planes[kept]


def number_without_alpha(samples: int, extra: Sequence[int]) -> int:
    """Return how many planes `without_alpha` leaves of so many samples."""
    return len(_kept(samples, [int(kind) for kind in extra]))


def _kept(samples: int, kinds: Sequence[int]) -> list[int]:
    """List the planes that are no alpha; all of them if there is nothing else."""
    first = samples - len(kinds)
    kept = [k for k in range(samples) if k < first or kinds[k - first] not in (PREMULTIPLIED, SEPARATE)]
    return kept or [*range(samples)]


def from_ycbcr(planes: NDArray[Any], tags: Any) -> NDArray[np.float64]:
    """Convert `(3, H, W)` of 8 bits from YCbCr to RGB by the coefficients and the range of the tags, rounded.

    `R = Y + (2 - 2 r) Cr`, `B = Y + (2 - 2 b) Cb`, `G = (Y - r R - b B) / g`, with r, g, b the luma of the colours.

    Source: TIFF 6.0, section 21.

    Raises:
        ReadError: not of 8 bits, or with fewer samples of colour than of brightness.
    """
    if planes.dtype != np.uint8 or len(planes) != 3 or _numbers(tags, SUBSAMPLING, (2, 2), 2)[:2] != (1.0, 1.0):
        raise ReadError("the colour space is not read: YCbCr with fewer samples of colour", "write it as grey or RGB")
    red, green, blue = _numbers(tags, COEFFICIENTS, LUMA, 3)
    ranges = _numbers(tags, BLACK_WHITE, FULL_RANGE, 6)
    if green <= 0 or any(white == black for black, white in zip(ranges[::2], ranges[1::2], strict=True)):
        raise ReadError("the colours of the header cannot be", "write it as grey or RGB")
    spans = (255.0, 127.0, 127.0)
    y, cb, cr = (
        (plane.astype(np.float64) - black) * span / (white - black)
        for plane, black, white, span in zip(planes, ranges[::2], ranges[1::2], spans, strict=True)
    )
    r, b = y + (2 - 2 * red) * cr, y + (2 - 2 * blue) * cb
    g = (y - red * r - blue * b) / green
    return np.asarray(np.clip(np.rint(np.stack([r, g, b])), 0, 255))


def _numbers(tags: Any, code: int, default: Sequence[float], length: int) -> tuple[float, ...]:
    """Read numbers of a tag, rationals as their quotients; the default if the tag is not there or has too few."""
    tag = tags.get(code)
    if tag is None:
        return tuple(map(float, default))
    found = np.atleast_1d(np.array(tag.value, dtype=np.float64)).ravel()
    if len(found) == 2 * length:  # numerators and denominators
        found = np.divide(found[::2], found[1::2], out=np.zeros(length), where=found[1::2] != 0)
    return tuple(found.tolist()) if len(found) == length else tuple(map(float, default))
