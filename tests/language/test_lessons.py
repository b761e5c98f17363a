"""What a curriculum is made of: facts of tables, mixtures of tasks, lessons of a tiny model, vectors as pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats  # type: ignore[import-untyped]

from chiasm.encoders.table.picture import VectorPicture, image_to_vector, vector_to_image
from chiasm.fitting.expected import expected_of
from chiasm.language.asked import ANSWERS, PROMPT, Asked
from chiasm.language.facts import facts_of, in_words
from chiasm.language.mixture import drawn, proportions
from chiasm.language.spliced import slot
from chiasm.language.taught import lessons
from chiasm.language.tiny import TinyWords


@pytest.mark.parametrize(("temperature", "most"), [(1.0, 0), (2.0, 0), (1.0, 100), (1e9, 0)])
def test_a_mixture_draws_its_proportions(temperature: float, most: int) -> None:
    tasks = ["a"] * 400 + ["b"] * 90 + ["c"] * 10
    expected = proportions([400, 90, 10], temperature, most)
    seen = np.zeros(3)
    for seed in range(4):
        rows = drawn(tasks, 500, seed=seed, temperature=temperature, most=most)
        seen += [sum(tasks[row] == name for row in rows.tolist()) for name in "abc"]
        counts = np.bincount(rows, minlength=500)
        assert all(np.ptp(counts[[k for k, own in enumerate(tasks) if own == name]]) <= 1 for name in "abc")
    assert stats.chisquare(seen, expected * seen.sum()).pvalue > 1e-3
    np.testing.assert_allclose(proportions([3, 3], temperature, most), [0.5, 0.5])


def test_a_mixture_refuses_what_cannot_be_drawn() -> None:
    for sizes, temperature in (([], 1.0), ([0, 3], 1.0), ([1, 2], 0.5)):
        with pytest.raises(ValueError, match="mixture"):
            proportions(sizes, temperature)


def test_a_table_is_asked_for_what_stands_in_it() -> None:
    ages = [float(own) for own in range(30, 60)]
    frame = pd.DataFrame(
        {"age": ages, "stage": ["I", "II", None] * 10, "same": "x", "name": [f"n{k}" for k in range(30)]}
    )
    facts = facts_of(frame, np.arange(30) + 5)
    assert set(facts.questions) == {"what is age?", "what is stage?"} and len(facts.rows) == 30 + 20
    said = [own[k] for own, k in zip(facts.answers, facts.right.tolist(), strict=True)]
    assert said[:30] == ["low"] * 10 + ["middle"] * 10 + ["high"] * 10 and said[30:32] == ["I", "II"]
    assert facts.rows[:2].tolist() == [5, 6] and facts.answers[0] == ("low", "middle", "high")
    assert in_words(pd.Series([0.0, 1.0, float("nan")])) == ["0", "1", None]
    assert in_words(pd.Series([1234567.0, 1234568.0])) == ["1234567", "1234568"]


def test_a_lesson_tells_an_answer_where_the_slots_are_and_asks_for_it() -> None:
    words = TinyWords(("yes", "no"))
    prompt = [0, slot(0), slot(1), *words.ids("Q?")]
    made = lessons(
        [prompt] * 20, [("yes", "no")] * 20, np.zeros(20, int), np.arange(20) < 5, words, number=200, most=4, seed=0
    )
    asked, said = made.tokens[PROMPT], made.tokens[ANSWERS]
    told = 0
    for row in range(200):
        own = asked.take(np.array([row])).values[0, :, 0].int().tolist()
        answer = said.take(np.array([row])).values[0, :, 1].int().tolist()
        middle = own[1:-2]
        assert own[0] == 0 and own[-2:] == words.ids("Q?") and answer[-1] == words.end
        assert set(middle) <= {answer[0]} and len(middle) <= 4
        told += bool(middle)
    assert 130 < told < 170 and 20 < made.held_out.sum() < 80


def test_a_prompt_without_slots_is_taught_the_answers_that_are_right_alone() -> None:
    words = TinyWords(("yes", "no"))
    made = lessons(
        [words.ids("Q?")] * 20, [("yes", "no")] * 20, np.zeros(20, int), np.zeros(20, bool), words,
        number=100, most=0, seed=0,
    )  # fmt: skip
    said = made.tokens[ANSWERS].take(np.arange(100)).values[:, 0, 1].int().tolist()
    assert said == words.ids("yes") * 100


def test_words_of_one_letter_that_is_no_ascii_are_told_apart() -> None:
    words = TinyWords.fit(["男", "女"] * 5 + ["a"] * 5)
    assert words.known == ("女", "男") and words.ids("男") != words.ids("女")


def test_a_report_that_is_the_only_text_is_cut_like_any_other_and_the_question_of_all_is_not() -> None:
    words, asked = TinyWords(()), Asked((), ("note",), "report", "what is it?", most=3)
    begin, end = [words.end, *words.ids("abc")], words.ids("\nAnswer:")
    assert asked.prompt("defgh" * 9, ["abcabc"], words) == [*begin, *words.ids("Question:"), *words.ids("def"), *end]
    assert asked.prompt("what is it?", ["abc"], words)[4:] == words.ids("\nQuestion: what is it?\nAnswer:")[1:]


def test_a_vector_is_drawn_and_read_back_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    for length in (1, 3, 12, 13, 100, 7145):
        values = rng.normal(size=(2, length)).astype(np.float32)
        image = vector_to_image(values, 2)
        assert image.shape[1] == 3 and image.shape[2] == image.shape[3] and image.shape[2] % 2 == 0
        assert image_to_vector(image, length).tobytes() == values.tobytes()
    with pytest.raises(ValueError, match="cannot hold"):
        image_to_vector(vector_to_image(np.zeros((1, 4))), 40)


def test_the_picture_of_a_vector_is_cut_into_patches_that_hold_all_of_it() -> None:
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(30, 40)), columns=[f"c{k:02d}" for k in range(40)])
    own = VectorPicture().fit(frame)
    tokens = own.encode(frame)
    assert tokens.values.shape == (30, own.slots, own.width) and own.slots == 4
    image = own.pictures(frame)
    first = image[:, :, :2, :2].reshape(30, -1)
    np.testing.assert_allclose(tokens.values[:, 0].numpy(), first.astype(np.float32))
    assert own.scaler is not None
    np.testing.assert_array_equal(image_to_vector(image, 40), own.scaler(frame))
    assert VectorPicture().fit(frame[frame.columns[::-1]]).encode(frame).values.equal(tokens.values)


def test_what_a_picture_is_drawn_of_is_known_to_a_model_so_that_lacking_columns_and_far_values_are_told() -> None:
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(30, 3)), columns=["b", "a", "c"])
    own = expected_of({"scores": VectorPicture().fit(frame)}, {"scores"})["scores"]
    assert own.columns == ("a", "b", "c") and not own.unfamiliar(frame)
    assert len(own.unfamiliar(frame * 1e6)) == 3
