"""`chiasm split`: folds without relatives on both sides, or of combinations, which `evaluate` then goes by."""

from __future__ import annotations

import json
import random
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort.combination_folds import combination_folds
from chiasm.cohort.identity import identity
from command_line import Run

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
PROTEINS = """\
[patients]
table = "patients.csv"
id = "Fall"
[target]
kind = "classification"
column = "active"
[modalities.protein]
kind = "protein"
column = "protein"
encoder = "kmers"
"""
SCANS = """\
[patients]
table = "patients.csv"
id = "case"
group = "person"
[target]
kind = "classification"
column = "sick"
[modalities.measures]
kind = "table"
columns = ["one", "two"]
"""
EVALUATE = ["--repeats", "1", "--jobs", "1"]


@pytest.fixture(scope="module")
def proteins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty proteins of ten families, one of them without a sequence."""
    place = tmp_path_factory.mktemp("Eiweiße")
    draw = random.Random(0)
    ancestors = ["".join(draw.choices(AMINO_ACIDS, k=50)) for _ in range(10)]
    made = [
        "".join(draw.choice(AMINO_ACIDS) if draw.random() < 0.08 else letter for letter in own)
        for own in ancestors
        for _ in range(4)
    ]
    table = pd.DataFrame(
        {"Fall": [f"ü {k:02d}" for k in range(40)], "active": [k % 2 for k in range(40)], "protein": made}
    )
    table.loc[7, "protein"] = None
    table.to_csv(place / "patients.csv", index=False)
    (place / "cohort.toml").write_text(PROTEINS, encoding="utf-8")
    return place


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Eight patients of each combination of two machines, three organs and two places, but for one."""
    rows = [row for row in product(("CT", "MR"), ("liver", "lung, left", "bone"), ("A", "B")) for _ in range(8)]
    table = pd.DataFrame(rows, columns=["machine", "organ", "place"])
    table = table[~((table["machine"] == "MR") & (table["organ"] == "bone"))].reset_index(drop=True)
    table.insert(0, "case", [f"c{k:03d}" for k in range(len(table))])
    table["sick"] = np.arange(len(table)) % 2
    table["person"] = table.index // 2
    table[["one", "two"]] = np.random.default_rng(0).normal(size=(len(table), 2)).round(3)
    table.to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "cohort.toml").write_text(SCANS, encoding="utf-8")
    return tmp_path


def test_no_relatives_stand_in_two_folds_and_evaluate_goes_by_them(proteins: Path, run: Run) -> None:
    said = run("split", proteins, "--by", "identity", "--threshold", "0.6", "--folds", "2")
    assert said.code == 0, said.err
    assert "No two sequences of 'protein' in different folds have an identity of 0.6 or more" in said.out
    assert "1 patient without a sequence: each is a family of their own." in said.out
    assert "Add to cohort.toml" in said.out and 'table = "folds.csv"' in said.out and "ü" not in said.out + said.err
    folds = pd.read_csv(proteins / "folds.csv", dtype=str).set_index("Fall")
    table = pd.read_csv(proteins / "patients.csv").set_index("Fall").dropna()
    across = [
        identity(table.loc[a, "protein"], table.loc[b, "protein"])
        for a, b in combinations(table.index, 2)
        if folds.loc[a, "fold"] != folds.loc[b, "fold"]
    ]
    assert max(across) < 0.6 and set(folds["fold"]) == {"0", "1"} and len(folds) == 40
    assert f"all of the {len(across)} pairs of different folds reach {max(across):.3f} at most" in said.out
    manifest = proteins / "with-folds.toml"
    manifest.write_text(PROTEINS + '[folds]\ntable = "folds.csv"\n', encoding="utf-8")
    out = proteins / "run"
    assert run("evaluate", manifest, "--recipes", "single:protein", "--out", out, *EVALUATE).code == 0
    answers = pd.read_parquet(out / "predictions.parquet")
    tested = answers[answers["recipe"] == "single:protein"].set_index("patient")["fold"].astype(str)
    assert tested.to_dict() == folds["fold"].loc[tested.index].to_dict()
    again = run("split", proteins, "--by", "identity", "--threshold", "0.6")
    assert again.code == 2 and "'folds.csv' beside the manifest exists already" in again.err


