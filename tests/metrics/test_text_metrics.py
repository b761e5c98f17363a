"""Metrics of free text equal known answers, and the libraries that have them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from torchmetrics.functional.text import bleu_score
from torchmetrics.functional.text.rouge import rouge_score

from chiasm.metrics import text

SAID = ["The left lung.", "a small effusion in the right lung", "", "cardiomegaly", "no finding at all here today"]
WANTED = ["left lung", "small effusion of the right lung", "nothing", "Cardio-megaly", "no finding at all today"]


def test_what_is_normalised_is_compared() -> None:
    assert text.normalised("The  LEFT lung, (upper) lobe!") == "left lung upper lobe"
    assert text.normalised("ﬁbrosis") == "fibrosis" and text.normalised("theatre") == "theatre"
    assert text.exact_match(SAID, WANTED).tolist() == [1, 0, 0, 1, 0]
    np.testing.assert_allclose(text.token_f1(SAID, WANTED), [1, 2 * 4 / 10, 0, 1, 2 * 5 / 11])
    assert text.token_f1(["", "."], ["", ""]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.5 cm", "15 cm"), ("1,5", "15"), (".5 mg", "5 mg"), ("-2", "2"), ("3-4", "34"), ("1:10", "110"),
        ("120/80", "12080"), ("5%", "5"), ("10² cells", "102 cells"), ("1½", "11/2"), ("<5", ">5"), ("ER+", "ER"),
        ("vitamin A", "vitamin"), ("influenza A virus", "influenza virus"), ("A", ""), ("A or B", "or B"),
    ],
)  # fmt: skip
def test_what_differs_in_a_number_or_a_letter_is_not_the_same(one: str, other: str) -> None:
    assert text.exact_match([one, one], [other, one]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("−2 °C", "-2 °C"), ("3–4", "3-4"), ("5 %", "5%."), ("It is 1.5.", "it is 1.5"), ("IL-2", "IL2"),
        ("A small mass", "small mass"), ("IN A LUNG", "in lung"), ("(the left lung)", "The left (lung)"),
        ("Vitamin A", "vitamin a"), ("A.", "a"), ("- left", "left"), ("ｌｕｎｇ ２", "lung 2"),
    ],
)  # fmt: skip
def test_what_differs_in_its_writing_alone_is_the_same(one: str, other: str) -> None:
    assert text.exact_match([one], [other]).tolist() == [1]


def test_every_script_has_words() -> None:
    said, wanted = ["左肺", "größe", "нет", "左肺结节", "दायाँ", ""], ["左肺", "gre", "нет", "左肺", "दायाँ", ""]
    for found in (text.rouge_l(said, wanted), text.token_f1(said, wanted)):
        np.testing.assert_allclose(found, [1, 0, 1, 2 / 3, 1, 1])
    assert text.rouge_l(["", "+"], ["x", "-"]).tolist() == [0, 0]
    assert text.bleu(["左肺下叶结节"], ["左肺下叶结节"]) == 1
    assert text.entity_f1(["左肺结节"], ["结节"], ["结节"]).tolist() == [1]


def test_bleu_equals_torchmetrics_and_its_draws_are_those_of_patients() -> None:
    np.testing.assert_allclose(text.bleu(SAID, WANTED), bleu_score(SAID, [[own] for own in WANTED]), rtol=1e-6)
    weights = np.array([[0, 2, 0, 0, 1], [1, 0, 0, 0, 0]], dtype=float)
    drawn = [SAID[1], SAID[1], SAID[4]], [WANTED[1], WANTED[1], WANTED[4]]
    found = text.bleu(SAID, WANTED, weights)
    np.testing.assert_allclose(found[0], bleu_score(drawn[0], [[own] for own in drawn[1]]), rtol=1e-6)
    assert found[1] == 0 and text.bleu([""], ["lung"]) == 0


def test_rouge_l_is_the_longest_common_sequence() -> None:
    assert text.rouge_l(["a b c d"], ["a c b d"]) == pytest.approx([0.75])
    known = [
        float(rouge_score(p, e, rouge_keys="rougeL")["rougeL_fmeasure"]) for p, e in zip(SAID, WANTED, strict=True)
    ]
    np.testing.assert_allclose(text.rouge_l(SAID, WANTED), known)


def test_entities_are_those_of_the_list() -> None:
    found = text.entity_f1(SAID, WANTED, ["effusion", "Right Lung", "cardiomegaly"])
    np.testing.assert_equal(found, [np.nan, 1, np.nan, 1, np.nan])
    assert text.entity_f1(["effusion"], ["effusion, right lung"], ["effusion", "lung"]) == pytest.approx([2 / 3])
    with pytest.raises(ValueError, match="is empty"):
        text.entity_f1(SAID, WANTED, [""])


def test_texts_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="one a patient"):
        text.exact_match(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="no text"):
        text.token_f1([None], ["a"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="letter by letter"):
        text.exact_match("left", "left")
    with pytest.raises(ValueError, match="entities are a list of names"):
        text.entity_f1(["lung"], ["lung"], "lung")


def test_a_long_text_of_capitals_is_normalised_in_time_that_grows_with_its_length() -> None:
    begun = time.process_time()
    assert text.normalised("x A " * 5000) == " ".join(["x a"] * 5000)
    assert time.process_time() - begun < 2
