"""Networks that draw label maps merge where they read on one scale; what hospitals sum is not in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.hospitals.federation import network_of
from chiasm.recipes.registry import make_recipe
from mask_cohorts import opened

STU = "stu-net:width=2,crops=1,epochs=1,batch=16"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, chiasm.FittedModel]:
    """A base, and two tunings of it on patients of their own that read as it does."""
    folder = tmp_path_factory.mktemp("merged")
    cohorts = [opened(folder / name, 12, seed) for seed, name in enumerate("abc")]
    base = chiasm.fit(cohorts[0], STU, seed=0)
    base.save(folder / "base")
    again = f"{STU},weights={folder / 'base'},scale=weights"
    return {"base": base} | {
        name: chiasm.fit(own, again, seed=0) for name, own in zip(("one", "two"), cohorts[1:], strict=True)
    }


def test_tunings_of_one_start_are_averaged_and_added(tuned: dict[str, chiasm.FittedModel]) -> None:
    base, one, two = (tuned[name].predictor.state for name in ("base", "one", "two"))
    mean = chiasm.merge([tuned["one"], tuned["two"]], weights=[3, 1]).model.predictor
    added = chiasm.merge([tuned["one"], tuned["two"]], "task-arithmetic:scale=0.5", base=tuned["base"]).model
    for name, start in base.items():
        np.testing.assert_allclose(mean.state[name], 0.75 * one[name] + 0.25 * two[name], atol=1e-6)
        moved = (one[name] - start) + (two[name] - start)
        np.testing.assert_allclose(added.predictor.state[name], start + 0.25 * moved, atol=1e-6)  # half of their mean
    assert len(mean.seen) == 3  # the images of the start are known once
    itself = chiasm.merge([tuned["one"], tuned["one"]])
    assert not itself.calibrates and "no calibration" in itself.calibration
    for name, own in one.items():
        np.testing.assert_allclose(itself.model.predictor.state[name], own, atol=1e-7)


def test_a_merged_model_draws_and_is_scored(tuned: dict[str, chiasm.FittedModel], tmp_path: Path) -> None:
    judged = opened(tmp_path / "d", 12, 4)
    own = chiasm.merge([tuned["one"], tuned["two"]], cohort=judged)
    own.model.save(tmp_path / "model")
    assert len(chiasm.load_model(tmp_path / "model").predict(judged)) == 12
    assert sorted(own.scores) == ["merged", "model 1", "model 2"] and own.metric == "dice"


def test_what_reads_on_another_scale_or_is_another_network_is_refused(
    tuned: dict[str, chiasm.FittedModel], tmp_path: Path
) -> None:
    made = opened(tmp_path / "d", 12, 5)
    other = chiasm.fit(made, STU, seed=0)
    with pytest.raises(Unsupported, match="read 'one' on different scales"):
        chiasm.merge([tuned["one"], other])
    wide = replace(other, predictor=replace(other.predictor, spacing=(2.0, 2.0)))
    with pytest.raises(Unsupported, match="different spacings of what they draw"):
        chiasm.merge([other, wide])
    unet = chiasm.fit(made, "unet:width=2,depth=1,crops=1,epochs=1", seed=0)
    with pytest.raises(Unsupported, match="one recipe merges"):
        chiasm.merge([other, unet])
    larger = chiasm.fit(made, "unet:width=4,depth=1,crops=1,epochs=1", seed=0)
    with pytest.raises(Unsupported, match="different sizes of the network"):
        chiasm.merge([unet, larger])
    with pytest.raises(ValueError, match="scale=weights needs weights="):
        make_recipe("stu-net:scale=weights")


def test_a_federation_of_label_maps_is_refused_in_one_sentence(
    tuned: dict[str, chiasm.FittedModel], tmp_path: Path
) -> None:
    with pytest.raises(Unsupported, match="a network that draws label maps has none: tune one model at each hospital"):
        network_of(tuned["base"])
    with pytest.raises(Unsupported, match="tune one model at each hospital"):
        chiasm.fit(opened(tmp_path / "d", 12, 5), "flora")
