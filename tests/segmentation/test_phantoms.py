"""Phantoms: the same seed is the same anatomy, a tumour lies in its organ, and a cohort of them is read as written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chiasm
from chiasm.encoders import pack
from chiasm.encoders.image.grid import of_rows
from chiasm.segmentation.grids import grids_of
from chiasm.segmentation.phantoms import phantom, phantom_cohort
from chiasm.targets.mask import maps_of
from chiasm.training.batches import take


@pytest.mark.parametrize("shape", [(64, 64), (20, 32, 24)])
def test_anatomy_is_of_the_seed_and_every_label_is_met(shape: tuple[int, ...]) -> None:
    for seed in range(5):
        images, codes = phantom(seed, shape)
        again, same = phantom(seed, shape)
        other, turned = phantom(seed, shape, inverted=True)
        np.testing.assert_array_equal(codes, same)
        np.testing.assert_array_equal(codes, turned)
        np.testing.assert_array_equal(images["noisy"], again["noisy"])
        inner = (images["clear"] > 0) & (images["clear"] < 1)
        np.testing.assert_allclose(other["clear"][inner], 1 - images["clear"][inner], atol=1e-6)
        assert set(np.unique(codes)) == {0, 1, 2, 3}
        well = phantom(seed, shape, tumour=False)[1]
        np.testing.assert_array_equal(np.isin(codes, (1, 2)), well == 1)  # the tumour lies in the organ
        assert (codes == 3).sum() == (well == 3).sum()
        gap = images["noisy"][codes == 2].mean() - images["noisy"][codes == 1].mean()
        assert gap > 0.25 and abs(images["clear"][codes == 2].mean() - images["clear"][codes == 1].mean()) < 0.2
        blind = phantom(seed, shape, useful=False)[0]["noisy"]
        assert abs(blind[codes == 2].mean() - blind[codes == 1].mean()) < 0.15
    assert not np.array_equal(codes, phantom(0, shape)[1])


@pytest.mark.parametrize("shape", [(24, 32), (20, 24, 22)])
def test_a_cohort_is_read_as_it_was_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    manifest = phantom_cohort(tmp_path, 10, shape, missing=0.6, seed=3, healthy=0.2)
    cohort = chiasm.encode(chiasm.open_cohort(manifest)).cohort
    assert cohort.modalities == ("clear", "noisy")
    assert (cohort.present.sum(1) == 1).sum() == 6 and (~cohort.present).sum(0).tolist() == [3, 3]
    maps = maps_of(cohort.outcome)
    assert sum(2 in maps.of(row).codes for row in range(10)) == 8
    row = int(np.flatnonzero(cohort.present[:, 0])[0])
    tokens = take(pack(cohort, {"clear": grids_of(cohort, "clear")}), np.array([row]))["clear"]
    own, (values, spacing) = maps.of(row), of_rows(tokens.values[0][tokens.mask[0]], 1)
    assert own.shape == shape == tuple(values.shape[1:])
    assert spacing == own.spacing if len(shape) == 3 else spacing == (1.0, 1.0)
    drawn = values[0].numpy()
    assert drawn[own.codes == 1].mean() > 1.2 * drawn[own.codes == 0].mean()
