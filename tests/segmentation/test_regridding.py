"""Volumes are brought onto the grid of one of them by where they lie in the patient."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import chiasm
from chiasm.cohort import CohortError, Unsupported
from chiasm.encoding.mask_places import Place, apart, image_place
from chiasm.readers import ReadError, reader_for
from chiasm.readers.image.generated import SHORT
from chiasm.segmentation.regridding import moved, write_placed
from command_line import Run
from mask_cohorts import organ_cohort

nibabel = pytest.importorskip("nibabel")


def turned(degrees: float, spacing: tuple[float, ...], origin: tuple[float, ...]) -> np.ndarray:
    """An affine turned about its first and third axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return np.vstack([np.column_stack([turn * spacing, origin]), [0, 0, 0, 1]])


def at(place: Place) -> np.ndarray:
    """Millimetres `(3, D, H, W)` of the voxels of a grid."""
    assert place.affine is not None
    index = np.stack([*np.indices(place.shape), np.ones(place.shape)])
    return np.einsum("ij,jdhw->idhw", place.affine, index)[:3]


def plane(place: Place) -> np.ndarray:
    """Numbers that rise evenly through the patient."""
    x, y, z = at(place)
    return (0.3 * x - 0.7 * y + 0.2 * z + 50)[None].astype(np.float32)


def test_what_rises_evenly_is_found_again_on_a_turned_grid() -> None:
    own = Place((20, 18, 16), turned(0, (1.0, 1.5, 2.0), (-5, -6, -7)))
    grid = Place((9, 8, 7), turned(20, (0.9, 0.8, 0.9), (2, 4, 6)))
    found = moved(plane(own), own, grid)
    assert found.covered == 1 and found.values.dtype == np.float32
    np.testing.assert_allclose(found.values, plane(grid), atol=1e-4)
    same = moved(plane(own), own, own)
    assert same.covered == 1 and (same.values == plane(own)).all()


def test_a_coarser_grid_holds_nothing_finer_than_itself() -> None:
    own = Place((24, 24, 24), np.diag([1.0, 1, 1, 1]))
    grid = Place((6, 6, 6), turned(0, (4.0, 4, 4), (1.5, 1.5, 1.5)))
    stripes = (np.indices(own.shape).sum(0) % 2).astype(np.float32)[None]
    assert np.ptp(moved(stripes, own, grid).values) < 0.01  # single voxels would be 0 or 1
    np.testing.assert_allclose(moved(np.full_like(stripes, 3), own, grid).values, 3, rtol=1e-6)
    inner = (slice(None), *(slice(1, 5),) * 3)
    np.testing.assert_allclose(moved(plane(own), own, grid).values[inner], plane(grid)[inner], atol=1e-2)


def test_beyond_the_volume_is_its_least_number_and_no_overlap_is_refused() -> None:
    own = Place((4, 4, 4), np.eye(4))
    grid = Place((5, 4, 3), turned(0, (1.0, 1, 1), (2, 0, 0)))
    values = np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4) + 7
    found = moved(values, own, grid)
    assert found.covered == 2 / 5 and (found.values[0, :2] == values[0, 2:, :, :3]).all()
    assert (found.values[0, 2:] == 7).all()
    with pytest.raises(Unsupported, match="no place in common"):
        moved(values, own, Place((4, 4, 4), turned(0, (1.0, 1, 1), (9, 0, 0))))
    with pytest.raises(Unsupported, match="where it lies"):
        moved(values, own, Place((4, 4, 4), None))


