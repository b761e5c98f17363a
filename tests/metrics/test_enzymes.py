"""Enzyme Commission numbers are read, and scored at each level and by the nodes of their hierarchy."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.metrics.enzymes import enzyme_scores, enzyme_terms, parse_enzyme, parse_enzymes


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("EC 1.1.1.1", ("1", "1", "1", "1")),
        ("ec:2.7.11.1", ("2", "7", "11", "1")),
        ("1.1.-.-", ("1", "1")),
        ("7", ("7",)),
        (" 3.4.24 ", ("3", "4", "24")),
        ("1.14.14.n2", ("1", "14", "14", "n2")),
    ],
)
def test_numbers_are_read(text: str, levels: tuple[str, ...]) -> None:
    assert parse_enzyme(text) == levels


@pytest.mark.parametrize("text", ["", "8.1.1.1", "1.-.1.1", "1.n1.1.1", "1.1.1.1.1", "1..1", "kinase", "0.1", "-"])
def test_what_is_no_number_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="Enzyme Commission") as refused:
        parse_enzyme(text)
    assert len(text) < 4 or text not in str(refused.value)


def test_a_cell_of_several_keeps_what_says_most() -> None:
    assert parse_enzymes("1.1.1.1; EC 1.1.-.- 2.7") == {("1", "1", "1", "1"), ("2", "7")}
    assert parse_enzymes("") == frozenset()


def test_scores_are_those_counted_by_hand() -> None:
    true = ["1.1.1.1", "1.1.1.1", "2.7.1.1;3.1.1.1", "1.1.-.-"]
    said = ["1.1.1.2", "", "2.7.1.1", "1.1.9.9"]
    scores = enzyme_scores(enzyme_terms(true, said)).iloc[0]
    # Item 1 is right to level 3; 2 says nothing; 3 lacks one of two; 4 is known to level 2, and right as far as that.
    assert scores["level_1"] == scores["level_2"] == 2 / 4
    assert (scores["level_3"], scores["level_4"]) == (1 / 3, 0)
    # Nodes in common 3 + 0 + 4 + 2; predicted 4 + 0 + 4 + 2 (cut below what is known); true 4 + 4 + 8 + 2.
    assert scores["precision"] == 9 / 10 and scores["recall"] == 9 / 18
    assert scores["f1"] == pytest.approx(2 * 0.9 * 0.5 / 1.4)


def test_a_wrong_branch_below_a_partial_truth_is_wrong() -> None:
    scores = enzyme_scores(enzyme_terms(["1.1.-.-"], ["1.2.1.1"])).iloc[0]
    assert (scores["level_1"], scores["level_2"], scores["precision"]) == (1, 0, 1 / 4)
    assert np.isnan(scores["level_3"])


def test_the_truth_scores_one_and_draws_weigh_items() -> None:
    true = ["1.1.1.1", "2.7.1.1", "3.1.-.-"]
    assert (enzyme_scores(enzyme_terms(true, true)).iloc[0] == 1).all()
    terms = enzyme_terms(true, ["1.1.1.1", "3.4.1.1", "3.1"])
    drawn = enzyme_scores(terms, [[1, 1, 1], [2, 0, 1], [0, 3, 0]])
    assert drawn["level_1"].tolist() == [2 / 3, 1, 0] and drawn["f1"].tolist()[1:] == [1, 0]


def test_predictions_that_are_no_numbers_are_counted_and_truths_refused() -> None:
    terms = enzyme_terms(["1.1.1.1", "2.7.1.1"], ["a kinase", "2.7.1.1"])
    assert terms.unreadable == 1 and enzyme_scores(terms)["level_4"].item() == 0.5
    with pytest.raises(ValueError, match="true number of item 2 cannot be read"):
        enzyme_terms(["1.1.1.1", "secret"], ["", ""])
    with pytest.raises(ValueError, match="item 1 has no true number"):
        enzyme_terms([""], ["1"])
    with pytest.raises(ValueError, match="give one an item"):
        enzyme_terms(["1"], [])
