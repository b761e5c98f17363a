"""The turn of a picture that EXIF and TIFF name by a number from 1 to 8."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from chiasm.room import room

TAG = 0x0112
Spacing = tuple[float, float] | None
# number -> step along rows and columns, after the two are swapped for 5 .. 8
_FLIPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}

_BACK = {6: 8, 8: 6}  # the others undo themselves


def upright(planes: NDArray[Any], spacing: Spacing, turn: int) -> tuple[NDArray[Any], Spacing]:
    """Turn planes `(C, H, W)` and their spacing as the number says; any other than 2 .. 8 leaves them."""
    if turn in (5, 6, 7, 8):
        planes = planes.swapaxes(1, 2)
        spacing = spacing and spacing[::-1]
    rows, columns = _FLIPS.get(turn, (1, 1))
    return planes[:, ::rows, ::columns], spacing


def placed(shape: tuple[int, int, int], turn: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return room for upright planes in single precision, and a view of it `shape` (C, H, W) as the file has them."""
    channels, height, width = shape
    values = room((channels, *((width, height) if turn in (5, 6, 7, 8) else (height, width))))
    return values, upright(values, None, _BACK.get(turn, turn))[0]
