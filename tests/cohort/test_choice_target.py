"""A choice is read as it is written, in the one way that can be meant, and what cannot be chosen from is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort

OPTIONS = [["red", "green", "blue"], ["wide", "narrow"], ["7", "8", "9"], ["left", "right"]]
RIGHT = [2, 0, 1, 1]
WRITTEN = {
    "text": ["blue", "wide", "8", "right"],
    "letter": ["C", "a", "(b)", "B."],
    "from 0": [2, 0, 1, 1],
    "from 1": [3, 1, 2, 2],
}


def opened(answers: list[Any], options: list[Any], answers_by: str = "") -> Cohort:
    ids = [f"q{k}" for k in range(len(answers))]
    cells = [json.dumps(own) if isinstance(own, list) else own for own in options]
    patients = pd.DataFrame({"answer": answers, "options": cells}, index=ids)
    image = pd.DataFrame({"x": np.arange(len(ids), dtype=float)}, index=ids)
    return chiasm.cohort_from_frames(patients, {"image": image}, chiasm.Choice("answer", "options", answers_by))


def said(cohort: Cohort) -> str:
    return "\n".join(map(str, chiasm.check_cohort(cohort)))


@pytest.mark.parametrize("way", WRITTEN)
def test_each_way_to_name_an_option_reads_the_same_ones(way: str) -> None:
    for given in ("", way):
        cohort = opened(WRITTEN[way], OPTIONS, given)
        assert cohort.outcome is not None and cohort.outcome.value.tolist() == RIGHT, said(cohort)
        assert cohort.target is not None and cohort.target.names == ("1", "2", "3")


def test_what_can_be_read_in_two_ways_is_refused_until_it_is_said() -> None:
    cohort = opened([1, 1, 2], [["a", "b", "c"]] * 3)
    assert "its number from 0 and its number from 1" in said(cohort) and 'answers = "from 1"' in said(cohort)
    assert cohort.outcome is not None and not cohort.outcome.known.any()
    told = opened([1, 1, 2], [["a", "b", "c"]] * 3, "from 1")
    assert told.outcome is not None and told.outcome.value.tolist() == [0, 0, 1]
    both = opened(["A", "B"], [["B", "A"], ["A", "B"]])  # letters, or texts: not the same options
    assert "its text and its letter" in said(both)
    same = opened(["A", "B"], [["A", "B"], ["A", "B"]])
    assert same.outcome is not None and same.outcome.value.tolist() == [0, 1]


def test_who_cannot_choose_is_left_out_and_counted() -> None:
    options = [["yes", "no"], ["yes", "no", "yes"], ["yes"], [], ["yes", ""], None, ["no", "yes"]]
    cohort = opened(["yes"] * 7, options)
    text = said(cohort)
    for words in ("an option twice", "a single option", "an option that is empty", "no option in 2 rows"):
        assert words in text, words
    assert cohort.outcome is not None and cohort.outcome.known.tolist() == [True, *[False] * 5, True]
    assert not any(own.severity == "error" for own in chiasm.check_cohort(cohort) if own.finding != "without-modality")


def test_answers_and_cells_that_are_wrong_are_errors() -> None:
    text = said(opened(["yes", "no", "what", *["yes"] * 12], [["yes", "no"]] * 15))
    assert "names none of the patient's options" in text and "row 4" in text and "what" not in text
    text = said(opened(["a", "b", "a"], [["a", "b"], "a or b", {"a": [1]}]))
    assert "no JSON list" in text
    assert "more than 26" in said(opened(["0"], [[str(k) for k in range(27)]]))


def test_columns_lists_and_objects_are_the_same_options() -> None:
    columns = pd.DataFrame({"right": ["y", "x"], "one": ["x", "y"], "two": ["y", "x"], "three": ["z", None]})
    columns.index = ["p", "q"]
    frames = {"m": pd.DataFrame({"v": [0.0, 1.0]}, index=columns.index)}
    by_columns = chiasm.cohort_from_frames(columns, frames, chiasm.Choice("right", ("one", "two", "three")))
    objects = [json.dumps({"A": "x", "B": "y", "C": "z"}), np.array(["y", "x"], dtype=object)]
    lists = columns.assign(all=objects)
    by_list = chiasm.cohort_from_frames(lists, frames, chiasm.Choice("right", "all"))
    for cohort in (by_columns, by_list):
        assert cohort.options is not None and cohort.options.texts.tolist() == [("x", "y", "z"), ("y", "x")]
        assert cohort.outcome is not None and cohort.outcome.value.tolist() == [1, 1]
    gap = chiasm.cohort_from_frames(columns.assign(two=None), frames, chiasm.Choice("right", ("one", "two", "three")))
    assert "an empty cell before a filled one" in said(gap)


def test_options_belong_to_the_content_and_to_a_subset() -> None:
    cohort = opened(WRITTEN["text"], OPTIONS)
    other = opened(WRITTEN["text"], [["red", "grey", "blue"], *OPTIONS[1:]])
    assert cohort.fingerprint != other.fingerprint
    part = cohort.subset([1, 3]).with_target(None, None)
    assert part.options is not None and part.options.texts.tolist() == [("wide", "narrow"), ("left", "right")]
    assert part.options.most == 3 and part.options.inside.tolist() == [[True, True, False]] * 2
    with pytest.raises(ValueError, match="two columns or more"):
        chiasm.Choice("answer", ("one",))
    with pytest.raises(ValueError, match="one of text, letter"):
        chiasm.Choice("answer", "options", "from one")


def test_places_and_texts_that_give_the_answer_away_are_told() -> None:
    n = 60
    rng = np.random.default_rng(0)
    options = [[f"finding {k} of {row}" for k in rng.permutation(4)] for row in range(n)]
    place = rng.integers(0, 4, n)
    right = [own[k] for own, k in zip(options, place, strict=True)]
    ids = [f"p{row}" for row in range(n)]
    patients = pd.DataFrame({"answer": right, "options": list(map(json.dumps, options))}, index=ids)
    notes = pd.DataFrame({"note": [f"Seen: {own.upper()}, and so on" for own in right]}, index=ids)
    table = pd.DataFrame({"diagnosis": [f" {own}" for own in right], "age": rng.normal(size=n)}, index=ids)
    frames = {"note": notes, "table": table}
    cohort = chiasm.cohort_from_frames(patients, frames, chiasm.Choice("answer", "options"), kinds={"note": "text"})
    found = {own.finding: own for own in chiasm.check_cohort(cohort)}
    assert "60 of 60 patients" in found["answer-in-text"].what and "15 times" in found["answer-in-text"].what
    assert found["leaking-column"].leak and "'diagnosis'" in found["leaking-column"].what
    harmless = notes.assign(note=[" or ".join(own) for own in options])
    frames = {"note": harmless, "table": table[["age"]]}
    cohort = chiasm.cohort_from_frames(patients, frames, chiasm.Choice("answer", "options"), kinds={"note": "text"})
    assert chiasm.check_cohort(cohort) == []
    first = patients.assign(answer=[own[0] for own in options])
    cohort = chiasm.cohort_from_frames(first, {"table": table[["age"]]}, chiasm.Choice("answer", "options"))
    assert [own.finding for own in chiasm.check_cohort(cohort)] == ["one-place"]


def test_a_manifest_says_what_is_wrong_with_its_keys(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a", "b"], "right": ["x", "y"], "x": [1, 2]}).to_csv(tmp_path / "t.csv", index=False)
    text = '[patients]\ntable = "t.csv"\nid = "id"\n[target]\nkind = "choice"\ncolumn = "right"\n{}\n[modalities.m]\n'
    text += 'kind = "table"\ncolumns = ["x"]\n'
    for keys, words in (
        ("", "'options' is missing"),
        ('options = ["right"]', "fewer than two columns"),
        ('options = "nowhere"', "nowhere"),
        ('options = "x"\nanswers = "number"', "no way to name an option"),
    ):
        (tmp_path / "cohort.toml").write_text(text.format(keys))
        assert words in "\n".join(map(str, chiasm.check_cohort(tmp_path / "cohort.toml"))), keys


def test_an_empty_cell_is_not_the_option_none() -> None:
    """Of 60 patients 58 have the answer 'none' and no cell; two others make it a column of two values."""
    right = ["none"] * 58 + ["left", "left"]
    patients = pd.DataFrame({"answer": right, "options": [json.dumps(["none", "left"])] * 60})
    patients.index = pd.Index([f"p{row}" for row in range(60)])
    cells = pd.DataFrame({"side": [None] * 58 + ["left", "left"], "age": np.arange(60.0)}, index=patients.index)
    told = "1 column is the text of the right option: 'side'"
    for table, found in ((cells, False), (cells.fillna({"side": "none"}), True)):
        cohort = chiasm.cohort_from_frames(patients, {"table": table}, chiasm.Choice("answer", "options"))
        assert (told in {own.what for own in chiasm.check_cohort(cohort)}) is found
