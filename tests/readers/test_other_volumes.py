"""MGH, MGZ and MINC through nibabel, and headers whose voxel sizes are not those of their affine."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from refusals import refused, survives, written
from test_volume import AFFINE, VOXELS, as_slices, content, edited

from chiasm.readers import Limits
from chiasm.readers.image.volume import VolumeReader

READER = VolumeReader()
REAL = Path(nibabel.__file__).parent / "tests" / "data"
TURNED = np.array([[0, 0, 2.0, 5], [-0.5, 0, 0, 7], [0, -0.75, 0, -3], [0, 0, 0, 1]])


def expected(image) -> tuple[np.ndarray, tuple[float, ...]]:
    canonical = nibabel.as_closest_canonical(image)
    data = np.asarray(canonical.dataobj)
    sizes = np.sqrt((canonical.affine[:3, :3] ** 2).sum(axis=0))
    return np.moveaxis(data.reshape((*data.shape[:3], -1)), -1, 0)[:, ::-1, ::-1].transpose(0, 3, 2, 1), sizes[::-1]


@pytest.mark.parametrize("name", ["scan.mgh", "scan.mgz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("affine", [AFFINE, TURNED], ids=["straight", "turned"])
def test_mgh_is_what_nibabel_reads(tmp_path: Path, name: str, dtype: type, affine: np.ndarray) -> None:
    for shape in ((4, 5, 6), (4, 5, 6, 3)):
        voxels = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
        nibabel.save(nibabel.MGHImage(voxels, affine), tmp_path / name)
        values, sizes = expected(nibabel.load(tmp_path / name))
        volume = READER.read(tmp_path / name)
        assert np.array_equal(volume.values, values.astype(np.float32))
        assert volume.spacing == pytest.approx(tuple(sizes), rel=1e-6)
        assert READER.inspect(tmp_path / name) == ()


@pytest.mark.parametrize(
    "name", ["tiny.mnc", "minc1_1_scale.mnc", "minc1_4d.mnc", "small.mnc", "minc2_4d.mnc", "minc2_1_scale.mnc"]
)
def test_minc_is_what_nibabel_reads(name: str) -> None:
    if not (REAL / name).is_file():
        pytest.fail(f"nibabel's own {name} is not there")
    values, sizes = expected(nibabel.load(REAL / name))
    volume = READER.read(REAL / name)
    np.testing.assert_allclose(volume.values, values, rtol=1e-6)
    assert volume.spacing == pytest.approx(tuple(sizes), rel=1e-6)


def test_a_folder_may_hold_them(tmp_path: Path) -> None:
    nibabel.save(nibabel.MGHImage(VOXELS, AFFINE), tmp_path / "p_t1.mgz")
    written(tmp_path / "p_t2.nii", content())
    volume = READER.read(tmp_path)
    assert volume.channels == ("t1", "t2") and np.array_equal(volume.values[0], volume.values[1])
    assert np.array_equal(volume.values[:1], as_slices(VOXELS))


def test_broken_ones_are_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.MGHImage(VOXELS, AFFINE), tmp_path / "whole.mgh")
    whole = (tmp_path / "whole.mgh").read_bytes()
    refused(READER, written(tmp_path / "a.mgh", whole[:400]), "truncated")
    refused(READER, written(tmp_path / "b.mgz", gzip.compress(whole[:600])), "truncated")
    refused(READER, written(tmp_path / "c.mgh", whole[:4] + b"\0\0\x08\0" * 3 + whole[16:]), "over the limit")
    refused(READER, tmp_path / "whole.mgh", "over the limit", Limits(values=100))
    minc = (REAL / "small.mnc").read_bytes()
    refused(READER, written(tmp_path / "d.mnc", minc[: len(minc) // 3]), "damaged|truncated|no MINC")
    refused(READER, REAL / "small.mnc", "over the limit", Limits(values=100))
    with h5py.File(tmp_path / "e.mnc", "w") as file:
        file.create_group("minc-2.0/image/0")["image"] = h5py.ExternalLink(
            str(REAL / "small.mnc"), "minc-2.0/image/0/image"
        )
    refused(READER, tmp_path / "e.mnc", "no MINC volume, or a link")
    with h5py.File(tmp_path / "f.mnc", "w") as file:
        file["other"] = np.zeros(3)
    refused(READER, tmp_path / "f.mnc", "no MINC volume")
    for cut in range(0, 300, 23):
        survives(READER, written(tmp_path / f"{cut}.mgh", whole[:cut] + b"\xff" + whole[cut + 1 :]))


def test_the_voxel_sizes_are_those_of_the_affine(tmp_path: Path) -> None:
    whole = edited(pixdim=[1, 1, 1, 1, 1, 1, 1, 1])  # the sform says .5, .75, 2
    path = written(tmp_path / "scan.nii", whole)
    assert READER.read(path).spacing == (2.0, 0.75, 0.5)
    assert READER.inspect(path) == ("the voxel sizes of the header are not those of its affine, which is used",)
    written(tmp_path / "zero.nii", edited(pixdim=[1, 0, 0, 0, 1, 1, 1, 1]))
    assert READER.read(tmp_path / "zero.nii").spacing == (2.0, 0.75, 0.5)
    meters = written(tmp_path / "metres.nii", edited(pixdim=[1, 1, 1, 1, 1, 1, 1, 1], xyzt_units=1))
    assert READER.read(meters).spacing == (2000.0, 750.0, 500.0)


def test_a_sheared_affine_is_noted(tmp_path: Path) -> None:
    sheared = AFFINE.copy()
    sheared[1, 2] = 0.5
    path = written(tmp_path / "scan.nii", content(affine=sheared))
    assert "the axes of the volume are not at right angles, and are stacked as if they were" in READER.inspect(path)
