"""Label maps that lie on a DICOM series: contours of an RTSTRUCT drawn on its grid, and where that grid lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.limits import MASK_BYTES, LimitError, require_regular
from chiasm.targets.channel_cells import Unread
from chiasm.targets.label_maps import MOST_VOXELS

TAGS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "FrameOfReferenceUID")
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
EVEN = 0.1  # share of the usual gap by which one between slices may differ
ALIKE = 1e-3
MOST_SLICES = 20_000
BETWEEN = 0.5  # slices from the nearest one, beyond which a contour lies on none
NO_SERIES = Unread(
    "names contours, and [target] does not say on which series they lie",
    'add a column of the folders of the series, and name it, as series = "ct_folder"',
)
NOT_A_SERIES = Unread(
    "names contours or segments of a series that is not there, or none of even slices", "name its folder, of one series"
)


@dataclass(frozen=True, eq=False)
class SeriesPlace:
    """Where the slices of a series lie.

    Args:
        shape: slices, rows, columns.
        affine: (4, 4) from their numbers to millimetres to the left, the back and the head.
        frame: frame of reference.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    frame: str


def place_of_series(folder: Path) -> SeriesPlace | None:
    """Where a series lies, by the headers of its folder's files, or of its one file; None where nothing says it."""
    try:
        from pydicom import dcmread
        from pydicom.errors import InvalidDicomError
    except ImportError:
        return None

    inside = sorted(own for own in folder.iterdir() if own.is_file()) if folder.is_dir() else [folder]
    files = [own for own in inside if own.is_file()]
    if not 1 <= len(files) <= MOST_SLICES:
        return None
    positions, rest = [], []
    for file in files:
        try:
            require_regular(file, MASK_BYTES)
            tags = dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
        except InvalidDicomError:
            continue
        except LimitError:
            return None
        if any(tags.get(name) is None for name in TAGS[:5]):
            continue  # contours and reports that stand beside their series
        positions.append([float(own) for own in tags.ImagePositionPatient])
        rest.append([*map(float, (*tags.ImageOrientationPatient, *tags.PixelSpacing, tags.Rows, tags.Columns))])
        frame = str(tags.get("FrameOfReferenceUID") or "")
    if not positions or not np.allclose(rest, rest[0], atol=ALIKE):
        return None
    across, down, (row_mm, column_mm, rows, columns) = np.array(rest[0][:3]), np.array(rest[0][3:6]), rest[0][6:]
    normal, at = np.cross(across, down), np.array(positions)
    order = np.argsort(at @ normal)
    at, gaps = at[order], np.diff(at[order] @ normal)
    gap = float(np.median(gaps)) if len(gaps) else 1.0
    if gap <= ALIKE or (np.abs(gaps - gap) > EVEN * gap).any():
        return None
    affine = np.eye(4)
    affine[:3, 0] = (at[-1] - at[0]) / (len(at) - 1) if len(at) > 1 else normal
    affine[:3, 1], affine[:3, 2], affine[:3, 3] = down * row_mm, across * column_mm, at[0]
    return SeriesPlace((len(at), int(rows), int(columns)), affine, frame)


def of_contours(tags: Any, codes: Mapping[str, int], place: SeriesPlace) -> NDArray[np.int32] | Unread:
    """Draw the contours of an RTSTRUCT on the grid of its series: a voxel whose middle lies within has the label.

    Regions of interest are named as labels, in whatever case, and others are left out. Contours of a region on one
    slice cut holes into each other. Where regions overlap the label named later is kept, so that a tumour is named
    after its organ.

    Args:
        codes: of each label.

    Returns:
        (slices, rows, columns) codes, or what is wrong.
    """
    from matplotlib.path import Path as Outline

    if int(np.prod(place.shape, dtype=object)) > MOST_VOXELS:
        return Unread("names a label map of more voxels than are read", "crop it, and its image alike")
    by_name = {name.strip().casefold(): code for name, code in codes.items()}
    order = {code: rank for rank, code in enumerate(codes.values())}
    named = {int(own.ROINumber): str(own.ROIName).strip().casefold() for own in tags.StructureSetROISequence}
    frames = {str(own.get("ReferencedFrameOfReferenceUID") or "") for own in tags.StructureSetROISequence}
    if place.frame and frames - {""} and place.frame not in frames:
        return Unread(
            "names contours of another frame of reference than their series", "name the series of the contours"
        )
    back, found = np.linalg.inv(place.affine), np.zeros(place.shape, dtype=np.int32)
    drawn = [(by_name[named[int(own.ReferencedROINumber)]], own) for own in tags.get("ROIContourSequence") or ()
             if named.get(int(own.ReferencedROINumber)) in by_name]  # fmt: skip
    for code, own in sorted(drawn, key=lambda pair: order[pair[0]]):
        region: dict[int, NDArray[np.bool_]] = {}
        for contour in own.get("ContourSequence") or ():
            points = np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            if str(contour.get("ContourGeometricType")) not in CLOSED or len(points) < 3:
                continue  # a point or an open line has no inside
            at = points @ back[:3, :3].T + back[:3, 3]  # slice, row, column
            number = round(float(at[:, 0].mean()))
            if np.abs(at[:, 0] - number).max() > BETWEEN or not 0 <= number < place.shape[0]:
                return Unread("names contours that lie on no slice of their series", "name the series of the contours")
            low = np.clip(np.floor(at[:, 1:].min(0)).astype(int), 0, np.array(place.shape[1:]))
            high = np.clip(np.ceil(at[:, 1:].max(0)).astype(int) + 1, 0, np.array(place.shape[1:]))
            rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
            within = Outline(at[:, 1:]).contains_points(np.stack([rows.ravel(), columns.ravel()], 1))
            slice_ = region.setdefault(number, np.zeros(place.shape[1:], dtype=bool))
            slice_[low[0] : high[0], low[1] : high[1]] ^= within.reshape(rows.shape)
        for number, inside in region.items():
            found[number][inside] = code
    return found
