"""Weights know again the images that they were learned from, and a fit on four patients is asked for and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.registry import found_by, named
from chiasm.segmentation.lineage import FOUND, UNTOLD, marked, weights_findings
from chiasm.segmentation.transferred import weights_of
from mask_cohorts import opened

STU = "stu-net:width=2,crops=1,epochs=1,batch=16"


def few(cohort: chiasm.Cohort, many: int) -> chiasm.Cohort:
    return cohort.subset(np.arange(len(cohort)) < many)


def test_a_model_marks_its_images_and_those_of_its_weights(tmp_path: Path) -> None:
    first, second, third = (opened(tmp_path / name, 12, seed) for name, seed in (("a", 0), ("b", 1), ("c", 2)))
    chiasm.fit(first, STU, seed=0).save(tmp_path / "model")
    with pytest.warns(UserWarning, match="label map: 4; learned from: 2; held out to stop the training: 2;"):
        tuned = chiasm.fit(few(second, 4), f"{STU},weights={tmp_path / 'model'}", seed=0)
    tuned.save(tmp_path / "tuned")
    seen = weights_of(str(tmp_path / "tuned")).seen
    assert [len(own.marks) for own in seen] == pytest.approx([24, 8], abs=2)  # two may have one mark
    for cohort, known in ((first, 12), (few(second, 4), 4), (third, 0)):
        found = weights_findings(cohort, ["one", "two"], "tuned", seen)
        assert [own.modality for own in found] == (["one", "two"] if known else [])
        for own in found:
            assert own.finding == FOUND and own.leak and f"about {known} of the {known} different images" in own.what
    searched = named(f"{STU},weights={tmp_path / 'tuned'},learning_rate=[0.001;0.01]")
    assert {own.problem.finding for own in found_by([searched], first)} == {FOUND}  # also where options are tuned
    (untold,) = weights_findings(first, ["one"], "some/state.safetensors", ())
    assert untold.finding == UNTOLD and not untold.leak and "'state.safetensors'" in untold.what
    key = "0" * 32
    again = marked(first, ["one"], key)[0].marks
    np.testing.assert_array_equal(again, marked(first, ["one"], key)[0].marks)


def test_few_patients_are_refused_unless_asked_for(tmp_path: Path) -> None:
    made = few(opened(tmp_path / "a", 12), 4)
    with pytest.raises(Unsupported, match="at least 10 are needed to fit"):
        chiasm.fit(made, STU, seed=0)
    small = "unet:width=2,depth=1,crops=1,epochs=1"
    with pytest.warns(UserWarning, match="how well others are drawn is not known from so few"):
        model = chiasm.fit(made, f"{small},few=true", seed=0)
    assert len(model.predict(made)) == 4 and model.learned_from == {"patients": 4}
    with pytest.raises(Unsupported, match="at least 2 are needed to fit"):
        chiasm.fit(few(made, 1), f"{small},few=true", seed=0)


@pytest.mark.nightly
def test_a_trial_tells_of_weights_that_know_its_patients(tmp_path: Path) -> None:
    made, other = opened(tmp_path / "a", 24), opened(tmp_path / "b", 12, 1)
    for name, cohort in (("own", made), ("others", other)):
        chiasm.fit(cohort, STU, seed=0).save(tmp_path / name)
    protocol = chiasm.Protocol(folds=3, repeats=1, inner_folds=2, draws=50)
    for name, leaks in (("own", {FOUND}), ("others", set())):
        trial = chiasm.evaluate(made, [f"{STU},weights={tmp_path / name}"], protocol, jobs=1)
        assert {row["finding"] for row in trial.document["findings"] if row["leak"]} == leaks