def test_one_test_set_keeps_families_whole_and_json_says_the_same(proteins: Path, run: Run, tmp_path: Path) -> None:
    out = proteins / "held.parquet"
    said = run("split", proteins, "--by", "identity", "--threshold", "0.6", "--test", "0.3", "--out", out, "--json")
    told = json.loads(said.out)
    folds = pd.read_parquet(out)
    assert set(folds["fold"]) == {"train", "test"} and folds.groupby("family")["fold"].nunique().max() == 1
    assert 0.1 < (folds["fold"] == "test").mean() < 0.5
    assert told["families"] == 10 and told["pairs"] == 39 * 38 // 2 and told["sequences"] == 39
    assert told["highest_apart"] < 0.6 and told["folds_table"][0]["fold"] == "test"


def test_a_person_with_two_sequences_holds_their_families_together() -> None:
    draw = random.Random(1)
    lone = ["".join(draw.choices(AMINO_ACIDS, k=40)) for _ in range(8)]
    ids = [f"p{k}" for k in range(8)]
    patients = pd.DataFrame({"y": [0.1 * k for k in range(8)], "who": ["a", "a", "b", "b", "", "", "", ""]}, index=ids)
    cohort = chiasm.cohort_from_frames(
        patients, {"protein": pd.DataFrame({"s": lone}, index=ids)}, chiasm.Regression("y"), group="who",
        kinds={"protein": "protein"},
    )  # fmt: skip
    found = chiasm.split_by_identity(cohort, 0.7, folds=2)
    assert found.facts["families"] == 8 and found.table["families"].sum() == 6
    assert found.folds["fold"].groupby(patients["who"].replace("", np.nan)).nunique().max() == 1
    assert "p1" not in repr(found)


def test_each_combination_is_tested_whose_parts_stand_elsewhere(scans: Path, run: Run) -> None:
    said = run("split", scans, "--by", "combination", "--columns", "machine,organ", "--out", scans / "folds.csv")
    assert said.code == 0, said.err
    folds = pd.read_csv(scans / "folds.csv").set_index("case")["fold"]
    assert set(folds) == {"CT + liver", "CT + lung, left", "MR + liver", "MR + lung, left", "train"}
    assert "not tested: CT + bone, 16 patients: organ 'bone' stands in no other combination" in said.out
    assert "Training never has each combination that is tested (0 rows), and has each of its parts" in said.out
    table = pd.read_csv(scans / "patients.csv").set_index("case")
    for name in set(folds) - {"train"}:
        machine, organ = name.split(" + ")
        training = table[folds != name]
        assert not ((training["machine"] == machine) & (training["organ"] == organ)).any()
        assert (training["machine"] == machine).any() and (training["organ"] == organ).any()
    (scans / "cohort.toml").write_text(SCANS + '[folds]\ntable = "folds.csv"\n', encoding="utf-8")
    assert {str(own) for own in chiasm.open_cohort(scans).fold} == set(folds)


def test_related_and_unrelated_training_are_of_one_size_and_the_others_unused(scans: Path, run: Run) -> None:
    found = {}
    for training in ("all", "related", "unrelated"):
        out = scans / f"{training}.csv"
        words = ["--columns", "machine, organ,place", "--hold-out", 'CT,"lung, left",A', "--training", training]
        said = run("split", scans, "--by", "combination", *words, "--out", out)
        assert said.code == 0, said.err
        found[training] = pd.read_csv(out).set_index("case")["fold"]
        assert ("none of its parts." in said.out) == (training == "unrelated") != ("has each of its parts" in said.out)
    table = pd.read_csv(scans / "patients.csv").set_index("case")
    whole = (table[["machine", "organ", "place"]] == ("CT", "lung, left", "A")).all(axis=1)
    for training, folds in found.items():
        assert (folds[whole] == "test").all() and (folds == "test").sum() == 8
        own = table[folds == "train"]
        shares = (own[["machine", "organ", "place"]] == ("CT", "lung, left", "A")).any(axis=1)
        assert (
            shares.all() if training == "related" else not shares.any() if training == "unrelated" else len(own) == 72
        )
    assert (found["related"] == "train").sum() == (found["unrelated"] == "train").sum()
    (scans / "cohort.toml").write_text(SCANS + '[folds]\ntable = "related.csv"\n', encoding="utf-8")
    opened = chiasm.open_cohort(scans)
    assert sorted(opened.ids) == sorted(found["related"].index[found["related"] != "unused"])
    assert [own.finding for own in opened.findings] == ["unused-patients"]
    again = run("split", scans, "--by", "combination", "--columns", "machine,organ", "--out", scans / "other.csv")
    assert again.code == 2 and "take out [folds] first" in again.err


