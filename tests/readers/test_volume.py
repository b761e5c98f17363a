"""NIfTI: a volume lies as axial DICOM slices do, whatever the order of its axes, and its header is not believed."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, inv_ornt_aff
from refusals import PERSON, damage, refused, survives, written
from test_dicom import dataset, save

from chiasm.readers import Limits, reader_for
from chiasm.readers.image.dicom import DicomReader
from chiasm.readers.image.volume import VolumeReader
from examples import examples

READER = VolumeReader()
REAL = Path(nibabel.__file__).parent / "tests" / "data"
SMALL = settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
VOXELS = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
ZOOMS = (0.5, 0.75, 2.0)  # x, y, z
AFFINE = np.diag([*ZOOMS, 1.0])


def image(voxels=VOXELS, affine=AFFINE, made=nibabel.Nifti1Image):
    return made(voxels, affine)


def content(*args, **options) -> bytes:
    return image(*args, **options).to_bytes()


def edited(**fields) -> bytes:
    """The bytes of the volume with other numbers in its header."""
    whole = content()
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(whole[:348]))
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock) + whole[348:]


def dims(*lengths: int) -> list[int]:
    return [len(lengths), *lengths, *[1] * (7 - len(lengths))]


def read(tmp_path, whole: bytes, name: str = "scan.nii"):
    return READER.read(written(tmp_path / name, whole))


def as_slices(voxels: np.ndarray) -> np.ndarray:
    """x, y, z towards right, front and head -> d to the head, h to the back, w to the left."""
    return voxels[::-1, ::-1].transpose(2, 1, 0)[None]


def test_the_registry_gives_it():
    assert type(reader_for("volume")) is VolumeReader


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan", "scan.png"])
@pytest.mark.parametrize("made", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_packed_or_not_whatever_the_name(tmp_path, name, made):
    whole = content(made=made)
    for spelt in (whole, gzip.compress(whole), gzip.compress(whole[:700]) + gzip.compress(whole[700:])):
        volume = read(tmp_path, spelt, name)
        assert volume.values.dtype == np.float32 and np.array_equal(volume.values, as_slices(VOXELS))
        assert volume.spacing == (2.0, 0.75, 0.5) and volume.unit == "" and volume.channels == ("0",)


@SMALL
@given(axes=st.permutations(range(3)), signs=st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_every_order_of_the_axes_is_the_same_volume(tmp_path_factory, axes, signs):
    turn = np.array([[axis, sign] for axis, sign in zip(axes, signs, strict=True)], dtype=float)
    turned = apply_orientation(VOXELS, turn)
    whole = content(turned, AFFINE @ inv_ornt_aff(turn, VOXELS.shape))
    volume = read(tmp_path_factory.mktemp("scan"), whole)
    assert np.array_equal(volume.values, as_slices(VOXELS)) and volume.spacing == (2.0, 0.75, 0.5)


def test_a_scan_is_the_same_array_from_dicom(tmp_path):
    rng = np.random.default_rng(1)
    scan = rng.integers(-900, 900, (3, 4, 6), dtype=np.int16)  # d, h, w
    for place in range(3):
        save(tmp_path / "scan" / str(place), place, PixelData=scan[place].tobytes(), RescaleSlope=1)
    expected = DicomReader().read(tmp_path / "scan")
    ds = dataset()
    (down, across), origin = map(float, ds.PixelSpacing), [float(x) for x in ds.ImagePositionPatient]
    affine = np.diag([-across, -down, 2.5, 1])  # DICOM counts to the left and back, NIfTI to the right and front
    affine[:3, 3] = [-origin[0], -origin[1], origin[2]]
    volume = read(tmp_path, content(scan.transpose(2, 1, 0) - 1024.0, affine))
    assert np.array_equal(volume.values, expected.values) and volume.spacing == pytest.approx(expected.spacing)


def test_slope_and_intercept_are_applied(tmp_path):
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    made = image(voxels)
    made.header.set_slope_inter(0.5, -3)
    whole = made.to_bytes()
    header = bytearray(whole)
    header[112:120] = struct.pack("<ff", 0.5, -3)
    header[352:] = voxels.tobytes(order="F")
    assert np.array_equal(read(tmp_path, bytes(header)).values, as_slices(voxels * 0.5 - 3))


def test_big_endian_and_other_units(tmp_path):
    big = nibabel.Nifti1Image(VOXELS, AFFINE, nibabel.Nifti1Header(endianness=">")).to_bytes()
    assert big[:4] == struct.pack(">i", 348)
    assert np.array_equal(read(tmp_path, big).values, as_slices(VOXELS))
    made = image()
    made.header.set_xyzt_units("micron")
    assert read(tmp_path, made.to_bytes()).spacing == pytest.approx((0.002, 0.00075, 0.0005))


def test_a_fourth_axis_is_channels(tmp_path):
    four = np.stack([VOXELS, 2 * VOXELS, -VOXELS], axis=-1)
    volume = read(tmp_path, content(four))
    assert volume.channels == ("0", "1", "2")
    assert np.array_equal(volume.values, np.concatenate([as_slices(four[..., k]) for k in range(3)]))
    assert np.array_equal(read(tmp_path, content(four[..., None, :])).values, volume.values)  # a vector volume
    assert read(tmp_path, content(VOXELS[:, :, :1])).values.shape == (1, 1, 5, 4)
    assert read(tmp_path, content(VOXELS[:, :, 0])).values.shape == (1, 1, 5, 4)


def test_what_is_no_number_becomes_the_smallest(tmp_path):
    voxels = VOXELS.copy()
    voxels[0, 0, 0] = np.nan
    expected = voxels.copy()
    expected[0, 0, 0] = np.nanmin(voxels)
    assert np.array_equal(read(tmp_path, content(voxels)).values, as_slices(expected))


def test_a_folder_of_contrasts(tmp_path):
    for k, name in enumerate(["t2", "flair", "t1", "t1ce"]):
        written(tmp_path / "p7" / f"{PERSON}_7_{name}.nii.gz", gzip.compress(content(VOXELS + k)))
    written(tmp_path / "p7" / f"{PERSON}_7_t1.json", b"{}")
    volume = READER.read(tmp_path / "p7")
    assert volume.channels == ("flair", "t1", "t1ce", "t2")
    assert np.allclose(volume.values[:, 0, 0, 0] - volume.values[3, 0, 0, 0], [1, 2, 3, 0], atol=1e-5)
    written(tmp_path / PERSON / f"{PERSON}_t1.nii", content())
    assert READER.read(tmp_path / PERSON).channels == ("t1",)


def test_an_unknown_orientation_is_noted(tmp_path):
    file = written(tmp_path / "scan.nii", content(affine=None))
    note = "the header{} does not say how the volume lies in the patient"
    assert READER.inspect(file) == (note.format(""),)
    assert READER.read(file).values.shape == (1, 6, 5, 4)
    written(tmp_path / "two" / "a.nii", content(affine=None))
    written(tmp_path / "two" / "b.nii", content(affine=None))
    assert READER.inspect(tmp_path / "two") == (note.format(" of 2 of 2 files"),)
    assert READER.inspect(written(tmp_path / "known.nii", content())) == ()


@pytest.mark.parametrize("name", ["anatomical.nii", "example4d.nii.gz", "example_nifti2.nii.gz", "functional.nii"])
def test_real_volumes(name):
    volume = READER.read(REAL / name)
    canonical = nibabel.as_closest_canonical(nibabel.load(REAL / name))
    voxels = np.atleast_3d(canonical.get_fdata(dtype=np.float32))
    voxels = voxels[..., None] if voxels.ndim == 3 else voxels
    expected = np.concatenate([as_slices(voxels[..., k]) for k in range(voxels.shape[3])])
    assert np.allclose(volume.values, expected, rtol=1e-6)
    assert volume.spacing == pytest.approx(canonical.header.get_zooms()[2::-1])


def test_real_scans(shared_data):
    for file in sorted((shared_data / "adrenal-ct" / "volumes").iterdir())[:2]:
        volume = READER.read(file)
        assert volume.values.shape == (1, 32, 32, 32) and READER.inspect(file) == ()


def colours() -> bytes:
    return content(np.zeros((2, 2, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]))


WHOLE = content()
BROKEN = {
    "empty": (b"", "the file is empty"),
    "garbage": (PERSON.encode() * 60, "not NIfTI"),
    "packed garbage": (gzip.compress(PERSON.encode() * 60), "not NIfTI"),
    "header cut": (WHOLE[:200], "not NIfTI"),
    "voxels cut": (WHOLE[:-9], "truncated: it is shorter"),
    "packed voxels cut": (gzip.compress(WHOLE[:-9]), "truncated: it unpacks to less"),
    "gzip cut": (gzip.compress(WHOLE)[:-20], "damaged|truncated"),
    "gzip with a wrong checksum": (gzip.compress(WHOLE)[:-8] + bytes(8), "damaged"),
    "header and voxels apart": (WHOLE[:344] + b"ni1\0" + WHOLE[348:], "lies apart"),
    "dims over the limit": (edited(dim=dims(30000, 30000, 30000)), "announces 27,000,000,000,000 values"),
    "dims over the limit, packed": (gzip.compress(edited(dim=dims(30000, 30000, 3))), "announces 2,700,000,000 values"),
    "dims over the file": (edited(dim=dims(700, 700, 700)), "truncated: it is shorter"),
    "dims over the packed file": (gzip.compress(edited(dim=dims(70, 70, 70))), "truncated: it unpacks to less"),
    "dims far over the packed file": (gzip.compress(edited(dim=dims(700, 700, 700))), "over 500 times its size"),
    "dims of zero": (edited(dim=dims(4, 0, 6)), "nothing to read"),
    "dims below zero": (edited(dim=dims(4, -5, -6)), "nothing to read|damaged"),
    "six axes": (edited(dim=dims(2, 2, 2, 2, 2, 2)), "6 axes|5 axes"),
    "gzip bomb": (lambda: gzip.compress(WHOLE + bytes(90_000_000), 1), "unpacks to more"),
    "an endless extension": (edited(vox_offset=2e9), "where they cannot be"),
    "voxels within the header": (edited(vox_offset=16), "damaged"),
    "an unknown type": (edited(datatype=7777), "damaged|colours"),
    "colours": (colours(), "colours or complex"),
    "complex": (content(VOXELS.astype(np.complex64)), "colours or complex"),
    "infinite": (content(np.where(VOXELS > 2, np.inf, VOXELS)), "infinite"),
    "no number at all": (content(np.full((2, 2, 2), np.nan, np.float32)), "none is a number"),
    "an affine of nothing": (edited(srow_x=[np.nan] * 4), "affine"),
    "a flat affine": (edited(srow_x=[0] * 4), "affine"),
    "zooms of nothing": (edited(pixdim=[1, np.nan, 1, 1, 1, 1, 1, 1]), "affine or voxel size|damaged"),
    "an infinite intercept": (edited(scl_slope=1, scl_inter=np.inf), "damaged"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(tmp_path, name):
    whole, words = BROKEN[name]
    refused(READER, written(tmp_path / f"{PERSON}.nii.gz", whole), words, megabytes=20)


def other_shape(folder):
    written(folder / "b.nii", content(VOXELS[:3]))


def other_place(folder):
    moved = AFFINE.copy()
    moved[0, 3] = 0.3
    written(folder / "b.nii", content(affine=moved))


def same_contrast(folder):
    written(folder / "a.nii.gz", gzip.compress(content()))


def broken_second(folder):
    written(folder / "b.nii", b"nothing")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_shape, "differ in shape"),
        (other_place, "do not lie in the same place"),
        (same_contrast, "the same contrast"),
        (broken_second, "not NIfTI"),
        (lambda folder: (folder / "a.nii").rename(folder / "a.txt"), r"holds no \.nii"),
        (lambda folder: (folder / "a.nii").unlink(), "empty|no file"),
    ],
)
def test_contrasts_that_do_not_fit_are_refused(tmp_path, make, words):
    folder = tmp_path / PERSON
    written(folder / "a.nii", content())
    make(folder)
    refused(READER, folder, words)


def test_limits_hold(tmp_path):
    file = written(tmp_path / "a.nii", content())
    refused(READER, file, "over the limit of 119", Limits(values=119))
    refused(READER, file, "GB, over the limit", Limits(bytes=100))
    written(tmp_path / "two" / "a.nii", content())
    written(tmp_path / "two" / "b.nii", content())
    refused(READER, tmp_path / "two", "over the limit of 200", Limits(values=200))


@SMALL
@given(spoilt=st.sampled_from([WHOLE, gzip.compress(WHOLE), content(made=nibabel.Nifti2Image)]).flatmap(damage))
def test_any_bytes_are_read_or_refused(tmp_path_factory, spoilt):
    survives(READER, written(tmp_path_factory.mktemp("fuzz") / "scan", spoilt))
