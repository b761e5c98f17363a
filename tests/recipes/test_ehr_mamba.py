"""`ehr-mamba`: the laws of a recipe on event records, its options, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.memo import forget
from chiasm.encoders.record.event_tokens import EventTokens
from chiasm.recipes.fusion.ehr_mamba import UNLABELLED, EhrMambaRecipe
from chiasm.testing import check_recipe
from record_cohorts import record_parts
from small_recipes import gap, mixed, small


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
