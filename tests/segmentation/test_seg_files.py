"""A label map drawn in a DICOM series is written as a segmentation, and as NIfTI, that lie on its slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chiasm
from chiasm.cohort import Unsupported
from chiasm.cohort.mask_files import read_masks
from chiasm.readers.image.dicom import DicomReader
from chiasm.segmentation.files import write_map
from chiasm.segmentation.seg_files import write_seg
from chiasm.targets.label_maps import map_of
from chiasm.targets.mask_cells import ReadMap
from made_series import AXIAL, OBLIQUE, written_series
from orthanc_server import needs_orthanc, running_orthanc

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")
LABELS = ("organ", "tumour")


def in_their_place(folder: Path, orientation: tuple[float, ...], empty: bool = False) -> None:
    """Write maps beside a series: SEG and NIfTI read as the codes that were said, where the slices lie."""
    marked = np.zeros((4, 6, 5), dtype=np.int64)
    marked[1:3, 2:5, 1:3], marked[3, 0, 4] = 1, 2
    made = written_series(folder / "ct", marked * 100, orientation=orientation)
    volume = DicomReader().read(folder / "ct")
    codes = np.zeros(volume.values.shape[1:], dtype=int) if empty else np.rint(volume.values[0] / 100).astype(int)
    own = map_of(codes, volume.spacing)
    write_map(folder / "map.dcm", own, [1, 2], folder / "ct", LABELS)
    write_map(folder / "map.nii.gz", own, [1, 2], folder / "ct", LABELS)
    seg, nifti = read_masks(folder, ["map.dcm", "map.nii.gz"], ())
    assert isinstance(seg, ReadMap) and isinstance(nifti, ReadMap)
    np.testing.assert_array_equal(nifti.runs.codes, codes)
    np.testing.assert_array_equal(seg.runs.codes, codes)
    np.testing.assert_allclose(seg.affine, nifti.affine, atol=0.01)
    assert seg.runs.spacing == pytest.approx(volume.spacing)
    header = pydicom.dcmread(folder / "map.dcm")
    assert header.StudyInstanceUID == made[0].StudyInstanceUID != header.SeriesInstanceUID
    assert header.FrameOfReferenceUID == made[0].FrameOfReferenceUID and header.PatientID == "p"
    opened = highdicom.seg.segread(folder / "map.dcm")
    assert [opened.get_segment_description(k).segment_label for k in (1, 2)] == list(LABELS)
    if not empty:  # frames lie where their slices do, to .01 mm
        for frame in opened.PerFrameFunctionalGroupsSequence:
            at = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
            assert min(np.abs(at - np.array(own.ImagePositionPatient, dtype=float)).max() for own in made) < 0.01


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
def test_maps_lie_on_the_slices_of_their_series(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    in_their_place(tmp_path, orientation)


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:Encoding an empty segmentation")
def test_an_empty_map_is_a_segmentation_without_a_pixel(tmp_path: Path) -> None:
    in_their_place(tmp_path, AXIAL, empty=True)


def test_a_series_without_places_is_said(tmp_path: Path) -> None:
    for own in written_series(tmp_path / "ct", np.zeros((1, 4, 4))):
        del own.ImagePositionPatient
        own.save_as(own.filename)
    for name, write in (("a.dcm", write_seg), ("a.nii.gz", None)):
        with pytest.raises(Unsupported, match="does not say where its slices lie"):
            if write is None:
                write_map(tmp_path / name, map_of(np.ones((1, 4, 4), int)), [1], tmp_path / "ct")
            else:
                write(tmp_path / name, map_of(np.ones((1, 4, 4), int)), ["organ"], tmp_path / "ct")
    write_map(tmp_path / "a.png", map_of(np.ones((1, 4, 4), int)), [1], tmp_path / "ct")
    assert not (tmp_path / "a.dcm").exists() and (tmp_path / "a.png").exists()


def test_a_series_made_anonymous_is_written_beside_and_one_that_belongs_nowhere_is_said(tmp_path: Path) -> None:
    for own in written_series(tmp_path / "ct", np.zeros((2, 4, 4))):
        for key in ("PatientBirthDate", "PatientSex", "PatientID", "StudyDate", "AccessionNumber", "SliceThickness"):
            own.pop(key, None)
        own.save_as(own.filename)
    drawn = map_of(np.ones((2, 4, 4), int))
    write_seg(tmp_path / "a.dcm", drawn, ["organ"], tmp_path / "ct")
    header = pydicom.dcmread(tmp_path / "a.dcm")
    assert header.PatientID == "" and header.StudyDate in ("", None)
    for path in (tmp_path / "ct").iterdir():
        own = pydicom.dcmread(path)
        del own.FrameOfReferenceUID
        own.save_as(path)
    with pytest.raises(Unsupported, match="the series lacks FrameOfReferenceUID"):
        write_seg(tmp_path / "b.dcm", drawn, ["organ"], tmp_path / "ct")


def test_labels_of_any_script_are_read_as_they_were_named(tmp_path: Path) -> None:
    written_series(tmp_path / "ct", np.zeros((1, 4, 4)))
    labels = ("肝臓", "b\\c", "x" * 64 + "a", "x" * 64 + "b")
    write_seg(tmp_path / "a.dcm", map_of(np.full((1, 4, 4), 4)), labels, tmp_path / "ct")
    named = [str(own.SegmentLabel) for own in pydicom.dcmread(tmp_path / "a.dcm").SegmentSequence]
    assert named == ["肝臓", "b/c", "x" * 64, "x" * 60 + " (2)"]


@pytest.mark.nightly
@needs_orthanc
def test_a_server_takes_a_segmentation_and_gives_it_back(tmp_path: Path) -> None:
    """A model of DICOM series draws in one; the segmentation goes to Orthanc beside the series, and comes back."""
    httpx = pytest.importorskip("httpx")
    rng, rows = np.random.default_rng(0), ["id,map"]
    for k in range(10):
        codes = np.zeros((4, 12, 10), dtype=np.uint8)
        codes[1:3, 2 : 6 + k % 3, 2:7] = 1
        written_series(tmp_path / "ct" / f"p{k}", codes * 200 + rng.normal(0, 5, codes.shape))
        write_map(tmp_path / f"p{k}.nii.gz", map_of(codes), [1], tmp_path / "ct" / f"p{k}")
        rows.append(f"p{k},p{k}.nii.gz")
    (tmp_path / "patients.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "cohort.toml").write_text(
        'name = "scans"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "mask"\ncolumn = "map"\n'
        'labels = ["organ"]\n[modalities.ct]\nkind = "dicom"\npath = "ct/{id}"\nencoder = "grid"\n'
    )
    model = chiasm.fit(
        tmp_path / "cohort.toml", "unet:width=4,depth=1,epochs=8,crops=1,batch=4,learning_rate=0.02", seed=0
    )
    volumes = chiasm.segment(model, tmp_path / "ct" / "p3", tmp_path / "out.dcm")
    with running_orthanc(tmp_path) as base:
        for path in (*sorted((tmp_path / "ct" / "p3").iterdir()), tmp_path / "out.dcm"):
            assert httpx.post(f"{base}/instances", content=path.read_bytes()).status_code == 200
        (study,) = httpx.get(f"{base}/studies", params={"expand": ""}).json()
        assert len(study["Series"]) == 2
        each = [httpx.get(f"{base}/series/{own}").json() for own in study["Series"]]
        (seg,) = (own for own in each if own["MainDicomTags"]["Modality"] == "SEG")
        back = httpx.get(f"{base}/instances/{seg['Instances'][0]}/file").content
    (tmp_path / "back.dcm").write_bytes(back)
    sent, fetched = read_masks(tmp_path, ["out.dcm", "back.dcm"], ())
    np.testing.assert_array_equal(sent.runs.codes, fetched.runs.codes)
    np.testing.assert_allclose(sent.affine, fetched.affine, atol=1e-6)
    assert volumes["organ"] == pytest.approx(fetched.runs.volumes(1)[0], rel=1e-5) and volumes["organ"] > 0
