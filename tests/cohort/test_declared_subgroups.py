"""Declared subgroups: how columns are divided, what is refused, and that they are carried along and never read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import CohortError, Regression, check_values, cohort_from_frames, open_cohort
from chiasm.cohort.manifest import read_manifest

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
