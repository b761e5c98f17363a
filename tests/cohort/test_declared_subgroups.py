"""Declared subgroups: how columns are divided, what is refused, and that they are carried along and never read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import CohortError, Regression, check_values, cohort_from_frames, open_cohort
from chiasm.cohort.manifest import read_manifest
from chiasm.cohort.subgroups import names_between, tertiles

N = 60
RNG = np.random.default_rng(0)
PATIENTS = pd.DataFrame(
    {
        "sex": np.where(np.arange(N) % 2, "f", "m"),
        "age": RNG.permutation(np.arange(30, 30 + N)).astype(float),
        "stage": np.arange(N) % 3,
        "street": [f"street {k}" for k in range(N)],
        "planet": "earth",
        "pattern": np.where(np.arange(N) % 2, "a", "b"),
        "y": RNG.normal(size=N),
    },
    index=[f"p{k:02d}" for k in range(N)],
)
FRAME = pd.DataFrame(RNG.normal(size=(N, 2)), index=PATIENTS.index, columns=["a", "b"])


def cohort(subgroups, patients=PATIENTS):
    return cohort_from_frames(patients, {"m": FRAME}, Regression("y"), subgroups=subgroups)


def folder(path: Path, line: str) -> Path:
    PATIENTS.to_csv(path / "patients.csv", index_label="id")
    FRAME.to_csv(path / "m.csv", index_label="id")
    (path / "cohort.toml").write_text(
        f'[patients]\ntable = "patients.csv"\nid = "id"\n{line}\n[target]\nkind = "regression"\ncolumn = "y"\n'
        '[modalities.m]\nkind = "table"\ntable = "m.csv"\n'
    )
    return path / "cohort.toml"


def test_words_and_codes_have_their_levels_and_numbers_are_cut() -> None:
    words, age, codes = cohort({"sex": (), "age": (50, 65), "stage": ()}).subgroups
    assert words.levels == ["f", "m"] and codes.levels == ["0", "1", "2"] and not codes.edges
    assert age.levels == ["under 50", "50 to under 65", "65 and over"] and age.cut == "stated edges"
    at = dict(zip(PATIENTS.sort_index()["age"], age.level, strict=True))
    assert (at[49.0], at[50.0], at[64.0], at[65.0]) == ("under 50", *["50 to under 65"] * 2, "65 and over")
    (thirds,) = cohort(["age"]).subgroups
    assert thirds.cut == "tertiles" and thirds.edges == (49.7, 69.3)
    assert sorted(np.unique(thirds.level, return_counts=True)[1]) == [20, 20, 20]


def test_a_subset_keeps_the_edges_and_an_empty_cell_is_of_no_level() -> None:
    gaps = PATIENTS.assign(age=PATIENTS["age"].where(PATIENTS["age"] > 35))
    whole = cohort(["age"], gaps)
    (part,) = whole.subset(np.arange(0, N, 4)).subgroups
    assert part.edges == whole.subgroups[0].edges and len(part.level) == N / 4
    assert (whole.subgroups[0].level == "").sum() == (PATIENTS["age"] <= 35).sum()
    (elsewhere,) = cohort({"age": (40,)}).subgroups
    assert set(elsewhere.cut_as(whole.subgroups[0]).level) == set(whole.subgroups[0].levels)


def test_a_manifest_says_the_same_as_frames(tmp_path: Path) -> None:
    read = open_cohort(folder(tmp_path, 'subgroups = ["sex", "age", "stage"]\nedges = { age = [50, 65] }'))
    made = cohort({"sex": (), "age": (50, 65), "stage": ()})
    for ours, theirs in zip(read.subgroups, made.subgroups, strict=True):
        assert (ours.column, ours.edges, ours.levels) == (theirs.column, theirs.edges, theirs.levels)
        assert list(ours.level) == list(theirs.level)
    assert read.fingerprint == open_cohort(folder(tmp_path, "")).fingerprint, "no model reads them"


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ('subgroups = ["sox"]', "missing-column"),
        ('subgroups = ["y"]', "target-as-subgroup"),
        ('subgroups = ["sex", "sex"]', "manifest-value"),
        ('subgroups = ["age"]\nedges = { age = [65, 50] }', "manifest-value"),
        ('subgroups = ["sex"]\nedges = { age = [50] }', "manifest-value"),
        ('subgroups = "sex"', "wrong-type"),
        ('subgroups = ["pattern"]', "manifest-value"),
        ('subgroups = ["age"]\nedges = { age = [true] }', "wrong-type"),
    ],
)
def test_what_cannot_be_a_subgroup_is_refused(tmp_path: Path, line: str, finding: str) -> None:
    problems = read_manifest(folder(tmp_path, line))[1]
    assert [own.finding for own in problems if own.severity == "error"] == [finding]


def test_the_check_finds_columns_that_divide_nobody_or_everybody() -> None:
    found = {own.finding: own.severity for own in check_values(cohort(["street", "planet"]))}
    assert found["many-subgroups"] == "error" and found["constant-subgroup"] == "warning"
    found = {own.finding: own.severity for own in check_values(cohort({"sex": (1, 2)}))}
    assert found["subgroup-edges"] == "error"
    with pytest.raises(CohortError, match="no such column 'sox'"):
        cohort(["sox"])


def test_edges_are_rounded_only_as_far_as_they_divide() -> None:
    rng = np.random.default_rng(1)
    assert tertiles(np.repeat(np.arange(2010.0, 2024.0), 9)) == (2014.0, 2019.0)
    near = tertiles(rng.uniform(1000, 1004, 300))
    assert len(near) == 2 and 1000 < near[0] < near[1] < 1004
    many_zeros = np.r_[np.zeros(70), np.arange(1.0, 31.0)]
    assert tertiles(many_zeros) == (1.0,), "a third that divides nobody is cut above the lowest number"
    (own,) = cohort(["zeros"], PATIENTS.assign(zeros=np.r_[np.zeros(40), np.arange(1.0, 21.0)])).subgroups
    assert own.levels == ["under 1", "1 and over"] and own.cut == "a tertile"


def test_levels_are_named_apart_and_codes_stand_in_the_order_of_numbers() -> None:
    assert names_between((1000002.0, 1000004.5)) == [
        "under 1000002",
        "1000002 to under 1000004.5",
        "1000004.5 and over",
    ]
    (codes,) = cohort(["code"], PATIENTS.assign(code=np.resize([1, 10, 2], N))).subgroups
    assert codes.levels == ["1", "2", "10"]


@pytest.mark.parametrize(
    "given", ["sex", 5, {"age": 50}, {"age": ("x",)}, {"age": None}, {"age": (True,)}, {"age": "50"}, {5: (1,)}]
)
def test_what_is_no_list_of_columns_and_edges_is_refused_in_one_sentence(given) -> None:
    with pytest.raises(CohortError) as caught:
        cohort(given)
    assert len(caught.value.problems) == 1


def test_a_level_of_few_patients_is_not_named() -> None:
    (own,) = cohort(["sex"], PATIENTS.assign(sex=np.r_[["x"] * 2, PATIENTS["sex"][2:]])).subgroups
    assert own.levels == ["f", "m", "x"] and own.described()["levels"] == ["f", "m"] and own.described()["others"]
