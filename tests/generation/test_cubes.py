"""Cubes, weights and the field of a scan keep their laws; coarser and finer grids of one field of view are exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import spearmanr

from chiasm.cohort import Unsupported
from chiasm.generation.coarser import averaged, interpolated, psnr, returned
from chiasm.generation.cubes import cube_points, rendered, shell_weights
from chiasm.generation.finer import finer_shape, made_finer
from chiasm.generation.scan_field import FieldOptions, fit_field
from chiasm.segmentation.phantoms import phantom


def points(axes: int, pairs: int = 4, half: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    centres = torch.rand(50, axes, generator=torch.Generator().manual_seed(0))
    return centres, cube_points(centres, torch.full((axes,), half), pairs, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("axes", [2, 3])
def test_points_lie_in_their_cube_and_their_mean_is_its_centre(axes: int) -> None:
    centres, drawn = points(axes)
    assert drawn.shape == (50, 4, 2, axes)
    torch.testing.assert_close(drawn.mean((1, 2)), centres)
    assert (drawn - centres[:, None, None]).abs().max() <= 0.1
    far = (drawn[:, :, 0] - centres[:, None]).norm(dim=2)
    assert (far.diff(dim=1) >= -1e-6).all()
    if axes == 3:  # the four pairs have all eight corners
        signs = (drawn > centres[:, None, None]).flatten(1, 2)
        assert all(len(own.unique(dim=0)) == 8 for own in signs)


def test_weights_are_not_below_zero_and_sum_to_one_whatever_the_density() -> None:
    density = torch.rand(30, 5, 2, generator=torch.Generator().manual_seed(0))
    density = density * torch.logspace(-8, 3, 30)[:, None, None]
    weights = shell_weights(density)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(30))
    torch.testing.assert_close(rendered(torch.full((30, 5, 2), 0.7), density), torch.full((30,), 0.7))
    by_hand = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    raw = torch.tensor([1 - np.exp(-0.25), 1 - np.exp(-0.5), np.exp(-0.75) * (1 - np.exp(-0.75)),
                        np.exp(-0.75) * (1 - np.exp(-1.0))])  # fmt: skip
    torch.testing.assert_close(shell_weights(by_hand).flatten().double(), raw / raw.sum())


def test_a_linear_field_of_one_density_renders_its_centre_and_a_small_cube_is_a_point() -> None:
    slope = torch.tensor([1.0, -2.0, 0.5])
    centres, drawn = points(3)
    torch.testing.assert_close(rendered(drawn @ slope, torch.full(drawn.shape[:-1], 0.3)), centres @ slope)
    centres, drawn = points(3, half=1e-6)
    told = rendered((7 * drawn).sin().sum(-1), torch.rand(drawn.shape[:-1]) + 0.1)
    torch.testing.assert_close(told, (7 * centres).sin().sum(-1), atol=1e-4, rtol=0)


def test_means_over_a_coarser_grid_are_those_of_blocks_and_keep_the_whole() -> None:
    values = np.random.default_rng(0).normal(size=(12, 14, 7))
    np.testing.assert_allclose(averaged(values, (6, 7, 7)), values.reshape(6, 2, 7, 2, 7).mean((1, 3)))
    for shape in [(5, 4, 2), (12, 3, 7)]:
        np.testing.assert_allclose(averaged(values, shape).mean(), values.mean())
        np.testing.assert_allclose(averaged(np.full(values.shape, 3.0), shape), 3.0)


@pytest.mark.parametrize("order", [1, 3])
def test_interpolation_is_scipys_and_keeps_the_middles_of_voxels(order: int) -> None:
    values = np.random.default_rng(0).normal(size=(9, 8))
    shape = (21, 16)
    at = [(np.arange(side) + 0.5) * own / side - 0.5 for own, side in zip(values.shape, shape, strict=True)]
    inner = np.ix_(*[(own >= 0) & (own <= n - 1) for own, n in zip(at, values.shape, strict=True)])
    expected = ndimage.map_coordinates(values, np.meshgrid(*at, indexing="ij"), order=order, mode="nearest")
    np.testing.assert_allclose(interpolated(values, shape, order)[inner], expected[inner], atol=2e-3)
    told = interpolated(np.arange(40.0), (80,), order)[20:60]  # linear but for the edges, whatever the order
    np.testing.assert_allclose(told, (np.arange(80) + 0.5)[20:60] / 2 - 0.5, atol=1e-5)


def test_what_is_returned_to_the_scan_comes_nearer_to_it() -> None:
    coarse = np.random.default_rng(0).normal(size=(8, 9))
    fine = interpolated(coarse, (16, 18))
    left = [np.abs(averaged(returned(fine, coarse, rounds), coarse.shape) - coarse).mean() for rounds in (0, 1, 5)]
    assert left[0] > left[1] > left[2]


QUICK = FieldOptions(steps=4, batch=64, hidden=8)


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    scan = np.random.default_rng(0).normal(size=(6, 5, 4))
    told = [fit_field(scan, QUICK, seed).told((9, 8, 4)).tobytes() for seed in (0, 0, 1)]
    assert told[0] == told[1] != told[2]


def test_a_finer_scan_stays_in_range_and_doubts() -> None:
    scan = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    steps: list[float] = []
    found = made_finer(scan, (12, 16), QUICK, progress=lambda done, all_: steps.append(done / all_))
    assert found.values.shape == found.doubt.shape == (12, 16) and (found.doubt >= 0).all() and found.doubt.max() > 0
    assert scan.min() <= found.values.min() and found.values.max() <= scan.max()
    assert found.departure[0] < found.departure[1] and steps[-1] == 1 and steps == sorted(steps)


@pytest.mark.nightly
@pytest.mark.parametrize("scale", [2, 3.5])
def test_a_finer_phantom_is_nearer_to_the_truth_than_cubic_interpolation_and_doubt_knows_where(scale: float) -> None:
    truth = phantom(1, (42, 42, 42), noise=(0, 0))[0]["clear"]
    coarse = averaged(truth, [round(42 / scale)] * 3)
    found = made_finer(coarse, truth.shape)
    assert psnr(found.values, truth) > psnr(interpolated(coarse, truth.shape), truth) + 0.3
    assert spearmanr(found.doubt.ravel(), np.abs(found.values - truth).ravel()).statistic > 0.3


@pytest.mark.parametrize(
    ("scale", "error", "what"),
    [
        (0, ValueError, "a scale of 0 makes nothing finer"),
        (0.5, ValueError, "a scale of 0.5 makes"),
        (1, ValueError, "a scale of 1 makes"),
        (float("nan"), ValueError, "a scale of nan makes"),
        ((1, 1, 1), ValueError, "a scale of 1, 1, 1 makes"),
        ((2, 2), ValueError, "2 scales are given for 3 axes"),
        (2, Unsupported, "the scan has 1 voxel along an axis"),
        ((1e4, 1e4, 1), Unsupported, "over the limit of 128,000,000: cut"),
    ],
)
def test_scales_that_make_no_sense(scale: float, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        finer_shape((40, 40, 1), scale)
    assert finer_shape((40, 41, 1), (2, 3.5, 1)) == (80, 144, 1)
