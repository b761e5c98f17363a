"""Sides by what is read: declarations, one-modality forms, and models that read what their recipe did not declare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.fake_trials import FUSED, SINGLES, Linear

import chiasm
from chiasm.cohort import Cohort, synthetic_cohort
from chiasm.fitting.sides import ASIDE, COMBINED, SINGLE, forms_of, reads_of, side_of, sides_of
from chiasm.recipes.registry import for_trial, make_recipe

COHORT = synthetic_cohort("complementary", 120, missing=0.2)
QUICK = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)


def test_what_is_read_decides_and_not_the_name() -> None:
    liar = Linear("single:m1", ("m1", "m2"))
    assert sides_of([liar], COHORT) == {"single:m1": COMBINED}
    assert sides_of([Linear("late-fusion", ("m2",))], COHORT) == {"late-fusion": SINGLE}
    assert sides_of([make_recipe("lego-merge:blocks=m1")], COHORT) == {"lego-merge:blocks=m1": SINGLE}
    assert sides_of([make_recipe("presence")], COHORT) == {"presence": SINGLE}
    assert sides_of([make_recipe("late-fusion")], COHORT.with_modalities(["m1"])) == {"late-fusion": SINGLE}


def test_a_network_without_its_one_modality_forms_stands_aside() -> None:
    network, forms = make_recipe("healnet"), [make_recipe(f"healnet:modality=m{k}") for k in (1, 2)]
    assert forms_of(network, COHORT) == tuple(form.name for form in forms)
    assert sides_of([network], COHORT)["healnet"] == ASIDE
    assert sides_of([network, forms[0]], COHORT)["healnet"] == ASIDE
    assert sides_of([network, *forms], COHORT)["healnet"] == COMBINED
    assert sides_of([network, forms[0]], COHORT, needed=["m1"])["healnet"] == COMBINED
    assert side_of({"family": "adaptation", "side": "adapted"}) == ASIDE  # as an older trial called it


def test_every_list_gets_its_companions_and_the_own_list_the_forms() -> None:
    listed, forms = for_trial(["late-fusion"], COHORT)
    assert [r.name for r in listed] == ["single:m1", "single:m2", "presence", "late-fusion"] and not forms
    listed, forms = for_trial(["best-available", "null", "single:m2"], COHORT)
    assert [r.name for r in listed] == ["single:m1", "presence", "single:m2"]
    listed, forms = for_trial(["healnet"], COHORT)
    assert not forms  # whoever lists a network lists its forms, or it decides nothing
    own, forms = for_trial(None, COHORT)
    wanted = {name for recipe in own for name in forms_of(recipe, COHORT)}
    assert wanted and {form.name for form in forms} == wanted
    assert set(sides_of([*own, *forms], COHORT).values()) == {SINGLE, COMBINED}


@dataclass(frozen=True)
class Theirs:
    """A recipe of somebody else, who knows nothing of sides."""

    name: str = "theirs"
    family: str = "network"
    paper: str = "nobody"

    def supports(self, cohort: Cohort) -> None:
        return None

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> Any:
        return Linear("", cohort.modalities).fit(cohort, seed=seed)


def test_somebody_elses_recipe_is_measured_against_itself_on_one_modality() -> None:
    trial = chiasm.evaluate(COHORT, [Theirs()], QUICK, jobs=1)
    sides = {row["name"]: row["side"] for row in trial.document["recipes"]}
    assert sides["theirs"] == COMBINED
    assert sides["theirs:modality=m1"] == sides["theirs:modality=m2"] == SINGLE
    absent = trial.predictions.query("recipe == 'theirs:modality=m1' and pattern == 'm2'")
    assert (absent.groupby("fold")["p_1"].nunique() == 1).all()  # the training prior, whoever it is


@dataclass(frozen=True)
class Sly(Theirs):
    """Declares one modality and reads both."""

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        return ("m1",)


def test_a_model_that_reads_what_was_not_declared_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(chiasm.TrialError, match=r"recipe 'theirs' declares that it reads m1.* m2 too") as refused:
        chiasm.evaluate(COHORT, [Sly()], QUICK, jobs=1, out=tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def trial() -> chiasm.Trial:
    """One of late fusion, compared to a constant by name too."""
    return chiasm.evaluate(COHORT, ["late-fusion"], QUICK, jobs=1, contrasts=[("late-fusion", "null")])


def test_references_are_rows_on_no_side(trial: chiasm.Trial) -> None:
    rows = {row["name"]: row for row in trial.document["recipes"]}
    assert rows["best-available"]["side"] == rows["null"]["side"] == "reference"
    assert rows["null"]["mean"] == pytest.approx(0.5)
    verdict = trial.verdict
    assert verdict is not None
    assert verdict.best_single.startswith(("single:", "presence")) and verdict.best_fused == "late-fusion"
    assert isinstance(trial.predictions, pd.DataFrame)
    assert {"best-available", "null", "presence"} <= set(trial.predictions["recipe"])


def test_reads_of_a_collection_or_of_a_function() -> None:
    assert reads_of(SINGLES[0], COHORT) == ("m1",) and reads_of(FUSED[0], COHORT) == ("m1", "m2")
    assert reads_of(Theirs(), COHORT) == COHORT.modalities
    assert reads_of(make_recipe("presence"), COHORT) == ()


def test_a_contrast_is_named_beforehand_with_recipes_of_the_trial(trial: chiasm.Trial) -> None:
    (found,) = trial.document["contrasts"]
    table = trial.table().set_index("recipe")["mean"]
    assert found["difference"] == pytest.approx(table["late-fusion"] - table["null"])
    assert found["outcome"] == ("pays" if found["low"] > 0 else "cannot tell")
    assert "'late-fusion' against 'null'" in found["sentence"]
    with pytest.raises(ValueError, match="the contrast names 'nobody', no recipe of this trial"):
        chiasm.evaluate(COHORT, ["late-fusion"], QUICK, jobs=1, contrasts=[("late-fusion", "nobody")])


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
def test_sites_of_one_patient_keep_nothing_together() -> None:
    patients = pd.DataFrame(
        {"y": [0, 1] * 20, "site": [f"s{k}" for k in range(40)]}, index=[f"p{k}" for k in range(40)]
    )
    frame = pd.DataFrame({"x": range(40)}, index=patients.index, dtype=float)
    cohort = chiasm.cohort_from_frames(patients, {"m": frame}, target=chiasm.Classification("y"), site="site")
    with pytest.raises(chiasm.CohortError, match="each of the 40 sites holds one patient"):
        chiasm.evaluate(cohort, ["single:m"], chiasm.Protocol(by="site"), jobs=1)
