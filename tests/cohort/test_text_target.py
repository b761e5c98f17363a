"""A text target is read from a column, several, lists or files; what is wrong is told by its row and never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, synthetic_cohort
from chiasm.cohort.leaks.copied import copied_texts
from chiasm.targets import FreeText
from chiasm.targets.texts import Texts, likeness, said_of, typical

SECRET = "Zorblatt nodule of the left lung"


def cohort_of(texts: list[Any], notes: list[str] | None = None, **options: Any) -> Cohort:
    """Patients with these texts, a table, and notes."""
    ids = [f"p{k:03d}" for k in range(len(texts))]
    patients = pd.DataFrame({"said": pd.Series(texts, dtype=object).to_numpy()}, index=ids)
    values: dict[str, Any] = {"m": pd.DataFrame({"x": np.arange(len(ids), dtype=float)}, index=ids)}
    kinds = {}
    if notes is not None:
        values["note"], kinds["note"] = pd.DataFrame({"note": notes}, index=ids), "text"
    return chiasm.cohort_from_frames(patients, values, target=chiasm.FreeText("said", **options), kinds=kinds)


def references(cohort: Cohort) -> list[tuple[str, ...]]:
    assert cohort.outcome is not None and cohort.outcome.texts is not None
    return list(cohort.outcome.texts.references)


def test_cells_are_texts_and_empty_ones_leave_the_patient_out() -> None:
    cohort = cohort_of([" left lung ", "", None, 2.0, "ünïcode 左肺"])
    assert references(cohort) == [("left lung",), (), (), ("2",), ("ünïcode 左肺",)]
    assert cohort.outcome is not None and cohort.outcome.known.tolist() == [True, False, False, True, True]
    assert [own.severity for own in cohort.findings] == ["warning"]


def test_lists_hold_several_references_and_a_cell_that_is_none_is_an_error() -> None:
    cohort = cohort_of(['["left lung", "left lung", "lung"]', "[]", "left lung", '["a", {}]', ["x", 3]], several=True)
    assert references(cohort) == [("left lung", "lung"), (), (), (), ("x", "3")]
    (wrong,) = [own for own in cohort.findings if own.severity == "error"]
    assert "no JSON list of texts in 2 rows" in wrong.what


def test_numbers_that_are_none_are_no_words_of_a_list() -> None:
    cohort = cohort_of(["[NaN]", [float("nan"), "lung"], "[1e400]", '["a"]', '["b", 2.5]'], several=True)
    assert references(cohort) == [(), (), (), ("a",), ("b", "2.5")]


def test_a_text_of_a_book_is_refused_and_not_shown() -> None:
    cohort = cohort_of([SECRET * 2000, "a b", "c"])
    (wrong,) = [own for own in cohort.findings if own.severity == "error"]
    assert "more than 20,000 signs" in wrong.what and "Zorblatt" not in str(wrong)


def test_one_text_for_everybody_is_an_error_and_nearly_so_a_warning() -> None:
    found = {own.finding for own in chiasm.check_cohort(cohort_of(["The lung."] * 9 + ["lung"]))}
    assert "single-class" in found
    found = {own.finding for own in chiasm.check_cohort(cohort_of(["the lung"] * 19 + ["heart"]))}
    assert "one-text" in found and "single-class" not in found


def manifest(folder: Path, target: str, table: pd.DataFrame) -> Path:
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "text"\n' + target + "\n[modalities.m]\n"
        'kind = "table"\ncolumns = ["x"]\n',
        encoding="utf-8",
    )
    return folder / "cohort.toml"


def test_files_are_read_and_each_fault_is_told(tmp_path: Path) -> None:
    (tmp_path / "ünï.txt").write_text("﻿left lung", encoding="utf-8")
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("lésion".encode("latin-1"))
    (tmp_path / "zero.txt").write_bytes(b"left\0lung")
    (tmp_path / "long.txt").write_text("x" * 90_000, encoding="utf-8")
    (tmp_path / "report.pdf").write_bytes(b"%PDF-")
    names = ["ünï.txt", "empty.txt", "latin.txt", "zero.txt", "long.txt", "report.pdf", "gone.txt", "../out.txt", ""]
    table = pd.DataFrame({"id": range(len(names)), "file": names, "x": range(len(names))})
    cohort = chiasm.open_cohort(manifest(tmp_path, 'column = "file"\nfiles = true', table))
    assert references(cohort)[0] == ("left lung",) and not any(references(cohort)[1:])
    told = " ".join(own.what for own in cohort.findings)
    for what in ("is empty", "no text in UTF-8", "binary", "over the limit", "ends in none", "not there", "leaves the"):
        assert what in told


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("", "names no text"),
        ('column = "a"\ncolumns = ["a", "b"]', "both 'column' and 'columns'"),
        ('columns = ["a", "a"]', "names one twice"),
        ('column = "a"\nscorer = "f1"', "is no scorer of texts"),
        ('column = "a"\nscorer = "entity_f1"', "counts entities, and none is named"),
        ('column = "a"\nfiles = true\nseveral = true', "both 'files' and 'several'"),
    ],
)
def test_a_target_that_cannot_be_is_refused_in_a_sentence(tmp_path: Path, target: str, what: str) -> None:
    table = pd.DataFrame({"id": ["p"], "a": ["left"], "b": ["right"], "x": [1]})
    with pytest.raises(chiasm.CohortError, match=what):
        chiasm.open_cohort(manifest(tmp_path, target, table))


def test_wrong_arguments_of_the_class_are_refused() -> None:
    for wrong in (
        {"column": ""},
        {"column": ("a", "a")},
        {"column": "a", "scorer": "x"},
        {"column": "a", "entities": "x"},
    ):
        with pytest.raises(ValueError):
            FreeText(**wrong)  # type: ignore[arg-type]


def test_a_text_that_is_copied_into_a_note_is_a_leak_and_short_ones_by_chance_are_not() -> None:
    rng = np.random.default_rng(0)
    sides = ["left", "right"]
    texts = [f"{SECRET} {k}" for k in range(40)]
    notes = [f"seen today. {text}. follow up" if k % 2 else "seen today" for k, text in enumerate(texts)]
    (leak,) = copied_texts(cohort_of(texts, notes))
    assert leak.leak and "20 of 40 patients" in leak.what and "Zorblatt" not in str(leak)
    short = [sides[k] for k in rng.integers(0, 2, 40)]
    assert copied_texts(cohort_of(short, ["left or right lung?"] * 40)) == []
    assert copied_texts(cohort_of(short, [f"it is {own}" for own in short]))


def test_a_column_that_is_the_text_is_a_leak() -> None:
    cohort = synthetic_cohort("unique", 40, target="text")
    texts = [own[0] for own in references(cohort)]
    ids = cohort.ids.tolist()
    leaky = chiasm.cohort_from_frames(
        pd.DataFrame({"said": texts}, index=ids),
        {"t": pd.DataFrame({"copy": [own.upper() for own in texts], "z": range(40)}, index=ids)},
        target=FreeText("said"),
    )
    assert [own.what for own in copied_texts(leaky)] == ["1 column is the text that is to be predicted: 'copy'"]


def test_an_empty_cell_is_not_the_text_none() -> None:
    ids = [f"p{k}" for k in range(40)]
    cohort = chiasm.cohort_from_frames(
        pd.DataFrame({"said": ["none", "mass"] * 20}, index=ids),
        {"t": pd.DataFrame({"mark": [None, "mass"] * 20, "z": range(40)}, index=ids)},
        target=FreeText("said"),
    )
    assert copied_texts(cohort) == []


def test_likeness_is_the_f1_of_what_is_scored_and_an_inner_product() -> None:
    texts = ["a mass, left lung", "left left lung", "", "heart", "mass of the heart"]
    words = likeness(texts, texts, "token_f1")
    assert words[0, 1] == pytest.approx(2 * 2 / (3 + 3)) and words[2, 2] == 1 and words[2, 3] == 0
    assert np.linalg.eigvalsh(words).min() > -1e-12
    names = ("mass", "Heart")
    assert likeness(texts, texts, "entity_f1", names)[0].tolist() == [1, 0, 0, 0, pytest.approx(2 / 3)]
    assert likeness(["The Lung!"], ["lung", "lungs"], "exact_match").tolist() == [[1, 0]]


def test_the_typical_text_scores_best_against_all_and_of_exact_match_is_the_most_frequent() -> None:
    own = np.empty(5, dtype=object)
    own[:] = [("left lung",), ("left lung mass",), ("left mass",), ("heart",), ("heart",)]
    assert typical(Texts(own)) == "left lung mass"
    assert typical(Texts(own, "exact_match")) == "heart"
    assert typical(Texts(own[::-1])) == "left lung mass"


def test_of_many_texts_those_of_most_patients_may_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.targets.texts.MOST_SAID", 4)
    own = np.empty(12, dtype=object)
    own[:] = [(f"text {k}",) for k in range(10)] + [("text 7",), ("text 7",)]
    said, share = said_of(Texts(own))
    assert len(said) == 4 and "text 7" in said and share.max() == pytest.approx(3 / 12)
    assert said_of(Texts(own[::-1]))[0] == said
