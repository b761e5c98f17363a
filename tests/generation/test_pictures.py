"""Pictures as files and back with their mark; distances are their formulas; a set that copies is caught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_pictures import SIDE, picture_cohort, spots
from scipy.linalg import sqrtm  # type: ignore[import-untyped]

import chiasm
from chiasm.cohort import Unsupported
from chiasm.generation.marks import mark_in, mark_of
from chiasm.generation.picture_files import write_picture
from chiasm.generation.picture_likeness import (
    frechet_distance,
    kernel_distance,
    likeness_in_scales,
    picture_likeness,
    pixels,
    untrained,
)  # fmt: skip
from chiasm.generation.picture_privacy import picture_measures, ratios, same
from chiasm.generation.pictures import Scale, pictures_of
from chiasm.readers.registry import reader_for

MARK = mark_of("diffusion", 3)


@pytest.mark.parametrize(("channels", "high"), [(1, 255), (3, 255), (1, 65_535)])
def test_an_image_is_read_as_it_was_written_and_carries_its_mark(tmp_path: Path, channels: int, high: int) -> None:
    scale = Scale("image", ("a", "b", "c")[:channels], 0, high, (4, 5), (4, 5), None)
    values = np.random.default_rng(0).integers(0, high + 1, (channels, 4, 5)).astype(np.float32)
    write_picture(tmp_path / "a.png", values, scale, MARK)
    np.testing.assert_array_equal(reader_for("image").read(tmp_path / "a.png").values, values)
    assert mark_in(tmp_path / "a.png") == MARK


@pytest.mark.parametrize("channels", [1, 2])
def test_a_volume_is_read_as_it_was_written_and_carries_its_mark(tmp_path: Path, channels: int) -> None:
    scale = Scale("volume", ("a", "b")[:channels], -5.0, 9.0, (3, 4, 5), (3, 4, 5), (3.0, 2.0, 1.5))
    values = np.random.default_rng(0).normal(size=(channels, 3, 4, 5)).astype(np.float32)
    write_picture(tmp_path / "a.nii.gz", values, scale, MARK)
    found = reader_for("volume").read(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(found.values, values, rtol=1e-6)
    assert found.spacing == pytest.approx(scale.spacing)
    assert mark_in(tmp_path / "a.nii.gz") == MARK


def test_pictures_of_a_cohort_are_scaled_and_back(tmp_path: Path) -> None:
    cohort = chiasm.open_cohort(picture_cohort(tmp_path, 12, lack=2))
    own = pictures_of(cohort, "image")
    numbers = [int(name[1:]) for name in cohort.ids[own.rows]]
    assert own.values.shape == (10, 1, SIDE, SIDE)
    assert sorted(numbers) == list(range(2, 12))
    assert (own.scale.low, own.scale.high) == (0, 255)
    torch.testing.assert_close(own.values, spots(12)[0][numbers], atol=0.009, rtol=0)
    torch.testing.assert_close(own.scale.scaled(torch.tensor(own.scale.values(own.values))), own.values)


@pytest.mark.parametrize("top", [1, 1_023, 4_095, 65_535])
def test_pictures_of_any_depth_fill_the_scale_and_come_back(tmp_path: Path, top: int) -> None:
    from PIL import Image

    manifest = picture_cohort(tmp_path, 12)
    for k, own in enumerate((spots(12)[0][:, 0].numpy() + 1) / 2 * top):
        Image.fromarray(own.round().astype(np.uint16)).save(tmp_path / "png" / f"c{k}.png")
    own = pictures_of(chiasm.open_cohort(manifest), "image")
    assert own.values.min() < -0.95
    assert own.values.max() > 0.95
    path = tmp_path / "png" / f"{chiasm.open_cohort(manifest).ids[own.rows[3]]}.png"
    write_picture(tmp_path / "again.png", own.scale.values(own.values[3]), own.scale, MARK)
    read = reader_for("image").read
    np.testing.assert_array_equal(read(tmp_path / "again.png").values, read(path).values)


def test_no_single_bright_point_sets_white(tmp_path: Path) -> None:
    from PIL import Image

    manifest = picture_cohort(tmp_path, 12)
    for k, own in enumerate(30_000 + (spots(12)[0][:, 0].numpy() + 1) / 2 * 4_000):
        own[0, 0] = 65_535 if k == 0 else own[0, 0]
        Image.fromarray(own.astype(np.uint16)).save(tmp_path / "png" / f"c{k}.png")
    own = pictures_of(chiasm.open_cohort(manifest), "image")
    assert own.scale.low == pytest.approx(30_000, abs=200)
    assert 33_500 < own.scale.high < 37_000


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.linspace(0, 1, 144, dtype=np.float32).reshape(12, 12), "fractions"),
        (np.arange(-9, 135, dtype=np.float32).reshape(12, 12), "values below 0"),
        (np.arange(432, dtype=np.uint16).reshape(12, 12, 3), "colours above 255"),
        (np.arange(720, dtype=np.uint16).reshape(5, 12, 12), "5 channels"),
    ],
)
def test_what_no_png_holds_is_refused_before_it_is_learnt(tmp_path: Path, values: np.ndarray, said: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    manifest = picture_cohort(tmp_path, 60)
    for k in range(60):
        extra = {"photometric": "rgb"} if values.shape[-1] == 3 else {}
        tifffile.imwrite(tmp_path / "png" / f"c{k}.tif", values, **extra)
    manifest.write_text(manifest.read_text().replace(".png", ".tif"))
    with pytest.raises(Unsupported, match=f"the pictures of 'image' hold {said}, which the PNG .* does not: write"):
        chiasm.generate(manifest, patients=5, pictures="diffusion:steps=100000000", utility=False)


@pytest.mark.parametrize(("kind", "ending"), [("image", ".png"), ("volume", ".nii.gz")])
def test_marked_files_are_not_learnt_from_as_real_ones(tmp_path: Path, kind: str, ending: str) -> None:
    manifest = picture_cohort(tmp_path, 4, lack=3)
    size = (12, 12) if kind == "image" else (2, 3, 4)
    scale = Scale(kind, ("grey",), 0, 255, size, size, None if kind == "image" else (1.0, 1.0, 1.0))
    values = np.random.default_rng(0).integers(0, 255, (1, *size)).astype(np.float32)
    write_picture(tmp_path / "png" / f"c3{ending}", values, scale, MARK)
    text = manifest.read_text().replace(".png", ending).replace('kind = "image"', f'kind = "{kind}"')
    manifest.write_text(text)
    with pytest.raises(Unsupported, match="header of the picture of 'image' in row 5 says that it was generated, and"):
        pictures_of(chiasm.open_cohort(manifest), "image")
    manifest.write_text(f'{text}[generated]\ngenerator = "x"\nseed = 0\nfitted_on = ""\npatients = true\n')
    assert len(pictures_of(chiasm.open_cohort(manifest), "image").rows) == 1


def test_who_is_held_out_says_nothing_of_the_scale_and_the_size(tmp_path: Path) -> None:
    from PIL import Image

    manifest = picture_cohort(tmp_path, 12)
    cohort = chiasm.open_cohort(manifest)
    held = np.isin(cohort.ids, ["c3", "c7"])
    train = pictures_of(cohort, "image").values[torch.from_numpy(~held)]
    for number, value in ((3, 40_000), (7, 20)):
        deep = np.full((20, 30), value, dtype=np.uint16)
        Image.fromarray(deep).save(tmp_path / "png" / f"c{number}.png", dpi=(40, 40))
    own = pictures_of(chiasm.open_cohort(manifest), "image", held)
    assert own.scale == Scale("image", ("grey",), 0, 255, (SIDE, SIDE), (SIDE, SIDE), None)
    assert torch.equal(own.values[torch.from_numpy(~held)], train)
    means = own.values[torch.from_numpy(held)].mean((1, 2, 3))
    assert sorted(means.tolist()) == pytest.approx([20 / 127.5 - 1, 1])
    with pytest.raises(Unsupported, match="all who have modality 'image' are held out"):
        pictures_of(cohort, "image", np.ones(12, dtype=bool))


def test_volumes_held_out_are_brought_to_the_size_of_the_others(tmp_path: Path) -> None:
    manifest = picture_cohort(tmp_path, 3)
    text = manifest.read_text().replace(".png", ".nii.gz").replace('kind = "image"', 'kind = "volume"')
    manifest.write_text(f'{text}[generated]\ngenerator = "x"\nseed = 0\nfitted_on = ""\npatients = true\n')
    for number, size in enumerate([(2, 3, 4), (2, 3, 4), (3, 5, 9)]):
        scale = Scale("volume", ("",), 0, 1, size, size, (1.0, 1.0, 1.0))
        values = np.random.default_rng(number).random((1, *size)).astype(np.float32) + 5 * (number == 2)
        write_picture(tmp_path / "png" / f"c{number}.nii.gz", values, scale, MARK)
    cohort = chiasm.open_cohort(manifest)
    own = pictures_of(cohort, "image", np.isin(cohort.ids, ["c2"]))
    assert own.values.shape == (3, 1, 2, 3, 4)
    assert own.scale.high < 1.1


def test_pictures_of_one_value_or_of_other_channels_are_refused(tmp_path: Path) -> None:
    from PIL import Image

    manifest = picture_cohort(tmp_path, 4)
    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "png" / "c2.png")
    with pytest.raises(Unsupported, match="1 and 3 channels"):
        pictures_of(chiasm.open_cohort(manifest), "image")
    for k in range(4):
        Image.new("L", (SIDE, SIDE), 0).save(tmp_path / "png" / f"c{k}.png")
    with pytest.raises(Unsupported, match="hold one value alone"):
        pictures_of(chiasm.open_cohort(manifest), "image")


def test_distances_are_their_formulas() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(7, 3)), rng.normal(1, 2, size=(5, 3))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 3 + 1) ** 3)

    within = [
        np.mean([k(a, b) for i, a in enumerate(own) for j, b in enumerate(own) if i != j]) for own in (one, other)
    ]
    across = np.mean([k(a, b) for a in one for b in other])
    assert kernel_distance(one, other) == pytest.approx(within[0] + within[1] - 2 * across)
    first, second = np.cov(one.T), np.cov(other.T)
    means = one.mean(0) - other.mean(0)
    expected = means @ means + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_a_picture_is_like_itself_and_unlike_noise() -> None:
    pictures, _ = spots(6, side=28)
    torch.testing.assert_close(likeness_in_scales(pictures, pictures), torch.ones(6))
    assert likeness_in_scales(pictures, torch.rand(pictures.shape) * 2 - 1).max() < 0.3
    volume = torch.rand(2, 1, 9, 8, 10) * 2 - 1
    torch.testing.assert_close(likeness_in_scales(volume, volume), torch.ones(2))


@pytest.mark.nightly
def test_likeness_in_scales_is_monais() -> None:
    metrics = pytest.importorskip("monai.metrics")
    pictures = torch.rand(5, 1, 64, 64)
    other = (pictures + 0.3 * torch.rand(pictures.shape)).clamp(0, 1)
    weights = torch.tensor([0.0448, 0.2856, 0.3001, 0.2363])
    theirs = metrics.MultiScaleSSIMMetric(
        2, data_range=1.0, kernel_size=7, kernel_sigma=1.5, weights=tuple((weights / weights.sum()).tolist())
    )(other, pictures)  # fmt: skip
    found = likeness_in_scales(other * 2 - 1, pictures * 2 - 1)
    torch.testing.assert_close(found, theirs.flatten(), rtol=1e-3, atol=1e-4)


def test_noise_is_farther_than_pictures_held_out() -> None:
    train, held = spots(80)[0], spots(40, seed=1)[0]
    told = picture_likeness(train, torch.rand(40, 1, SIDE, SIDE) * 2 - 1, held, seed=0)
    assert told["synthetic"]["kid"] > 10 * abs(told["held_out"]["kid"])
    assert told["synthetic"]["fid"] > 3 * told["held_out"]["fid"]
    assert np.isfinite(untrained(torch.rand(3, 2, 4, 5, 6))).all()
    assert pixels(torch.rand(3, 2, 4, 20, 6)).shape == (3, 2 * 4 * 8 * 6)


def test_a_set_that_copies_is_caught_and_one_of_others_is_not() -> None:
    train, held, others = (spots(n, seed=seed)[0] for n, seed in ((120, 0), (50, 1), (100, 2)))
    assert not [own.id for own in picture_measures("image", train, held, others) if own.refused]
    copies = torch.cat([train[:60], others[:40]])
    refused = {own.id for own in picture_measures("image", train, held, copies) if own.refused}
    assert {"image: copies", "image: memorised, pixels", "image: memorised, features"} <= refused
    nearly = (copies + 0.02 * torch.randn(copies.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    refused = {own.id for own in picture_measures("image", train, held, nearly) if own.refused}
    assert "image: copies" not in refused
    assert {"image: memorised, pixels", "image: nearest, pixels"} <= refused


def test_ratios_and_copies_are_by_hand() -> None:
    among = np.array([[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(ratios(np.array([[0.5], [0.0]]), among), [0.5 / 1.5, 0.0])
    np.testing.assert_allclose(ratios(among, among, others=True), [1 / 3, 1 / 2, 2 / 3])
    assert same(among.astype(np.float32), np.array([[1.001], [9.0]], np.float32)).tolist() == [False, True, False]
    assert not same(among.astype(np.float32), among.astype(np.float32), others=True).any()