def test_patients_set_aside_are_left_out_of_frames_too_and_not_everybody_may_be() -> None:
    ids = [f"p{k}" for k in range(6)]
    patients = pd.DataFrame({"y": [0, 1] * 3, "fold": ["a", "a", "train", "train", "unused", "unused"]}, index=ids)
    values = {"m": pd.DataFrame({"x": range(6)}, index=ids)}
    cohort = chiasm.cohort_from_frames(patients, values, chiasm.Classification("y"), folds="fold")
    assert cohort.ids.tolist() == ids[:4]
    nobody = chiasm.cohort_from_frames(patients.assign(fold="unused"), values, chiasm.Classification("y"), folds="fold")
    assert "nobody is left" in str(next(own for own in chiasm.check_cohort(nobody) if own.severity == "error"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--by", "luck"], "--by luck is no split: write --by identity, or --by combination"),
        (["--by", "identity"], "needs --threshold"),
        (["--by", "identity", "--threshold", "90"], "an identity lies above 0 and at most at 1"),
        (["--by", "identity", "--threshold", ".6", "--folds", "12"], "are 11 families, the largest of 4 patients"),
        (["--by", "identity", "--threshold", ".6", "--folds", "1"], "at least 2 folds, not 1"),
        (["--by", "identity", "--threshold", ".6", "--test", "1.5"], "lies between 0 and 1"),
        (["--by", "identity", "--threshold", ".6", "--columns", "a"], "--columns is of a split by combination"),
        (["--by", "identity", "--threshold", ".6", "--both-strands"], "only DNA has two strands"),
        (["--by", "identity", "--threshold", ".6", "--modality", "other"], "other"),
        (["--by", "combination"], "needs --columns"),
        (["--by", "combination", "--columns", "active,aktive"], "no such column 'aktive'; did you mean 'active'?"),
        (["--by", "combination", "--columns", "active"], "two different factors or more"),
        (["--by", "combination", "--columns", "active,protein"], "column 'protein' is empty in 1 row"),
        (["--by", "combination", "--columns", "active,Fall"], "none of the 40 combinations of active, Fall"),
        (["--by", "combination", "--columns", "active,Fall", "--hold-out", "1"], "1 value for 2 factors"),
        (["--by", "combination", "--columns", "active,Fall", "--size", "3"], "of one combination: name it"),
    ],
)
def test_what_cannot_be_split_is_one_sentence(proteins: Path, run: Run, words: list[str], said: str) -> None:
    told = run("split", proteins, *words, "--out", str(proteins / "never.csv"))
    assert told.code == 2 and said in told.err.replace("\n", " "), told.err
    assert "Traceback" not in told.err and not (proteins / "never.csv").exists()


def test_a_group_in_several_combinations_is_refused_where_each_is_to_be_a_fold(scans: Path, run: Run) -> None:
    table = pd.read_csv(scans / "patients.csv")
    table.assign(person=[0, *table["person"][1:-1], 0]).to_csv(scans / "patients.csv", index=False)
    told = run("split", scans, "--by", "combination", "--columns", "machine,organ")
    assert told.code == 2 and "1 group of patients stand in several combinations" in told.err
    said = run("split", scans, "--by", "combination", "--columns", "machine,organ", "--hold-out", "MR,liver")
    assert said.code == 0 and "16 of 80 patients are tested" in said.out


def test_combinations_that_read_alike_are_not_one() -> None:
    table = pd.DataFrame(
        {"drug": ["x + y", "x", "x + y", "x", "q", "q"], "with": ["z", "y + z", "w", "w", "z", "y + z"]}
    )
    fold, proof, _ = combination_folds(table, ["drug", "with"], None, lambda tested: "")
    assert len(set(fold.tolist())) == 6 == len(set(map(tuple, table.to_numpy().tolist())))
    assert fold[:2].tolist() == ["'x + y' + z", "x + 'y + z'"] and not proof["whole"].any()
