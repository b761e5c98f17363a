"""Label maps that do not lie on their image are told by their row; real files of one subject lie where they should."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import chiasm
from chiasm.encoding.mask_places import image_place
from chiasm.readers.image.dicom import DicomReader
from chiasm.readers.image.image import ImageReader
from made_series import OBLIQUE, written_series
from mask_cohorts import made_cohort

SPINE = Path(__file__).parents[3] / "shared" / "data" / "wings" / "spinal-multicontrast"
PAIRS = (
    ("t1/t1w.nii.gz", "t1/t1w_seg-manual.nii.gz"), ("t2/t2.nii.gz", "t2/t2_seg-manual.nii.gz"),
    ("t2s/t2s.nii.gz", "t2s/t2s_seg.nii.gz"), ("mt/mt1.nii.gz", "mt/mt1_seg.nii.gz"),
)  # fmt: skip


def told(folder: Path, images: list[str], maps: list[str]) -> dict[str, tuple[str, int | None]]:
    """Findings of the check on label maps, by how they begin: severity and first row."""
    table = pd.DataFrame({"id": [f"p{k}" for k in range(len(maps))], "map": maps})
    (folder / "images").mkdir()
    for k, name in enumerate(images):
        shutil.copy(folder / name, folder / "images" / f"p{k}.nii.gz")
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        'name = "scans"\n[patients]\ntable = "patients.csv"\nid = "id"\n'
        '[target]\nkind = "mask"\ncolumn = "map"\nlabels = ["cord"]\n'
        '[modalities.scan]\nkind = "volume"\npath = "images/{id}.nii.gz"\nencoder = "grid"\n',
        encoding="utf-8",
    )
    found = chiasm.check_cohort(folder / "cohort.toml")
    return {own.what: (own.severity, own.row) for own in found if "label map" in own.what}


def test_volumes_and_maps_that_lie_apart_are_told(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    codes = np.zeros((5, 6, 7), dtype=np.uint8)
    codes[2, 3, 4] = 1
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    moved = {"near": 0.005, "rounded": 0.2, "far": 1.5}
    nibabel.save(nibabel.Nifti1Image(codes.astype(np.float32), affine), tmp_path / "image.nii.gz")
    turned = np.diag([-2.0, 2.0, 3.0, 1.0])
    turned[0, 3] = 8.0  # the same place, stored from the other side
    nibabel.save(nibabel.Nifti1Image(codes[::-1], turned), tmp_path / "turned.nii.gz")
    nibabel.save(nibabel.Nifti1Image(codes[:4], affine), tmp_path / "short.nii.gz")
    for name, by in moved.items():
        here = affine.copy()
        here[0, 3] = by
        nibabel.save(nibabel.Nifti1Image(codes, here), tmp_path / f"{name}.nii.gz")
    maps = [f"{name}.nii.gz" for name in ("near", "turned", "rounded", "far", "short")]
    found = told(tmp_path, ["image.nii.gz"] * 5, maps)
    by_words = {
        word: own for what, own in found.items() for word in ("shape", "elsewhere", "less than") if word in what
    }
    assert by_words == {"shape": ("error", 6), "elsewhere": ("error", 5), "less than": ("warning", 4)}


def test_contrasts_of_a_patient_lie_on_one_grid(tmp_path: Path) -> None:
    """Of two contrasts kept as grids one is shifted in a patient, shorter in another; what is no grid lies anywhere."""
    nibabel = pytest.importorskip("nibabel")
    codes = np.zeros((5, 6, 7), dtype=np.uint8)
    codes[2, 3, 4] = 1
    for k, (many, by) in enumerate(((5, 0.0), (5, 1.5), (4, 0.0))):
        affine = np.diag([2.0, 2.0, 3.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(codes, affine), tmp_path / f"p{k}_map.nii.gz")
        nibabel.save(nibabel.Nifti1Image(codes.astype(np.float32), affine), tmp_path / f"p{k}_t1.nii.gz")
        affine[0, 3] = by
        for name in ("t2", "pet"):
            nibabel.save(nibabel.Nifti1Image(codes[:many].astype(np.float32), affine), tmp_path / f"p{k}_{name}.nii.gz")
    (tmp_path / "patients.csv").write_text("id,map\n" + "".join(f"p{k},p{k}_map.nii.gz\n" for k in range(3)))
    kinds = {"t1": "grid", "t2": "grid:normalise=own", "pet": "volume-patches:size=16,patch=8"}
    modalities = "".join(
        f'[modalities.{name}]\nkind = "volume"\npath = "{{id}}_{name}.nii.gz"\nencoder = "{own}"\n'
        for name, own in kinds.items()
    )
    (tmp_path / "cohort.toml").write_text(
        'name = "scans"\n[patients]\ntable = "patients.csv"\nid = "id"\n'
        f'[target]\nkind = "mask"\ncolumn = "map"\nlabels = ["cord"]\n{modalities}'
    )
    (found,) = [own for own in chiasm.check_cohort(tmp_path / "cohort.toml") if "grid" in own.what]
    assert (found.severity, found.row, found.modality) == ("error", 3, "t2")
    assert "in 't2' lie on another grid than those in t1 in 2 rows" in found.what


def test_a_dicom_series_is_held_against_its_map(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    series = written_series(tmp_path / "ct", np.zeros((4, 6, 5)), orientation=OBLIQUE)
    place = image_place(tmp_path / "ct", "dicom")
    assert place is not None and place.shape == DicomReader().read(tmp_path / "ct").values.shape[1:]
    corners = [np.array(own.ImagePositionPatient, dtype=float) * (-1, -1, 1) for own in series]
    ends = np.array([[d, h, w, 1] for d in (0, 5) for h in (0, 4) for w in (0, 3)]) @ place.affine.T
    assert all(np.abs(ends[:, :3] - own).max(1).min() < 0.01 for own in (corners[0], corners[-1]))
    assert image_place(tmp_path / "nowhere", "dicom") is None


def test_a_picture_of_another_size_is_told(tmp_path: Path) -> None:
    place = made_cohort(tmp_path, 12)
    assert chiasm.check_cohort(place) == []
    Image.fromarray(np.ones((32, 30), dtype=np.uint8)).save(tmp_path / "p004_map.png")
    (found,) = chiasm.check_cohort(place)
    assert found.row == 6 and found.severity == "error" and "another shape" in found.what


def test_a_picture_that_exif_turns_has_the_shape_in_which_it_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((10, 20), dtype=np.uint8)).save(tmp_path / "photo.jpg", exif=exif)
    place = image_place(tmp_path / "photo.jpg", "image")
    assert place is not None and place.shape == ImageReader().read(tmp_path / "photo.jpg").values.shape[1:] == (20, 10)


@pytest.mark.skipif(not SPINE.exists(), reason="the files of one subject's spine are not here")
def test_real_scans_and_maps_lie_on_one_another(tmp_path: Path) -> None:
    for image, label_map in PAIRS:
        for name in (image, label_map):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(SPINE / name, tmp_path / name)
    shutil.copy(SPINE / "mt" / "mt1_gmseg.nii.gz", tmp_path / "mt" / "grey.nii.gz")
    images, maps = (list(own) for own in zip(*PAIRS, strict=True))
    found = told(tmp_path, [*images, "mt/mt1.nii.gz", "mt/mt1.nii.gz"], [*maps, "t2s/t2s_seg.nii.gz", "mt/grey.nii.gz"])
    assert [own for what, own in found.items() if "another shape" in what] == [("error", 6)]
    assert [own for what, own in found.items() if "no codes" in what] == [("error", 7)]
    assert [own for what, own in found.items() if "over 5 times longer" in what] == [("warning", 4)]
    assert len(found) == 3
