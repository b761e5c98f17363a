"""Instructions say what captions and tables hold, and nothing that a model made up."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.language.question_sets.instructions import DESCRIBE, prompt_of, refused
from chiasm.language.question_sets.styles import Asked

CAPTION = "Axial CT of the chest with a nodule of 12 mm in the left upper lobe."


def test_each_caption_is_asked_for_by_a_template_that_others_do_not_change() -> None:
    captions = {f"c{k}": f"caption {k}" for k in range(200)}
    found = chiasm.caption_instructions({**captions, "empty": " "})
    assert found.left_out == {"the caption is empty": 1} and set(found.table["question"]) == set(DESCRIBE)
    assert dict(zip(found.table["source"], found.table["answer"], strict=True)) == captions
    alone = chiasm.caption_instructions({"c7": "caption 7"}).table
    assert alone["question"][0] == found.table.set_index("source").loc["c7", "question"]
    assert list(chiasm.caption_instructions(captions, seed=1).table["question"]) != list(found.table["question"][:200])
    with pytest.raises(ValueError, match="no template"):
        chiasm.caption_instructions(captions, templates=())


def test_a_table_is_asked_for_by_value_and_by_yes_or_no_in_equal_parts() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{k}" for k in range(400)]
    frame = pd.DataFrame(
        {"age": rng.integers(40, 90, 400), "tumour_grade": rng.choice(["low", "high", "mid"], 400)}, index=ids
    )
    frame.loc["p0", "tumour_grade"] = None
    found = chiasm.table_instructions(frame, units={"age": "years"})
    assert found.left_out == {"the cell is empty": 1} and len(found.table) == 799
    ages = found.table[found.table["question"] == "What is the age of this patient?"].set_index("source")
    assert ages.loc["p3", "answer"] == f"{frame.loc['p3', 'age']} years"
    levels = found.table[found.table["question"].str.startswith("Is the tumour grade")]
    for row in levels.itertuples():
        named = row.question.removeprefix("Is the tumour grade of this patient ").removesuffix("?")
        assert (row.answer == "yes") == (named == frame.loc[row.source, "tumour_grade"])
    assert 0.4 < (levels["answer"] == "yes").mean() < 0.6


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        ("Where is the nodule?", "In the left upper lobe.", ""),
        ("How large is it?", "12 mm", ""),
        ("Is there a nodule?", "Yes", ""),
        ("How large is it?", "13 mm", "the answer has a number that the caption has not"),
        ("How large is it?", "9mm", "the answer has a number that the caption has not"),
        ("How large is it?", "12.12 mm", "the answer has a number that the caption has not"),
        ("What is it?", "A metastasis of melanoma", "the answer does not stand on the caption"),
        ("What does the caption say?", "a nodule", "the question speaks of a text"),
    ],
)
def test_a_written_answer_has_to_stand_on_the_caption(question: str, answer: str, why: str) -> None:
    assert refused(question, answer, CAPTION) == why


DENIED = "No pneumothorax. The left lung shows a nodule without calcification; effusions are not seen."
WRONG = "the answer says what the caption denies, or denies what it says"


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        ("Is there a pneumothorax?", "No", ""),
        ("Is there a pneumothorax?", "No, no pneumothorax.", ""),
        ("Is there a pneumothorax?", "Yes", WRONG),
        ("Is there a nodule?", "yes.", ""),
        ("Is there a nodule in the left lung?", "No", WRONG),
        ("Are there effusions?", "Yes", WRONG),
        ("Is there an effusion?", "no", ""),
        ("Is there no nodule?", "no", WRONG),
        ("Is there a fracture?", "No", "the answer does not stand on the caption"),
        ("What is in the left lung?", "A nodule without calcification", ""),
        ("What is in the left lung?", "A nodule with calcification", WRONG),
        ("What is in the left lung?", "No nodule", WRONG),
        ("What do the lungs show?", "Yes, effusions", WRONG),
    ],
)
def test_an_answer_does_not_turn_a_caption_around(question: str, answer: str, why: str) -> None:
    assert refused(question, answer, DENIED) == why


def test_what_a_model_writes_is_kept_or_counted() -> None:
    asked: list[str] = []

    def writer(prompt: str) -> str:
        asked.append(prompt)
        good = json.dumps({"question": "Where is the nodule?", "answer": "left upper lobe"})
        wrong = json.dumps({"question": "What?", "answer": "a fracture"})
        return "\n".join([good, "Here you are:", wrong, '{"question": "a?"}', "[" * 5000, good, good])

    found = chiasm.written_instructions({"c1": CAPTION, "c2": "Another."}, writer, each=2)
    assert asked[0] == prompt_of(CAPTION, 2) and CAPTION in asked[0]
    assert list(found.table["source"]) == ["c1", "c1"] and set(found.table["made_by"]) == {"model"}
    assert found.left_out == {
        "the line is no JSON": 4, "the answer does not stand on the caption": 5, "fewer than were asked for": 1,
        "the line has no question or no answer": 2, "more than were asked for": 1,
    }  # fmt: skip
    silent = chiasm.written_instructions({"c1": CAPTION}, lambda _: "")
    assert len(silent.table) == 0 and silent.left_out["nothing was written"] == 1


def test_only_rows_without_a_question_are_given_one() -> None:
    from chiasm.language.question_sets.instructions import instructed

    rows = [Asked("a", "", "x", False, None, "a", "train"), Asked("b", "Why?", "y", False, None, "b", "train")]
    made = instructed(rows)
    assert made[0].question in DESCRIBE and made[1] == rows[1]
