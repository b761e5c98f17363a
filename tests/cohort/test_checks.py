"""Findings about values, blocks and patients; and that none of them tells who."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import (
    Classification,
    CohortError,
    Regression,
    Survival,
    check_values,
    cohort_from_frames,
    open_cohort,
    synthetic_cohort,
)
from chiasm.cohort.leaks import leaking_columns
from small_recipes import at_night

SECRET = "Zaphod-1234567"


def found(problems, word):
    matching = [problem for problem in problems if word in problem.what]
    assert len(matching) == 1, [str(problem) for problem in problems]
    return matching[0]


def block(n=60, **columns):
    rng = np.random.default_rng(1)
    ids = [f"{i:02d}" for i in range(n)]
    patients = pd.DataFrame({"y": np.arange(n) % 2, "t": rng.exponential(10, n)}, index=ids)
    frame = pd.DataFrame({"v": rng.normal(size=n), **columns}, index=ids)
    return patients, frame


def test_a_sound_cohort_has_no_problem(cohort_folder):
    assert check_values(cohort_folder.manifest) == []
    assert check_values(open_cohort(cohort_folder.manifest)) == []


def test_a_single_class():
    patients, frame = block()
    patients["y"] = "same"
    problem = found(check_values(cohort_from_frames(patients, {"x": frame}, Classification("y"))), "single class")
    assert problem.severity == "error"


def test_no_event():
    patients, frame = block()
    patients["died"] = 0
    problem = found(check_values(cohort_from_frames(patients, {"x": frame}, Survival("t", "died"))), "has no event")
    assert problem.severity == "error"


def test_text_and_infinity_in_omics():
    patients, frame = block()
    frame["w"] = ["1.5"] * 59 + ["high"]
    frame.iloc[3, 0] = np.inf
    problems = check_values(cohort_from_frames(patients, {"x": frame}, kinds={"x": "omics"}))
    assert (found(problems, "not numeric").row, found(problems, "not finite").row) == (61, 5)
    assert {p.severity for p in problems} == {"error"}


def test_constant_columns_are_one_warning_a_modality():
    patients, frame = block()
    for k in range(7):
        frame[f"c{k}"] = 1.0 if k % 2 else np.nan
    problem = found(check_values(cohort_from_frames(patients, {"x": frame})), "constant or all missing")
    assert problem.what == "7 columns constant or all missing: 'c0', 'c1', 'c2', 'c3', 'c4' ..."
    assert problem.severity == "warning"


def test_strangers_small_blocks_and_bare_patients(cohort_folder):
    rna = pd.read_parquet(cohort_folder.path / "rna.parquet").iloc[:6]
    rna.loc[2, "case_id"] = SECRET
    rna.to_parquet(cohort_folder.path / "rna.parquet", index=False)
    for column in ("age", "sex"):
        cohort_folder.set_cell(40, column, "")
    problems = check_values(cohort_folder.manifest)
    stranger = found(problems, "not among the patients")
    assert (stranger.row, stranger.modality, stranger.path) == (4, "rna", "rna.parquet")
    assert found(problems, "5 patients of 40 have the modality").modality == "rna"
    assert found(problems, "without any modality").row == 40
    assert {p.severity for p in problems} == {"warning"}


def test_bags_of_another_width_without_tokens_or_not_finite(cohort_folder):
    slides = cohort_folder.path / "slides"
    np.save(slides / "003.npy", np.zeros((2, 4), dtype=np.float32))
    np.save(slides / "005.npy", np.zeros((0, 5), dtype=np.float32))
    np.save(slides / "006.npy", np.full((2, 5), np.nan, dtype=np.float32))
    (slides / "008.npy").write_bytes(b"junk")
    problems = check_values(cohort_folder.manifest)
    expected = {"5 wide": (4, "error"), "not finite": (7, "error"), "cannot be read": (9, "warning"),
                "holds no token: taken as absent": (6, "warning")}  # fmt: skip
    rows = {word: (found(problems, word).row, found(problems, word).severity) for word in expected}
    assert rows == expected and len(problems) == 4
    assert {(p.modality, p.path) for p in problems} == {("slide", "slides/{id}.npy")}


def test_bags_none_of_which_can_be_read_are_an_error(cohort_folder):
    for file in (cohort_folder.path / "slides").iterdir():
        file.write_bytes(b"" if file.stem == "004" else b"junk")
    problems = check_values(cohort_folder.manifest)
    assert [(p.severity, p.row) for p in problems] == [("error", 2), ("error", 5)]
    assert "cannot be read" in problems[0].what and problems[1].what == "the file is empty"


def test_a_pickle_as_a_bag_is_answered_with_the_command_that_converts_it(cohort_folder):
    cohort_folder.edit("slides/{id}.npy", "slides/{id}.pt")
    (problem,) = check_values(cohort_folder.manifest)
    assert (problem.modality, problem.path) == ("slide", "slides/{id}.pt")
    assert "never from a pickle" in problem.what and "weights_only=True" in problem.fix


def test_patients_without_a_fold(cohort_folder):
    folds = pd.read_csv(cohort_folder.path / "folds.csv", dtype=str).iloc[2:]
    folds.to_csv(cohort_folder.path / "folds.csv", index=False)
    problem = found(check_values(cohort_folder.manifest), "2 patients without a fold")
    assert (problem.severity, problem.row, problem.path) == ("error", 2, "folds.csv")


@pytest.mark.parametrize("target", ["classification", "survival", *at_night("regression", "multilabel")])
def test_the_planted_leak_is_found_and_nothing_else(target):
    for n in (80, 400):
        assert leaking_columns(synthetic_cohort("planted-leak", n, target=target), "m2") == ["m2_0"]
        for name in ("unique", "xor", "complementary", "missing-at-random"):
            assert check_values(synthetic_cohort(name, n, target=target)) == []


def test_a_leak_in_words_or_in_what_is_filled():
    patients, frame = block()
    frame["status"] = np.where(patients["y"] == 1, "deceased", "alive")
    frame["relapse_day"] = np.where(patients["y"] == 1, frame["v"], np.nan)
    frame["reversed"] = -patients["y"].to_numpy(dtype=float) + 1e-3 * frame["v"]
    cohort = cohort_from_frames(patients, {"x": frame}, Classification("y"))
    assert sorted(leaking_columns(cohort, "x")) == ["relapse_day", "reversed", "status"]
    problem = found(check_values(cohort), "almost perfectly")
    assert problem.severity == "warning" and "3 columns" in problem.what


def test_what_is_known_of_the_dead_alone_leaks_though_it_says_little_of_when():
    patients, frame = block(200)
    patients["died"] = np.arange(200) % 2
    died = patients["died"] == 1
    frame["vital_status"] = np.where(died, "deceased", "alive")
    frame["cause_of_death"] = np.where(died, frame["v"], np.nan)
    cohort = cohort_from_frames(patients, {"x": frame}, Survival("t", "died"))
    assert sorted(leaking_columns(cohort, "x")) == ["cause_of_death", "vital_status"]


def test_two_thousand_noise_columns_are_fast_and_none_of_them_leaks():
    rng = np.random.default_rng(0)
    ids = [f"{i:04d}" for i in range(400)]
    patients = pd.DataFrame({"t": rng.exponential(10, 400), "e": rng.integers(0, 2, 400)}, index=ids)
    frame = pd.DataFrame(rng.normal(size=(400, 2000)), index=ids)
    for target in (Survival("t", "e"), Classification("e"), Regression("t")):
        cohort = cohort_from_frames(patients, {"x": frame}, target)
        start = time.process_time()
        assert leaking_columns(cohort, "x") == []
        assert time.process_time() - start < 4  # less than half a second on a quiet core


def test_no_message_holds_an_identifier_or_a_value(cohort_folder):
    """Every defect at once, all made of one secret word: it must not come back."""
    frame = cohort_folder.clinical()
    frame.loc[0, "case_id"] = f"{SECRET}-a"
    frame.loc[[1, 2], "case_id"] = f"{SECRET}-b"
    frame.loc[3, "case_id"] = f"../{SECRET}"
    frame.loc[4, "site"] = ""
    frame.loc[5, ["months", "died"]] = SECRET
    frame.loc[6, "age"] = SECRET
    cohort_folder.write_clinical(frame)
    np.save(cohort_folder.path / "slides" / f"{SECRET}-a.npy", np.zeros((2, 2, 2)))
    (cohort_folder.path / "slides" / f"{SECRET}-b.npy").write_bytes(b"")
    rna = pd.read_parquet(cohort_folder.path / "rna.parquet").astype({"G1": object})
    rna["G1"] = SECRET
    rna.loc[[0, 1], "case_id"] = SECRET
    rna.to_parquet(cohort_folder.path / "rna.parquet", index=False)
    folds = pd.read_csv(cohort_folder.path / "folds.csv", dtype=str)
    folds.loc[3:4, "case_id"] = f"{SECRET}-a"
    folds.to_csv(cohort_folder.path / "folds.csv", index=False)
    problems = check_values(cohort_folder.manifest)
    assert len(problems) >= 10
    text = "\n".join(map(str, problems)) + repr(problems)
    assert SECRET.lower() not in text.lower() and str(cohort_folder.path) not in text
    with pytest.raises(CohortError) as refused:
        open_cohort(cohort_folder.manifest)
    assert SECRET not in str(refused.value)


def test_a_parser_does_not_quote_the_file(cohort_folder):
    (cohort_folder.path / "folds.csv").write_text(f'case_id,fold\n"{SECRET},1\n002,2\n')
    cohort_folder.edit('name = "bladder"', f'name = "bladder" {SECRET}')
    problems = check_values(cohort_folder.manifest)
    assert problems and SECRET not in "\n".join(map(str, problems))
    cohort_folder.edit(f" {SECRET}", "")
    problems = check_values(cohort_folder.manifest)
    assert problems and SECRET not in "\n".join(map(str, problems))


def test_real_cohorts_have_no_error(shared_data):
    for name in ("tcga-blca", "breast-subtype", "pbc-visits", "molecules-delaney"):
        assert [str(p) for p in check_values(shared_data / name / "cohort.toml") if p.severity == "error"] == []


def test_nobody_is_said_to_be_bare_when_a_block_could_not_be_opened(cohort_folder):
    cohort_folder.edit('table = "rna.parquet"', 'table = "rnaseq.parquet"')
    for column in ("age", "sex"):
        cohort_folder.set_cell(30, column, "")
    assert [problem.what for problem in check_values(cohort_folder.manifest)] == ["there is no such file"]


def test_rows_count_as_a_spreadsheet_does_past_blank_lines(cohort_folder):
    path = cohort_folder.path / "clinical.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "", ",,,,,", ""]))
    assert check_values(cohort_folder.manifest) == []
    path.write_text("\n".join([*lines[:4], "", *lines[4:]]))
    problem = found(check_values(cohort_folder.manifest), "identifier is missing")
    assert (problem.row, problem.path) == (5, "clinical.csv")
