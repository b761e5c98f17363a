"""Write a label map as a DICOM segmentation that stands beside the series in which it was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Unsupported
from chiasm.readers.guard import guarded
from chiasm.readers.image.dicom import FIX, NOUN, series_of
from chiasm.readers.image.dicom_series import Series
from chiasm.readers.reading import LIMITS
from chiasm.readers.registry import missing
from chiasm.targets.label_maps import LabelMap, stretched

MAKER, SCHEME = "chiasm", "99CHIASM"
SERIES_NUMBER = 9_100
LONGEST = 64  # letters of a label that DICOM keeps


def write_seg(path: Path, own: LabelMap, labels: Sequence[str], series: Path, *, corrected: bool = False) -> None:
    """Write a label map as a DICOM SEG of binary segments, numbered 1, 2, ... in the order of `labels`.

    Each segment has a frame for every slice, empty ones too, so that the map that is read of it is on the image's grid.
    It has patient, study and frame of reference of the series, and lies on its slices, whatever their order and plane.

    Args:
        own: the map `(D, H, W)` as images of DICOM are read, or `(H, W)` of one slice; on another grid it is stretched.
        series: folder of the series, or a file of it.
        corrected: a person has had a hand in it.

    Raises:
        Unsupported: highdicom is missing, or the series does not say where its slices lie.
        ReadError: the series cannot be read.
    """
    try:
        import highdicom
        from pydicom import dcmread
    except ImportError:
        raise missing("highdicom", "hospital", "label maps in DICOM") from None

    with guarded(NOUN, FIX):
        of = series_of(series, LIMITS)
    if any(part.position is None or part.orientation is None for part in of.slices):
        raise Unsupported("the series does not say where its slices lie, and no segmentation lies on it: write a .png")
    several = of.slices[0].header.frames > 1
    paths = list(dict.fromkeys(part.header.path for part in of.slices))
    if several and len(paths) > 1:
        raise Unsupported("the series is of several files of several frames: write one file, or one a slice")
    pixels = as_slices(own, of).astype(np.uint16 if len(labels) > 255 else np.uint8)
    if several:  # frames as the file has them
        pixels = pixels[np.argsort([part.frame for part in of.slices])]
    images = [dcmread(image, stop_before_pixels=True) for image in paths]
    kind = highdicom.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC if corrected else None
    concept, release = highdicom.sr.CodedConcept, version(MAKER)
    by = highdicom.AlgorithmIdentificationSequence(MAKER, concept("123109", "DCM", "Artificial Intelligence"), release)
    segments = [
        highdicom.seg.SegmentDescription(
            number,
            label[:LONGEST],
            concept("123037004", "SCT", "Anatomical Structure"),
            concept(f"L{number}", SCHEME, label[:LONGEST]),
            kind or highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            by,
        )
        for number, label in enumerate(labels, 1)
    ]
    made: Any = highdicom.seg.Segmentation(
        images, pixels, highdicom.seg.SegmentationTypeValues.BINARY, segments, highdicom.UID(), SERIES_NUMBER,
        highdicom.UID(), 1, MAKER, MAKER, release, "0",
        omit_empty_frames=False,
    )  # fmt: skip
    made.save_as(path)


def as_slices(own: LabelMap, of: Series) -> NDArray[np.int32]:
    """The codes of a map as its series has them, `(slices, rows, columns)`: the inverse of what its reader does."""
    first = of.slices[0].header
    sides = (len(of.slices), first.rows, first.columns)
    codes = own.codes if len(own.shape) == 3 else own.codes[None]
    upright = stretched(codes, [sides[axis] for axis in of.axes])
    turned = upright[tuple(slice(None, None, step) for step in of.steps)]
    return np.ascontiguousarray(turned.transpose(np.argsort(of.axes)))


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
