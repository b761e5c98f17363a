"""DICOM lies as the patient does: every plane and direction of slices gives the array that NIfTI of the scan gives."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from refusals import refused
from test_dicom import READER, save

from chiasm.readers.image.volume import VolumeReader

SIZE = (4, 5, 6)  # along the head, the back and the left
SCAN = np.arange(np.prod(SIZE), dtype=np.int16).reshape(SIZE)
SPACING = (2.5, 0.8, 0.5)
DIRECTIONS = [sign + axis for axis, sign in product("xyz", ("", "-"))]


def vector(name: str) -> np.ndarray:
    return (-1.0 if name[0] == "-" else 1.0) * np.eye(3)["xyz".index(name[-1])]


def acquired(folder: Path, row: str, column: str, tilt: float = 0.0, **tags) -> Path:
    """Slices of SCAN whose rows run along `row` and whose columns run along `column`, each moved by `tilt` mm."""
    across, down = vector(row), vector(column)
    normal = np.cross(across, down)
    axes = [int(np.argmax(np.abs(way))) for way in (normal, down, across)]
    stack = SCAN.transpose([2 - axis for axis in axes])
    for place, way in enumerate((normal, down, across)):
        stack = np.flip(stack, place) if way.sum() < 0 else stack
    along, rows, columns = (SPACING[2 - axis] for axis in axes)
    start = sum(
        0 if way.sum() > 0 else -way * (SIZE[2 - axis] - 1) * SPACING[2 - axis]
        for way, axis in zip((normal, down, across), axes, strict=True)
    )
    for place, pixels in enumerate(stack):
        where = np.asarray(start) + place * along * normal + place * tilt * down
        save(
            folder / f"{place:02d}",
            ImagePositionPatient=[round(float(x), 6) for x in where],
            ImageOrientationPatient=[*across, *down], PixelSpacing=[rows, columns], Rows=pixels.shape[0],
            Columns=pixels.shape[1], PixelData=pixels.tobytes(), RescaleSlope=1, RescaleIntercept=0, **tags,
        )  # fmt: skip
    return folder


@pytest.mark.parametrize(
    "row, column", [(row, column) for row, column in product(DIRECTIONS, DIRECTIONS) if row[-1] != column[-1]]
)
def test_every_direction_gives_the_patients_axes(tmp_path: Path, row: str, column: str) -> None:
    volume = READER.read(acquired(tmp_path, row, column))
    assert np.array_equal(volume.values[0], SCAN)
    assert volume.spacing == pytest.approx(SPACING)
    assert READER.inspect(tmp_path) == ()


def test_nifti_of_the_scan_is_the_same_array(tmp_path: Path) -> None:
    nifti = nibabel.Nifti1Image(SCAN.transpose(2, 1, 0), np.diag([-0.5, -0.8, 2.5, 1]))
    nibabel.save(nifti, tmp_path / "scan.nii.gz")
    volume = VolumeReader().read(tmp_path / "scan.nii.gz")
    assert np.array_equal(volume.values[0], SCAN)
    assert volume.spacing == pytest.approx(SPACING)


@pytest.mark.parametrize(
    "row, column, down, across",
    [("x", "y", 1, 1), ("-x", "-y", -1, -1), ("x", "-z", 1, 1), ("-x", "z", -1, -1), ("-y", "-z", 1, -1)],
)
def test_a_single_slice_is_upright(tmp_path: Path, row: str, column: str, down: int, across: int) -> None:
    pixels = np.arange(24, dtype=np.int16).reshape(4, 6)
    tags = {"ImageOrientationPatient": [*vector(row), *vector(column)], "RescaleSlope": 1, "RescaleIntercept": 0}
    volume = READER.read(save(tmp_path / "one", PixelData=pixels.tobytes(), **tags))
    assert np.array_equal(volume.values[0, 0], pixels[::down, ::across])


def test_a_tilted_gantry_and_slices_moved_sideways_are_noted(tmp_path: Path) -> None:
    note = "the slices lie sideways of one another, as under a tilted gantry"
    assert READER.inspect(acquired(tmp_path / "tilted", "x", "y", tilt=0.7))[0].startswith(note)
    assert READER.inspect(acquired(tmp_path / "straight", "x", "y", tilt=0.01)) == ()
    moved = acquired(tmp_path / "moved", "x", "y")
    save(
        moved / "02", ImagePositionPatient=[3.0, 0.0, 5.0], PixelSpacing=[0.8, 0.5], Rows=5, Columns=6,
        PixelData=SCAN[2].tobytes(), RescaleSlope=1, RescaleIntercept=0,
    )  # fmt: skip
    assert READER.inspect(moved)[0].startswith(note)


def test_a_mosaic_is_refused_by_its_name(tmp_path: Path) -> None:
    refused(READER, save(tmp_path / "m", ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]), "Siemens mosaic")


@pytest.mark.parametrize("spacing", [[0, 0], [0.0, 0.5], None])
def test_a_spacing_of_zero_is_none(tmp_path: Path, spacing: list[float] | None) -> None:
    path = save(tmp_path / "m", PixelSpacing=spacing)
    assert READER.read(path).spacing[1:] == (1.0, 1.0)
    assert READER.inspect(path) == ("the header gives no pixel spacing: 1 mm is assumed",)
    detector = save(tmp_path / "d", PixelSpacing=spacing, ImagerPixelSpacing=[0.2, 0.3])
    assert READER.read(detector).spacing[1:] == (0.2, 0.3)


def test_a_segmented_palette_is_spread(tmp_path: Path) -> None:
    """Discrete 0, 10 and a line from 10 to 250 over four steps, for red; the others hold one value."""
    segments = {
        "Red": np.array([0, 2, 0, 2560, 1, 4, 64000], "<u2"), "Green": np.array([0, 1, 256, 1, 5, 256], "<u2"),
        "Blue": np.array([0, 1, 512, 1, 5, 512], "<u2"),
    }  # fmt: skip
    palette = {f"Segmented{name}PaletteColorLookupTableData": part.tobytes() for name, part in segments.items()}
    tables = {f"{name}PaletteColorLookupTableDescriptor": [6, 0, 16] for name in segments}
    pixels = np.arange(6, dtype=np.uint8).reshape(1, 6)
    path = save(
        tmp_path / "p", PhotometricInterpretation="PALETTE COLOR", BitsAllocated=8, BitsStored=8, HighBit=7,
        PixelRepresentation=0, Rows=1, Columns=6, PixelData=pixels.tobytes(), RescaleSlope=None, Modality="OT",
        RescaleIntercept=None, **palette, **tables,
    )  # fmt: skip
    values = READER.read(path).values[:, 0, 0]
    assert values[0].tolist() == [0, 2560, 17920, 33280, 48640, 64000]
    assert values[1].tolist() == [256] * 6 and values[2].tolist() == [512] * 6


def test_a_reference_of_frames_to_the_patient_turns_them(tmp_path: Path) -> None:
    """An enhanced series of one file, prone and feet first."""
    groups = []
    for place in range(4):
        group = Dataset()
        position, plane = Dataset(), Dataset()
        position.ImagePositionPatient = [2.5, 3.2, 2.5 * place]
        plane.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        group.PlanePositionSequence, group.PlaneOrientationSequence = Sequence([position]), Sequence([plane])
        groups.append(group)
    path = save(
        tmp_path / "e", ImagePositionPatient=None, ImageOrientationPatient=None, NumberOfFrames=4, Rows=5, Columns=6,
        PerFrameFunctionalGroupsSequence=Sequence(groups), PixelData=SCAN[:, ::-1, ::-1].tobytes(), RescaleSlope=1,
        RescaleIntercept=0,
    )  # fmt: skip
    assert np.array_equal(READER.read(path).values[0], SCAN)
