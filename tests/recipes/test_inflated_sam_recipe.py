"""`3dsam`: volumes of which a contrast may be absent, windows with and without a click in them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.inflated_sam import InflatedSamRecipe
from chiasm.recipes.segmentation.sam_med2d import SamMed2d
from chiasm.segmentation.clicked import Click, outlined
from chiasm.segmentation.prompted_model import on_grid
from chiasm.targets.label_maps import map_of
from mask_cohorts import opened

pytest.importorskip("transformers")
SMALL = {"epochs": 1, "width": 16, "depth": 1, "size": 32, "patch": 8, "clicks": 1, "window": 8, "slices": 2}


def balls(folder: Path, n: int = 10) -> chiasm.Cohort:
    """Volumes of one bright ball or cube in two contrasts, the first of which every third patient lacks."""
    nibabel = pytest.importorskip("nibabel")
    rng, rows = np.random.default_rng(0), []
    at = np.mgrid[:6, :12, :10]
    for k in range(n):
        middle = rng.uniform(2, 4), *rng.uniform(4, 7, 2)
        codes = (sum((own - m) ** 2 for own, m in zip(at, middle, strict=True)) < rng.uniform(4, 9)).astype(np.uint8)
        for name in ("one", "two") if k % 3 else ("two",):
            image = (codes * 80 + rng.normal(0, 8, codes.shape)).astype(np.float32)
            nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), folder / f"p{k}_{name}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(codes, np.eye(4)), folder / f"map{k}.nii.gz")
        rows.append({"id": f"p{k}", "map": f"map{k}.nii.gz"})
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    modalities = "".join(
        f'[modalities.{name}]\nkind = "volume"\npath = "{{id}}_{name}.nii.gz"\nencoder = "grid"\n'
        for name in ("one", "two")
    )
    (folder / "cohort.toml").write_text(
        'name = "balls"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "mask"\ncolumn = "map"\n'
        f'labels = ["ball"]\n{modalities}'
    )
    return chiasm.encode(chiasm.open_cohort(folder / "cohort.toml")).cohort


def test_volumes_are_drawn_and_corrected_by_clicks(tmp_path: Path) -> None:
    cohort = balls(tmp_path)
    with pytest.raises(Unsupported, match="sam-med2d draws in pictures, and modality 'one' is volumes: fit 3dsam"):
        SamMed2d().supports(cohort)
    model = InflatedSamRecipe(**SMALL).fit(cohort, seed=0)
    said = model.predict(cohort)
    model.save(tmp_path / "model")
    again = chiasm.load_model(tmp_path / "model")
    pd.testing.assert_frame_equal(again.predict(cohort), said)
    images = {"two": tmp_path / "p3_two.nii.gz"}
    nothing = outlined(again, images)
    clicks = [Click((2.0, 1.0, 1.0), True, "ball")]
    own = outlined(again, images, clicks, nothing)
    assert own.shape == nothing.shape and own.spacing == nothing.spacing
    np.testing.assert_array_equal(outlined(again, images, clicks, nothing).codes, own.codes)
    with pytest.raises(Unsupported, match="click 1 has 2 coordinates, and the image is"):
        outlined(again, images, [Click((2.0, 1.0), True, "ball")])
    with pytest.raises(Unsupported, match="the label map before is 2 x 2 x 2"):
        outlined(again, images, clicks, map_of(np.zeros((2, 2, 2), dtype=int)))


def test_a_click_is_moved_to_a_grid_of_another_spacing() -> None:
    place = on_grid(Click((0.0, 2.0), True, "ball"), (4, 6), (8, 3)).place
    assert place == (0.5, 0.75)
    assert on_grid(Click((3.0, 5.0), True, "ball"), (4, 6), (4, 6)).place == (3.0, 5.0)


def test_pictures_and_strange_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="3dsam draws in volumes, and modality 'one' is pictures: fit sam-med2d"):
        InflatedSamRecipe().supports(opened(tmp_path, 4))
    with pytest.raises(ValueError, match="slices lies between 1 and 64"):
        InflatedSamRecipe(slices=0)
