"""A fitted model as a candidate: classes that are the options of all items, or a choice among those of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import chiasm
from chiasm.bench.candidates.fitted import FittedCandidate, can_be_chosen_among
from chiasm.bench.item import Asked
from made_suites import medqa_folder, medqa_rows

ITEMS = [
    Asked("a", "Which?", ("alpha", "beta gamma", "delta")),
    Asked("b", "Which?", ("one",)),
    Asked("c", "Which?", ("yes", "yes ")),
    Asked("d", "", ("long one", "x")),
    Asked("e", "Why?", ()),
]


@dataclass(frozen=True)
class Longest:
    """A model of a choice that gives each option a probability by its length."""

    recipe: str = "longest"
    trained_parameters: int = 0
    modalities: tuple[str, ...] = ("question",)

    @property
    def learned_from(self) -> dict[str, int]:
        return {}

    @property
    def target(self) -> dict[str, Any]:
        return {"kind": "choice"}

    @property
    def response(self) -> Any:
        return SimpleNamespace(kind="choice")

    def predict(self, cohort: chiasm.Cohort) -> pd.DataFrame:
        assert cohort.options is not None and cohort.modalities == ("question",)
        sizes = [[len(own) for own in texts] for texts in cohort.options.texts.tolist()]
        rows = [{f"p_{k + 1}": n / sum(own) for k, n in enumerate(own)} for own in sizes]
        return pd.DataFrame(rows, index=list(cohort.ids)).fillna(0.0)

    def save(self, path: Path | str) -> None:
        raise NotImplementedError


def test_a_model_of_a_choice_scores_each_items_own_options_and_says_which_it_cannot() -> None:
    candidate = FittedCandidate(Longest(), "longest", "i")
    found = {reply.key: reply for reply in candidate.answer(ITEMS)}
    assert list(found) == ["a", "b", "c", "d", "e"]
    assert found["a"].scores == pytest.approx((5 / 20, 10 / 20, 5 / 20))
    assert found["d"].scores == pytest.approx((8 / 9, 1 / 9))
    for key in "bce":
        assert found[key].failure == "crashed" and "2 to 26 different options" in found[key].note
    assert "own options" in candidate.told


@dataclass(frozen=True)
class Classes(Longest):
    """A model of three classes, two of which are the same but for their capitals."""

    @property
    def response(self) -> Any:
        return SimpleNamespace(kind="classification")

    def predict(self, cohort: chiasm.Cohort) -> pd.DataFrame:
        row = {"p_yes": 0.5, "p_Yes": 0.3, "p_No.": 0.2}
        return pd.DataFrame([row] * len(cohort), index=list(cohort.ids))


def test_a_model_of_classes_says_nothing_of_what_it_cannot_read_and_takes_no_class_for_another() -> None:
    asked = [
        Asked("a", "Which?", ("Yes", "no")),
        Asked("b", "Which\0?", ("Yes", "no")),
        Asked("c", "Which?", ("YES", "no")),
        Asked("d", "x" * 2_000_000, ("Yes", "no")),
    ]
    found = {reply.key: reply for reply in FittedCandidate(Classes(), "classes", "i").answer(asked)}
    assert found["a"].scores == (0.3, 0.2) and found["c"].failure == "crashed"
    for key in "bd":
        assert found[key].failure == "crashed" and "cannot read" in found[key].note


def test_what_can_be_chosen_among() -> None:
    assert can_be_chosen_among(("a", "b")) and can_be_chosen_among(tuple("abcdefghijklmnopqrstuvwxyz"))
    for wrong in ((), ("a",), ("a", ""), ("a", " a"), tuple(map(str, range(27)))):
        assert not can_be_chosen_among(wrong)


@pytest.mark.nightly
def test_a_model_fitted_to_a_choice_is_benched_on_other_items_and_compared(tmp_path: Path) -> None:
    """From a folder by the command's name; a planted word tells the right option, and the bench finds it."""
    rows = medqa_rows(240, seed=1)
    for number, row in enumerate(rows):  # one remedy is right for fever and another for pain, wherever it stands
        k = number % 2
        row["question"] = f"Patient {number} has {('fever', 'pain')[k]}. What is to be given?"
        texts = ["aspirin", "heparin", "insulin", "steroid"]
        right = texts[k]
        others = [own for own in texts if own != right]
        row["options"] = {own: right if own == row["answer_idx"] else others.pop() for own in "ABCD"}
        row["answer"] = right
    people = pd.DataFrame({"answer": [row["answer"] for row in rows]}, index=[f"q{k}" for k in range(len(rows))])
    for letter in "ABCD":
        people[letter] = [row["options"][letter] for row in rows]
    asks = pd.DataFrame({"question": [row["question"] for row in rows]}, index=people.index)
    cohort = chiasm.cohort_from_frames(
        people[:120], {"question": asks[:120]}, chiasm.Choice("answer", tuple("ABCD")), kinds={"question": "text"}
    )
    chiasm.fit(cohort, "single:question", seed=0).save(tmp_path / "model")
    folder = tmp_path / "exam"
    medqa_folder(folder, 1)
    (folder / "medqa_us_4_options_test.jsonl").write_text("\n".join(map(json.dumps, rows[120:])))
    knows = chiasm.bench("medqa", data=folder, model=f"model:{tmp_path / 'model'}", out=tmp_path / "a", draws=100)
    first = chiasm.bench("medqa", data=folder, model=lambda item: "A", out=tmp_path / "b", draws=100)
    assert knows.document["candidate"]["told"].startswith("A fitted model of chiasm chose among")
    assert knows.verdict.outcome == "knows something", knows.verdict.sentence
    compared = chiasm.bench_compare(tmp_path / "a", tmp_path / "b").table()
    assert len(compared) and first.verdict.outcome == "knows nothing"
