"""P34: presence is never sold as content, coverage never as combining, and bending never as either.

The cohorts are those on which an earlier verdict was wrong: noise whose presence follows the outcome, a redundant
modality that reaches patients whom the other does not, a product inside one modality, and a modality of a few patients.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.evaluation.verdict import CANNOT_TELL, PAYS, PREDICTS_MORE, Verdict
from examples import examples

QUICK = chiasm.Protocol(repeats=1, inner_folds=2, draws=200)
pytestmark = pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")


def two_modalities(n: int, y: np.ndarray, m1: np.ndarray, m2: np.ndarray, has2: np.ndarray) -> Cohort:
    ids = [f"p{row:04d}" for row in range(n)]
    patients = pd.DataFrame({"y": y.astype(int)}, index=ids)
    frames = {"m1": pd.DataFrame(m1, index=ids), "m2": pd.DataFrame(m2, index=ids)[has2]}
    frames = {name: frame.rename(columns=lambda c, name=name: f"{name}_{c}") for name, frame in frames.items()}
    return chiasm.cohort_from_frames(patients, frames, chiasm.Classification("y"))


def judged(cohort: Cohort, recipes: list[str], protocol: chiasm.Protocol = QUICK) -> tuple[Verdict, chiasm.Trial]:
    trial = chiasm.evaluate(cohort, recipes, protocol, jobs=1)
    assert trial.verdict is not None
    print(trial.verdict.sentence)
    return trial.verdict, trial


@pytest.mark.slow
def test_noise_whose_presence_follows_the_outcome_does_not_pay() -> None:
    """m2 is noise that 90 % of the cases and 50 % of the controls have; the check says that presence goes with y."""
    rng, n = np.random.default_rng(0), 600
    m1, m2 = rng.normal(size=(n, 4)), rng.normal(size=(n, 4))
    y = rng.random(n) < 1 / (1 + np.exp(-(m1[:, 0] + m1[:, 1])))
    has2 = rng.random(n) < np.where(y, 0.9, 0.5)
    folds = replace(QUICK, folds=examples(5, 3))
    verdict, trial = judged(two_modalities(n, y, m1, m2, has2), ["early-fusion", "early-fusion:presence=True"], folds)
    assert verdict.outcome != PAYS
    assert "presence-follows-outcome" in {row["finding"] for row in trial.document["findings"]}
    means = trial.table().set_index("recipe")["mean"]
    assert means["presence"] > 0.6 and abs(means["single:m2"] - 0.5) < 0.06
    assert means["early-fusion:presence=True"] > means["early-fusion"] + 0.02  # who reads presence gains by it
    assert verdict.combining[1] <= 0


@pytest.mark.slow
@pytest.mark.usefixtures("ridges")
def test_a_redundant_modality_that_reaches_more_patients_predicts_more_patients() -> None:
    cohort = chiasm.synthetic_cohort("redundant", 1000, target="survival", missing=0.4)
    verdict, _ = judged(cohort, ["late-fusion"])
    assert verdict.outcome == PREDICTS_MORE
    assert verdict.coverage[1] > 0 and verdict.combining[1] <= 0


@pytest.mark.slow
@pytest.mark.nightly
def test_what_a_kernel_sees_in_one_modality_is_no_gain_of_combining() -> None:
    rng, n = np.random.default_rng(0), 400
    m1, m2 = rng.normal(size=(n, 4)), rng.normal(size=(n, 4))
    y = (m1[:, 0] * m1[:, 1] > 0) ^ (rng.random(n) < 0.05)
    verdict, trial = judged(two_modalities(n, y, m1, m2, np.ones(n, bool)), ["late-fusion", "kron-rls"])
    assert verdict.outcome != PAYS
    assert trial.table().set_index("recipe")["mean"]["single:m1"] > 0.8
    sides = {row["name"]: row["side"] for row in trial.document["recipes"]}
    assert sides["kron-rls"] == "aside"  # its one-modality forms are not listed


@pytest.mark.usefixtures("ridges")
def test_eight_patients_are_too_few_to_learn_combining_from() -> None:
    rng, n = np.random.default_rng(0), 200
    m1, m2 = rng.normal(size=(n, 4)), rng.normal(size=(n, 4))
    y = rng.random(n) < 1 / (1 + np.exp(-2 * m1[:, 0]))
    verdict, _ = judged(two_modalities(n, y, m1, m2, np.arange(n) % 25 == 0), ["late-fusion"])
    assert verdict.outcome == CANNOT_TELL and verdict.why == "too few"
    assert "of 160 training patients have two modalities, too few to learn from" in verdict.sentence


def test_a_modality_that_nobody_has_is_an_error() -> None:
    rng, n = np.random.default_rng(0), 60
    m1 = rng.normal(size=(n, 2))
    cohort = two_modalities(n, np.arange(n) % 2, m1, m1, np.zeros(n, bool))
    with pytest.raises(chiasm.CohortError, match="m2"):
        chiasm.evaluate(cohort, ["late-fusion"], QUICK, jobs=1)
