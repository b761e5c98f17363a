"""Contrasts of a patient are read on one grid, wherever they come from; what does not lie on it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import chiasm
from chiasm.cohort import CohortError, Unsupported
from chiasm.encoders.image.grid import as_rows
from chiasm.segmentation.grids import ImageGrids, images_of
from chiasm.tokens import Tokens

nibabel = pytest.importorskip("nibabel")
SHAPE = (8, 6, 4)


def volume(place: Path, moved: float = 0.0, spacing: float = 1.0, seed: int = 0) -> Path:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[0, 3] = moved
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32), affine), place)
    return place


def scans(folder: Path, n: int = 10) -> Path:
    """Two contrasts of each patient that lie on one another; of the last, without a label map, one is moved."""
    codes = np.zeros(SHAPE, dtype=np.uint8)
    codes[2:5, 2:5, 1:3] = 1
    for k in range(n):
        volume(folder / f"p{k}_a.nii.gz", seed=k)
        volume(folder / f"p{k}_b.nii.gz", 40.0 if k == n - 1 else 0.0, seed=n + k)
        nibabel.save(nibabel.Nifti1Image(codes, np.eye(4)), folder / f"map{k}.nii.gz")
    rows = [f"p{k},{f'map{k}.nii.gz' if k < n - 1 else ''}\n" for k in range(n)]
    (folder / "patients.csv").write_text("id,map\n" + "".join(rows))
    modalities = "".join(
        f'[modalities.{name}]\nkind = "volume"\npath = "{{id}}_{name}.nii.gz"\nencoder = "grid"\n' for name in "ab"
    )
    (folder / "cohort.toml").write_text(
        'name = "scans"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "mask"\ncolumn = "map"\n'
        f'labels = ["organ"]\n{modalities}'
    )
    return folder / "cohort.toml"


def test_new_images_that_lie_apart_are_refused_and_nothing_is_drawn(tmp_path: Path) -> None:
    place = scans(tmp_path, 11)
    (found,) = [own for own in chiasm.check_cohort(place) if "grid" in own.what]
    assert (found.row, found.modality) == (12, "b")  # of one whose label map is not known
    cohort = chiasm.open_cohort(place)
    known = cohort.subset(np.flatnonzero(cohort.outcome.known))
    model = chiasm.fit(known, "unet:width=2,depth=1,epochs=1,window=4,crops=1", seed=0)
    first = tmp_path / "p0_a.nii.gz"
    with pytest.raises(CohortError, match="another grid"):
        chiasm.segment(model, {"a": first, "b": volume(tmp_path / "moved.nii.gz", 40.0)}, tmp_path / "drawn.nii.gz")
    with pytest.raises(CohortError, match="another grid"):
        chiasm.outline(model, {"a": first, "b": volume(tmp_path / "fine.nii.gz", spacing=0.5)})
    assert not (tmp_path / "drawn.nii.gz").exists()
    with pytest.raises(CohortError, match="row 12"):
        model.predict(cohort)
    images = {"a": first, "b": tmp_path / "p0_b.nii.gz"}
    assert chiasm.outline(model, images).shape == SHAPE[::-1]


def asked(
    spacing: dict[str, float], wanted: tuple[float, ...], present: tuple[bool, bool]
) -> dict[str, tuple[int, ...]]:
    """Sides on which the images that are read of a patient lie."""
    rows = {name: as_rows(np.zeros((1, *SHAPE), np.float32), (own,) * 3) for name, own in spacing.items()}
    tokens = {
        name: Tokens(torch.from_numpy(own)[None], torch.ones(1, len(own), dtype=torch.bool))
        for name, own in rows.items()
    }
    grids = {name: ImageGrids(1, np.zeros(1), np.ones(1), wanted) for name in spacing}
    return {name: own.grid for name, own in images_of(tokens, torch.tensor([present]), grids, 0)[0].items()}


def test_contrasts_are_read_on_the_grid_of_the_first_that_a_patient_has() -> None:
    near = {"a": 1.25, "b": 1.2501}  # 8 * 1.25 / 4 = 2.5, which is rounded down, and the other up
    assert asked(near, (4.0,) * 3, (True, True)) == {"a": (2, 2, 1), "b": (2, 2, 1)}
    assert asked(near, (4.0,) * 3, (False, True)) == {"b": (2, 2, 1)}
    for wanted in ((), (1.0,) * 3):
        with pytest.raises(Unsupported, match="in a and b differ in spacing"):
            asked({"a": 0.5, "b": 1.0}, wanted, (True, True))
