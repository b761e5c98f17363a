"""Metrics of a text target: means over patients of the best reference, as the functions on answers have them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.evaluation.said import _best as ceiling_of
from chiasm.metrics import text
from chiasm.metrics.said import losses, per_patient, score_within
from chiasm.metrics.scored import Scored
from chiasm.metrics.scores import score
from chiasm.targets import Outcome
from chiasm.targets.texts import Texts, typical

EXPECTED = [("left lung",), ("the heart", "heart and lung"), ("no effusion seen in the left lung",), ("3",), ("liver",)]
SAID = ["left lung mass", "Heart.", "effusion in the left lung", "3", "the heart"]


def outcome_of(expected: list[tuple[str, ...]], scorer: str = "token_f1") -> Outcome:
    own = np.empty(len(expected), dtype=object)
    own[:] = expected
    known = np.array([bool(several) for several in expected])
    return Outcome(np.where(known, 1.0, np.nan), None, known, texts=Texts(own, scorer, ("lung", "heart", "effusion")))


def scores(scorer: str = "token_f1", **more: object) -> dict[str, float]:
    frame, outcome = pd.DataFrame({"text": SAID}), outcome_of(EXPECTED, scorer)
    found = score("text", frame, outcome, train=outcome, min_events=1, **more)  # type: ignore[arg-type]
    return {name: float(own[0]) for name, own in found.items()}


def test_each_is_the_mean_of_the_best_reference() -> None:
    found, first = scores(), [own[0] for own in EXPECTED]
    assert found["token_f1"] == pytest.approx(text.token_f1(SAID, first).mean()) == found["text_score"]
    assert found["exact_match"] == pytest.approx(2 / 5)
    assert found["entity_f1"] == pytest.approx(np.mean([1, 1, 1, 0]))  # neither names one of the fourth


@pytest.mark.parametrize("scorer", ["token_f1", "exact_match", "rouge_l", "bleu", "entity_f1"])
def test_the_scorer_of_the_target_is_the_primary_metric(scorer: str) -> None:
    found = scores(scorer)
    assert found["text_score"] == found[scorer]


def test_rouge_and_bleu_are_those_of_torchmetrics() -> None:
    first = [own[0] for own in EXPECTED]
    assert [text.rouge_of(p, e) for p, e in zip(SAID, first, strict=True)] == pytest.approx(text.rouge_l(SAID, first))
    from torchmetrics.functional.text import bleu_score

    long = [("no effusion was seen in the left lung today", "in the left lung no effusion was seen")]
    said = ["no effusion was seen in the left lung"]
    expected = float(bleu_score(said, [list(long[0])]))
    assert float(text.bleu_of([(said[0], list(long[0]))])[0]) == pytest.approx(expected, abs=1e-6)


def test_a_draw_weighs_patients() -> None:
    each, weights = text.token_f1(SAID[:1] + SAID[3:], ["left lung", "3", "liver"]), np.array([[2, 0, 0, 1, 1]])
    frame = pd.DataFrame({"text": SAID})
    found = score("text", frame, outcome_of(EXPECTED), weights=weights, min_events=1, metrics=["text_score"])
    assert found["text_score"][0] == pytest.approx((2 * each[0] + each[1] + each[2]) / 4)


def test_within_strata_it_is_the_mean_of_who_stands_in_one() -> None:
    scored = Scored(np.zeros((5, 0)), outcome_of(EXPECTED), said=np.array(SAID, dtype=object))
    strata = np.array([0, -1, -1, 1, -1])[:, None]
    assert score_within(scored, strata, np.ones((1, 5)))[0] == pytest.approx((0.8 + 1) / 2)


def test_saying_the_typical_text_is_worth_nothing_beyond_it() -> None:
    outcome = outcome_of(EXPECTED)
    assert outcome.texts is not None
    said = np.full(5, typical(outcome.texts), dtype=object)
    terms = losses(Scored(np.zeros((5, 0)), outcome, outcome, said=said))
    assert terms[:, 0].tolist() == terms[:, 1].tolist() and terms.sum() > 0
    without = losses(Scored(np.zeros((5, 0)), outcome, None, said=said))
    assert np.isnan(without).all()


def test_what_is_no_text_is_refused() -> None:
    for frame in (pd.DataFrame({"text": [1.0] * 5}), pd.DataFrame({"said": SAID})):
        with pytest.raises(ValueError, match="text"):
            score("text", frame, outcome_of(EXPECTED))


def test_of_several_references_one_that_names_no_entity_is_met_by_a_text_that_names_none() -> None:
    outcome = outcome_of([("clear", "lung"), ("clear", "lung"), ("lung", "heart")], "entity_f1")
    said = np.array(["nothing", "heart", "nothing"], dtype=object)
    found = per_patient("entity_f1", Scored(np.zeros((3, 0)), outcome, said=said))
    assert np.isnan(found[0]) and found[1:].tolist() == [0, 0]


def test_the_ceiling_of_entities_is_over_whom_it_is_scored_on() -> None:
    tested = outcome_of([("clear",), ("clear", "lung and heart"), ("liver and lung",)], "entity_f1").texts
    assert tested is not None
    assert ceiling_of(tested, ["clear", "lung"]).tolist() == pytest.approx([2 / 3, 1])