def test_a_written_volume_lies_where_it_was(tmp_path: Path) -> None:
    upright = np.array([[0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])  # as the reader turns volumes
    place = Place((5, 6, 7), turned(10, (0.5, 1.0, 2.0), (3, -4, 5)) @ upright)
    values = np.random.default_rng(0).normal(size=(2, 5, 6, 7)).astype(np.float32)
    write_placed(tmp_path / "a.nii.gz", values, place)
    again, lies = reader_for("volume").read(tmp_path / "a.nii.gz"), image_place(tmp_path / "a.nii.gz", "volume")
    assert lies is not None and lies.shape == place.shape and apart(lies, place.affine, 1.0) == 0
    assert (again.values == values).all()


def scans(folder: Path, n: int, far: int = -1) -> Path:
    """T1 with a label map on it, and T2 on a grid of twice as long voxels; that of patient `far` lies elsewhere."""
    fine, coarse = np.diag([1.0, 1, 1, 1]), np.diag([2.0, 2, 2, 1])
    codes = np.zeros((8, 8, 8), dtype=np.uint8)
    codes[2:5, 2:5, 1:6] = 1
    folder.mkdir()
    for k in range(n):
        noise = np.random.default_rng(k).normal(size=codes.shape).astype(np.float32)
        coarse[0, 3] = 90 if k == far else 0
        nibabel.save(nibabel.Nifti1Image(noise + codes, fine), folder / f"p{k}_t1.nii.gz")
        nibabel.save(nibabel.Nifti1Image((noise + 3 * codes)[::2, ::2, ::2], coarse), folder / f"p{k}_t2.nii.gz")
        nibabel.save(nibabel.Nifti1Image(codes, fine), folder / f"map{k}.nii.gz")
    lines = '\nencoder = "grid"\n[modalities.t2]\nkind = "volume"\npath = "{id}_t2.nii.gz"'
    rows = [{"id": f"p{k}", "map": f"map{k}.nii.gz"} for k in range(n)]
    return organ_cohort(folder, rows, "t1", f'kind = "volume"\npath = "{{id}}_t1.nii.gz"{lines}')


@pytest.mark.filterwarnings("ignore::chiasm.FindingWarning")  # ten patients
def test_a_cohort_on_two_grids_is_refused_brought_onto_one_and_drawn_in(run: Run, tmp_path: Path) -> None:
    place = scans(tmp_path / "cohort", 10)
    assert any("another grid" in own.what and "chiasm regrid" in own.fix for own in chiasm.check_cohort(place))
    found = run("regrid", place)
    assert found.code == 0, found.err
    lines = found.out.partition("kind and path:\n")[2].strip()
    assert lines == '[modalities.t2]\nkind = "volume"\npath = "on-one-grid/t2/{id}.nii.gz"'  # t1 is left as it is
    text = place.read_text().replace('[modalities.t2]\nkind = "volume"\npath = "{id}_t2.nii.gz"', lines)
    place.write_text(text)
    assert not [own for own in chiasm.check_cohort(place) if "grid" in own.what]
    model = chiasm.fit(place, "unet:width=2,depth=1,epochs=1,window=4,crops=1", seed=0)
    first = {name: place.parent / f"p0_{name}.nii.gz" for name in ("t1", "t2")}
    with pytest.raises(CohortError, match="another grid"):
        chiasm.segment(model, first, tmp_path / "a.nii.gz")
    volumes = chiasm.segment(model, first, tmp_path / "a.nii.gz", grid="t1")
    on_one = {**first, "t2": place.parent / "on-one-grid" / "t2" / "p0.nii.gz"}
    assert volumes == chiasm.segment(model, on_one, tmp_path / "b.nii.gz")
    one, other = (nibabel.load(tmp_path / f"{name}.nii.gz") for name in "ab")
    assert (one.get_fdata() == other.get_fdata()).all() and (one.affine == np.eye(4)).all()
    with pytest.raises(Unsupported, match="none of t1, t2"):
        chiasm.segment(model, first, tmp_path / "c.nii.gz", grid="t3")
    assert json.loads(run("regrid", place, "--json").out) == {"written": {}, "lines": "", "little": 0}


def test_what_cannot_be_brought_onto_a_grid_is_told_by_its_row_and_nothing_is_written(tmp_path: Path) -> None:
    place = scans(tmp_path / "cohort", 3, far=1)
    with pytest.raises(CohortError, match=r"row 3, modality 't2': it has no place in common") as raised:
        chiasm.regrid(place)
    assert len(raised.value.problems) == 1 and not (place.parent / "on-one-grid").exists()
    for out in ("..", ".", tmp_path):
        with pytest.raises(Unsupported, match="within it"):
            chiasm.regrid(place, out)


def test_a_volume_without_a_place_and_a_generated_one_are_no_volume_to_bring(tmp_path: Path) -> None:
    place = scans(tmp_path / "cohort", 3)
    second = place.parent / "p1_t2.nii.gz"
    own = nibabel.load(second)
    nowhere = nibabel.Nifti1Image(own.get_fdata(dtype=np.float32), None)  # nibabel gives it an affine of its own
    nibabel.save(nowhere, second)
    third = place.parent / "p2_t2.nii.gz"
    made = nibabel.load(third)
    made.header["descrip"] = f"{SHORT} (field)".encode()
    nibabel.save(made, third)
    with pytest.raises(CohortError) as raised:
        chiasm.regrid(place)
    told = {problem.row: problem.what for problem in raised.value.problems}
    assert set(told) == {3, 4} and "does not say where it lies" in told[3] and "generated" in told[4]
    assert not (place.parent / "on-one-grid").exists()


def test_more_values_than_are_read_are_refused_before_they_are_made() -> None:
    own = Place((4, 4, 4), np.eye(4))
    with pytest.raises(ReadError, match="over the limit"):
        moved(np.ones((200, 4, 4, 4), np.float32), own, Place((160, 160, 160), np.diag([0.02, 0.02, 0.02, 1])))
