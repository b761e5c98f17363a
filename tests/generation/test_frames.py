"""`enhance --static`: frames on a finer grid at the right place, what was measured kept, a mark, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import chiasm
from chiasm.cohort import Unsupported
from chiasm.generation.frames import filled_up, kept_of
from chiasm.generation.kspace import cropped
from chiasm.generation.marks import mark_in
from chiasm.generation.scans import finer_affine
from command_line import Run

nibabel = pytest.importorskip("nibabel")

COARSE, FINE = (5, 6, 7), (10, 6, 14)
AFFINE = np.array([[0, -4.0, 0, 5], [4.0, 0, 0, -7], [0, 0, 4.0, 2], [0, 0, 0, 1]])


def wave(shape: tuple[int, ...], moved: float = 0.0) -> np.ndarray:
    """A field of low frequencies, told at the middles of voxels of one field of view."""
    at = np.meshgrid(*[(np.arange(side) + 0.5) / side for side in shape], indexing="ij")
    turns = [2 * np.pi * (own + moved) for own in at]
    return 200 + 50 * np.cos(turns[0]) + 30 * np.sin(turns[1]) * np.cos(2 * turns[2]) + 20 * np.sin(3 * turns[2])


def write(path: Path, values: np.ndarray, affine: np.ndarray, kind: type = np.float32, apart: float = 2.5) -> Path:
    image = nibabel.Nifti1Image(values.astype(kind), affine)
    if values.ndim == 4:
        image.header["pixdim"][4] = apart
        image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    series = np.stack([wave(COARSE, 0.02 * k) for k in range(3)], -1)
    static = wave(FINE) + 40 * np.random.default_rng(0).random(FINE)
    return (
        write(tmp_path / "series.nii.gz", series, AFFINE),
        write(tmp_path / "scan.nii.gz", static, finer_affine(AFFINE, COARSE, FINE)),
    )


def test_what_is_band_limited_is_told_exactly_at_its_place() -> None:
    frames = torch.from_numpy(np.stack([wave(COARSE), wave(COARSE, 0.1)]))
    found = filled_up(frames, FINE)
    torch.testing.assert_close(found, torch.from_numpy(np.stack([wave(FINE), wave(FINE, 0.1)])))
    kept = kept_of(FINE, COARSE)
    assert int(kept.sum()) == 5 * 6 * 7
    torch.testing.assert_close(cropped(found, kept), found)
    torch.testing.assert_close(filled_up(frames, COARSE), frames)
    assert kept_of((9, 8), (4, 8)).sum() == 3 * 8


def test_the_command_keeps_what_was_measured_and_marks_the_file(
    tmp_path: Path, files: tuple[Path, Path], run: Run
) -> None:
    series, static = files
    out = tmp_path / "new.nii.gz"
    told = json.loads(run("enhance", series, "--static", static, "--out", out, "--steps", "2", "--json").out)
    stored: Any = nibabel.load(out)
    assert stored.shape == (*FINE, 3)
    np.testing.assert_allclose(stored.affine, nibabel.load(static).affine)
    assert stored.header.get_zooms()[3] == 2.5
    assert stored.header.get_xyzt_units() == ("mm", "sec")
    assert mark_in(out) == {key: own for key, own in told.items() if key not in ("sentences", "written")}
    assert told["generator"] == "static-scan-frames" and told["frames"] == 3
    assert "of whose k-space 25.0" in told["sentences"][0]
    low = filled_up(torch.from_numpy(np.stack([wave(COARSE, 0.02 * k) for k in range(3)])), FINE)
    kept, made = kept_of(FINE, COARSE), torch.from_numpy(np.moveaxis(np.asarray(stored.dataobj), 3, 0)).double()
    torch.testing.assert_close(cropped(made, kept), low, atol=0.01, rtol=0)
    again = chiasm.enhance_frames(series, static, steps=2)
    np.testing.assert_allclose(np.moveaxis(again.values, 0, 3), np.asarray(stored.dataobj), atol=1e-4)
    refused = run("enhance", out, "--static", static, "--out", tmp_path / "third.nii.gz")
    assert refused.code == 2 and "says that it was generated" in refused.err


def test_one_grid_takes_a_share_and_whole_numbers_stay_whole(tmp_path: Path) -> None:
    series = write(tmp_path / "s.nii", np.stack([wave(FINE), wave(FINE, 0.1)], -1), AFFINE, np.int16)
    static = write(tmp_path / "t.nii", wave(FINE), AFFINE)
    other = write(tmp_path / "o.nii", wave(FINE, 0.3), AFFINE)
    out = tmp_path / "new.nii"
    found = chiasm.enhance_frames(series, static, out, share=0.25, steps=2, others=[other])
    stored: Any = nibabel.load(out)
    assert stored.get_data_dtype() == np.int16
    assert 0 < found.share <= 0.25
    assert found.mark["others"] == 1
    assert not np.array_equal(found.values, chiasm.enhance_frames(series, static, share=0.25, steps=2).values)


def test_what_does_not_suit_is_refused_with_the_reason(tmp_path: Path, files: tuple[Path, Path], run: Run) -> None:
    series, static = files
    same = write(tmp_path / "same.nii.gz", wave(COARSE), AFFINE)
    far = write(tmp_path / "far.nii.gz", wave(FINE), AFFINE)
    small = write(tmp_path / "small.nii.gz", wave((4, 6, 7)), AFFINE)
    flat = write(tmp_path / "flat.nii.gz", np.ones(FINE), finer_affine(AFFINE, COARSE, FINE))
    for given, error, said in [
        ({"static": same}, ValueError, "say which share of k-space was measured"),
        ({"static": same, "share": 0.0}, ValueError, "a share of 0 of k-space cannot be kept"),
        ({"share": 0.5}, ValueError, "leave --share away"),
        ({"static": far}, Unsupported, "another field of view"),
        ({"static": small}, Unsupported, "give a scan that is finer"),
        ({"static": flat}, Unsupported, "one value everywhere"),
        ({"series": static}, Unsupported, "one volume and no frames"),
        ({"out": tmp_path / "x.png"}, Unsupported, "is written as .nii or .nii.gz"),
        ({"steps": 0}, ValueError, "0 steps learn nothing"),
        ({"others": [same]}, ValueError, "other scan 1 has another number of voxels"),
    ]:
        with pytest.raises(error, match=said):
            chiasm.enhance_frames(**{"series": series, "static": static, "steps": 1, **given})  # type: ignore[arg-type]
    for more, said in [
        (["--static", static, "--scale", "2"], "--scale is not of a series"),
        (["--share", ".5"], "--other and"),
    ]:
        refused = run("enhance", series, *more, "--out", tmp_path / "no.nii.gz")
        assert refused.code == 2 and said in refused.err
