"""An answer in words names one option, or it is counted as what it is."""

from __future__ import annotations

import pytest

from chiasm.language.parsing import LONGEST, WAYS, read_scores, read_text

FOUR = ("Blood clot", "Iron deficiency anaemia", "Anaemia", "No treatment")
LABELS = ("yes", "no", "maybe")


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("B", 1), ("b.", 1), ("(C)", 2), ("**D**", 3),
        ("Ｂ", 1), ("B) Iron deficiency anaemia", 1), ("B: because", 1),
        ("The answer is C.", 2), ("answer: (d)", 3), ("Answer: B\n\nExplanation: option B fits", 1),
        ("The correct option is B", 1), ("iron deficiency anaemia.", 1), ("It is iron deficiency anaemia", 1),
        ("I would say anaemia", 2), ("I think D", 3), ("It is not B but C", 2), ("答案是B", 1),
        ("Die Antwort ist D", 3),
        ("A patient like this has anaemia", 2), ("A blood clot", 0), ("The answer is a blood clot", 0),
    ],
)  # fmt: skip
def test_one_option_is_found(text: str, position: int) -> None:
    assert read_text(text, FOUR).position == position


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("", "empty"), ("   \n", "empty"), (None, "empty"), ("x" * (LONGEST + 1), "too long"),
        ("B or C", "several"), ("The answer is A. The answer is B.", "several"),
        ("blood clot and anaemia", "several"),
        ("B) Blood clot", "contradiction"), ("E", "no such letter"), ("The answer is F", "no such letter"),
        ("Z.", "no such letter"), ("血栓", "other script"), ("La respuesta es ácido fólico", "no option"),
        ("I do not know", "refused"), ("not B", "no option"), ("B\nC) Anaemia", "several"), ("?", "no option"),
    ],
)  # fmt: skip
def test_what_names_none_or_two_is_neither_right_nor_wrong_in_silence(text: str | None, way: str) -> None:
    read = read_text(text, FOUR)
    assert read.position is None and read.way == way and way in WAYS


@pytest.mark.parametrize(
    ("text", "label"),
    [("Yes", 0), ("no.", 1), ("Yes, although no trial was large", 0), ("It is not known, so maybe", 2), ("NO", 1)],
)
def test_labels_are_read_as_words(text: str, label: int) -> None:
    assert read_text(text, LABELS).position == label


def test_yes_and_no_is_none() -> None:
    assert read_text("yes and no", LABELS).way == "several"


def test_an_option_that_is_a_letter_is_read_as_its_text() -> None:
    assert read_text("A", ("vitamin B", "A", "C")).position == 1


def test_options_of_equal_text_are_one() -> None:
    assert read_text("A or B", ("same", " same", "other")).way == "answered"
    assert read_scores([2.0, 2.0, 1.0], ("same", "same ", "other")).way == "answered"


def test_scores_are_read_as_the_highest_and_ties_as_none() -> None:
    assert read_scores([-3.0, -1.0, -2.0], ("a", "b", "c")).position == 1
    assert read_scores([-1.0, -1.0, -2.0], ("a", "b", "c")).way == "tied"
    assert read_scores([1.0, float("nan"), 0.0], ("a", "b", "c")).way == "not a number"
    assert read_scores([1.0, 2.0], ("a", "b", "c")).way == "not a number"
