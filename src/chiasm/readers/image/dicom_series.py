"""Order the slices of one series by their position in the patient, and find how its axes lie there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import count
from chiasm.readers.image.dicom_header import Header
from chiasm.readers.reading import ReadError

PARALLEL = 1e-2  # difference of direction cosines between slices of one stack
SAME_PLACE_MM = 1e-3
EVEN, HOLE = 0.1, 2.5  # in median gaps: a deviation that is noted, and a gap that is refused
SIDEWAYS = 0.5  # in pixels: slices that lie further from the line along their normal are noted
EXPORT = "export the series again, one a folder"
Notes = tuple[str, ...]


@dataclass(frozen=True)
class Slice:
    """Slice, a frame of a file; `position` (3,) and `orientation` (6,) in the patient, in mm and cosines, or None."""

    header: Header
    frame: int
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None
    number: int | None

    def tag(self, macro: str, name: str) -> Any:
        """Look up a tag of this frame: in its functional group, else the one shared by all, else the file's own."""
        return _of_frame(self.header.tags, self.frame, macro, name)


@dataclass(frozen=True)
class Series:
    """Ordered series: slices first to last, `spacing` mm along their D, H, W, and `notes` for `inspect`.

    `axes` are the positions among (slices, rows, columns) of the array's D, H and W, and `steps` is -1 where one of
    these runs the other way.
    """

    slices: tuple[Slice, ...]
    spacing: tuple[float, float, float]
    notes: Notes
    axes: tuple[int, int, int] = (0, 1, 2)
    steps: tuple[int, int, int] = (1, 1, 1)

    @property
    def spacing_of_slices(self) -> tuple[float, float, float]:
        """Millimetres from slice to slice, row to row, column to column."""
        gap, down, across = (self.spacing[self.axes.index(place)] for place in range(3))
        return gap, down, across


def order(headers: Sequence[Header]) -> Series:
    """Order one series along the normal of its slices, which is the cross product of their row and column.

    The distance is the median gap between positions. A gap that differs by more than a tenth is noted; one of 2.5
    times or more (two slices missing side by side) is refused. Slices that lie sideways of one another, as under a
    tilted gantry, are noted. Without positions, slices go by `InstanceNumber`.

    Raises:
        ReadError: several series, slices of different size, direction or spacing, two in one place, a large hole.
    """
    _one_series(headers)
    _no_mosaic(headers)
    slices = [_slice(header, frame) for header in headers for frame in range(header.frames)]
    _alike(slices)
    in_plane, notes = _in_plane(slices)
    if len(slices) > 1 and all(part.position is not None and part.orientation is not None for part in slices):
        ordered, gap, more = _by_place(slices, min(in_plane))
        return _turned(Series(tuple(ordered), (gap, *in_plane), notes + more))
    ordered, gap, more = _by_number(slices)
    found = Series(tuple(ordered), (gap, *in_plane), notes + more)
    return _turned(found) if len(slices) == 1 and slices[0].orientation is not None else found


def affine_of(of: Series) -> NDArray[np.float64] | None:
    """Affine (4, 4), in DICOM's own axes (left, back, head), from slice, row and column to millimetres; None unplaced.

    The slices lie in a row at the usual distance from the first.
    """
    first = of.slices[0]
    if first.position is None or first.orientation is None:
        return None
    gap, down, across = of.spacing_of_slices
    affine = np.eye(4)
    last = of.slices[-1].position
    many = len(of.slices) - 1
    step = np.cross(first.orientation[:3], first.orientation[3:]) * gap
    affine[:3, 0] = step if not many or last is None else (last - first.position) / many
    affine[:3, 1], affine[:3, 2] = first.orientation[3:] * down, first.orientation[:3] * across
    affine[:3, 3] = first.position
    return affine


