"""`chiasm segment` writes a label map that lies on its image, of whichever contrast there is, with its codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chiasm
from chiasm.cohort import Unsupported
from chiasm.cohort.mask_files import read_masks, turned
from chiasm.segmentation.files import as_stored
from chiasm.targets.label_maps import map_of, of_text
from command_line import Run
from mask_cohorts import LABELS, opened, volume_cohort


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    cohort = opened(folder / "shapes", 12, more="codes = [2, 1]\nspacing = [0.5, 0.5]\n")
    chiasm.fit(cohort, "unet:width=4,depth=1,epochs=1,crops=1", seed=0).save(folder / "model")
    return folder


def test_a_map_is_written_of_one_contrast_and_of_two(run: Run, model: Path, tmp_path: Path) -> None:
    one, two = (model / "shapes" / f"p000_{name}.png" for name in ("one", "two"))
    found = run("segment", model / "model", f"one={one}", "--out", tmp_path / "a.png", "--json")
    assert found.code == 0, found.err
    codes = np.asarray(Image.open(tmp_path / "a.png"))
    assert codes.shape == (32, 32) and set(np.unique(codes)) <= {0, 1, 2}
    volumes = chiasm.segment(model / "model", {"one": one, "two": two}, tmp_path / "b.png")
    codes = np.asarray(Image.open(tmp_path / "b.png"))
    assert volumes == {name: 0.25 * float((codes == code).sum()) for name, code in zip(LABELS, (2, 1), strict=True)}
    assert run("segment", model / "model", f"one={one}", "--out", tmp_path / "a.png").code == 2


def test_what_cannot_be_drawn_or_written_is_said(model: Path, tmp_path: Path) -> None:
    one = model / "shapes" / "p000_one.png"
    with pytest.raises(Unsupported, match="the model reads one, two: say which"):
        chiasm.segment(model / "model", one, tmp_path / "a.png")
    with pytest.raises(Unsupported, match="no modality 'three'"):
        chiasm.segment(model / "model", {"three": one}, tmp_path / "a.png")
    with pytest.raises(Unsupported, match=r"is not written as '\.nii'"):
        chiasm.segment(model / "model", {"one": one}, tmp_path / "a.nii")
    with pytest.raises(FileNotFoundError):
        chiasm.segment(model / "model", {"one": tmp_path / "nowhere.png"}, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_axes_of_a_file_come_back() -> None:
    pytest.importorskip("nibabel")
    codes = np.random.default_rng(0).integers(0, 3, (3, 4, 5))
    for order, signs in (((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, -1)), ((1, 2, 0), (1, -1, -1))):
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[:, list(order)] * np.array(signs) * (2.0, 1.0, 0.5)
        own = turned(codes, affine)
        np.testing.assert_array_equal(as_stored(own.runs, codes.shape, affine), codes)
    larger = as_stored(map_of(np.ones((2, 2, 2), dtype=int)), (4, 6, 8), np.eye(4))
    assert larger.shape == (4, 6, 8) and (larger == 1).all()


def test_a_volume_is_learned_and_its_map_lies_on_it(tmp_path: Path) -> None:
    """Volumes whose file has other axes than the patient: the map that is written reads as the one that was said."""
    nibabel = pytest.importorskip("nibabel")
    rng, made = np.random.default_rng(3), []
    affine = np.array([[0, 0, -0.9, 30], [2.5, 0, 0, -7], [0, 1.2, 0, 4], [0, 0, 0, 1]])
    for k in range(12):
        codes = np.zeros((5, 9, 11), dtype=np.uint8)
        codes[1:4, 2 : 4 + k % 4, 3:8] = 1
        made.append((codes * 50 + rng.normal(0, 5, codes.shape), codes, affine))
    cohort = chiasm.encode(chiasm.open_cohort(volume_cohort(tmp_path, made))).cohort
    model = chiasm.fit(cohort, "unet:width=4,depth=1,epochs=8,crops=1,window=8,batch=4,learning_rate=0.02", seed=0)
    assert model.predictor.window == (8, 5, 8)  # foot to head, front to back, right to left
    volumes = chiasm.segment(model, tmp_path / "p5.nii.gz", tmp_path / "out.nii.gz")
    written = nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(written.affine, affine, atol=1e-5)
    assert written.shape == (5, 9, 11)
    many = int((np.asarray(written.dataobj) == 1).sum())
    assert many and volumes["organ"] == pytest.approx(many * 0.9 * 2.5 * 1.2, rel=1e-5)
    (again,) = read_masks(None, [tmp_path / "out.nii.gz"], ())
    said = of_text(model.predict(cohort).loc["p5", "mask"], ("organ",))
    np.testing.assert_array_equal(again.runs.codes, said.codes)
