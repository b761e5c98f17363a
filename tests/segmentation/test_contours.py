"""Contours of an RTSTRUCT, and segmentations of a few slices, become label maps on the grid of their series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort.contour_files import place_of_series
from chiasm.cohort.mask_files import RTSS, read_masks
from chiasm.targets.channel_cells import Unread
from chiasm.targets.mask_cells import ReadMap
from made_series import AXIAL, OBLIQUE, written_series

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")
CODES = {"organ": 1, "tumour": 4}
SHAPE = (4, 12, 10)


def written_contours(path: Path, series: Sequence[Any], regions: Mapping[str, Sequence[np.ndarray]]) -> Path:
    """Write an RTSTRUCT of regions by name, each of contours `(n, 3)` in millimetres."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, RTSS
    meta.MediaStorageSOPInstanceUID = generate_uid()
    own = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    own.SOPClassUID, own.SOPInstanceUID, own.Modality = RTSS, meta.MediaStorageSOPInstanceUID, "RTSTRUCT"
    own.StructureSetROISequence, own.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(regions.items(), 1):
        named, drawn = Dataset(), Dataset()
        named.ROINumber, named.ROIName = number, name
        named.ReferencedFrameOfReferenceUID = series[0].FrameOfReferenceUID
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for points in contours:
            item = Dataset()
            item.ContourGeometricType, item.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            item.ContourData = [round(float(at), 4) for at in np.asarray(points).reshape(-1)]
            drawn.ContourSequence.append(item)
        own.StructureSetROISequence.append(named)
        own.ROIContourSequence.append(drawn)
    own.save_as(path, enforce_file_format=True)
    return path


def square(affine: np.ndarray, number: int, low: float, high: float) -> np.ndarray:
    """A square contour on a slice, from one row and column to another, in millimetres."""
    corners = np.array([[number, low, low], [number, low, high], [number, high, high], [number, high, low]])
    return corners @ affine[:3, :3].T + affine[:3, 3]


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
def test_contours_are_drawn_on_the_grid_of_their_series(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    """An organ with a hole, a tumour over it that is named later, a region of no label: where the slices lie."""
    made = written_series(tmp_path / "ct", np.zeros(SHAPE), orientation=orientation)
    place = place_of_series(tmp_path / "ct")
    assert place is not None and place.shape == SHAPE
    np.testing.assert_allclose(place.affine[:3, 3], made[0].ImagePositionPatient, atol=0.01)
    at = place.affine
    regions = {
        "couch": [square(at, 0, 0, 9)],
        "Tumour": [square(at, 2, 2.5, 4.5)],
        "ORGAN ": [square(at, 1, 0.5, 8.5), square(at, 1, 2.5, 5.5), square(at, 2, 0.5, 8.5)],
    }
    path = written_contours(tmp_path / "rt.dcm", made, regions)
    codes = np.zeros(SHAPE, dtype=int)
    codes[1:3, 1:9, 1:9], codes[1, 3:6, 3:6], codes[2, 3:5, 3:5] = 1, 0, 4
    nifti = tmp_path / "same.nii.gz"
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(codes.astype(np.uint8), np.diag([-1.0, -1, 1, 1]) @ at), nifti)
    drawn, same = read_masks(tmp_path, ["rt.dcm", "same.nii.gz"], (), CODES, ["ct", "ct"])
    assert isinstance(drawn, ReadMap) and isinstance(same, ReadMap)
    np.testing.assert_array_equal(drawn.runs.codes, same.runs.codes)
    np.testing.assert_allclose(drawn.affine, same.affine, atol=0.01)
    assert path.exists()


def test_what_lies_on_no_series_is_said(tmp_path: Path) -> None:
    made = written_series(tmp_path / "ct", np.zeros(SHAPE))
    other = written_series(tmp_path / "other", np.zeros(SHAPE))
    place = place_of_series(tmp_path / "ct")
    assert place is not None
    written_contours(tmp_path / "rt.dcm", made, {"organ": [square(place.affine, 1, 1, 5)]})
    written_contours(tmp_path / "far.dcm", made, {"organ": [square(place.affine, 9, 1, 5)]})
    (tmp_path / "uneven").mkdir()
    for k in (0, 1, 3):
        other[k].save_as(tmp_path / "uneven" / f"{k}.dcm")
    cells = ["rt.dcm", "rt.dcm", "rt.dcm", "rt.dcm", "far.dcm", "rt.dcm"]
    found = read_masks(tmp_path, cells, (), CODES, ["", "nowhere", "other", "uneven", "ct", "../ct"])
    assert all(isinstance(own, Unread) for own in found)
    words = (
        "does not say on which",
        "not there",
        "another frame",
        "not there",
        "on no slice",
        "names a series of which",
    )
    assert all(word in own.what for word, own in zip(words, found, strict=True))


def test_a_cohort_of_contours_is_read_from_its_manifest(tmp_path: Path) -> None:
    """One patient has contours, one a segmentation of two slices, one a folder that is none: told by the row."""
    concept = highdicom.sr.CodedConcept("T-1", "SRT", "organ")
    for k in range(3):
        made = written_series(tmp_path / "ct" / f"p{k}", np.zeros(SHAPE))
    place = place_of_series(tmp_path / "ct" / "p0")
    made = [pydicom.dcmread(own) for own in sorted((tmp_path / "ct" / "p0").iterdir())]
    written_contours(tmp_path / "p0.dcm", made, {"organ": [square(place.affine, 1, 0.5, 4.5)]})
    made = [pydicom.dcmread(own) for own in sorted((tmp_path / "ct" / "p1").iterdir())][::-1]
    codes = np.zeros(SHAPE, dtype=np.uint8)
    codes[1:3, 2:4] = 1
    algorithm = highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
    segment = highdicom.seg.SegmentDescription(1, "organ", concept, concept, algorithm)
    kind = highdicom.seg.SegmentationTypeValues.BINARY
    seg = highdicom.seg.Segmentation(
        made, codes, kind, [segment], highdicom.UID(), 2, highdicom.UID(), 1, "a", "b", "1", "7"
    )
    assert int(seg.NumberOfFrames) == 2
    seg.save_as(tmp_path / "p1.dcm")
    table = {"id": ["p0", "p1", "p2"], "map": ["p0.dcm", "p1.dcm", "p1.dcm"], "ct": ["ct/p0", "ct/p1", "ct/none"]}
    pd.DataFrame(table).to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "cohort.toml").write_text(
        'name = "scans"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "mask"\ncolumn = "map"\n'
        'labels = ["organ"]\nseries = "ct"\n[modalities.ct]\nkind = "dicom"\npath = "ct/{id}"\nencoder = "grid"\n'
    )
    (wrong,) = [own for own in chiasm.check_cohort(tmp_path / "cohort.toml") if own.severity == "error"]
    assert wrong.row == 4 and "series that is not there" in wrong.what
    pd.DataFrame(table).iloc[:2].to_csv(tmp_path / "patients.csv", index=False)
    outcome = chiasm.open_cohort(tmp_path / "cohort.toml").outcome
    first, second = (outcome.maps.of(row).codes for row in range(2))
    assert first.shape == second.shape == SHAPE and first[1, 1:5, 1:5].all() and first.sum() == 16
    np.testing.assert_array_equal(second, codes)