def _turned(series: Series) -> Series:
    """Find the patient's axis that is nearest to each axis of the slices, and so the order and the direction of these.

    D runs from foot to head, H from front to back, W from the patient's right to the left. A single slice stays one: in
    its plane rows run from head to foot where they can, else from front to back, columns to the left or to the back.
    """
    orientation = series.slices[0].orientation
    if orientation is None:
        return series
    # rows: slices, rows and columns of the array; columns: how far each runs to the left, the back and the head
    along = np.stack([_normal(orientation), orientation[3:], orientation[:3]])
    wanted = np.eye(3)[::-1]  # D, H, W of the array in the same axes
    if len(series.slices) == 1:
        normal = int(np.argmax(np.abs(along[0])))
        down, across = ((1, 0), (2, 0), (2, 1))[2 - normal]
        wanted = np.stack([np.eye(3)[normal], (-1 if down == 2 else 1) * np.eye(3)[down], np.eye(3)[across]])
    likeness = wanted @ along.T  # (D, H, W) x (slices, rows, columns)
    orders = [order for order in permutations(range(3)) if len(series.slices) > 1 or order[0] == 0]
    axes = max(orders, key=lambda order: sum(abs(likeness[axis, place]) for axis, place in enumerate(order)))
    steps = [-1 if likeness[axis, place] < 0 else 1 for axis, place in enumerate(axes)]
    if len(series.slices) == 1:
        steps[0] = 1
    d, h, w = axes
    spacing = (series.spacing[d], series.spacing[h], series.spacing[w])
    return replace(series, spacing=spacing, axes=(d, h, w), steps=(steps[0], steps[1], steps[2]))


def _one_series(headers: Sequence[Header]) -> None:
    sizes = Counter(str(header.tags.get("SeriesInstanceUID") or "") for header in headers)
    if len(sizes) > 1:
        files = ", ".join(f"{size:,}" for size in sorted(sizes.values(), reverse=True)[:5])
        more = " ..." if len(sizes) > 5 else ""
        raise ReadError(f"the folder holds {len(sizes):,} series, of {files}{more} files", "keep one series a folder")


def _no_mosaic(headers: Sequence[Header]) -> None:
    for header in headers:
        kind = header.tags.get("ImageType") or ()
        if "MOSAIC" in ([kind] if isinstance(kind, str) else list(kind)):
            raise ReadError(
                "the image is a Siemens mosaic, in which all slices of a volume lie side by side",
                'convert the series to NIfTI by dcm2niix, and write kind = "volume"',
            )


