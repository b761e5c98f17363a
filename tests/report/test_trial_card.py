"""The card of a model with a trial: whom it learned from, and the scores of its recipe as they stand in the trial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.api.reporting import keep_card
from chiasm.evaluation import Trial, TrialError
from chiasm.fitting.card_patients import shares_told, training_told
from chiasm.report.measures import text_of
from chiasm.report.model_card import summary_table
from chiasm.sharing.hub_card import hub_card
from lighter_trials import only_ridges

N = 90


@pytest.fixture(scope="module")
def made() -> tuple[Any, Trial, chiasm.Cohort]:
    rng = np.random.default_rng(0)
    age, gene = rng.normal(size=(2, N))
    ids = [f"p{k:03d}" for k in range(N)]
    patients = pd.DataFrame({"relapse": np.where(age + gene + rng.normal(size=N) > 0, "yes", "no")}, index=ids)
    tables = {"clinical": pd.DataFrame({"age": age}, index=ids), "rna": pd.DataFrame({"gene": gene}, index=ids)[:70]}
    cohort = chiasm.cohort_from_frames(patients, tables, chiasm.Classification("relapse"), name="a|b")
    with only_ridges():
        protocol = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
        trial = chiasm.evaluate(cohort, ["late-fusion"], protocol, jobs=1, progress=lambda *told: None)
        return chiasm.fit(cohort, "late-fusion", seed=0), trial, cohort


def test_the_hub_reads_the_scores_of_the_trial_from_the_card(made: tuple[Any, Trial, chiasm.Cohort]) -> None:
    from huggingface_hub import ModelCard

    model, trial, _ = made
    card = ModelCard(hub_card("# Late\n", model, "cc-by-nc-4.0", name="ward/late", trial=trial))
    told = card.data.to_dict()
    assert card.text == "\n# Late\n" and (told["license"], told["library_name"]) == ("cc-by-nc-4.0", "chiasm")
    assert told["tags"] == ["chiasm", "multimodal", "medical", "late-fusion", "classification"]
    (index,) = told["model-index"]
    (result,) = index["results"]
    assert index["name"] == "ward/late" and result["dataset"] == {"type": "cohort", "name": "a|b"}
    row: Any = next(own for own in trial.document["recipes"] if own["name"] == "late-fusion")
    known = {name: own for name, own in row["metrics"].items() if own["low"] is not None}
    assert {own["type"]: own["value"] for own in result["metrics"]} == pytest.approx(
        {name: own["mean"] for name, own in known.items()}, abs=1e-4
    )
    auroc = next(own["name"] for own in result["metrics"] if own["type"] == "auroc")
    assert f"({known['auroc']['low']:.3f} to {known['auroc']['high']:.3f})" in auroc
    unnamed = hub_card(
        "", model, "other", name="ward/late", trial=replace(trial, document={**trial.document, "recipes": []})
    )
    assert "model-index" not in unnamed


def test_the_card_has_the_scores_of_the_trial(made: tuple[Any, Trial, chiasm.Cohort], tmp_path: Path) -> None:
    model, trial, cohort = made
    explained = chiasm.explain(model, cohort)
    card = chiasm.write_card(model, tmp_path / "card.md", trial, explained).read_text(encoding="utf-8")
    row: Any = next(own for own in trial.document["recipes"] if own["name"] == "late-fusion")
    for name in ("auroc", "brier", "calibration_slope"):
        assert f"| {text_of(row['metrics'][name])} |" in card.replace("\\", ""), name
    patterns = trial.patterns()
    for own in patterns[patterns["recipe"] == "late-fusion"].to_dict("records"):
        assert f"| {own['pattern']} | {own['n']} |" in card, own["pattern"]
    assert card.index("## Intended use") < card.index("NEEDS INPUT") < card.index("## What it is not for")
    assert "### Calibration" in card and "### The patients of the trial" in card and "In 'a\\|b', 90 patients" in card
    for own in explained.summary.to_dict("records"):
        assert f"| {own['output']} | {own['modality']} | {own['patients']} | {own['size']:.3f} (" in card.replace(
            "\\", ""
        )
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert rows and not any(name in card for name in cohort.ids.astype(str))


def test_a_card_without_a_trial_is_that_of_the_folder(made: tuple[Any, Trial, chiasm.Cohort], tmp_path: Path) -> None:
    made[0].save(tmp_path / "model")
    alone = chiasm.write_card(tmp_path / "model", tmp_path / "card.md").read_text(encoding="utf-8")
    stored = (tmp_path / "model" / "card.md").read_text(encoding="utf-8")
    assert alone.strip() == stored.strip() and "How the recipe did" not in alone
    yes = float((made[2].outcome.value == made[2].target.names.index("yes")).mean())  # type: ignore[union-attr]
    assert f"yes {100 * yes:.0f} %" in alone and "together: clinical, clinical+rna." in alone


def test_a_card_is_written_again_unless_somebody_completed_it(
    made: tuple[Any, Trial, chiasm.Cohort], tmp_path: Path
) -> None:
    model, trial, _ = made
    model.save(tmp_path / "model")
    file = tmp_path / "card.md"
    assert keep_card(tmp_path / "model", file, trial) and keep_card(tmp_path / "model", file, trial)
    text = file.read_text(encoding="utf-8")
    assert text == chiasm.write_card(model, tmp_path / "other.md", trial).read_text(encoding="utf-8")
    file.write_text(ours := text.replace("**NEEDS INPUT**", "On the ward"), encoding="utf-8")
    assert not keep_card(tmp_path / "model", file, trial) and file.read_text(encoding="utf-8") == ours


def test_a_trial_that_says_nothing_of_the_model_is_refused(
    made: tuple[Any, Trial, chiasm.Cohort], tmp_path: Path
) -> None:
    model, trial, _ = made
    rows = [own for own in trial.document["recipes"] if own["name"] != "late-fusion"]
    without = Trial({**trial.document, "recipes": rows}, trial.predictions, trial.outcomes)
    with pytest.raises(TrialError, match="the trial has no recipe 'late-fusion': it has "):
        chiasm.write_card(model, tmp_path / "card.md", without)
    cohort: Any = trial.document["cohort"]
    other = Trial({**trial.document, "cohort": {**cohort, "modalities": {"ct": {}}}}, trial.predictions, trial.outcomes)
    with pytest.raises(TrialError, match="the model reads 'clinical', which is no modality of the trial"):
        chiasm.write_card(model, tmp_path / "card.md", other)
    for changed in ({"columns": ["death"]}, {"classes": ["a", "b"]}):
        foreign = {**cohort, "target": {**cohort["target"], **changed}}
        other = Trial({**trial.document, "cohort": foreign}, trial.predictions, trial.outcomes)
        with pytest.raises(TrialError, match="give the trial of its cohort"):
            chiasm.write_card(model, tmp_path / "card.md", other)
    assert not (tmp_path / "card.md").exists()


def test_shares_of_a_few_patients_are_not_told() -> None:
    assert shares_told({"a": 0.25, "b": 0.75}, 100) == "a 25 %, b 75 %"
    assert shares_told({"a": 0.03, "b": 0.97}, 100) == "too few of one of them to say"
    assert shares_told({}, 100) == "" and training_told(object()) == []


def test_what_few_patients_bring_is_masked() -> None:
    rows = [
        {"output": "p", "modality": name, "patients": n, "mean": 0, "size": 0.5, "low": 0.4, "high": 0.6}
        for name, n in (("a", 4), ("b", 5))
    ]
    told = summary_table(pd.DataFrame(rows))
    assert "| p | a | masked | masked |" in told and "| p | b | 5 | 0.500 (0.400 to 0.600) |" in told
