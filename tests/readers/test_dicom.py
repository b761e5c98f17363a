"""DICOM: the volume is where its slices lie, in the units of its modality, and no tag that names anyone is taken up."""

from __future__ import annotations

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    generate_uid,
)
from refusals import PERSON, refused, survives, written

from chiasm.cohort import Unsupported
from chiasm.readers import Limits, ReadError, reader_for
from chiasm.readers.image import dicom_header
from chiasm.readers.image.dicom import DicomReader
from examples import examples

READER = DicomReader()
REAL = Path(pydicom.__file__).parent / "data" / "test_files"
SMALL = settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
SERIES, CT = "1.2.3.4", "1.2.840.10008.5.1.4.1.1.2"
ROWS, COLUMNS = 4, 6


def stored(place: int) -> np.ndarray:
    return np.arange(ROWS * COLUMNS, dtype=np.int16).reshape(ROWS, COLUMNS) + 100 * place


def dataset(place: int = 0, **tags) -> Dataset:
    """A CT slice at z = 2.5 mm times `place`, with names planted; `tags` replace its tags, None takes one away."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = CT
    ds.PatientName = f"{PERSON}^Zelda"
    ds.PatientID = f"{PERSON}-4711"
    ds.PatientBirthDate = "19440506"
    ds.InstitutionName = f"{PERSON} Clinic"
    values = {
        "SOPClassUID": CT, "SOPInstanceUID": generate_uid(), "SeriesInstanceUID": SERIES, "Modality": "CT",
        "InstanceNumber": place + 1, "ImagePositionPatient": [-5, -7, 2.5 * place],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [0.8, 0.5], "SliceThickness": 9,
        "Rows": ROWS, "Columns": COLUMNS, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1, "RescaleSlope": 2,
        "RescaleIntercept": -1024, "PixelData": stored(place).tobytes(),
    }  # fmt: skip
    for name, value in (values | tags).items():
        if value is not None:
            setattr(ds, name, value)
    return ds


def content(ds: Dataset) -> bytes:
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def save(path: Path, *args, **tags) -> Path:
    return written(path, content(dataset(*args, **tags)))


def series(folder: Path, number: int = 5, names=None, **tags) -> Path:
    for place in range(number):
        save(folder / (names[place] if names else f"{place}.dcm"), place, **tags)
    return folder


def test_the_registry_gives_it():
    assert type(reader_for("dicom")) is DicomReader


def test_a_series_is_a_volume_in_hounsfield_units(tmp_path):
    volume = READER.read(series(tmp_path / "scan"))
    expected = np.stack([2.0 * stored(place) - 1024 for place in range(5)])
    assert np.array_equal(volume.values, np.float32(expected)[None])
    assert volume.unit == "HU" and volume.channels == ("grey",)
    assert volume.spacing == (2.5, 0.8, 0.5)  # from the positions, not from SliceThickness
    assert READER.inspect(tmp_path / "scan") == ()


@SMALL
@given(data=st.data(), oblique=st.booleans())
def test_names_and_order_of_the_files_change_nothing(tmp_path_factory, data, oblique):
    row, column = (np.array([0.6, 0.8, 0]), np.array([0, 0, -1.0])) if oblique else (np.eye(3)[0], np.eye(3)[1])
    normal = np.cross(row, column)
    folder = tmp_path_factory.mktemp("scan")
    names = data.draw(
        st.lists(st.text("abcXYZ019", min_size=1, max_size=8), min_size=6, max_size=6, unique_by=str.lower)
    )
    for place in data.draw(st.permutations(range(6))):
        where = np.array([3.0, 4, 5]) + 1.5 * place * normal
        tags = {"ImagePositionPatient": where.round(6).tolist(), "ImageOrientationPatient": [*row, *column]}
        save(folder / names[place], place, InstanceNumber=data.draw(st.integers(0, 99)), **tags)
    volume = READER.read(folder)
    slices = np.stack([2.0 * stored(place) - 1024 for place in range(6)])
    if oblique:  # rows run to the back, columns to the foot, slices to the right: turned to head, back and left
        assert np.array_equal(volume.values[0], slices[::-1, ::-1].transpose(1, 2, 0))
        assert volume.spacing == pytest.approx((0.8, 0.5, 1.5), rel=1e-4)
    else:
        assert np.array_equal(volume.values[0], slices)
        assert volume.spacing == pytest.approx((1.5, 0.8, 0.5), rel=1e-4)


def test_without_positions_instance_numbers_order(tmp_path):
    for place in range(4):
        save(tmp_path / "scan" / f"{9 - place}", place, ImagePositionPatient=None)
    volume = READER.read(tmp_path / "scan")
    assert np.array_equal(volume.values[0, :, 0, 0], 2.0 * 100 * np.arange(4) - 1024)
    assert volume.spacing[0] == 9
    assert READER.inspect(tmp_path / "scan") == ("slices are ordered by their instance number: positions are missing",)


def test_uneven_gaps_are_noted_and_holes_refused(tmp_path):
    folder = series(tmp_path / "scan", 9)
    (folder / "4.dcm").unlink()
    assert READER.inspect(folder) == ("1 of 7 gaps between slices differ from the usual one by more than a tenth",)
    assert READER.read(folder).spacing[0] == 2.5
    (folder / "5.dcm").unlink()
    refused(READER, folder, "slices are missing: the largest gap is 3.0 times")
    with pytest.raises(ReadError, match="slices are missing"):
        READER.inspect(folder)


def test_private_tags_and_burned_in_text_are_noted_from_the_header(tmp_path, monkeypatch):
    monkeypatch.setattr("chiasm.readers.image.dicom.read_pixels", None)  # inspect never comes there
    private = dataset()
    private.add_new(0x00091010, "LO", PERSON)
    file = written(tmp_path / "private", content(private))
    assert READER.inspect(file) == ("private tags, which are not read and may name the patient, stand in 1 of 1 file",)
    file = save(tmp_path / "burned", BurnedInAnnotation="YES")
    assert READER.inspect(file) == ("text is burned into the pixels, perhaps a name, in 1 of 1 file",)
    for kind in ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.2"):
        file = save(tmp_path / "capture", SOPClassUID=kind)
        assert READER.inspect(file)[0].startswith("a secondary capture does not say")
        assert READER.inspect(save(tmp_path / "clean", SOPClassUID=kind, BurnedInAnnotation="NO")) == ()


def test_nothing_that_names_the_patient_is_in_memory(tmp_path):
    file = save(tmp_path / "slice")
    header = dicom_header.read_header(file, Limits())
    assert PERSON not in str(header.tags) and PERSON not in str(dicom_header.read_pixels(header))
    assert "19440506" not in str(header.tags)


def test_a_program_in_the_preamble_is_not_seen(tmp_path):
    whole = content(dataset())
    for start in (b"MZ\x90\0", b"#!/bin/sh\nrm -rf ~\n", b"II*\0\x08\0\0\0", b"PK\x03\x04", b"%PDF-1.7"):
        file = written(tmp_path / "both", start.ljust(128, b"\0") + whole[128:])
        assert READER.inspect(file) == ()
        assert np.array_equal(READER.read(file).values[0, 0], np.float32(2.0 * stored(0) - 1024))


def test_signs_lut_and_polarity(tmp_path):
    plain = {"Modality": "DX", "RescaleSlope": None, "RescaleIntercept": None, "PixelRepresentation": 0}
    raw = np.arange(24, dtype=np.uint16).reshape(ROWS, COLUMNS) + 1000
    pixels = {"PixelData": raw.tobytes()}

    def read(**tags):
        return READER.read(save(tmp_path / "slice", **(plain | pixels | tags)))

    assert np.array_equal(read().values[0, 0], raw) and read().unit == ""
    assert np.array_equal(read(PhotometricInterpretation="MONOCHROME1").values[0, 0], 4095 - raw.astype(float))
    signed = {"PixelRepresentation": 1, "PixelData": (raw.astype(np.int16) - 1010).tobytes()}
    assert np.array_equal(read(**signed).values[0, 0], raw - 1010.0)
    inverted = read(**signed, PhotometricInterpretation="MONOCHROME1").values[0, 0]
    assert np.array_equal(inverted, -1 - (raw - 1010.0))
    table = Dataset()
    table.LUTDescriptor = [24, 1000, 16]
    table.LUTData = (7 * np.arange(24, dtype="<u2")).tobytes()
    table.ModalityLUTType = "US"
    assert np.array_equal(read(ModalityLUTSequence=Sequence([table])).values[0, 0], 7.0 * (raw - 1000))
    hounsfield = READER.read(save(tmp_path / "ct", PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(hounsfield.values[0, 0], 2.0 * stored(0) - 1024)  # a unit is no matter of display


def test_a_ct_without_slope_is_not_in_hounsfield_units(tmp_path):
    file = save(tmp_path / "slice", RescaleSlope=None, RescaleIntercept=None)
    assert READER.read(file).unit == ""
    assert READER.inspect(file) == ("a CT without slope and intercept in HU: its numbers are not Hounsfield units",)


def group(place: int) -> Dataset:
    position, parts = Dataset(), Dataset()
    position.ImagePositionPatient = [0, 0, 3.0 * place]
    rescale = Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = place + 1, 0, "HU"
    parts.PlanePositionSequence = Sequence([position])
    parts.PixelValueTransformationSequence = Sequence([rescale])
    return parts


def test_frames_are_put_in_order_by_their_functional_groups(tmp_path):
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing = [0.7, 0.6]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([plane]), Sequence([measures])
    order = [2, 0, 1]
    gone = dict.fromkeys(
        ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"]
    )
    tags = gone | {
        "NumberOfFrames": 3,
        "PixelData": b"".join(stored(place).tobytes() for place in order),
        "PerFrameFunctionalGroupsSequence": Sequence([group(place) for place in order]),
        "SharedFunctionalGroupsSequence": Sequence([shared]),
    }
    volume = READER.read(save(tmp_path / "frames", **tags))
    expected = np.stack([(place + 1.0) * stored(place) for place in range(3)])
    assert np.array_equal(volume.values[0], expected) and volume.unit == "HU"
    assert volume.spacing == (3.0, 0.7, 0.6)


def test_frames_in_time_keep_their_order(tmp_path):
    tags = {"NumberOfFrames": 3, "PixelData": b"".join(stored(k).tobytes() for k in (2, 0, 1)), "SliceThickness": None}
    file = save(tmp_path / "cine", ImagePositionPatient=None, Modality="US", **tags)
    assert np.array_equal(READER.read(file).values[0, :, 0, 0], [200 * 2 - 1024, -1024, 200 - 1024])
    assert READER.inspect(file) == ("the header gives no distance between slices: 1 mm is assumed",)


def test_colour_has_three_channels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "BitsAllocated": 8,
            "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "Modality": "XC"}  # fmt: skip
    volume = READER.read(save(tmp_path / "photo", PixelData=pixels.tobytes(), **tags))
    assert np.array_equal(volume.values[:, 0], np.moveaxis(pixels, -1, 0))
    assert volume.channels == ("red", "green", "blue") and volume.unit == ""


@pytest.mark.parametrize(
    ("name", "shape", "unit"),
    [
        ("CT_small.dcm", (1, 1, 128, 128), "HU"),
        ("MR_small.dcm", (1, 1, 64, 64), ""),
        ("examples_ybr_color.dcm", (3, 30, 240, 320), ""),
        ("examples_palette.dcm", (3, 1, 350, 800), ""),
        ("image_dfl.dcm", (1, 1, 512, 512), ""),
        ("rtdose.dcm", (1, 15, 10, 10), ""),
        ("SC_rgb_rle_16bit_2frame.dcm", (3, 2, 100, 100), ""),
        ("dicomdirtests/98892001/CT5N", (1, 5, 16, 16), "HU"),
    ],
)
def test_real_files(name, shape, unit):
    volume = READER.read(REAL / name)
    assert volume.values.shape == shape and volume.unit == unit


@pytest.mark.parametrize("coding", ["implicit", "bigendian", "expb", "padded", "RLE", "jp2klossless"])
def test_one_image_in_every_coding(coding):
    expected = READER.read(REAL / "MR_small.dcm")
    volume = READER.read(REAL / f"MR_small_{coding}.dcm")
    assert np.array_equal(volume.values, expected.values) and volume.spacing == expected.spacing


@pytest.mark.parametrize(
    "name, mean",
    [  # of gdcm, pylibjpeg and pyjpegls
        ("JPGExtended.dcm", 14.383),
        ("SC_rgb_jpeg_gdcm.dcm", 127.7),
        ("SC_rgb_jls_lossy_line.dcm", 128.0),
        ("JPEGLSNearLossless_16.dcm", 12014.5),
        ("GDCMJ2K_TextGBR.dcm", 124.4359),
    ],
)
def test_lossless_and_deep_jpeg_need_no_package_more(name, mean):
    assert READER.read(REAL / name).values.mean(dtype=np.float64) == pytest.approx(
        mean, abs=0.02
    )  # a decoder may round by 1


def test_jpeg_ls_is_the_uncompressed_image():
    expected = READER.read(REAL / "MR_small.dcm")
    assert np.array_equal(READER.read(REAL / "MR_small_jpeg_ls_lossless.dcm").values, expected.values)


@pytest.mark.parametrize("coding", [JPEGLosslessSV1, JPEGLossless, JPEGLSLossless, HTJ2KLossless])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_lossless_stream_is_its_pixels(tmp_path, coding, bits):
    rng = np.random.default_rng(bits)
    pixels = rng.integers(0, 1 << bits, (32, 48)).astype(np.uint8 if bits == 8 else np.uint16)
    if coding == JPEGLSLossless:
        stream = imagecodecs.jpegls_encode(pixels)
    elif coding == HTJ2KLossless:
        stream = imagecodecs.htj2k_encode(pixels, reversible=True)
    else:
        stream = imagecodecs.ljpeg_encode(pixels, bitspersample=bits)
    ds = dataset(
        Rows=32, Columns=48, BitsAllocated=8 if bits == 8 else 16, BitsStored=bits, HighBit=bits - 1,
        PixelRepresentation=0, RescaleSlope=1, RescaleIntercept=0,
    )  # fmt: skip
    ds.file_meta.TransferSyntaxUID = coding
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    assert np.array_equal(READER.read(written(tmp_path / "x", content(ds))).values[0, 0], pixels)


def test_a_missing_decoder_is_named_with_its_package(monkeypatch):
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    with pytest.raises(Unsupported, match=r"JPEG-LS.* need imagecodecs: pip install .chiasm\[imaging\]"):
        READER.inspect(REAL / "MR_small_jpeg_ls_lossless.dcm")


def test_pixels_that_no_decoder_reads_are_said_so(tmp_path):
    ds = pydicom.dcmread(REAL / "MR_small_jpeg_ls_lossless.dcm")
    ds.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    refused(READER, written(tmp_path / "x", content(ds)), r"no installed decoder reads the pixels \(JPEG-LS")


def test_what_pydicom_ships_is_read_or_refused():
    for file in sorted(REAL.glob("*.dcm")):
        survives(READER, file)
