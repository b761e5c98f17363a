"""DICOM series of slices that are made, in any plane and order, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.0, 0.8, -0.6, 0.0, 0.6, 0.8)  # sagittal slices, turned about the patient's left


def written_series(
    folder: Path,
    values: np.ndarray,
    *,
    orientation: tuple[float, ...] = AXIAL,
    spacing: tuple[float, float, float] = (2.5, 0.5, 0.8),
    corner: tuple[float, float, float] = (-10.0, 20.0, 5.0),
) -> list[Any]:
    """Write slices `(slices, rows, columns)` of a CT in HU, files named against their order; return the datasets."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame, made = generate_uid(), generate_uid(), generate_uid(), []
    normal = np.cross(orientation[:3], orientation[3:])
    for k, pixels in enumerate(values):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        path = folder / f"{len(values) - k:04d}.dcm"
        own = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        own.SOPClassUID, own.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        own.StudyInstanceUID, own.SeriesInstanceUID, own.FrameOfReferenceUID = study, series, frame
        own.PatientID, own.PatientName, own.PatientBirthDate, own.PatientSex = "p", "", "", ""
        own.StudyID, own.StudyDate, own.StudyTime, own.AccessionNumber, own.ReferringPhysicianName = "", "", "", "", ""
        own.Modality, own.SeriesNumber, own.InstanceNumber = "CT", 1, k + 1
        own.Rows, own.Columns = pixels.shape
        own.SamplesPerPixel, own.PhotometricInterpretation = 1, "MONOCHROME2"
        own.BitsAllocated, own.BitsStored, own.HighBit, own.PixelRepresentation = 16, 16, 15, 1
        own.RescaleSlope, own.RescaleIntercept = 1, 0
        own.PixelSpacing, own.SliceThickness = list(spacing[1:]), spacing[0]
        own.ImageOrientationPatient = list(orientation)
        own.ImagePositionPatient = [round(float(at), 6) for at in np.asarray(corner) + k * spacing[0] * normal]
        own.PixelData = np.ascontiguousarray(pixels, dtype=np.int16).tobytes()
        own.save_as(path, enforce_file_format=True)
        made.append(own)
    return made
