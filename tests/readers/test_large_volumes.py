"""Volumes of many values are read by parts, in whatever order their axes lie, and below a gigabyte."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from chiasm import room
from chiasm.encoders.image.slices import Slices
from chiasm.readers import reader_for
from chiasm.readers.image import dicom
from chiasm.readers.image.dicom_header import read_rows
from fresh_process import peak_megabytes

nibabel = pytest.importorskip("nibabel")
VOXELS = np.random.default_rng(0).integers(0, 900, (9, 7, 5)).astype(np.int16)
SIGNS = ((1, 1, 1), (-1, 1, -1))
MOST_MEGABYTES = 1000


@pytest.fixture
def series(tmp_path: Path) -> Path:
    pytest.importorskip("pydicom")
    from pydicom import Dataset, FileMetaDataset

    for k in range(5):
        data, data.file_meta = Dataset(), FileMetaDataset()
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = f"1.2.{k + 1}"
        data.SeriesInstanceUID, data.Modality, data.SamplesPerPixel = "1.2.9", "MR", 1
        data.Rows, data.Columns, data.PhotometricInterpretation = 9, 7, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]  # sagittal: the slices lie along the last axis
        data.ImagePositionPatient, data.PixelSpacing, data.SliceThickness = [3 * k, 0, 0], [1, 1], 3
        data.PixelData = VOXELS[:, :, k].astype(np.uint16).tobytes()
        data["PixelData"].VR = "OW"
        data.save_as(tmp_path / f"{k}.dcm", enforce_file_format=True)
    return tmp_path


@pytest.mark.parametrize("axes", [*permutations(range(3))], ids=str)
def test_parts_are_the_whole(axes: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_for("volume")
    found = []
    for large in (False, True):
        if large:
            monkeypatch.setattr(room, "MOST_HELD", 100)
            monkeypatch.setattr(room.copy_by_cubes, "__defaults__", (3,))
        for number, signs in enumerate(SIGNS):
            affine = np.zeros((4, 4))
            affine[[*axes], [0, 1, 2]], affine[3, 3] = signs, 1
            image = nibabel.Nifti1Image(VOXELS, affine)
            image.header.set_slope_inter(2, -7)
            image.to_filename(tmp_path / f"{number}.nii.gz")
            value = reader.read(tmp_path / f"{number}.nii.gz").values
            assert isinstance(value.base, room._Room) == large
            found.append(value)
    for whole, parts in zip(found[: len(SIGNS)], found[len(SIGNS) :], strict=True):
        np.testing.assert_array_equal(parts, whole)


def test_parts_of_a_series_are_the_whole(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_for("dicom")
    whole = reader.read(series)
    assert whole.values.shape == (1, 9, 7, 5)
    tokens = Slices(count=4).encode([whole]).values
    monkeypatch.setattr(room, "MOST_HELD", 100)
    monkeypatch.setattr(room.copy_by_cubes, "__defaults__", (4,))
    found = reader.read(series)
    assert isinstance(found.values.base, room._Room)
    np.testing.assert_array_equal(found.values, whole.values)
    assert np.array_equal(Slices(count=4).encode([found]).values, tokens)


def film(path: Path, frames: int, rows: int, columns: int, **tags: Any) -> None:
    """A file of uncompressed frames, 16 bits each unless said, the same a hundred rows over and over."""
    pytest.importorskip("pydicom")
    from pydicom import Dataset, FileMetaDataset

    data, data.file_meta = Dataset(), FileMetaDataset()
    data.file_meta.TransferSyntaxUID = tags.pop("syntax", "1.2.840.10008.1.2.1")
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.1"
    data.SeriesInstanceUID, data.Modality, data.PhotometricInterpretation = "1.2.9", "MR", "MONOCHROME2"
    data.Rows, data.Columns, data.NumberOfFrames, data.SamplesPerPixel = rows, columns, frames, 1
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    for name, value in tags.items():
        setattr(data, name, value)
    values = frames * rows * columns * data.SamplesPerPixel
    few = np.random.default_rng(0).integers(0, 250 if data.BitsAllocated == 8 else 4000, min(values, 1 << 20))
    few = few.astype(np.uint8 if data.BitsAllocated == 8 else np.uint16)
    data.PixelData = np.resize(few, values + values * few.itemsize % 2).tobytes()
    data["PixelData"].VR = "OW" if few.itemsize == 2 else "OB"
    data.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"syntax": "1.2.840.10008.1.2"},
        {"syntax": "1.2.840.10008.1.2.2"},
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
        {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": 2, "RescaleIntercept": -3},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 1},
    ],
    ids=["explicit", "implicit", "big-endian", "8 bits", "inverted", "colour", "colour by planes"],
)
def test_rows_of_a_film_are_the_whole(tags: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "SamplesPerPixel" in tags:
        tags = {**tags, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    film(tmp_path / "film.dcm", 3, 11, 7, **tags)
    whole = reader_for("dicom").read(tmp_path / "film.dcm").values
    asked = []
    monkeypatch.setattr(dicom, "MOST_PIXEL_BYTES", 0)
    monkeypatch.setattr(dicom, "BLOCK", 21)
    monkeypatch.setattr(dicom, "read_rows", lambda *own: (asked.append(own[1:]), read_rows(*own))[1])
    assert np.array_equal(reader_for("dicom").read(tmp_path / "film.dcm").values, whole) and whole.std() > 0
    plain = tags.get("syntax") != "1.2.840.10008.1.2.2" and tags.get("PlanarConfiguration") != 1
    assert asked == (
        [(frame, start, min(start + 3, 11)) for frame in range(3) for start in (0, 3, 6, 9)] if plain else []
    )


@pytest.mark.parametrize(
    ("tags", "refusing"),
    [
        ({}, False),
        ({"syntax": "1.2.840.10008.1.2.2"}, True),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "SamplesPerPixel": 3, "PlanarConfiguration": 1,
          "PhotometricInterpretation": "RGB"}, True),
    ],
    ids=["rows", "big-endian", "planes"],
)  # fmt: skip
def test_pixels_that_are_had_in_one_piece_are_refused_above_what_may_be_held(
    tags: dict[str, Any], refusing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "film.dcm", 3, 11, 7, **tags)
    monkeypatch.setattr(dicom, "HELD_BYTES", 2 * 3 * 11 * 7 * 2 - 1)
    if refusing:
        refused(reader_for("dicom"), tmp_path / "film.dcm", "decoded in one piece")
    else:
        assert reader_for("dicom").read(tmp_path / "film.dcm").values.shape == (1, 3, 11, 7)


@pytest.mark.nightly
@pytest.mark.parametrize("shape", [(1000, 700, 700), (1, 20_000, 24_000)], ids=["film", "one frame"])
def test_half_a_billion_pixels_take_less_than_a_gigabyte(shape: tuple[int, int, int], tmp_path: Path) -> None:
    film(tmp_path / "film.dcm", *shape)
    lines = (
        "import sys",
        "from pathlib import Path",
        "from chiasm.readers import reader_for",
        f"assert reader_for('dicom').read(Path(sys.argv[1])).values.size == {np.prod(shape)}",
    )
    assert peak_megabytes(lines, str(tmp_path / "film.dcm")) < MOST_MEGABYTES


@pytest.mark.nightly
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0)], ids=str)
def test_half_a_billion_voxels_take_less_than_a_gigabyte(axes: tuple[int, int, int], tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 900, (790, 790, 1), dtype=np.int16)
    affine = np.zeros((4, 4))
    affine[[*axes], [0, 1, 2]], affine[3, 3] = 1, 1
    nibabel.Nifti1Image(np.tile(whole, (1, 1, 790)), affine).to_filename(tmp_path / "x.nii")
    lines = (
        "import sys",
        "from pathlib import Path",
        "from chiasm.encoders.image.patches import VolumePatches",
        "from chiasm.readers import reader_for",
        "volume = reader_for('volume').read(Path(sys.argv[1]))",
        "assert volume.values.size == 790**3",
        "VolumePatches().encode([volume])",
    )
    assert peak_megabytes(lines, str(tmp_path / "x.nii")) < MOST_MEGABYTES
