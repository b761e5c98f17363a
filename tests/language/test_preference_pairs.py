"""Pairs are best against worst beyond a gap; what makes none is counted, and length is told."""

from __future__ import annotations

import math

import pytest

from chiasm.language.preference.pairs import preference_pairs
from chiasm.language.preference.scorers import scorer_of

TEXTS = ["a mass", "no mass", "a mass is seen in the left lung", "a mass"]


def test_best_against_worst_and_the_first_of_equals() -> None:
    found = preference_pairs(["p"], [TEXTS], ["a mass"], scorer_of("exact_match"))
    (pair,) = found.pairs
    assert (pair.chosen, pair.rejected, pair.scores) == ("a mass", "no mass", (1.0, 0.0))
    assert found.words == (2, 2) and math.isnan(found.longer)


def test_what_makes_no_pair_is_counted() -> None:
    scores = {"a": 1.0, "b": 1.0 + 1e-9, "c": math.nan}
    found = preference_pairs(
        ["p", "q", "r"], [["a", "b"], ["a", "c"], ["c", "b", "a"]], ["", "", ""], lambda text, _: scores[text]
    )
    assert (len(found), found.alike, found.unscored) == (0, 2, 1)
    assert "2 with candidates that score alike, 1 without scores" in found.told
    assert len(preference_pairs(["p"], [["a", "b"]], [""], lambda text, _: scores[text], gap=1e-10)) == 1


def test_a_scorer_of_length_is_seen() -> None:
    found = preference_pairs(["p", "q"], [TEXTS, TEXTS[:3]], ["", ""], lambda text, _: float(len(text.split())))
    assert (
        found.longer == 1 and found.correlation == pytest.approx(1) and "8.0 words chosen, 2.0 rejected" in found.told
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("token_f1", [1, 0.5]), ("rouge_l", [1, 0.5]), ("exact_match", [1, 0]), ("entity_f1", [1, 1]), ("bleu", [0, 0])],
)
def test_scorers_of_text_targets_by_name(name: str, expected: list[float]) -> None:
    scorer = scorer_of(name, entities=["mass"])
    assert [scorer(text, "no mass") for text in ("no mass", "big mass")] == pytest.approx(expected)


def test_what_cannot_score_is_refused() -> None:
    for named, entities, why in (("green", (), "choose one of"), ("entity_f1", (), "entities=")):
        with pytest.raises(ValueError, match=why):
            scorer_of(named, entities)
    with pytest.raises(ValueError, match="no number"):
        preference_pairs(["p"], [["a", "b"]], [""], lambda text, _: "good")  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="one of each"):
        preference_pairs(["p"], [["a", "b"]], [], lambda text, _: 1.0)
    with pytest.raises(ValueError, match="gap"):
        preference_pairs(["p"], [["a", "b"]], [""], lambda text, _: 1.0, gap=math.nan)
