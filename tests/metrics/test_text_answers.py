"""Free text answers have scores with intervals, beside what answering without a model scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm

QUESTIONS = ["which side is the nodule", "what is the age", "which side is the mass", "is there an effusion"] * 10
ANSWERS = ["left", "60", "right", "No."] * 9 + ["no", "no ", "NO", "no"]


def test_scores_are_means_with_intervals_of_patients() -> None:
    said = ["left", *ANSWERS[1:]]
    said[2] = said[6] = "left"
    table = chiasm.text_scores(said, ANSWERS, entities=["left", "right"], draws=200, seed=1).set_index("metric")
    assert list(table.index) == ["exact_match", "token_f1", "rouge_l", "entity_f1", "bleu"]
    row = table.loc["exact_match"]
    assert row["mean"] == 38 / 40 and row["low"] < row["mean"] <= row["high"] <= 1 and row["answers"] == 40
    assert table.loc["entity_f1", "answers"] == 18 and table.loc["entity_f1", "mean"] == 16 / 18
    again = chiasm.text_scores(said, ANSWERS, entities=["left", "right"], draws=200, seed=1).set_index("metric")
    pd.testing.assert_frame_equal(table, again)
    together = chiasm.text_scores(said, ANSWERS, groups=[k // 8 for k in range(40)], draws=200)
    assert together["low"].isna().all()  # five groups are too few for an interval


def test_answers_that_are_all_right_or_all_wrong_leave_doubt() -> None:
    for said, mean in (("left", 1.0), ("nothing", 0.0)):
        table = chiasm.text_scores([f"{said} lung now here"] * 12, ["left lung now here"] * 12, draws=100)
        for row in table.to_dict("records"):
            if row["metric"] in ("exact_match", "bleu"):
                assert row["mean"] == pytest.approx(mean) and row["high"] - row["low"] == pytest.approx(
                    0.2425, abs=1e-3
                )
            assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1 + 1e-9 and row["high"] - row["low"] > 0.1


def test_what_needs_no_model_is_learned_from_training_patients() -> None:
    found = chiasm.text_baselines(QUESTIONS, ANSWERS, ["side of the mass?", "zzz", "the age"])
    assert found["most_frequent"].tolist() == ["No."] * 3
    assert found["nearest"].tolist() == ["right", "No.", "60"]
    assert chiasm.text_baselines(["?"], ["a"], ["b"])["nearest"].tolist() == ["a"]
    assert len(chiasm.text_baselines(QUESTIONS, ANSWERS, [])) == 0


def test_answers_of_a_series_are_those_at_its_places() -> None:
    table = pd.DataFrame({"q": ["what side", "what organ", "what colour"], "a": ["left", "liver", "red"]})
    for rows in ([2, 0, 1], [0, 2]):
        own = table.iloc[rows]
        found = chiasm.text_baselines(own["q"], own["a"], pd.Series(["what colour", "what side"], index=[7, 3]))
        assert found["nearest"].tolist() == ["red", "left"]


def test_what_cannot_be_scored_is_refused() -> None:
    for wrong in (lambda: chiasm.text_scores([], []), lambda: chiasm.text_baselines([], [], ["a"])):
        with pytest.raises(ValueError, match=r"one (text )?or more"):
            wrong()
    with pytest.raises(ValueError, match="give each its own"):
        chiasm.text_scores(["a"], ["a"], groups=["x", "y"])
    assert np.isnan(chiasm.text_scores(["a"], ["a"], draws=100)["low"]).all()
    for few in (10, 0, -3):
        with pytest.raises(ValueError, match=f"draws={few} are too few"):
            chiasm.text_scores(["a"], ["a"], draws=few)
    with pytest.raises(ValueError, match="one of them is no text"):
        chiasm.text_scores(["a"], ["a"], entities=["lung", 3])  # type: ignore[list-item]
    for nobody in (None, np.nan, pd.NA):
        with pytest.raises(ValueError, match="2 answers have no group"):
            chiasm.text_scores(["a"] * 3, ["a"] * 3, groups=["x", nobody, nobody])
    with pytest.raises(ValueError, match="entities are a list of names"):
        chiasm.text_scores(["a"], ["a"], entities="lung")
    for one in ("ab", pd.Series(["a", "b"]), ["a", None]):
        said = r"letter by letter|no text" if not isinstance(one, pd.Series) else "a question or answer is no text"
        with pytest.raises(ValueError, match=said):
            chiasm.text_baselines(one, ["a", "b"] if not isinstance(one, pd.Series) else ["a", np.nan], ["a"])
