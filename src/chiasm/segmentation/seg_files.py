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
UNICODE = "ISO_IR 192"
KNOWN = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")
"""What a header must say for something to stand beside it."""
EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
"""What a header may lack, as where it was made anonymous: a segmentation then has it empty."""


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
    import_highdicom()
    of, images = read_series(series)
    pixels = as_slices(own, of).astype(np.uint16 if len(labels) > 255 else np.uint8)
    if of.slices[0].header.frames > 1:  # frames as the file has them
        pixels = pixels[np.argsort([part.frame for part in of.slices])]
    import highdicom

    kind = highdicom.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC if corrected else None
    concept, release = highdicom.sr.CodedConcept, version(MAKER)
    by = highdicom.AlgorithmIdentificationSequence(MAKER, concept("123109", "DCM", "Artificial Intelligence"), release)
    segments = [
        highdicom.seg.SegmentDescription(
            number,
            label,
            concept("123037004", "SCT", "Anatomical Structure"),
            concept(f"L{number}", SCHEME, label),
            kind or highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            by,
        )
        for number, label in enumerate(written_labels(labels), 1)
    ]
    made: Any = highdicom.seg.Segmentation(
        images, pixels, highdicom.seg.SegmentationTypeValues.BINARY, segments, highdicom.UID(), SERIES_NUMBER,
        highdicom.UID(), 1, MAKER, MAKER, release, "0",
        omit_empty_frames=False,
    )  # fmt: skip
    made.SpecificCharacterSet = UNICODE
    made.save_as(path)


def import_highdicom() -> None:
    """Raise `Unsupported` where highdicom is missing, which writes segmentations."""
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise missing("highdicom", "hospital", "label maps in DICOM") from None


def read_series(series: Path) -> tuple[Series, list[Any]]:
    """Read the headers of a series beside which something can stand; what it may lack is there, and empty.

    Raises:
        Unsupported: it does not say where its slices lie or what it belongs to, or is of several files of frames.
        ReadError: it cannot be read.
    """
    from pydicom import dcmread

    with guarded(NOUN, FIX):
        of = series_of(series, LIMITS)
    if any(part.position is None or part.orientation is None for part in of.slices):
        raise Unsupported("the series does not say where its slices lie, and no segmentation lies on it: write a .png")
    paths = list(dict.fromkeys(part.header.path for part in of.slices))
    if of.slices[0].header.frames > 1 and len(paths) > 1:
        raise Unsupported("the series is of several files of several frames: write one file, or one a slice")
    images: list[Any] = [dcmread(image, stop_before_pixels=True) for image in paths]
    for image in images:
        if lacking := [key for key in KNOWN if not image.get(key)]:
            raise Unsupported(
                f"the series lacks {', '.join(lacking)}, so that no segmentation can stand beside it: write a .nii.gz"
            )
        for key in EMPTY:
            if key not in image:
                setattr(image, key, "")
        if "SliceThickness" not in image:
            image.SliceThickness = float(of.spacing_of_slices[0])
    return of, images


def written_labels(labels: Sequence[str]) -> list[str]:
    """Labels as DICOM writes them: of 64 letters at most, no backslash, and each another."""
    found: list[str] = []
    for label in labels:
        plain = label.replace("\\", "/").strip()[:LONGEST]
        for number in range(2, len(labels) + 2):
            if plain not in found:
                break
            end = f" ({number})"
            plain = label.replace("\\", "/").strip()[: LONGEST - len(end)] + end
        found.append(plain)
    return found


def as_slices(own: LabelMap, of: Series) -> NDArray[np.int32]:
    """The codes of a map as its series has them, `(slices, rows, columns)`: the inverse of what its reader does."""
    first = of.slices[0].header
    sides = (len(of.slices), first.rows, first.columns)
    codes = own.codes if len(own.shape) == 3 else own.codes[None]
    upright = stretched(codes, [sides[axis] for axis in of.axes])
    turned = upright[tuple(slice(None, None, step) for step in of.steps)]
    return np.ascontiguousarray(turned.transpose(np.argsort(of.axes)))
