"""Shares of modalities: they sum to the prediction, are those of a known game, and come out of the command line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, Unsupported, synthetic_cohort
from chiasm.models.explain.shares import mean_shares, modality_shares
from cohort_folder import CohortFolder
from command_line import Run


@dataclass(frozen=True)
class Game:
    """A model whose prediction is a function of what a patient has and of nothing else."""

    rule: Callable[[np.ndarray], np.ndarray]

    def predict(self, cohort: Cohort) -> pd.DataFrame:
        texts, own = cohort.patterns()
        frame = pd.DataFrame({"pattern": texts[own], "value": self.rule(cohort.present)}, index=pd.Index(cohort.ids))
        return frame.iloc[cohort.order]


@pytest.mark.parametrize(
    ("recipe", "target"),
    [("late-fusion", "classification"), ("healnet:epochs=2", "survival"), ("early-fusion", "regression")],
)
def test_shares_sum_to_the_prediction_less_the_mean(recipe: str, target: Any) -> None:
    cohort = synthetic_cohort("complementary", 60, target=target, missing=0.3, seed=1)
    model = chiasm.fit(cohort, recipe)
    found = chiasm.explain(model, cohort)
    whole = model.predict(cohort).drop(columns="pattern")
    summed = found.shares.groupby(["patient", "output"])["share"].sum().unstack()
    expected = (whole - whole.mean()).loc[summed.index, summed.columns]
    np.testing.assert_allclose(summed.to_numpy(), expected.to_numpy(), rtol=1e-5, atol=2e-6)
    assert list(dict.fromkeys(found.shares["patient"])) == list(whole.index)  # all, in the order of the cohort's file
    assert not found.left_out
    has = dict(zip(cohort.ids, cohort.present.sum(axis=1), strict=True))
    counted = found.shares.groupby("patient")["modality"].nunique()
    assert all(counted[patient] == has[patient] for patient in counted.index)


def test_shares_of_a_sum_are_its_terms_and_those_of_a_product_are_equal() -> None:
    cohort = synthetic_cohort("complementary", 40, missing=0, seed=0)
    for rule, expected in (
        (lambda has: has @ [3.0, -1.0], (3.0, -1.0)),
        (lambda has: has.all(axis=1) * 4.0, (2.0, 2.0)),
    ):
        shares = modality_shares(Game(rule), cohort, ["m1", "m2"])
        base = shares["base"].iloc[0]  # all have both: nothing is what both give, and each brings its half less
        by = shares.groupby("modality")["share"].first()
        assert (by["m1"] + base / 2, by["m2"] + base / 2) == pytest.approx(expected)


def test_a_modality_that_changes_nothing_has_no_share() -> None:
    cohort = synthetic_cohort("complementary", 40, missing=0.4, seed=0)
    of_first = [str(cohort.ids[row]) for row in cohort.rows_of("m1")]
    effect = dict(zip(of_first, np.resize([1.0, -1.0], len(of_first)), strict=True))
    assert len(of_first) % 2 == 0  # the mean prediction is nothing

    class OfTheFirst(Game):
        def predict(self, cohort: Cohort) -> pd.DataFrame:
            frame = super().predict(cohort)
            has = {cohort.ids[row] for row in cohort.rows_of("m1")}
            frame["value"] = [effect[patient] if patient in has else 0.0 for patient in frame.index]
            return frame

    summary = mean_shares(modality_shares(OfTheFirst(lambda has: np.zeros(len(has))), cohort, ["m1", "m2"]))
    assert dict(zip(summary["modality"], summary["size"], strict=True)) == {"m1": 1.0, "m2": 0.0}


def test_the_modalities_of_an_output_stand_side_by_side() -> None:
    shares = pd.DataFrame({"output": ["x", "y"] * 2, "modality": ["a", "a", "b", "b"], "share": 1.0})
    summary = mean_shares(shares)
    assert list(zip(summary["output"], summary["modality"], strict=True)) == [*zip("xxyy", "abab", strict=True)]


def test_intervals_are_of_patients_and_few_have_none() -> None:
    shares = pd.DataFrame(
        {"output": "risk", "modality": ["a"] * 50 + ["b"] * 9, "share": np.r_[np.ones(50), np.ones(9)]}
    )
    summary = mean_shares(shares).set_index("modality")
    assert tuple(summary.loc["a", ["size", "low", "high"]]) == (1, 1, 1)
    assert np.isnan(summary.loc["b", "low"]) and summary.loc["b", "size"] == 1


def test_what_cannot_be_explained_is_said_before_anything_is_predicted() -> None:
    cohort = synthetic_cohort("complementary", 40, seed=0)

    def never(has: np.ndarray) -> np.ndarray:
        raise AssertionError("predicted")

    with pytest.raises(Unsupported, match="two patients or more"):
        modality_shares(Game(never), cohort.subset([0]), ["m1", "m2"])
    with pytest.raises(Unsupported, match="511 subsets"):
        modality_shares(Game(never), cohort, [f"m{k}" for k in range(9)])


def test_the_command_writes_the_shares_and_shows_the_modalities(two_tables: CohortFolder, run: Run) -> None:
    folder = two_tables.path
    assert run("fit", folder, "--recipe", "late-fusion", "--out", folder / "model").code == 0
    said = run("explain", folder / "model", folder, "--out", folder / "shares.csv")
    assert said.code == 0, said.err
    assert "clinical" in said.out and "rna" in said.out and "001" not in said.out
    written = pd.read_csv(folder / "shares.csv", dtype={"patient": str})
    assert set(written["patient"]) == {f"{k:03d}" for k in range(1, 41)}
    again = run("explain", folder / "model", folder, "--out", folder / "shares.csv")
    assert again.code == 2 and "--force" in again.err
    assert run("explain", folder / "model", folder, "--out", folder / "shares.csv", "--force", "--json").code == 0
    refused = run("explain", folder / "model", folder, "--out", folder / "shares.xlsx")
    assert refused.code == 2 and ".csv" in refused.err


def test_who_has_nothing_that_the_model_reads_is_counted_and_moves_no_mean() -> None:
    cohort = synthetic_cohort("complementary", 60, missing=0.3, seed=1)
    model = chiasm.fit(cohort, "single:m1")
    found, has = chiasm.explain(model, cohort), cohort.rows_of("m1")
    assert found.left_out == 60 - len(has) > 0 and set(found.shares["patient"]) == set(cohort.ids[has])
    alone = model.predict(cohort.subset(has))["p_1"].mean()
    assert found.shares.query("output == 'p_1'")["base"].unique() == pytest.approx([alone])


def test_what_is_far_outside_of_training_is_said_once() -> None:
    cohort = synthetic_cohort("complementary", 60, missing=0.3, seed=1)
    model = chiasm.fit(cohort, "late-fusion")
    rows = np.arange(40)
    frame = cohort.raw("m1").copy() * 1e6
    far = chiasm.cohort_from_frames(
        pd.DataFrame(index=cohort.ids), {"m1": frame, "m2": cohort.raw("m2")}, kinds={"m1": "table", "m2": "table"}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", chiasm.FindingWarning)
        found = chiasm.explain(model, far.subset(rows))
    assert found.notes and len(set(found.notes)) == len(found.notes) and "'m1'" in found.notes[0]
