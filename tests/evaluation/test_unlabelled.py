"""Patients without an outcome are read on the training side alone, by recipes that learn from them; none is scored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.compute.memo import forget
from chiasm.encoding.encode import one_after_another
from chiasm.evaluation.protocol import plan
from chiasm.evaluation.run import kept_together, run_trial, usable
from chiasm.evaluation.unlabelled import unlabelled_of
from chiasm.fitting.base import Training
from chiasm.report.cohort import cohort_part
from record_cohorts import record_parts
from small_recipes import small
from toy_recipes import OneColumn, columns_cohort

SEEN: list[tuple[set[str], set[str]]] = []
"""What was read, fit by fit: patients with an outcome, and without one."""


@dataclass(frozen=True)
class Reads(OneColumn):
    """A toy that notes whom it may read."""

    id: ClassVar[str] = "reads"
    reads_unlabelled: ClassVar[bool] = True

    def learn(self, training: Training) -> Any:
        own = set(training.cohort.ids.tolist())
        everyone = set() if training.everyone is None else set(training.everyone.ids.tolist())
        SEEN.append((own, everyone - own))
        return super().learn(training)


def hidden(cohort: Cohort, rows: np.ndarray) -> Cohort:
    """The cohort with the outcomes of some patients unknown."""
    known = ~np.isin(np.arange(len(cohort)), rows)
    outcome = replace(cohort.outcome, known=known, value=np.where(known, cohort.outcome.value, 0))
    return cohort.with_target(cohort.target, outcome)


def made(**more: Any) -> Cohort:
    return replace(hidden(columns_cohort(80), np.arange(0, 80, 4)), **{"fold": None, **more})


def run(cohort: Cohort, recipes: list[Any], out: Path | None = None, resume: bool = False) -> chiasm.Trial:
    return run_trial(
        cohort, recipes, chiasm.Protocol(folds=2, inner_folds=2, repeats=1), seed=0, out=out, resume=resume, jobs=1,
        device="cpu", execute=one_after_another, clock=lambda: 0.0, progress=lambda finished, everything: None,
    )  # fmt: skip


def test_a_recipe_reads_them_beside_its_training_patients_and_no_other_does(tmp_path: Path) -> None:
    cohort, recipes = made(), [Reads(), OneColumn()]
    unknown = set(cohort.ids[::4].tolist())
    SEEN.clear()
    trial = run(cohort, recipes, tmp_path / "run")
    assert SEEN and all(beside == unknown and not own & unknown for own, beside in SEEN)
    assert not set(trial.predictions["patient"]) & unknown
    assert trial.document["cohort"]["read_without_outcome"] == 20
    assert any("20 without a known outcome are read" in value for _, value in cohort_part(trial).facts)
    assert "read_without_outcome" not in run(cohort, [OneColumn()]).document["cohort"]
    with pytest.raises(chiasm.TrialError, match="other"):
        run(cohort.subset(np.arange(1, 80)), recipes, tmp_path / "run", resume=True)


@pytest.mark.parametrize("kept", ["group", "site", "fold"])
def test_who_belongs_to_a_tested_patient_is_not_read(kept: str) -> None:
    """Patients 4k and 4k + 1 belong together; of 4k the outcome is not known."""
    label = np.array([f"g{row // 4 if row % 4 < 2 else 100 + row}" for row in range(80)])
    if kept == "fold":
        label = np.array([str(row // 4 % 3) if row // 4 % 4 else "train" for row in range(80)])
    everyone = made(**{kept: label})
    protocol = chiasm.Protocol(folds=3, repeats=1, by="site" if kept == "site" else None)
    cohort = usable(everyone)[0]
    found = unlabelled_of(everyone, [Reads()], lambda own: kept_together(own, protocol))
    assert found is not None and found.count == 20
    counts = []
    for split in plan(cohort, protocol, 0):
        both = found.beside(split, cohort.subset(split.train))
        own, beside = both.ids[both.outcome.known], both.ids[~both.outcome.known]
        assert own.tolist() == cohort.ids[split.train].tolist()
        place = {name: row for row, name in enumerate(everyone.ids.tolist())}
        tested = {label[place[name]] for name in cohort.ids[split.test].tolist()} - {"train"}
        assert not {label[place[name]] for name in beside.tolist()} & tested
        counts.append(len(beside))
    assert min(counts) > 0 and max(counts) < 20
    if kept != "fold":
        assert sum(counts) == 2 * 20, "each is read in the two folds that do not test who belongs to it"


@pytest.mark.nightly
def test_records_without_an_outcome_change_a_trial_and_what_is_hidden_never_does() -> None:
    cohort, protocol = record_parts("classification", 168, 0).cohort(), chiasm.Protocol(folds=2, repeats=1)
    recipe = small("ehr-mamba", depth=1, heads=2, base_epochs=1)
    rows, found = np.arange(0, 168, 3), []
    for value in (0, 1):
        own = hidden(cohort, rows)
        outcome = replace(own.outcome, value=np.where(own.outcome.known, own.outcome.value, value))
        forget()
        found.append(chiasm.evaluate(own.with_target(own.target, outcome), [recipe], protocol).predictions)
    forget()
    alone = chiasm.evaluate(cohort.subset(np.setdiff1d(np.arange(168), rows)), [recipe], protocol).predictions
    assert found[0].equals(found[1]) and not found[0].equals(alone)
