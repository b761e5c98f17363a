"""P29: a check of DICOM reads headers up to the pixels, says what may name a patient, and bounds what is announced."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chiasm
from chiasm.readers import Limits, ReadError, reader_for

pydicom = pytest.importorskip("pydicom")
NAME = "Zelda Quartermain"
PIXELS = np.arange(64, dtype=np.uint16).tobytes()


def scan(path: Path, preamble: bytes = bytes(128), private: bool = False, **tags: Any) -> None:
    """A CT slice of 8 x 8."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    plain = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SOPInstanceUID": pydicom.uid.generate_uid(), "Modality": "CT",
        "SeriesInstanceUID": "1.2.3", "PatientName": NAME, "Rows": 8, "Columns": 8, "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11,
        "PixelRepresentation": 0, "PixelSpacing": [1, 1], "RescaleSlope": 1, "RescaleIntercept": 0, "PixelData": PIXELS,
    }  # fmt: skip
    for name, value in (plain | tags).items():
        setattr(ds, name, value)
    if private:
        ds.add_new(0x00091010, "LO", NAME)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(preamble + out.getvalue()[128:])


def cohort(folder: Path) -> Path:
    ids = [f"p{k}" for k in range(12)]
    for k, patient in enumerate(ids):
        marks: dict[str, Any] = {1: {"private": True}, 2: {"BurnedInAnnotation": "YES"}}.get(k, {})
        lies: dict[str, Any] = {3: {"Rows": 65535, "Columns": 65535}, 4: {"NumberOfFrames": 10**9}}.get(k, {})
        scan(folder / "scans" / patient, preamble=(NAME.encode() + b"MZ").ljust(128, b"\0"), **marks, **lies)
    rows = "".join(f"{patient},{k}\n" for k, patient in enumerate(ids))
    (folder / "p.csv").write_text(f"id,age\n{rows}")
    (folder / "cohort.toml").write_text(
        '[patients]\ntable = "p.csv"\nid = "id"\n[modalities.scan]\nkind = "dicom"\npath = "scans/{id}"\n'
    )
    return folder / "cohort.toml"


def test_a_check_tells_and_never_touches_a_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = cohort(tmp_path)
    touched: list[str] = []
    for place in ("chiasm.readers.image.dicom.read_pixels", "chiasm.readers.image.dicom._decode"):
        monkeypatch.setattr(place, lambda *given, at=place: touched.append(at))
    tags = pydicom.filereader.read_partial

    def partial(*given: Any, **named: Any) -> Any:
        found = tags(*given, **named)
        assert not {0x7FE00008, 0x7FE00009, 0x7FE00010} & {int(element.tag) for element in found}, (
            "the header ends at the pixels"
        )
        return found

    monkeypatch.setattr(pydicom.filereader, "read_partial", partial)
    problems = [problem for problem in chiasm.check_cohort(manifest) if problem.modality == "scan"]
    said = {problem.row: problem.what for problem in problems}
    assert touched == []
    assert sorted(said) == [3, 4, 5, 6], problems
    assert "private tags" in said[3] and "burned into the pixels" in said[4]
    assert "announces 4,294,836,225 values" in said[5] and "announces 64,000,000,000 values" in said[6]
    assert all(problem.severity == "warning" and problem.fix for problem in problems)
    assert NAME not in repr(problems)


def test_frames_are_bounded_before_each_is_looked_at(tmp_path: Path) -> None:
    """A compressed file may announce any number of frames; a hundred million of one pixel each lie under the limit."""
    path = tmp_path / "cine"
    scan(path, NumberOfFrames=100_000_000, Rows=1, Columns=1, BitsAllocated=8, BitsStored=8, HighBit=7)
    whole = path.read_bytes()
    plain = pydicom.uid.ExplicitVRLittleEndian.encode() + b"\0"
    start = whole.index(b"\xe0\x7f\x10\x00")
    path.write_bytes(
        whole[:start].replace(plain, b"1.2.840.10008.1.2.5\0") + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + bytes(40)
    )
    for act in (reader_for("dicom").inspect, reader_for("dicom").read):
        with pytest.raises(ReadError, match="100,000,000 values, over 500 times its size"):
            act(path)


def test_the_preamble_and_the_limits(tmp_path: Path) -> None:
    scan(tmp_path / "a")
    scan(tmp_path / "b", preamble=b"MZ\x90\0 not a program ".ljust(128, b"!"))
    first, second = (reader_for("dicom").read(tmp_path / name) for name in "ab")
    assert first.values.tobytes() == second.values.tobytes()
    for limits, what in ((Limits(values=63), "over the limit of 63"), (Limits(bytes=100), "GB, over the limit")):
        with pytest.raises(ReadError, match=what):
            reader_for("dicom").inspect(tmp_path / "a", limits)
