"""`evaluate(..., external=cohort)`: the picks on another cohort, told apart from a verdict that does not change."""

from __future__ import annotations

import html
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.api.external_trial import ExternalError, unscored
from chiasm.cli import main
from chiasm.cohort import synthetic_cohort

N, NEW = 90, 70
RECIPES = ["single:m1", "late-fusion"]
QUICK = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
pytestmark = pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")


@pytest.fixture(scope="module")
def cohorts() -> tuple[chiasm.Cohort, chiasm.Cohort]:
    whole = synthetic_cohort("complementary", N + NEW, target="regression", seed=1)
    other = whole.subset(np.arange(N, N + NEW))
    named = np.array([f"WOB88{k:03d}" for k in range(NEW)])
    return whole.subset(np.arange(N)), replace(other, ids=named, name="elsewhere")


def test_the_picks_are_scored_as_validate_scores_them_and_the_verdict_stays(cohorts, tmp_path: Path) -> None:
    own, other = cohorts
    plain = chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "plain", jobs=1)
    trial = chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "run", jobs=1, external=other)
    assert trial.verdict == plain.verdict and "external" not in plain.document
    part = trial.document["external"]
    assert [row["name"] for row in part["recipes"]] == [trial.verdict.best_fused, trial.verdict.best_single]
    assert part["recipes"][0]["name"] == "late-fusion" and part["patients"] == NEW
    alone = chiasm.validate(chiasm.fit(own, "late-fusion"), other, draws=100)
    assert part["recipes"][0]["metrics"] == alone.document["metrics"]
    first, second = (row["mean"] for row in part["recipes"])
    assert part["difference"]["mean"] == pytest.approx(first - second)
    stored = json.loads((tmp_path / "run" / "trial.json").read_text())
    assert stored["external"] == part == chiasm.load_trial(tmp_path / "run").document["external"]
    page = html.unescape((tmp_path / "run" / "report.html").read_text())
    assert "External validation on 'elsewhere'" in page and f"{first:.3f}" in page
    assert "WOB88" not in page + json.dumps(stored)
    assert (tmp_path / "run" / "external_predictions.parquet").stat().st_mode & 0o077 == 0
    again = chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "plain", jobs=1, external=other, resume=True)
    assert again.document["external"] == part, "a finished trial is not run again for it"
    assert 'id="external"' in (tmp_path / "plain" / "report.html").read_text()
    with pytest.raises(chiasm.TrialError, match="another external cohort"):
        chiasm.evaluate(
            own, RECIPES, QUICK, out=tmp_path / "run", jobs=1, resume=True, external=other.subset(range(60))
        )


def test_a_cohort_that_cannot_be_scored_stops_the_trial_before_it_starts(cohorts, tmp_path: Path) -> None:
    own, other = cohorts
    kind = synthetic_cohort("complementary", 40, target="survival")
    for spoilt, said in (
        (kind, "of kind 'regression' and that of the cohort 'complementary' is of kind 'survival'"),
        (other.with_target(None, None), "the cohort 'elsewhere' has no target"),
        (replace(other, kinds={}, sources={}, source_rows={}), "has none of the modalities 'm1', 'm2'"),
    ):
        with pytest.raises(chiasm.Unsupported, match=said):
            chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "run", jobs=1, external=spoilt)
    assert not (tmp_path / "run").exists()


def test_what_fails_after_the_fits_does_not_lose_the_trial(cohorts, tmp_path: Path, monkeypatch) -> None:
    """A model may refuse what only its prediction meets."""
    own, other = cohorts

    def refuses(*told: object, **more: object) -> None:
        raise chiasm.Unsupported("column 'x' holds another unit")

    with monkeypatch.context() as patch:
        patch.setattr("chiasm.api.external_trial.told_by", refuses)
        with pytest.raises(chiasm.TrialError) as fault:
            chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "run", jobs=1, external=other)
        said = str(fault.value)
        assert "the trial is finished (it lies in 'run')" in said and "column 'x' holds another unit" in said
        assert "--resume" in said and fault.value.trial.verdict == chiasm.load_trial(tmp_path / "run").verdict
        page = (tmp_path / "run" / "report.html").read_text()
        assert "external" not in chiasm.load_trial(tmp_path / "run").document and 'id="external"' not in page
        patch.setattr("chiasm.api.external_trial.told_by", lambda *told: {}["WOB88001"])
        with pytest.raises(chiasm.TrialError, match="KeyError in test_external_of_a_trial, line") as fault:
            chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "run", jobs=1, external=other, resume=True)
        assert "WOB88" not in str(fault.value) and "Mend that cohort" not in str(fault.value)
        copy = pickle.loads(pickle.dumps(fault.value))  # as a pool of processes hands it on
        assert str(copy) == str(fault.value) and copy.trial.verdict == fault.value.trial.verdict
        patch.setattr("chiasm.api.external_trial.told_by", lambda *told: np.zeros(2**60))
        with pytest.raises(ExternalError, match=r"MemoryError|ValueError") as fault:
            chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "run", jobs=1, external=other, resume=True)
        assert fault.value.trial is not None and fault.value.trial.verdict is not None
    assert "it is the `trial` of this error" in unscored(other, None, ValueError())
    (tmp_path / "run" / "report.html").write_text("of a run that was stopped before its page")
    done = chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "run", jobs=1, external=other, resume=True)
    assert done.document["external"]["patients"] == NEW
    (tmp_path / "run" / "report.html").write_text("of a run that was stopped before its page")
    chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "run", jobs=1, external=other, resume=True)
    assert 'id="external"' in (tmp_path / "run" / "report.html").read_text()


def test_a_cohort_of_the_same_patients_is_none_that_no_model_has_seen(cohorts, tmp_path: Path) -> None:
    own = cohorts[0]
    copied = replace(own, ids=np.array([f"c{k:03d}" for k in range(len(own))]), name="again")
    for again, said in (
        (own, "the cohort itself"),
        (copied, "identical in every modality"),
    ):
        with pytest.raises(chiasm.LeakageError, match=said):
            chiasm.evaluate(own, RECIPES, QUICK, out=tmp_path / "run", jobs=1, external=again)
    assert not (tmp_path / "run").exists()


def test_the_command_hands_the_other_cohort_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"case": range(40), "x": rng.normal(size=40), "y": rng.normal(size=40)})
    table.to_csv(tmp_path / "patients.csv", index=False)
    manifest = (
        '[patients]\ntable = "patients.csv"\nid = "case"\n[target]\nkind = "regression"\ncolumn = "y"\n'
        '[modalities.m]\nkind = "table"\ncolumns = ["x"]\n'
    )
    (tmp_path / "ours.toml").write_text(manifest)
    (tmp_path / "theirs.toml").write_text(manifest.partition("[target]")[0] + manifest[manifest.index("[mod") :])
    command = ["evaluate", str(tmp_path / "ours.toml"), "--recipes", "single:m", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as left:
        main([*command, "--external", str(tmp_path / "theirs.toml")])
    said = capsys.readouterr().err
    assert left.value.code == 2 and "has no target" in said and said.count("error:") == 1
    assert not (tmp_path / "run").exists()
