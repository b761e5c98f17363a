"""DICOM that is broken, compressed beyond bounds or no series: refused in a sentence, or read as far as it is sound."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pil
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit
from refusals import PERSON, damage, refused, survives, written
from test_dicom import READER, REAL, ROWS, SERIES, SMALL, content, dataset, save, series, stored

from chiasm.readers import Limits


def deflated(ds: Dataset, more: bytes = b"") -> bytes:
    """The data set deflated, with more bytes after it."""
    whole = content(ds)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = content(ds)
    start = 132 + 12 + int.from_bytes(head[140:144], "little")
    plain = whole[132 + 12 + int.from_bytes(whole[140:144], "little") :]
    machine = zlib.compressobj(9, wbits=-15)
    return head[:start] + machine.compress(plain + more) + machine.flush()


def jpeg(side: int) -> dict[str, object]:
    out = io.BytesIO()
    Pil.new("L", (side, side)).save(out, "JPEG")
    return {"PixelData": encapsulate([out.getvalue()]), "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
            "PixelRepresentation": 0}  # fmt: skip


def jpeg_dataset(side: int, **tags) -> bytes:
    ds = dataset(**jpeg(side), **tags)
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return content(ds)


def test_deflate_is_bounded(tmp_path):
    expected = np.float32(2.0 * stored(0) - 1024)
    assert np.array_equal(READER.read(written(tmp_path / "a", deflated(dataset()))).values[0, 0], expected)
    file = written(tmp_path / PERSON, deflated(dataset(), bytes(90_000_000)))
    refused(READER, file, "inflates to more than its header announces", megabytes=80)


def test_encapsulated_jpeg(tmp_path):
    file = written(tmp_path / "a", jpeg_dataset(8, Rows=8, Columns=8, RescaleIntercept=0))
    assert READER.read(file).values.shape == (1, 1, 8, 8)


WHOLE = content(dataset())
ELEMENT = b"\x28\x00\x10\x00US\x02\x00"  # Rows
BROKEN = {
    "empty": (b"", "the file is empty"),
    "garbage": (PERSON.encode() * 60, "not DICOM"),
    "without its prefix": (WHOLE[132:], "not DICOM"),
    "cut in its pixels": (WHOLE[:-10], "truncated"),
    "cut in its header": (WHOLE[:500], "no image|damaged"),
    "prefix alone": (WHOLE[:132], "no image|damaged"),
    "no pixels": (content(dataset(PixelData=None)), "no image"),
    "fewer pixels than announced": (content(dataset(PixelData=stored(0).tobytes()[:20])), "fewer than the header"),
    "more pixels than announced": (content(dataset(PixelData=stored(0).tobytes() * 3)), "more than the header"),
    "no rows": (content(dataset(Rows=0)), "nothing to read"),
    "frames without end": (content(dataset(NumberOfFrames=2_000_000_000)), "announces 48,000,000,000 values"),
    "a wall of 65,535 pixels a side": (content(dataset(Rows=65535, Columns=65535)), "announces 4,294,836,225 values"),
    "seven samples": (content(dataset(SamplesPerPixel=7)), "7 samples"),
    "words for numbers": (WHOLE.replace(b"0.8\\0.5 ", b"a.8\\b.5 "), "damaged"),
    "spacing below zero": (content(dataset(PixelSpacing=[-1, 1])), "below zero"),
    "a lying jpeg": (jpeg_dataset(64), "announces more pixels than the header"),
    "a cut jpeg": (jpeg_dataset(8, Rows=8, Columns=8)[:-300], "damaged|truncated"),
    "an unknown coding": (WHOLE.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"), "compressed in a way"),
    "a directory": ((REAL / "dicomdirtests" / "DICOMDIR").read_bytes(), "index without pixels"),
    "cut deflate": (deflated(dataset())[:-40], "damaged|no image|fewer"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(tmp_path, name):
    spoilt, words = BROKEN[name]
    refused(READER, written(tmp_path / f"{PERSON}.dcm", spoilt), words, megabytes=80)


def two_series(folder):
    series(folder / "a", 3)
    series(folder / "b", 2, SeriesInstanceUID="1.2.3.9")


def two_sizes(folder):
    series(folder, 2)
    save(folder / "odd", 2, Rows=ROWS // 2, PixelData=stored(2)[:2].tobytes())


def two_spacings(folder):
    series(folder, 2)
    save(folder / "odd", 2, PixelSpacing=[0.4, 0.5])


def a_copy(folder):
    series(folder, 3)
    save(folder / "again", 1)


def a_localiser(folder):
    series(folder, 3)
    save(folder / "odd", 7, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])


def no_right_angle(folder):
    series(folder, 3, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])


def a_note(folder):
    series(folder, 3)
    written(folder / "notes.txt", f"{PERSON} called".encode())


def no_order(folder):
    series(folder, 3, ImagePositionPatient=None, InstanceNumber=4)


def a_link(folder):
    save(folder.parent / "elsewhere" / "slice.dcm")
    series(folder, 3)
    (folder / "link").symlink_to(folder.parent / "elsewhere" / "slice.dcm")


def hidden_files_alone(folder):
    written(folder / ".DS_Store", b"x")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (two_series, "2 series, of 3, 2 files"),
        (two_sizes, "differ in rows, columns"),
        (two_spacings, "differ in pixel spacing"),
        (a_copy, "1 slice of 4 lie where another lies"),
        (a_localiser, "not parallel"),
        (no_right_angle, "no right angle"),
        (a_note, "not DICOM"),
        (no_order, "instance numbers are missing or repeated"),
        (a_link, "leads out of the folder"),
        (hidden_files_alone, "holds no file"),
    ],
)
def test_folders_that_are_no_series_are_refused(tmp_path, make, words):
    folder = tmp_path / PERSON
    make(folder)
    fault = refused(READER, folder, words, megabytes=40)
    assert SERIES not in str(fault)


def test_the_limit_holds_for_all_slices_together(tmp_path):
    folder = series(tmp_path / "scan", 5)
    refused(READER, folder, "over the limit of 100", Limits(values=100))


@SMALL
@given(spoilt=st.sampled_from([WHOLE, deflated(dataset()), jpeg_dataset(8, Rows=8, Columns=8)]).flatmap(damage))
def test_any_bytes_are_read_or_refused(tmp_path_factory, spoilt):
    survives(READER, written(tmp_path_factory.mktemp("fuzz") / "slice", spoilt))
