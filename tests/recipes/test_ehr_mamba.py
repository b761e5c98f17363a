"""`ehr-mamba`: the laws of a recipe on event records, its options, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.memo import forget
from chiasm.encoders.record.event_tokens import EventTokens
from chiasm.recipes.fusion.ehr_mamba import UNLABELLED, EhrMambaRecipe
from chiasm.testing import check_recipe
from record_cohorts import record_parts
from small_recipes import gap, mixed, small

MEDS = Path(__file__).parents[3] / "shared" / "data" / "wings" / "meds-sample"


def test_it_passes_the_public_check() -> None:
    check_recipe(small("ehr-mamba", **FAST), kinds=("classification",), n=56, parts=record_parts)


FAST = {"depth": 1, "heads": 2, "base_epochs": 1}


def test_labels_are_tasks_of_one_head_and_the_first_phase_changes_the_model() -> None:
    cohort = record_parts("multilabel", 48, 0).cohort()
    model = small("ehr-mamba", **FAST).fit(cohort, seed=0)
    assert isinstance(model.predictor.encoders["events"], EventTokens)
    assert model.predictor.design.labels and model.predictor.network().fusion.read.weight.shape[0] == 1
    other = small("ehr-mamba", **{**FAST, "base_epochs": 0}).fit(cohort, seed=0)
    assert gap(model.predict(cohort), other.predict(cohort)) > 1e-6


def test_a_cohort_without_records_and_invalid_options_are_refused() -> None:
    with pytest.raises(Unsupported, match="reads event records"):
        small("ehr-mamba").supports(mixed("classification"))
    for options in ({"cell": "none"}, {"steps": 0}, {"codes": 0}, {"heads": 3}, {"base_epochs": -1}):
        with pytest.raises(ValueError, match=r"is not known|lies between|no multiple|epochs"):
            EhrMambaRecipe(**options)  # type: ignore[arg-type]


def test_patients_without_an_outcome_are_read_before_the_target_and_their_hidden_values_never() -> None:
    cohort = record_parts("classification", 48, 0).cohort()
    known = np.arange(len(cohort)) % 2 == 0
    fit = {
        name: small("ehr-mamba", **{**FAST, "base_epochs": epochs}).fit for name, epochs in (("read", 1), ("not", 0))
    }

    def hidden(value: float) -> Cohort:
        outcome = replace(cohort.outcome, value=np.where(known, cohort.outcome.value, value), known=known)
        return cohort.with_target(cohort.target, outcome)

    read = fit["read"](hidden(0.0), seed=0)
    forget()  # what is learned without an outcome is kept for the same patients
    assert gap(read.predict(cohort), fit["read"](hidden(1.0), seed=0).predict(cohort)) == 0
    alone = fit["read"](cohort.subset(known), seed=0)
    assert gap(read.predict(cohort), alone.predict(cohort)) > 1e-6
    assert read.predictor.notes == {UNLABELLED: 24.0} and alone.predictor.notes == {}
    plain = fit["not"](hidden(0.0), seed=0)
    assert gap(plain.predict(cohort), fit["not"](cohort.subset(known), seed=0).predict(cohort)) == 0


@pytest.mark.nightly
@pytest.mark.skipif(not MEDS.is_dir(), reason="the real cohorts are not there")
def test_on_real_events_the_other_task_token_gives_the_other_answer() -> None:
    """Two tasks of one stay: was it the lungs that it ended with, and was it not."""
    events = pd.concat([pd.read_parquet(file) for file in sorted(MEDS.rglob("*.parquet"))]).dropna(subset="time")
    first = events.groupby("subject_id")["time"].transform("min")
    events["hours"] = (events["time"] - first).dt.total_seconds() / 3600
    ends = events[events["code"].str.startswith("DISCHARGE")]
    last = ends.sort_values("hours").groupby("subject_id")["code"].last()
    lungs = last == "DISCHARGE//PULMONARY"
    table = pd.DataFrame({"lungs": lungs, "other": ~lungs}).astype(int)
    table.index, events.index = table.index.astype(str), events["subject_id"].astype(str)
    parts = {"events": events[["hours", "code", "numeric_value"]].loc[lambda own: own.index.isin(table.index)]}
    cohort = chiasm.cohort_from_frames(
        table, parts, target=chiasm.Multilabel(["lungs", "other"]), kinds={"events": "events"}
    )
    cohort = chiasm.encode(cohort).cohort
    recipe = EhrMambaRecipe("events", depth=1, steps=24, base_epochs=0, epochs=40, dropout=0.0, learning_rate=1e-2)
    predictor = recipe.fit(cohort, seed=0).predictor.predictor
    said = predictor.link(cohort) > 0
    truth = table.loc[list(cohort.ids)].to_numpy(bool)
    assert (said == truth).mean() > 0.95 and 0.2 < truth[:, 0].mean() < 0.8
    tasks = predictor.state["fusion.tasks"]
    swapped = replace(predictor, state={**predictor.state, "fusion.tasks": tasks[::-1].copy()})
    assert ((swapped.link(cohort) > 0) == ~truth).mean() > 0.95
