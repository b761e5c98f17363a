"""A faulty cell makes no other reading of the options or the answers win, and what a cell means is not guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.targets.answer_codes import FROM_0, FROM_1, LETTER, TEXT, way_of
from chiasm.targets.options import options_in_lists


def shuffled(texts: str, n: int) -> tuple[list[str], list[tuple[str, ...]]]:
    rng = np.random.default_rng(0)
    options = [tuple(str(own) for own in rng.permutation(list(texts))) for _ in range(n)]
    return [texts[k] for k in rng.integers(0, len(texts), n)], options


@pytest.mark.parametrize(("texts", "other"), [("1234", FROM_1), ("ABCD", LETTER), ("0123", FROM_0)])
@pytest.mark.parametrize(("n", "faults"), [(150, 0), (150, 1), (150, 9), (8, 1)])
def test_faulty_cells_make_no_other_reading_win(texts: str, other: str, n: int, faults: int) -> None:
    answers, options = shuffled(texts, n)
    for row in range(faults):
        options[row] = tuple("x" if own == answers[row] else own for own in options[row])
    way, rivals = way_of(answers, options)
    assert way == "" and {TEXT, other} <= set(rivals)


def test_a_way_is_taken_with_faults_where_every_other_reads_the_same_or_next_to_nothing() -> None:
    answers, options = shuffled("1234", 60)
    told = [own if row else "left" for row, own in enumerate(answers)]
    assert way_of(told, [("1", "2", "3", "4")] * 60) == (TEXT, [])  # text and number from 1 are the same
    words = [tuple(f"{own} mm" for own in row) for row in options]
    assert way_of([f"{own} mm" for own in told], words) == (TEXT, [])
    assert way_of(told, words) == (FROM_1, [])
    assert way_of(["9", *["left"] * 3], [("a", "b")] * 4) == ("", [])


def read(cell: Any) -> tuple[str, ...] | None:
    texts, wrong = options_in_lists(pd.Series([cell], dtype=object))
    return None if wrong[0] else texts[0]


def test_an_object_is_read_by_its_letters_or_numbers_and_not_by_its_order() -> None:
    assert read('{"B": "cyst", "A": "mass"}') == ("mass", "cyst")
    assert read({"c": "z", "a": "x", "b": "y"}) == ("x", "y", "z")
    tens = {str(k): f"no. {k}" for k in (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)}
    assert read(json.dumps(tens)) == tuple(f"no. {k}" for k in range(1, 11))
    assert read({1: "b", 0: "a"}) == ("a", "b")
    assert read({"opb": "y", "opa": "x"}) == ("x", "y") == read({"Option 2": "y", "Option 1": "x"})
    assert read({"first": "x", "second": "y"}) == ("x", "y")  # no letters, no numbers: by its order
    for wrong in (
        '{"A": "x", "C": "y"}',
        '{"2": "x", "3": "y"}',
        '{"A": "x", "A": "y", "B": "z"}',
        {"A": "x", "a": "y"},
    ):
        assert read(wrong) is None, wrong
    assert read({"A": "x", "1": "y"}) is None


def test_a_number_of_any_length_is_an_option() -> None:
    long = "1" + "0" * 400
    assert read(f"[{long}, 2]") == (long, "2") == read([10**400, 2.0])
    assert read([np.int64(3), np.float32(0.5)]) == ("3", "0.5")
    assert read([10**6000, 1]) is not None  # more digits than Python writes
    assert read("[NaN, 1]") == ("", "1") and read("[1e999, 1]") is None


def test_an_option_spelt_as_a_missing_value_is_told_and_kept_where_the_owner_says_so(tmp_path: Path) -> None:
    words = ["None", "NA", "N/A", "null", "nan"]
    rows = [f"p{k},no,cyst {k},{words[k % 5]},nan,{'ABC'[k % 3]}" for k in range(10)]
    (tmp_path / "patients.csv").write_text("\n".join(["id,a,b,c,u,answer", *rows]))
    manifest = '[patients]\ntable = "patients.csv"\nid = "id"\n{}\n[target]\nkind = "choice"\ncolumn = "answer"\n'
    manifest += 'options = ["a", "b", "c"]\nanswers = "letter"\n[modalities.x]\nkind = "table"\ncolumns = ["u"]\n'
    (tmp_path / "cohort.toml").write_text(manifest.format(""))
    (found,) = [own for own in chiasm.open_cohort(tmp_path / "cohort.toml").findings if own.finding == "spelt-missing"]
    assert "column 'c'" in found.what and "missing = []" in found.fix
    (tmp_path / "cohort.toml").write_text(manifest.format("missing = []"))
    cohort = chiasm.open_cohort(tmp_path / "cohort.toml")
    assert cohort.options is not None and "spelt-missing" not in [own.finding for own in cohort.findings]
    assert [own[2] for own in cohort.options.texts.tolist()] == words * 2
