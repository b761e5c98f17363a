"""One picture in two formats is found by its pixels; pictures that are alike are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import chiasm
from chiasm.encoding import decoded_twins
from chiasm.encoding.decoded_twins import thumbnail

N = 40


def pictures(folder: Path, seed: int = 0) -> dict[str, Path]:
    rng = np.random.default_rng(seed)
    found = {}
    for k in range(N):
        small = Image.fromarray(rng.integers(0, 256, (8, 8)).astype(np.uint8))
        found[f"p{k:02d}"] = folder / f"{k}.png"
        small.resize((64, 48), Image.Resampling.BICUBIC).save(found[f"p{k:02d}"])
    return found


def check(files: dict[str, Path], kind: str = "image", group: str | None = None) -> dict[str, chiasm.Problem]:
    patients = pd.DataFrame({"ill": np.arange(N) % 2, "person": ["one" if k < 2 else f"{k}" for k in range(N)]})
    patients.index = [f"p{k:02d}" for k in range(N)]  # type: ignore[assignment]
    target = chiasm.Classification("ill")
    cohort = chiasm.cohort_from_frames(patients, {"scan": files}, target, kinds={"scan": kind}, group=group)
    return {problem.finding: problem for problem in chiasm.check_cohort(cohort)}


@pytest.mark.parametrize(
    ("suffix", "options", "mode"),
    [
        ("jpg", {"quality": 75}, "RGB"),
        ("tif", {}, "RGB"),
        ("png", {"dpi": (72, 72)}, "L"),
        pytest.param("jpg", {"quality": 75}, "L", marks=pytest.mark.nightly),
        pytest.param("tif", {}, "L", marks=pytest.mark.nightly),
        pytest.param("png", {"dpi": (72, 72)}, "RGB", marks=pytest.mark.nightly),
    ],
)
def test_a_picture_saved_again_is_found(tmp_path: Path, suffix: str, options: dict[str, object], mode: str) -> None:
    files = pictures(tmp_path)
    files["p01"] = tmp_path / f"again.{suffix}"
    Image.open(files["p00"]).convert(mode).save(files["p01"], **options)  # type: ignore[arg-type]
    found = check(files)
    assert set(found) == {"same-picture"} and found["same-picture"].leak and found["same-picture"].row == 2
    assert found["same-picture"].what.startswith("2 sources") and "again" not in str(found["same-picture"])
    assert not check(files, group="person")


def test_pictures_of_others_pass(tmp_path: Path) -> None:
    """One is a mixture of another and a third: a correlation of about .98."""
    files = pictures(tmp_path)
    one, other = (np.asarray(Image.open(files[name]), dtype=float) for name in ("p00", "p02"))
    Image.fromarray((0.85 * one + 0.15 * other).astype(np.uint8)).save(files["p01"])
    assert not check(files)


def test_one_file_under_two_identifiers_is_found_by_its_content(tmp_path: Path) -> None:
    files = pictures(tmp_path)
    files["p01"] = tmp_path / "copy.png"
    files["p01"].write_bytes(files["p00"].read_bytes())
    assert set(check(files)) == {"identical-patients"}


def test_a_recording_written_twice_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = {}
    for k in range(N):
        files[f"p{k:02d}"] = tmp_path / f"{k}.csv"
        leads = pd.DataFrame({"time": np.arange(500) / 100}).join(
            pd.DataFrame(rng.normal(size=(500, 2)).cumsum(axis=0), columns=["I [mV]", "II [mV]"]) / 50
        )
        leads.to_csv(files[f"p{k:02d}"], index=False)
    pd.read_csv(files["p00"]).round(4).to_csv(tmp_path / "1.csv", index=False)
    assert set(check(files, kind="ecg")) == {"same-picture"}


def test_a_sound_in_two_formats_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile = pytest.importorskip("soundfile")
    files = {f"p{k:02d}": tmp_path / f"{k}.wav" for k in range(N)}
    for k, file in enumerate(files.values()):
        soundfile.write(file, np.random.default_rng(k).normal(0, 0.1, 2000), 8000)
    assert not check(files, kind="audio")
    files["p01"] = tmp_path / "again.flac"
    soundfile.write(files["p01"], *soundfile.read(files["p00"]))
    assert set(check(files, kind="audio")) == {"same-picture"}
    monkeypatch.setattr(decoded_twins, "MOST_VALUES", 1999)  # too large to be compared
    assert not check(files, kind="audio")


def test_a_thumbnail_does_not_see_brightness_or_size_and_is_none_of_a_constant() -> None:
    values = np.random.default_rng(0).normal(size=(1, 32, 32))
    large = values.repeat(2, axis=1).repeat(2, axis=2)
    first, second = thumbnail(values), thumbnail(3 * large + 7)
    assert first is not None and second is not None and len(first) == 256
    np.testing.assert_allclose(first, second, atol=1e-12)
    assert thumbnail(np.full((1, 32, 32), 5.0)) is None


@pytest.mark.parametrize("shape", [(3, 61, 47), (1, 500, 7), (2, 9, 31, 12), (12, 400), (1, 2000), (1, 5, 3)], ids=str)
def test_a_thumbnail_by_parts_is_that_of_the_whole(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    if len(shape) == 2:
        values[:, 100:120] = np.nan
    whole = np.nan_to_num(values.astype(np.float64))
    planes = whole[0] if len(whole) == 1 else whole.mean(axis=0) if whole.ndim > 2 else whole
    sides = decoded_twins.SIDES[planes.ndim] if whole.ndim > 2 or len(whole) == 1 else (len(whole), 32)
    for axis, side in enumerate(sides):
        edges = np.linspace(0, planes.shape[axis], min(side, planes.shape[axis]) + 1).astype(int)
        sizes = np.diff(edges).reshape([-1 if axis == a else 1 for a in range(planes.ndim)])
        planes = np.add.reduceat(planes, edges[:-1], axis=axis) / sizes
    flat = planes.ravel()
    np.testing.assert_array_equal(decoded_twins.thumbnail(values), (flat - flat.mean()) / flat.std())
