"""Tiles of a slide: known numbers of known tiles, stains as scikit-image has them, an even share of a large slide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from chiasm.encoders.batches import in_runs, thinned
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.tiles import Tiles, TileStatistics, haematoxylin_eosin_dab, statistics
from chiasm.testing.laws import globals_unchanged


class Slide:
    """Tissue tiles of random colours; `read` counts how many were decoded."""

    micrometres = 0.5

    def __init__(self, tiles: int, seed: int = 0) -> None:
        self.count, self.seed = tiles, seed

    def tiles(self) -> Iterator[tuple[NDArray[np.uint8], tuple[int, int]]]:
        rng = np.random.default_rng(self.seed)
        for index in range(self.count):
            yield rng.integers(0, 256, (16, 24, 3), dtype=np.uint8), (index // 4, index % 4)


@pytest.mark.parametrize("encoder", [TileStatistics(), TileStatistics(4), Tiles(), Tiles("patches:size=8,patch=4", 4)])
def test_the_laws(encoder: TileStatistics | Tiles) -> None:
    raw = [Slide(3), Slide(1, 5), Slide(11, 7)]
    with globals_unchanged("encode"):
        tokens = encoder.encode(raw)
    assert tokens.mask.sum(1).tolist() == ([3, 1, 3] if encoder.most == 4 else [3, 1, 11])
    assert tokens.values.shape[2] == encoder.width and tokens.values.dtype == torch.float32 and encoder.slots == 0
    for row, slide in enumerate(raw):
        own = encoder.encode([slide])
        assert torch.equal(own.values[0], tokens.values[row][tokens.mask[row]])
    assert bool(torch.isfinite(tokens.values).all()) and encoder.fit(raw) is encoder


def test_a_tile_of_one_colour() -> None:
    tile = np.full((16, 16, 3), (255, 51, 0), np.uint8)
    found = statistics(tile)
    assert found.shape == (36,)
    assert np.allclose(found[:15], [1, 0.2, 0, 0, 0, 0, *[1, 0.2, 0] * 3], atol=1e-6)
    assert np.allclose(found[30:], [0, 0, 0, 0, 0, 1], atol=1e-6)


def test_texture_rises_with_detail() -> None:
    coarse = np.kron(np.indices((4, 4)).sum(0) % 2 * 255, np.ones((8, 8)))[..., None].repeat(3, 2).astype(np.uint8)
    fine = np.kron(np.indices((16, 16)).sum(0) % 2 * 255, np.ones((2, 2)))[..., None].repeat(3, 2).astype(np.uint8)
    one, other = statistics(coarse), statistics(fine)
    assert other[30] > one[30] and other[32] > one[32] and one[33] > 0.4 > 0.1 > other[33]
    assert abs(one[34] - 1) < 1e-6  # half black, half white: one bit


def test_stains_are_those_of_scikit_image() -> None:
    colour = pytest.importorskip("skimage.color")
    tile = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = haematoxylin_eosin_dab(tile.astype(np.float32) / 255)
    assert np.abs(found - colour.rgb2hed(tile)).max() < 1e-5


@given(st.integers(1, 400), st.integers(2, 50))
def test_a_large_slide_keeps_an_even_share_of_its_tiles(count: int, most: int) -> None:
    described: list[int] = []

    def describe(item: int) -> NDArray[np.float32]:
        described.append(item)
        return np.array([item], np.float32)

    kept = thinned(range(count), most, describe)[:, 0]
    assert min(count, most / 2) <= len(kept) <= most and kept[0] == 0
    steps = np.diff(kept)
    assert len(set(steps)) <= 1 and count - kept[-1] <= (steps[0] if len(steps) else max(count, 1))
    assert count > most or len(kept) == count
    assert len(described) <= most * (2 + np.log2(max(count / most, 1)))


@given(st.integers(1, 60), st.integers(1, 20))
def test_runs_of_neighbours_leave_nothing_out(count: int, most: int) -> None:
    values = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    found = in_runs(values, most)
    assert len(found) == min(count, most) and (np.diff(found[:, 0]) > 0).all()
    assert count > most or np.array_equal(found, values)
    assert found[0, 0] <= count / most and found[-1, 0] >= values[-1, 0] - 2 * (count / most)
    if count % most == 0:
        assert np.allclose(found.mean(0), values.mean(0))


def test_a_slide_without_tissue_and_strange_tiles_are_refused() -> None:
    with pytest.raises(ValueError, match="no tile with tissue"):
        TileStatistics().encode([Slide(0)])
    for shape in ((16, 16), (16, 16, 4), (4, 16, 3)):
        with pytest.raises(ValueError, match="8 pixels"):
            statistics(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="2 or more"):
        TileStatistics(1)


def test_the_identity_and_the_name() -> None:
    assert make_encoder("tile-statistics:most=9", "slide") == TileStatistics(9)
    made = [TileStatistics(), TileStatistics(9), Tiles(), Tiles(most=9), Tiles("patches:size=8,patch=8")]
    assert len({encoder.identity for encoder in made}) == 5
    assert Tiles.from_text("most=9,encoder=patches:size=8,patch=4") == Tiles("patches:size=8,patch=4", 9)
