"""Table one and the inventory: known counts of a cohort made by hand, and nothing of a few patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort.characteristics import DESCRIBED, _written, characteristics
from chiasm.cohort.inventory import flow_of, inventory

N = 100


def made(**changed: Any) -> chiasm.Cohort:
    """100 patients, of whom every second died; 40 of 70 women; `stage` with a level of three; age of 90 known."""
    ids = [f"p{k:03d}" for k in range(N)]
    patients = pd.DataFrame({"days": np.arange(1.0, N + 1), "died": np.arange(N) % 2}, index=ids)
    if "site" in changed:
        patients["hospital"] = changed["site"]
    if changed.get("unknown"):
        patients.loc[ids[:6], "days"] = np.nan
    clinical = pd.DataFrame(
        {
            "age": np.where(np.arange(N) < 10, np.nan, np.arange(N)),
            "sex": np.where(np.arange(N) < 70, "woman", "man"),
            "stage": ["rare"] * 3 + ["early"] * 50 + ["late"] * 47,
            "smokes": np.arange(N) % 4 == 0,
        },
        index=ids,
    ).astype({"smokes": float})
    rna = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 5)), index=ids, columns=list("abcde"))
    rna.iloc[:20, 0] = np.nan
    return chiasm.cohort_from_frames(
        patients, {"clinical": clinical, "rna": rna.iloc[:60]}, chiasm.Survival("days", "died"), kinds={"rna": "omics"},
        site="hospital" if "site" in changed else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return characteristics(made())


def column(found: Mapping[str, Any], name: str) -> Any:
    return next(own for own in found["columns"] if own["column"] == name)


def test_groups_are_what_happened(found: dict[str, Any]) -> None:
    assert found["groups"] == [
        {"name": "all", "patients": N}, {"name": "event", "patients": 50}, {"name": "no event", "patients": 50},
    ]  # fmt: skip


def test_a_number_has_quartiles_and_missing_values(found: dict[str, Any]) -> None:
    age = column(found, "age")
    assert age["known"] == [90, 45, 45] and age["missing"] == [10, 5, 5]
    assert age["quartiles"][0] == [32.2, 54.5, 76.8]  # of 10, 11, ... 99, to three digits
    odd = np.quantile(np.arange(11, 100, 2), [0.25, 0.5, 0.75])
    np.testing.assert_allclose(age["quartiles"][1], odd, rtol=5e-3)


def test_levels_add_up_and_the_rare_are_pooled_and_masked(found: dict[str, Any]) -> None:
    sex = {level["name"]: level["patients"] for level in column(found, "sex")["levels"]}
    assert sex == {"woman": [70, 35, 35], "man": [30, 15, 15]}
    smokes = {level["name"]: level["patients"] for level in column(found, "smokes")["levels"]}
    assert smokes == {"0": [75, 50, 25], "1": [25, 0, 25]}
    stage = {level["name"]: level["patients"] for level in column(found, "stage")["levels"]}
    assert set(stage) == {"early", "late", "other levels"}, "a level of three patients is not named"
    hidden = [name for name, cells in stage.items() if cells[0] is None]
    assert hidden == ["late", "other levels"], "three would follow from 100 less the others"
    assert stage["other levels"] == [None, None, None]


def test_few_patients_have_no_quartiles() -> None:
    cohort = made()
    few = characteristics(cohort.subset(np.arange(2 * DESCRIBED - 2)))
    assert [own is None for own in column(few, "age")["quartiles"]] == [False, True, True]


def test_other_targets_have_their_groups() -> None:
    ids = [f"p{k:03d}" for k in range(N)]
    frame = pd.DataFrame({"age": np.arange(1.0, N + 1) * 1.5}, index=ids)
    rng = np.random.default_rng(0)
    patients = pd.DataFrame(
        {
            "grade": rng.choice(["low", "high"], N),
            "a": rng.integers(0, 2, N),
            "b": [1] * 60 + [0] * 40,
            "y": rng.random(N),
        },
        index=ids,
    )
    targets = {
        chiasm.Classification("grade"): ["all", "high", "low"], chiasm.Multilabel(("a", "b")): ["all", "a", "b"],
        chiasm.Regression("y"): ["all"],
    }  # fmt: skip
    for target, names in targets.items():
        groups = characteristics(chiasm.cohort_from_frames(patients, {"t": frame}, target))["groups"]
        assert [own["name"] for own in groups] == names
        if "b" in names:
            assert groups[2]["patients"] == 60


def test_the_inventory_counts_columns_patients_and_missing_values() -> None:
    clinical, rna = inventory(made())
    assert rna == {
        "modality": "rna", "kind": "omics", "present": 60, "columns": 5, "missing": 0.0667, "incomplete": 1,
        "complete": 40, "sites": [],
    }  # fmt: skip
    assert (clinical["present"], clinical["columns"], clinical["incomplete"], clinical["complete"]) == (N, 4, 1, None)


def test_the_flow_adds_up() -> None:
    everyone = made(unknown=True)
    used = everyone.subset(everyone.outcome.known & everyone.present.any(1))
    flow = flow_of(everyone, used)
    assert (flow["tables"], flow["unknown_outcome"], flow["no_modality"], flow["used"]) == (N, 6, 0, N - 6)
    assert flow["modalities"] == {"clinical": N - 6, "rna": 54} and flow["every"] == 54
    assert flow["tables"] - flow["unknown_outcome"] - flow["no_modality"] == flow["used"]


def test_missing_values_do_not_follow_from_the_known_ones() -> None:
    cohort = made()
    lost = cohort.raw("clinical")["sex"].copy()
    frame = cohort.raw("clinical").assign(sex=lost.where(~np.isin(np.arange(N), [1, 3, 5])))  # three with the event
    patients = pd.DataFrame({"days": np.arange(1.0, N + 1), "died": np.arange(N) % 2}, index=frame.index)
    again = chiasm.cohort_from_frames(patients, {"clinical": frame[["sex", "smokes"]]}, chiasm.Survival("days", "died"))
    own = column(characteristics(again), "sex")
    assert [own["missing"][k] for k in (0, 1)] == [None, None] and own["known"][:2] == [None, None]
    (entry,) = inventory(again)
    assert (entry["missing"], entry["complete"]) == (None, None)


def test_levels_that_differ_in_the_seventh_digit_stay_apart() -> None:
    written = [_written(value) for value in (1000001.0, 1000002.0, 1.0, 0.1, np.float32(0.1), "a")]
    assert written == ["1000001", "1000002", "1", "0.1", "0.1", "a"]


def test_no_small_count_of_a_site_follows_from_the_others() -> None:
    site = np.array(["a"] * 50 + ["b"] * 13 + ["c"] * 34 + ["d"] * 3)  # rna is had by all of a and 10 of b
    (_, rna) = inventory(made(site=site))
    assert [row["site"] for row in rna["sites"]] == [1, 2, None]
    assert [row["patients"] for row in rna["sites"]] == [50, 34, 16]  # the three of d stand with those of b
    assert sum(row["present"] is None for row in rna["sites"]) in (0, 2, 3)
    hidden = made(site=np.where(np.arange(N) < 58, "a", "b"))
    assert [row["present"] for row in inventory(hidden)[1]["sites"]] == [None, None], "two of 60 are of b"


def test_more_than_ten_outcomes_are_not_told_apart() -> None:
    """Time to find what may be told grows with a power of the groups."""
    ids = [f"p{k}" for k in range(240)]
    for classes, shown in ((10, 11), (12, 1)):
        patients = pd.DataFrame({"kind": [f"k{n % classes:02d}" for n in range(240)]}, ids)
        frame = pd.DataFrame({"x": np.round(np.random.default_rng(0).normal(size=240), 1)}, ids)
        told = characteristics(chiasm.cohort_from_frames(patients, {"t": frame}, chiasm.Classification("kind")))
        assert len(told["groups"]) == shown and len(told["columns"][0]["known"]) == shown
