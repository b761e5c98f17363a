"""`edit` of volumes: turned as they are learnt from and back, exact outside of the mask, a mark, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import chiasm
from chiasm.api.editing import edit, fit_editor
from chiasm.cohort import Unsupported
from chiasm.generation.diffusion import Predict
from chiasm.generation.marks import mark_in
from chiasm.generation.picture_diffusion import SCHEDULE, FittedPictures, PictureDiffusion
from chiasm.generation.picture_editor import PictureEditor
from chiasm.generation.picture_editor import fit_editor as fitted
from chiasm.generation.scans import read_scan
from chiasm.generation.turned_scans import read_turned, turned_back
from chiasm.readers.image.volume import VolumeReader

nibabel = pytest.importorskip("nibabel")

SIDE = 8
TURNED = np.array([[0, -2.0, 0, 5], [0, 0, 3.0, -7], [1.0, 0, 0, 2], [0, 0, 0, 1]])  # axes lie otherwise


def volume(path: Path, high: bool, seed: int, sides: tuple[int, ...] = (SIDE,) * 3, affine: Any = TURNED) -> np.ndarray:
    """Bright at the head or at the foot, in a file of 16 bits."""
    axis = int(np.abs(affine[2, :3]).argmax())
    along = np.arange(sides[axis]) / sides[axis]
    bright = (along >= 0.5) == (high == (affine[2, axis] > 0))
    shape = [1] * 3
    shape[axis] = sides[axis]
    values = 100 + 400 * bright.reshape(shape) + np.random.default_rng(seed).normal(0, 15, sides)
    nibabel.save(nibabel.Nifti1Image(np.rint(values).astype(np.int16), affine), path)
    return np.rint(values).astype(np.float32)


class Known(FittedPictures):
    """What a perfect network would say of volumes that are bright at the foot or the head."""

    @property
    def predict(self) -> Predict:
        half = torch.where(torch.arange(SIDE) < SIDE / 2, 0.7, -0.7)[:, None, None].expand(1, 1, SIDE, SIDE, SIDE)
        means = torch.cat([half, -half])

        def said(x: Tensor, t: Tensor, condition: Tensor | None, /) -> Tensor:
            a = SCHEDULE.at(t, x)
            mean = torch.zeros_like(x) if condition is None else means[condition.argmax(1)]
            noise = (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * 0.1**2 + 1 - a)
            return (noise - (1 - a).sqrt() * x) / a.sqrt()

        return said


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    high = np.arange(52) % 2 == 1
    for row, own in enumerate(high):
        volume(folder / f"v{row}.nii.gz", bool(own), row)
    frame = pd.DataFrame({"id": [f"v{row}" for row in range(52)], "end": np.where(high, "head", "foot")})
    frame.to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "end"\n'
        '[modalities.scan]\nkind = "volume"\npath = "{id}.nii.gz"\n'
    )
    return folder / "cohort.toml"


@pytest.fixture(scope="module")
def editor(cohort: Path) -> PictureEditor:
    how = PictureDiffusion(width=8, levels=1, steps=1, batch=2)
    own = fitted(chiasm.open_cohort(cohort), "scan", how, size=SIDE)
    assert own.classes == ("foot", "head")
    assert own.pictures.size == (SIDE,) * 3
    return replace(own, pictures=Known(**vars(own.pictures)))


def test_a_volume_moves_towards_the_class_on_the_grid_of_its_file(tmp_path: Path, editor: PictureEditor) -> None:
    affine = np.diag([-1.5, 2.0, 3.0, 1.0])
    own = volume(tmp_path / "own.nii.gz", False, 90, (10, 12, 9), affine)
    mask = np.zeros(own.shape, np.uint8)
    mask[3:8, 2:9, 5:] = 1
    nibabel.save(nibabel.Nifti1Image(mask, affine), tmp_path / "mask.nii.gz")
    out = tmp_path / "new.nii.gz"
    found = edit(
        editor, tmp_path / "own.nii.gz", out, towards="head", mask=tmp_path / "mask.nii.gz", rounds=2, strength=0.8
    )
    stored: Any = nibabel.load(out)
    made = np.asarray(stored.dataobj)
    np.testing.assert_allclose(stored.affine, affine)
    assert stored.get_data_dtype() == np.int16
    assert (made[mask == 0] == own[mask == 0]).all()
    assert made[mask == 1].mean() > own[mask == 1].mean() + 100
    assert mark_in(out) == found.mark
    assert "Outside of the mask no voxel changed." in found.sentences
    np.testing.assert_allclose(found.values, VolumeReader().read(out).values[0], atol=0.51)
    with pytest.raises(Unsupported, match="says that it was generated"):
        edit(editor, out, towards="head")


@pytest.mark.parametrize("affine", [TURNED, np.diag([-1.0, 1.0, -1.0, 1.0]), TURNED[[1, 2, 0, 3]]])
def test_a_volume_is_turned_back_into_its_file(tmp_path: Path, affine: np.ndarray) -> None:
    path = tmp_path / "one.nii.gz"
    own = volume(path, True, 1, (4, 5, 6), affine)
    scan, turned = read_turned(path)
    np.testing.assert_array_equal(turned, VolumeReader().read(path).values[0])
    np.testing.assert_array_equal(turned_back(turned, scan), own)
    np.testing.assert_array_equal(read_scan(path).values, own)


def test_what_does_not_suit_is_refused_with_the_reason(tmp_path: Path, editor: PictureEditor, cohort: Path) -> None:
    path = tmp_path / "own.nii.gz"
    volume(path, False, 91)
    for name, values, affine in [("small", np.ones((4, 4, 4)), TURNED), ("far", np.ones((8, 8, 8)), np.eye(4))]:
        values[0] = 0
        nibabel.save(nibabel.Nifti1Image(values.astype(np.uint8), affine), tmp_path / f"{name}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.full((8, 8, 8), 7, np.int16), TURNED), tmp_path / "flat.nii.gz")
    (tmp_path / "series").mkdir()
    array = np.zeros((8, 8, 8), np.float32)
    array[0] = 500
    for given, error, said in [
        ({"mask": tmp_path / "small.nii.gz"}, ValueError, "the mask has 4 x 4 x 4 voxels and the volume 8 x 8 x 8"),
        ({"mask": tmp_path / "far.nii.gz"}, ValueError, "the mask lies elsewhere"),
        ({"mask": tmp_path / "mask.png"}, ValueError, "'mask.png' is no volume"),
        ({"out": tmp_path / "new.png"}, Unsupported, "is written as .nii or .nii.gz"),
        ({"picture": tmp_path / "flat.nii.gz"}, Unsupported, "one value everywhere"),
        ({"picture": tmp_path / "own.png"}, Unsupported, "'own.png' is no volume"),
        ({"picture": tmp_path / "series"}, Unsupported, "convert it to NIfTI"),
        ({"picture": array, "out": tmp_path / "a.nii.gz"}, Unsupported, "an array says not where"),
        ({"picture": array[0]}, ValueError, "the volume has 2 axes"),
    ]:
        with pytest.raises(error, match=said):
            edit(editor, **{"picture": path, "towards": "head", "rounds": 1, **given})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="40 pixels a side cannot be drawn: give 8 to 32"):
        fit_editor(cohort, size=40)
