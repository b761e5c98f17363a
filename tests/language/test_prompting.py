"""Ways of prompting: orders remove a bias of position exactly, neighbours, reasons that are right, budgets, memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import chiasm
from chiasm.bench.suites import suite_named
from chiasm.language.examples import Shot
from chiasm.language.prompting.asking import Shown
from chiasm.language.prompting.neighbours import Pool, by_words
from chiasm.language.prompting.shuffles import orders
from chiasm.language.speaking.metered import BudgetSpent
from chiasm.language.speaking.speaker import Manner, Said, Weighed
from examples import examples
from made_suites import medqa_folder, medqa_rows, write_lines

OPTIONS = re.compile(r"^([A-Z])\. (.*)$", re.MULTILINE)
"""An option as it is shown: its letter and its text."""


def last(prompt: str) -> tuple[str, dict[str, str]]:
    """The question that is asked, behind any examples, and its options, text to letter."""
    asks = prompt.rpartition("Question: ")[2]
    return asks.partition("\n")[0], {text: letter for letter, text in OPTIONS.findall(asks)}


def says(known: dict[str, str], seen: list[str] | None = None) -> Callable[[str], str]:
    """A speaker that names the right option of what it knows, and says A to all else."""

    def speak(prompt: str) -> str:
        if seen is not None:
            seen.append(prompt)
        question, options = last(prompt)
        return options.get(known.get(question, ""), "A")

    return speak


@dataclass(frozen=True)
class Leaning:
    """A speaker that weighs: what it knows of each option, and what it adds for a place."""

    knows: dict[str, float]
    adds: tuple[float, ...]
    name: str = "leaning"
    identity: str = "leaning"
    turn: bool = False

    def say(self, prompt: str, manner: Manner) -> Said:
        return Said("A")

    def weigh(self, prompts: Sequence[str], names: Sequence[str]) -> list[Weighed]:
        found = []
        for prompt in prompts:
            logits = np.array([self.knows[text] for text in last(prompt)[1]]) + np.array(self.adds[: len(names)])
            found.append(Weighed(tuple(logits - np.logaddexp.reduce(logits))))
        return found


def key_of(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {row["question"]: row["answer"] for row in rows}


@pytest.mark.parametrize(("options", "number"), [(4, 0), (4, 12), (3, 7), (2, 1)])
def test_each_option_stands_at_each_place_equally_often(options: int, number: int) -> None:
    found = orders(options, number, "seed")
    assert found[0] == tuple(range(options)) and len(found) == (number or options)
    assert found == orders(options, number, "seed") and orders(0, number) == [()]
    for whole in range(0, len(found) - options + 1, options):
        assert all(sorted(own) == list(range(options)) for own in zip(*found[whole : whole + options], strict=True))


def test_a_bias_of_position_is_removed_exactly(tmp_path: Path) -> None:
    folder, rows = medqa_folder(tmp_path, 40), medqa_rows(40)
    known = key_of(rows[:24])
    before, after = (
        chiasm.bench("medqa", data=folder, model=chiasm.prompted(says(known), way), controls=["none"], draws=100)
        for way in ("zero-shot", "shuffled")
    )
    guessed = sum(row["answer_idx"] == "A" for row in rows[24:])
    assert before.items()["right"].sum() == 24 + guessed > 24 and before.document["positions"]["answered"][0] > 16
    assert after.items()["right"].sum() == 24, "what it knows, and nothing besides"
    assert after.document["positions"]["answered"] == after.document["positions"]["right"]
    assert after.document["ways"]["candidate"] == {"answered": 24, "tied": 16}, "what is not known is said to be tied"


def test_likelihoods_that_add_something_for_a_place_keep_what_is_known_of_the_options() -> None:
    draws = np.random.default_rng(0)
    for _ in range(examples(30)):
        texts = tuple(f"option {k}" for k in range(draws.integers(2, 6)))
        knows = dict(zip(texts, draws.normal(size=len(texts)).tolist(), strict=True))
        leaning = Leaning(knows, tuple(draws.normal(scale=5, size=6).tolist()))
        found = chiasm.prompted(leaning, "shuffled").prompted.ask(Shown("Which?", texts))
        expected = np.array([knows[text] for text in texts])
        assert found.scores is not None
        np.testing.assert_allclose(np.array(found.scores) - found.scores[0], expected - expected[0], atol=1e-9)


def test_neighbours_are_those_of_scikit_learn() -> None:
    draws = np.random.default_rng(1)
    words = [f"word{k}" for k in range(30)]
    texts = [" ".join(draws.choice(words, 8)) for _ in range(60)]
    pool = Pool(tuple(Shot(text, ("yes", "no"), 0) for text in texts))
    vectors = by_words(texts)(texts)
    own = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute").fit(vectors)
    table = {text: draws.normal(size=7) for text in texts} | {"asked": draws.normal(size=7)}

    def embed(own: Sequence[str]) -> Any:
        return np.array([table[text] for text in own])

    query = " ".join(draws.choice(words, 8))
    rows = own.kneighbors(by_words(texts)([query]), return_distance=False)[0]
    assert [shot.question for shot in pool.nearest(Shown(query), 5)] == [texts[row] for row in rows]
    rows = NearestNeighbors(n_neighbors=60, metric="cosine").fit(embed(texts)).kneighbors(embed(["asked"]))[1][0]
    found = Pool(pool.shots, embed).nearest(Shown("asked"), 60)
    assert [shot.question for shot in found] == [texts[row] for row in rows]


def test_no_item_of_the_test_is_ever_an_example(tmp_path: Path) -> None:
    folder, rows, seen = medqa_folder(tmp_path, 12), medqa_rows(30), list[str]()
    shots = [Shot(row["question"], tuple(row["options"].values()), "ABCD".index(row["answer_idx"])) for row in rows]
    candidate = chiasm.prompted(says({}, seen), "few-shot", examples=shots, shown=4)
    found = chiasm.bench("medqa", data=folder, model=candidate, controls=["none"], draws=100)
    tested = [item.question for item in suite_named("medqa").read(folder).items]
    assert len(seen) == 12
    for prompt in seen:
        assert prompt.count("Question: ") == 5 and sum(prompt.count(f"Question: {own}\n") for own in tested) == 1
    assert "12 examples left out as questions of the test" in found.document["candidate"]["told"]
    pool = Pool(tuple(shots))
    assert all(shots[k] not in pool.nearest(Shown(shots[k].question), 30) for k in range(3)), "nor of itself"


def test_reasons_are_shown_only_where_they_end_in_the_right_answer() -> None:
    shots = [Shot(f"What of number {k} here?", ("alpha", "beta"), k % 2) for k in range(12)]
    seen = list[str]()

    def speak(prompt: str) -> str:
        seen.append(prompt)
        letter = "A" if re.search(r"number (0|3|4|7|8|11) here", last(prompt)[0]) else "B"
        other = "BA"[letter == "B"]
        return f"Reasons of {last(prompt)[0]} The answer is {other}? No: the answer is {letter}."

    candidate = chiasm.prompted(speak, "medprompt", examples=shots, shown=3, shuffles=2)
    found = candidate.prompted.ask(Shown("What of number 20 here?", ("alpha", "beta")))
    right = {k for k in range(12) if (k % 2 == 0) == (k in (0, 3, 4, 7, 8, 11))}
    final = [prompt for prompt in seen if "number 20" in prompt]
    shown = {int(own) for own in re.findall(r"Reasons of What of number (\d+)", final[0])}
    assert len(final) == 2 and len(shown) == 3 and shown <= right
    assert found.scores == (0.5, 0.5) and found.votes == found.asked == 2, "it says B whatever stands there"
    assert candidate.prompted.counted["reasons kept"] == 3
    before = len(seen)
    candidate.prompted.ask(Shown("What of number 20 here?", ("alpha", "beta")))
    assert len(seen) == before + 2, "reasons are asked for once"


def test_samples_are_drawn_apart_and_the_most_frequent_answer_is_taken() -> None:
    class Drawing(Leaning):
        def say(self, prompt: str, manner: Manner) -> Said:
            assert manner.temperature > 0
            return Said(f"So. The answer is {'ABBAB'[manner.seed % 5]}.")

    drawing = Drawing({}, ())
    found = chiasm.prompted(drawing, "self-consistency").prompted.ask(Shown("Which?", ("p", "q")))
    assert found.scores == (0.4, 0.6) and found.votes == 5
    with pytest.raises(ValueError, match="all the same"):
        chiasm.prompted(drawing, "self-consistency", temperature=0.0)
    with pytest.raises(ValueError, match="did you mean 'medprompt'"):
        chiasm.prompted(drawing, "medpromt")
    with pytest.raises(ValueError, match="hand some over"):
        chiasm.prompted(drawing, "few-shot")


def test_a_budget_is_never_passed_and_what_was_said_is_not_asked_again(tmp_path: Path) -> None:
    folder, rows, seen = medqa_folder(tmp_path / "data", 9), medqa_rows(9), list[str]()
    speak, memory, out = says(key_of(rows), seen), tmp_path / "said.db", tmp_path / "run"
    run = {"data": folder, "controls": ["none"], "draws": 100}
    with pytest.raises(BudgetSpent, match="the budget of 14 calls is spent: 14 are used"):
        chiasm.bench("medqa", model=chiasm.prompted(speak, "shuffled", calls=14), **run)
    assert len(seen) == 14
    for calls in (10, 10, 100):
        try:
            candidate = chiasm.prompted(says(key_of(rows)), "shuffled", calls=calls, memory=memory)
            found = chiasm.bench("medqa", model=candidate, out=out, **run)
        except BudgetSpent:
            assert candidate.prompted.speaker.counted["calls"] == 10
    assert candidate.prompted.speaker.counted["calls"] == 16 and found.items()["right"].all()
    assert memory.stat().st_mode & 0o77 == 0 and rows[0]["question"].encode() not in memory.read_bytes()
    memory.write_bytes(b"no answers, and no database at all" * 99)
    with pytest.raises(ValueError, match="holds no answers that can be read"):
        chiasm.prompted(speak, memory=memory, examples=[Shot("q", ("a", "b"), 0)])


def test_tokens_are_counted_against_the_budget() -> None:
    class Costs(Leaning):
        def say(self, prompt: str, manner: Manner) -> Said:
            return Said("A", read=30, written=2)

    candidate = chiasm.prompted(Costs({}, ()), "zero-shot", budget=120, weighs=False)
    counted: Counter[str] = candidate.prompted.speaker.counted
    with pytest.raises(BudgetSpent, match="120 tokens"):
        for number in range(9):
            candidate.prompted.ask(Shown(f"Which of {number}?", ("p", "q")))
    assert counted["tokens"] == 32 * counted["calls"] <= 120 and counted["calls"] >= 2


def test_from_the_command_line_the_way_stands_before_who_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "speaking.py").write_text("def speak(prompt):\n    return 'B'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = medqa_folder(tmp_path / "data", 12)
    pool = write_lines(tmp_path / "train.jsonl", medqa_rows(30))
    run = {"data": folder, "controls": ["none"], "draws": 100}
    model = "few-shot:python:speaking:speak,examples=2,calls=12"
    found = chiasm.bench("medqa", model=model, shots=pool, **run)
    assert found.document["positions"]["answered"] == [0, 12, 0, 0]
    assert "after the 2 nearest worked examples" in found.document["candidate"]["told"]
    for wrong, why in (
        ("few-shot:python:speaking:speak", "--shots"),
        ("shuffled:speaking:speak", "needs who speaks"),
        ("shuffled:python:speaking:speak,shufles=2", "speaking|module"),
        ("medprompt:python:speaking:speak,examples=0,calls=x", "integer"),
    ):
        with pytest.raises(ValueError, match=why):
            chiasm.bench("medqa", model=wrong, **run)


def test_a_question_without_options_is_answered_in_words() -> None:
    found = chiasm.prompted(lambda prompt: "In the left lung.\nQuestion: x", "zero-shot").prompted.ask(Shown("Where?"))
    assert found.text == "In the left lung." and found.scores is None
