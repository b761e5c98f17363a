"""A DICOM segmentation is read as the NIfTI of the same place, and what is none is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chiasm.cohort import mask_files
from chiasm.cohort.mask_files import read_masks
from chiasm.targets.channel_cells import Unread
from chiasm.targets.mask_cells import ReadMap


def series(shape: tuple[int, int, int]) -> list[object]:
    """Slices of a made CT, 2.5 mm apart, pixels of .5 by .8 mm."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    study, sequence, frame, made = generate_uid(), generate_uid(), generate_uid(), []
    for k in range(shape[0]):
        own = Dataset()
        own.file_meta = FileMetaDataset()
        own.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        own.SOPClassUID, own.SOPInstanceUID = CTImageStorage, generate_uid()
        own.StudyInstanceUID, own.SeriesInstanceUID, own.FrameOfReferenceUID = study, sequence, frame
        own.PatientID, own.PatientName, own.PatientBirthDate, own.PatientSex = "p", "", "", ""
        own.StudyID, own.StudyDate, own.StudyTime, own.AccessionNumber, own.ReferringPhysicianName = "", "", "", "", ""
        own.Modality, own.SeriesNumber, own.InstanceNumber = "CT", 1, k + 1
        own.Rows, own.Columns, own.SamplesPerPixel, own.PhotometricInterpretation = *shape[1:], 1, "MONOCHROME2"
        own.BitsAllocated, own.BitsStored, own.HighBit, own.PixelRepresentation = 16, 16, 15, 0
        own.PixelSpacing, own.SliceThickness = [0.5, 0.8], 2.5
        own.ImageOrientationPatient, own.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-10, 20, 5 + 2.5 * k]
        own.PixelData = np.zeros(shape[1:], dtype=np.uint16).tobytes()
        made.append(own)
    return made


@pytest.mark.nightly
def test_a_segmentation_lies_where_its_nifti_does(tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    from highdicom.sr.coding import CodedConcept

    nibabel = pytest.importorskip("nibabel")
    codes = np.random.default_rng(0).integers(0, 3, (4, 6, 5)).astype(np.uint8)
    organ = CodedConcept("T-1", "SRT", "organ")
    segments = [
        highdicom.seg.SegmentDescription(k, f"s{k}", organ, organ, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL)
        for k in (1, 2)
    ]
    made = highdicom.seg.Segmentation(
        series(codes.shape), codes, highdicom.seg.SegmentationTypeValues.BINARY, segments, highdicom.UID(), 2,
        highdicom.UID(), 1, "maker", "model", "1", "7",
    )  # fmt: skip
    made.save_as(tmp_path / "map.dcm")
    affine = np.array([[-0.8, 0, 0, 10], [0, -0.5, 0, -20], [0, 0, 2.5, 5], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(codes.transpose(2, 1, 0), affine), tmp_path / "map.nii.gz")
    (tmp_path / "broken.dcm").write_bytes(b"DICM" * 100)
    one, other, broken = read_masks(tmp_path, ["map.dcm", "map.nii.gz", "broken.dcm"], ())
    assert isinstance(one, ReadMap) and isinstance(other, ReadMap)
    np.testing.assert_array_equal(one.runs.codes, codes)  # foot to head, front to back, right to left as stored
    np.testing.assert_array_equal(one.runs.codes, other.runs.codes)
    assert one.affine is not None and other.affine is not None
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-5)
    assert isinstance(broken, Unread) and "no segmentation" in broken.what


@pytest.mark.nightly
def test_slices_that_are_left_out_between_frames_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two frames, the first and the last of four slices, are a map of four."""
    highdicom = pytest.importorskip("highdicom")
    from highdicom.sr.coding import CodedConcept

    codes = np.zeros((4, 6, 5), dtype=np.uint8)
    codes[[0, 3], 2:4] = 1
    organ = CodedConcept("T-1", "SRT", "organ")
    segment = highdicom.seg.SegmentDescription(1, "s", organ, organ, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL)
    made = highdicom.seg.Segmentation(
        series(codes.shape), codes, highdicom.seg.SegmentationTypeValues.BINARY, [segment], highdicom.UID(), 2,
        highdicom.UID(), 1, "maker", "model", "1", "7",
    )  # fmt: skip
    assert int(made.NumberOfFrames) == 2
    made.save_as(tmp_path / "map.dcm")
    (found,) = read_masks(tmp_path, ["map.dcm"], ())
    assert isinstance(found, ReadMap)
    np.testing.assert_array_equal(found.runs.codes, codes)
    monkeypatch.setattr(mask_files, "MOST_VOXELS", codes.size - 1)
    (found,) = read_masks(tmp_path, ["map.dcm"], ())
    assert isinstance(found, Unread) and "more voxels" in found.what