def _slice(header: Header, frame: int) -> Slice:
    tags = header.tags
    position = _numbers(_of_frame(tags, frame, "PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _numbers(_of_frame(tags, frame, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    offsets = tags.get("GridFrameOffsetVector")
    if position is not None and orientation is not None and offsets is not None and header.frames > 1:
        # relative to the first (usual) or absolute along the axis: their differences are the same
        position = position + _normal(orientation) * (float(offsets[frame]) - float(offsets[0]))
    number = tags.get("InstanceNumber")
    several = header.frames > 1
    return Slice(header, frame, position, orientation, frame if several else None if number is None else int(number))


def _of_frame(tags: Any, frame: int, macro: str, name: str) -> Any:
    for groups, place in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = tags.get(groups)
        if items and len(items) > place and items[place].get(macro):
            value = items[place].get(macro)[0].get(name)
            if value is not None:
                return value
    return tags.get(name)


def _numbers(value: Any, length: int) -> NDArray[np.float64] | None:
    """Parse `length` finite numbers; None if the tag is missing or empty."""
    if value is None or isinstance(value, str | float | int) or len(value) == 0:
        return None
    numbers = np.array([float(part) for part in value])
    if numbers.shape != (length,) or not np.isfinite(numbers).all():
        raise ReadError("a position, direction or spacing of the header is no number", EXPORT)
    return numbers


def _alike(slices: Sequence[Slice]) -> None:
    """Refuse slices that differ in size or colour."""
    first = slices[0].header
    shape = (first.rows, first.columns, first.samples, first.tags.get("PhotometricInterpretation"))
    for part in slices:
        header = part.header
        if (header.rows, header.columns, header.samples, header.tags.get("PhotometricInterpretation")) != shape:
            raise ReadError("the slices differ in rows, columns or colour", EXPORT)


def _in_plane(slices: Sequence[Slice]) -> tuple[tuple[float, float], Notes]:
    """Find the spacing in mm between rows and between columns, and notes on it."""
    found = []
    for part in slices:
        spacing = _above_zero(_numbers(part.tag("PixelMeasuresSequence", "PixelSpacing"), 2))
        imager = _above_zero(_numbers(part.header.tags.get("ImagerPixelSpacing"), 2))
        found.append(spacing if spacing is not None else imager)
    first = found[0]
    if first is None:
        return (1.0, 1.0), ("the header gives no pixel spacing: 1 mm is assumed",)
    if any(spacing is None or not np.allclose(spacing, first, rtol=1e-3) for spacing in found):
        raise ReadError("the slices differ in pixel spacing", EXPORT)
    return (float(first[0]), float(first[1])), ()


def _above_zero(spacing: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Return the spacing, or None where the header fills it with zeros, as if it gave none."""
    if spacing is not None and (spacing < 0).any():
        raise ReadError("the pixel spacing is below zero", EXPORT)
    return spacing if spacing is not None and (spacing > 0).all() else None


def _normal(orientation: NDArray[np.float64]) -> NDArray[np.float64]:
    normal = np.cross(orientation[:3], orientation[3:])
    length = float(np.linalg.norm(normal))
    if abs(length - 1) > 0.1:
        raise ReadError("the direction of the slices is no right angle", EXPORT)
    return np.asarray(normal / length)


def _by_place(slices: list[Slice], pixel: float) -> tuple[list[Slice], float, Notes]:
    # the same numbers whatever the order of the files: every slice is measured along the first of the sorted directions
    directions = np.array(sorted(part.orientation.tolist() for part in slices if part.orientation is not None))
    if np.ptp(directions, axis=0).max() > PARALLEL:
        raise ReadError("the slices are not parallel: localisers, or several stacks", EXPORT)
    normal = _normal(directions[0])
    places = np.array([float(part.position @ normal) for part in slices if part.position is not None])
    rank = np.argsort(places, kind="stable")
    gaps = np.diff(places[rank])
    twice = int((gaps < SAME_PLACE_MM).sum())
    if twice:
        what = f"{count(twice, 'slice')} of {len(slices):,} lie where another lies: copies, phases or echoes"
        raise ReadError(what, "keep one slice a place")
    gap = float(np.median(gaps))
    uneven = int((np.abs(gaps - gap) > EVEN * gap).sum())
    if gaps.max() >= HOLE * gap:
        what = f"slices are missing: the largest gap is {gaps.max() / gap:.1f} times the usual one"
        raise ReadError(what, "export the series in full, or resample it to even slices")
    notes = []
    if uneven:
        notes.append(f"{uneven} of {len(gaps)} gaps between slices differ from the usual one by more than a tenth")
    corners = np.array([part.position for part in slices if part.position is not None])[rank]
    aside = corners - corners[0] - (places[rank] - places[rank[0]])[:, None] * normal
    if np.linalg.norm(aside, axis=1).max() > SIDEWAYS * pixel:
        notes.append(
            "the slices lie sideways of one another, as under a tilted gantry, and are stacked as if they did not: "
            "resample the series where that matters"
        )
    return [slices[place] for place in rank], gap, tuple(notes)


def _by_number(slices: list[Slice]) -> tuple[list[Slice], float, Notes]:
    gap, notes = 1.0, ["the header gives no distance between slices: 1 mm is assumed"]
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        value = slices[0].tag("PixelMeasuresSequence", name)
        if value is not None and np.isfinite(float(value)) and float(value) > 0:
            gap, notes = float(value), []
            break
    if len(slices) == 1:
        return slices, gap, ()
    numbers = [part.number for part in slices]
    known = [number for number in numbers if number is not None]
    if len(set(known)) < len(slices):
        what = "the slices have no position, and their instance numbers are missing or repeated"
        raise ReadError(what, "export the series with ImagePositionPatient and ImageOrientationPatient")
    several = len({id(part.header) for part in slices}) > 1
    if several:
        notes.append("slices are ordered by their instance number: positions are missing")
    return [slices[place] for place in np.argsort(known, kind="stable")], gap, tuple(notes)
