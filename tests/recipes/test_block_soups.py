"""Soups of blocks, and the ensemble of their logits: what is averaged, over whom, and who calibrates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chiasm.cohort import Cohort
from chiasm.compute.memo import forget
from chiasm.fitting.base import Training, trainable
from chiasm.heads.response import Response
from chiasm.recipes.fusion.lego_blocks import soup_folds, train_blocks
from chiasm.recipes.fusion.lego_merge import LegoMerge
from chiasm.testing.cohorts import restricted
from chiasm.training import checkpoint
from small_recipes import mixed, small


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return mixed("classification")


@pytest.fixture(scope="module")
def training(cohort: Cohort) -> Training:
    return trainable(cohort, 0, None, "cpu")


def soup(count: int, **options: Any) -> LegoMerge:
    recipe = small("lego-merge", soup=count, **options)
    assert isinstance(recipe, LegoMerge)
    return recipe


def test_a_soup_is_the_mean_of_the_weights_of_trainings_from_one_start(training: Training) -> None:
    recipe = soup(3)
    predictor: Any = recipe.learn(training)[0]
    folds = soup_folds(training, 3)
    assert folds is not None and sorted(set(folds)) == [0, 1, 2]
    runs = [train_blocks(training, recipe, f"run-{k}-", folds == k) for k in range(3)]
    assert len({run.start for run in runs} | {predictor.start}) == 1
    for k, run in enumerate(runs):
        assert np.array_equal(run.data.held_out, folds == k)
    for own in ("blocks", "heads"):
        for name, state in getattr(predictor, own).items():
            for key, value in state.items():
                each = np.stack([getattr(run, own)[name][key] for run in runs])
                np.testing.assert_allclose(value, each.mean(0), rtol=1e-6, atol=1e-7)
                assert key.endswith("norm.weight") or not np.array_equal(each[0], each[1])


def test_each_patient_calibrates_through_the_training_that_did_not_see_them(training: Training) -> None:
    recipe = soup(2)
    response, folds = recipe.learn(training)[1], soup_folds(training, 2)
    assert folds is not None
    links = np.zeros((len(folds), 2))
    for k in (0, 1):
        run = train_blocks(training, recipe, f"run-{k}-", folds == k)
        links[folds == k] = recipe.predictor(training, run).link(training.cohort)[folds == k]
    expected = Response.fit(training.target, links, training.outcome, calibrate=True, folds=folds)
    assert response.slope == pytest.approx(expected.slope, rel=1e-6)


def test_a_soup_has_as_many_trainings_as_outcomes_allow(training: Training) -> None:
    assert soup_folds(training, 1) is None
    outcome = training.outcome
    rare = np.zeros(len(outcome.value))
    rare[:3] = 1
    scarce = replace(outcome, value=rare)
    few = replace(training, cohort=training.cohort.with_target(training.target, scarce), outcome=scarce)
    folds = soup_folds(few, 9)
    assert folds is not None and folds.max() == 2
    with pytest.raises(ValueError, match="up to 20"):
        soup(0)


def test_logits_are_the_mean_of_what_each_block_says_over_what_is_present(cohort: Cohort) -> None:
    model: Any = small("lego-merge", method="logits").fit(cohort, seed=0)
    merged: Any = small("lego-merge").fit(cohort, seed=0)
    for name in ("m1", "m2"):
        alone = restricted(cohort, (name,))
        np.testing.assert_allclose(model.predictor.link(alone), merged.predictor.link(alone), rtol=1e-6, atol=1e-9)
    both = restricted(cohort, ("m1", "m2"))
    parts = [model.predictor.link(restricted(both, (name,))) for name in ("m1", "m2")]
    np.testing.assert_allclose(model.predictor.link(both), (parts[0] + parts[1]) / 2, rtol=1e-6, atol=1e-9)
    assert not np.allclose(model.predictor.link(both), merged.predictor.link(both), atol=1e-4)


class Stopped(BaseException):
    """The power went off."""


@pytest.mark.nightly
def test_a_soup_that_was_stopped_goes_on(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    whole: Any = soup(2).fit(cohort, seed=0)
    save, written = checkpoint.save_checkpoint, []

    def stops(path: Path, state: Any) -> None:
        save(path, state)
        written.append(path)
        if len(written) == 8:  # in the second training of the blocks
            raise Stopped

    forget()
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(checkpoint, "save_checkpoint", stops)
        soup(2).fit(cohort, seed=0, checkpoint=tmp_path)
    assert written[-1].name.startswith("run-1-")
    forget()
    resumed: Any = soup(2).fit(cohort, seed=0, checkpoint=tmp_path)
    for name, state in whole.predictor.blocks.items():
        for key, value in state.items():
            assert torch.equal(torch.from_numpy(value), torch.from_numpy(resumed.predictor.blocks[name][key]))
