"""Labels of the headers of each format: what identifies has the kind of its standard, and no label names anybody."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from chiasm.identifiers.headers import container, dicom, text
from chiasm.identifiers.headers.of_file import NoPackage, labels_of
from chiasm.readers import ReadError

NAME, DAY = "Fairweather", "19511123"


def told(path: Path) -> dict[str, tuple[str, str | None]]:
    """Labels of a file by name: text and kind. No name of a label holds anything of the patient."""
    found = labels_of(path)
    assert found is not None
    assert [own.name for own in found if NAME.casefold() in own.name.casefold() or DAY in own.name] == []
    return {own.name: (own.text, own.kind) for own in found}


def test_every_keyword_of_the_profile_is_in_the_dictionary() -> None:
    datadict = pytest.importorskip("pydicom.datadict")
    unknown = [keyword for keyword in dicom.KIND_OF if datadict.tag_for_keyword(keyword) is None]
    assert unknown == []


def test_tags_of_dicom_sequences_and_private_ones(tmp_path: Path) -> None:
    dataset, uid = pytest.importorskip("pydicom.dataset"), pytest.importorskip("pydicom.uid")
    own = dataset.Dataset()
    own.file_meta = dataset.FileMetaDataset()
    own.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    own.file_meta.MediaStorageSOPClassUID = own.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    own.SOPInstanceUID, own.Modality, own.StudyDescription = uid.generate_uid(), "CT", "head"
    own.PatientName, own.PatientBirthDate, own.PatientAge = f"{NAME}^Odalys", DAY, "093Y"
    own.InstitutionName, own.StationName, own.AccessionNumber = "Moor Clinic", "CT 7", "A77"
    own.BurnedInAnnotation, own.RecognizableVisualFeatures = "YES", "YES"
    inner = dataset.Dataset()
    inner.PatientID = "551-2"
    own.OtherPatientIDsSequence = [inner]
    own.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", NAME)
    own.Rows, own.Columns, own.BitsAllocated, own.PixelData = 2, 2, 8, b"\0\0\0\0"
    path = tmp_path / "a.dcm"
    own.save_as(path, enforce_file_format=True)
    labels = told(path)
    kinds = {name: kind for name, (_, kind) in labels.items()}
    assert kinds["PatientName"] == "name" and kinds["PatientBirthDate"] == kinds["PatientAge"] == "date"
    assert kinds["InstitutionName"] == "place" and kinds["StationName"] == "device"
    assert kinds["AccessionNumber"] == kinds["PatientID"] == "record" and kinds["StudyDescription"] is None
    assert kinds["private tag (0011,1001)"] == "other" and kinds["RecognizableVisualFeatures"] == "photo"
    assert "BurnedInAnnotation" in kinds and "SOPInstanceUID" not in kinds and "PixelData" not in kinds
    own.PatientIdentityRemoved, own.LongitudinalTemporalInformationModified, own.PatientAge = "YES", "MODIFIED", "090M"
    own.save_as(path, enforce_file_format=True)
    kinds = {name: kind for name, (_, kind) in told(path).items()}
    assert kinds["PatientName"] is None and kinds["PatientBirthDate"] is None and kinds["PatientAge"] is None


def test_exif_of_a_camera_and_its_place(tmp_path: Path) -> None:
    image, tags = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ExifTags")
    exif = image.Exif()
    exif[0x010F], exif[0x0110], exif[0x013B] = "Maker", "Model 3", NAME
    exif.get_ifd(tags.IFD.Exif)[0x829D] = 2.8  # FNumber
    exif.get_ifd(tags.IFD.Exif)[0x9003] = "1951:11:23 10:00:00"
    exif.get_ifd(tags.IFD.GPSInfo).update({1: "N", 2: (52.0, 31.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif, comment=NAME.encode())
    labels = told(tmp_path / "a.jpg")
    assert labels["EXIF Artist"] == (NAME, "name") and labels["EXIF DateTimeOriginal"][1] == "date"
    assert labels["EXIF GPSLatitude"] == ("a place", "place") and labels["EXIF of a camera"][1] == "photo"
    assert labels["JPEG comment"][0] == NAME
    image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "b.jpg")
    assert labels_of(tmp_path / "b.jpg") == []


def test_the_name_of_a_text_chunk_is_text_too(tmp_path: Path) -> None:
    image, png = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.PngImagePlugin")
    words = png.PngInfo()
    words.add_text(f"of {NAME}", "hand")
    image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png", pnginfo=words)
    assert told(tmp_path / "a.png") == {"PNG text chunk": (f"of {NAME}: hand", None)}


def test_tags_of_a_tiff_and_of_a_slide(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    said = f"Aperio Image Library v11\n|Date = 11/23/51|User = {NAME}|ScanScope ID = SS1234|MPP = 0.25"
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        file.write(np.zeros((16, 16), np.uint8), description=said, metadata=None, datetime="1951:11:23 10:00:00")
        file.write(np.zeros((16, 16), np.uint8), description="Aperio\nlabel 16x16", metadata=None)
        file.write(np.zeros((16, 16), np.uint8), description="label 16x16", metadata=None)
    labels = told(tmp_path / "a.svs")
    assert labels["TIFF ImageDescription, user"] == (NAME, "name")
    assert labels["TIFF ImageDescription, date"][1] == labels["TIFF DateTime"][1] == "date"
    assert labels["TIFF ImageDescription, scanscope id"][1] == "device"
    assert labels["the page of the slide's label"][1] == "other"


def edf(patient: str, recording: str, start: str = "23.11.51") -> bytes:
    """An EDF+ header with one lead and annotations, and a record of it."""
    leads = 2
    head = f"{'0':8}{patient:80}{recording:80}{start:8}{'10.00.00':8}"
    head += f"{256 * (leads + 1):<8}{'EDF+C':44}{1:<8}{1:<8}{leads:<4}"
    parts = [
        ("C3", "EDF Annotations", 16),
        ("SN-4411", "", 80),
        ("uV", "", 8),
        (-100, -1, 8),
        (100, 1, 8),
        (-2048, -32768, 8),
    ]
    parts += [(2047, 32767, 8), ("", "", 80), (10, 30, 8), ("", "", 32)]
    head += "".join(f"{own!s:{wide}}" for *both, wide in parts for own in both)
    record = bytes(20) + f"+0\x14\x14\0+0.5\x14call {NAME}\x14\0".encode().ljust(60, b"\0")
    return head.encode() + record


def test_patient_recording_and_annotations_of_edf(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    path.write_bytes(edf(f"MRN-7 F 23-NOV-1951 {NAME}_Odalys", "Startdate 23-NOV-1951 N-12 Berg Cap_SN-4411"))
    labels = told(path)
    assert labels["patient, name"] == (f"{NAME} Odalys", "name") and labels["patient, birth date"][1] == "date"
    assert labels["patient, code"] == ("MRN-7", "record") and labels["recording, technician"] == ("Berg", "name")
    assert labels["start date"][1] == "date" and labels["transducer"][0] == "SN-4411"
    assert labels["annotation"][0] == f"call {NAME}"
    path.write_bytes(edf("X X X X", "Startdate X X X X", "01.01.85"))
    assert {"patient, name", "patient, code", "start date", "recording, technician"}.isdisjoint(told(path))


def test_the_day_and_comments_of_wfdb(tmp_path: Path) -> None:
    path = tmp_path / "a.hea"
    path.write_text(
        f"a 1 100 1000 10:00:00 23/11/1951\na.dat 16 200/mV 16 0 0 0 0 II\n# <age>: 93 <sex>: F\n# {NAME}: seen\n"
    )
    labels = told(path)
    assert labels["base date"] == ("23/11/1951", "date") and labels["comment"][0] == f"{NAME}: seen"


def test_texts_of_nifti(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4))
    volume.header["descrip"], volume.header["db_name"] = f"scan of {NAME}".encode(), DAY.encode()
    volume.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", NAME.encode()))
    nibabel.save(volume, tmp_path / "a.nii.gz")
    labels = told(tmp_path / "a.nii.gz")
    assert labels["descrip"][0] == f"scan of {NAME}" and labels["db_name"][0] == DAY and NAME in labels["extension"][0]


def test_fhir_has_the_kinds_of_its_elements_and_no_standard_is_an_alarm(tmp_path: Path) -> None:
    patient = {
        "resourceType": "Patient", "name": [{"family": NAME}], "birthDate": "1951-11-23",
        "telecom": [{"system": "fax", "value": "+49 30 1"}], "address": [{"city": "Moor"}],
        "identifier": [{"system": "http://moor.example", "value": "55"}],
    }  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"resourceType": "Bundle", "entry": [{"resource": patient}]}))
    labels = {own.name: own.kind for own in labels_of(path) or []}
    assert labels["Patient.name.family"] == "name" and labels["Patient.birthDate"] == "date"
    assert labels["Patient.telecom.value"] == "fax" and labels["Patient.address.city"] == "place"
    assert labels["Patient.identifier.value"] == "record" and not any("system" in name for name in labels)


def test_metadata_of_tables_and_tensors(tmp_path: Path) -> None:
    table = pa.table({"x": [1]}).replace_schema_metadata(
        {"made by": NAME, "pandas": json.dumps({"attributes": {"by": NAME}})}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert told(tmp_path / "a.parquet")["Parquet metadata"][0] in (
        f"made by: {NAME}",
        f'attributes of the frame: {{"by": "{NAME}"}}',
    )
    save_file({"x": np.zeros(2, np.float32)}, tmp_path / "a.safetensors", metadata={"by": NAME})
    assert told(tmp_path / "a.safetensors") == {"safetensors metadata": (f"by: {NAME}", None)}


def test_headers_of_sequences_and_devices(tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(f">{NAME} 1951-11-23\nACGT\n")
    assert told(tmp_path / "a.fasta") == {"FASTA header": (f"{NAME} 1951-11-23", None)}
    (tmp_path / "a.xml").write_text(f"<r xmlns='urn:x'><PatientLastName>{NAME}</PatientLastName></r>")
    assert told(tmp_path / "a.xml") == {"PatientLastName": (NAME, None)}


def test_what_is_damaged_or_of_no_known_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.bin").write_bytes(b"\1\2")
    assert labels_of(tmp_path / "a.bin") is None and labels_of(tmp_path / "gone.json") is None
    for name, content in (("a.json", b"{"), ("a.edf", b"0       "), ("a.xml", b"<r>"), ("a.png", b"\x89PNG\r\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReadError) as refused:
            labels_of(tmp_path / name)
        assert str(tmp_path) not in str(refused.value)
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    (tmp_path / "a.nii").write_bytes(BytesIO(bytes(400)).read())
    with pytest.raises(NoPackage):
        labels_of(tmp_path / "a.nii")


def test_a_file_that_is_not_looked_into_does_not_pass_for_one_without_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "a.xml").write_text(f"<!DOCTYPE r [<!ENTITY a '{NAME}'>]><r>&a;</r>")
    (tmp_path / "a.json").write_text(json.dumps({"by": NAME}))
    (tmp_path / "a.safetensors").write_bytes((17 << 20).to_bytes(8, "little") + b"{}" + bytes(17 << 20))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["by"] = NAME
    monkeypatch.setattr(text, "JSON_BYTES", 8)
    monkeypatch.setattr(container, "has_damaged_heap", lambda path: True)
    for name in ("a.xml", "a.json", "a.safetensors", "a.h5"):
        with pytest.raises(ReadError):
            labels_of(tmp_path / name)
