"""What a split claims is so: of patients who can be learned from, before any file is read, and in bounded time."""

from __future__ import annotations

from time import process_time

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import identity_proof
from chiasm.cohort.combination_folds import combination_folds, held_out_fold
from chiasm.cohort.related_folds import related_folds
from chiasm.errors import CohortError


def scans(rows: list[str]) -> pd.DataFrame:
    return pd.DataFrame([row.split() for row in rows], columns=["machine", "organ"])


def test_a_part_that_only_patients_of_unknown_outcome_have_is_learned_from_nobody() -> None:
    table = scans(["CT liver", "CT lung", "MR liver", "MR lung"] * 2)
    known = np.array([own != ("MR", "lung") for own in map(tuple, table.to_numpy())])
    fold, proof, untested = combination_folds(table, ["machine", "organ"], None, lambda tested: "", known)
    assert set(fold.tolist()) == {"CT + liver", "MR + lung", "train"}
    assert (
        "MR' stands in no other combination of a known outcome" in untested.set_index("combination").why["MR + liver"]
    )
    assert proof.loc[proof["fold"] == "CT + liver", "rows"].tolist() == [2, 2]
    with pytest.raises(ValueError, match="machine 'MR' stands in no row beside those of MR \\+ liver"):
        held_out_fold(table, ["machine", "organ"], ["MR", "liver"], group=None, known=known)


def test_where_no_combination_can_be_scored_it_is_said_why() -> None:
    table = scans(["CT liver", "CT lung", "MR liver", "MR lung"])
    with pytest.raises(ValueError, match=r"and 4 could not be scored \(its fold has no class 'sick'\); choose"):
        combination_folds(table, ["machine", "organ"], None, lambda tested: "its fold has no class 'sick'")


def test_related_and_unrelated_patients_have_known_outcomes_and_are_as_many() -> None:
    table = scans(["CT liver", "CT lung", "MR liver", "MR lung"] * 6)
    known = np.arange(len(table)) % 8 > 3
    folds = {
        training: held_out_fold(
            table, ["machine", "organ"], ["CT", "liver"], group=None, training=training, known=known
        )[0]
        for training in ("related", "unrelated", "all")
    }
    for own in folds.values():
        assert (own == "test").sum() == 6
    assert [((own == "train") & known).sum() for own in folds.values()] == [3, 3, 9]
    assert not ((folds["related"] == "train") & ~known).any()


def test_a_name_is_of_one_combination_whatever_quotation_marks_stand_in_it() -> None:
    table = pd.DataFrame(
        {"a": ["x + y", "'x", "x + y", "'x", "q +", "q"], "b": ["'Z1", "y'", "y'", "'Z1", "z", "+ z"],
         "c": ["Z2'", "Z1 + Z2", "Z2'", "Z1 + Z2", "k", "k"]}
    )  # fmt: skip
    fold, proof, untested = combination_folds(table, ["a", "b", "c"], None, lambda tested: "")
    named = [*proof["fold"].unique(), *untested["combination"]]
    assert len(set(named)) == len(named) == 6
    assert fold.tolist() == ["'x + y' + '''Z1' + Z2'", "'''x' + y' + 'Z1 + Z2'", "'x + y' + y' + Z2'",
                             "'''x' + '''Z1' + 'Z1 + Z2'", "train", "train"]  # fmt: skip


def test_combinations_are_proved_in_a_time_that_grows_with_the_patients() -> None:
    number = 6_000
    table = pd.DataFrame({"side": [str(k % 2) for k in range(number)], "visit": [f"v{k // 2}" for k in range(number)]})
    begun = process_time()
    _, proof, _ = combination_folds(table, ["side", "visit"], None, lambda tested: "")
    assert process_time() - begun < 10  # each against all others took a hundred seconds
    assert len(proof) == 2 * number and set(proof["whole"]) == {0}
    assert proof["rows"].tolist()[:2] == [number // 2 - 1, 1] and proof["combinations"].tolist()[:2] == [2_999, 1]


def test_one_test_set_without_a_class_is_refused_as_a_fold_is() -> None:
    ids = [f"p{k:02d}" for k in range(60)]
    values = {"m": pd.DataFrame({"x": range(60)}, index=ids)}
    patients = pd.DataFrame({"sick": [int(k < 10) for k in range(60)]}, index=ids)
    cohort = chiasm.cohort_from_frames(patients, values, chiasm.Classification("sick"))
    with pytest.raises(CohortError, match="fold 'test' has no class '1'"):
        related_folds(cohort, np.arange(60) // 10, test=0.3)
    fold, _ = related_folds(cohort, np.arange(60) // 5, test=0.3)
    assert 0 < (fold[:10] == "test").sum() < 10


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"threshold": 90}, "an identity lies above 0"),
        ({"threshold": 0.9, "over": "both"}, "'shorter' or the 'longer'"),
        ({"threshold": 0.9, "folds": 1}, "at least 2 folds"),
        ({"threshold": 0.9, "test": 1.5}, "lies between 0 and 1"),
    ],
)
def test_what_cannot_be_is_said_before_a_file_is_read(asked: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        chiasm.split_by_identity("no/such/cohort.toml", **asked)  # type: ignore[arg-type]


def test_a_held_out_combination_that_cannot_be_scored_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rows = [row for row in ("CT liver", "CT lung", "MR liver", "MR lung") for _ in range(4)]
    table = scans(rows).assign(id=[f"p{k:02d}" for k in range(16)], x=range(16))
    table["sick"] = [int(k >= 4 and k % 2) for k in range(16)]
    table.to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "sick"\n'
        '[modalities.m]\nkind = "table"\ncolumns = ["x"]\n'
    )
    with pytest.raises(ValueError, match="CT \\+ liver cannot be tested: its fold has no class '1'"):
        chiasm.split_by_combination(tmp_path / "cohort.toml", ["machine", "organ"], ["CT", "liver"])
    assert (
        chiasm.split_by_combination(tmp_path / "cohort.toml", ["machine", "organ"], ["CT", "lung"]).facts["folds"] == 1
    )


def test_long_sequences_are_aligned_once_more_as_far_as_a_minute_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    aligned = []

    def counted(a: str, b: str, over: str) -> float:
        aligned.append(len(a) * len(b))
        return 0.25

    monkeypatch.setattr(identity_proof, "identity", counted)
    parts = [str(k % 2) for k in range(150)]
    looked, every, _ = identity_proof.highest_apart(["A" * 30_000] * 150, parts)
    assert (looked, every) == (len(aligned), 75 * 75) == (100, 5_625)
    aligned.clear()
    assert identity_proof.highest_apart(["A" * 100] * 150, parts)[:2] == (5_625, 5_625)
