"""A run answers from its own numbers, each of which stands where the answer says, and no other question."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from asked_runs import document, estimate, made_trial
from chiasm.language.asking.answer import Answer, Place
from chiasm.report.asked.topics import TOPICS, answer_of_run

ROOT = Path(__file__).parents[2]
QUESTIONS = tomllib.loads((ROOT / "benchmarks/references/questions_of_a_run.toml").read_text(encoding="utf-8"))
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
KEY = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
EXAMPLES = [
    *(topic.example for topic in TOPICS),
    "what are the classes", "How many patients have genes?", "How many patients lack genes?", "Is healnet calibrated?",
    "Is healnet better than early-fusion?", "Is early-fusion better than single:genes?", "median age", "how many grade",
    "Which combined model is best?", "Which single model is worst?", "What is the Uno's C of late fusion?",
    "How good are genes alone?", "Which recipe was fastest?", "Were there leaks?",
]  # fmt: skip


def read(place: Place) -> Any:
    """What stands at a place, by the key as a reader would follow it."""
    value: Any = document()
    for row, key in KEY.findall(place.key):
        if row and row.isdigit():
            value = value[int(row)]
        elif row:
            value = next(own for own in value if row in (own.get("name"), own.get("column"), own.get("recipe")))
        else:
            value = value[key]
    return value


def numbers_of(answer: Answer) -> list[str]:
    """Numbers of an answer beyond names, texts that it quotes, and what a metric or an interval is called."""
    text = answer.text
    for said in [own.value for own in answer.places if isinstance(own.value, str)]:
        text = text.replace(said, " ") if len(said) > 3 else text
    text = re.sub(r"'[^']*'(?!s)|\(right at 1\)|95 %|80 %|Harrell's C|Uno's C", " ", text)
    return [own.replace(",", "").rstrip(".") for own in NUMBER.findall(text)]


def held_numbers(place: Place) -> list[float]:
    own = place.value if isinstance(place.value, list) else [place.value]
    return [float(value) for value in own if isinstance(value, int | float)]


def test_every_number_of_an_answer_stands_where_it_says() -> None:
    trial = made_trial()
    for question in [*EXAMPLES, *(row["asks"] for row in QUESTIONS["question"])]:
        every_number_is_held(answer_of_run(trial, question))


def every_number_is_held(answer: Answer) -> None:
    if not answer.answered:
        assert answer.places == () and answer.asks and not NUMBER.findall(answer.text)
        return
    assert answer.places
    for place in answer.places:
        found = read(place)
        assert place.value == (len(found) if isinstance(found, list) and isinstance(place.value, int) else found)
    held = [own for place in answer.places for own in held_numbers(place)]
    for number in numbers_of(answer):
        rounding = 0.5 / 10 ** len(number.partition(".")[2])
        assert any(abs(float(number) - own) <= rounding for own in held), (number, answer.text)


def test_sixty_questions_are_answered_from_the_right_key_or_not_at_all() -> None:
    trial = made_trial()
    for row in QUESTIONS["question"]:
        answer = answer_of_run(trial, row["asks"])
        assert answer.answered == ("at" in row), (row, answer.text)
        if "at" in row:
            assert any(place.key.startswith(row["at"]) for place in answer.places), (row, answer)


def test_the_sixty_are_sixty_of_which_twenty_have_no_answer() -> None:
    assert [len(QUESTIONS["question"]), sum("at" not in row for row in QUESTIONS["question"])] == [60, 20]


def test_the_example_of_a_topic_is_about_it() -> None:
    trial = made_trial(subgroups={"columns": [{"column": "sex"}], "rows": []})
    for topic in TOPICS:
        answer = answer_of_run(trial, topic.example.replace("one modality", "genes"))
        lacking = {"sealed", "subgroups", "sites", "groups", "classes", "column"}
        assert answer.topic == topic.name or (not answer.answered and topic.name in lacking), topic.example


@pytest.mark.parametrize("name", ["random-forest", "late", "mri"])
def test_a_name_that_the_run_does_not_have_is_not_taken_for_another(name: str) -> None:
    for question in (f"How well does {name} do?", f"Is {name} better than healnet?", f"How many patients have {name}?"):
        assert not answer_of_run(made_trial(), question).answered


@pytest.mark.parametrize("cohorts", ["are in both cohorts", "do the two cohorts have", "are in several cohorts"])
def test_patients_of_other_cohorts_are_not_those_with_two_modalities(cohorts: str) -> None:
    assert not answer_of_run(made_trial(), f"How many patients {cohorts}?").answered
    assert not answer_of_run(made_trial(), "How many cohorts are there?").answered
    assert answer_of_run(made_trial(), "How large is the cohort?").topic == "patients"


def test_whether_a_modality_helped_is_told_beside_the_others_and_with_what_the_run_does_not_say() -> None:
    answer = answer_of_run(made_trial(), "Did genes help?")
    assert answer.topic == "modalities" and "does not say what each brings" in answer.text


@pytest.mark.parametrize("asks", ["Did adding genes help?", "Was it worth adding genes?", "Did adding genes pay off?"])
def test_what_one_modality_adds_is_its_named_contrast_and_not_the_verdict(asks: str) -> None:
    assert not answer_of_run(made_trial(), asks).answered
    of_genes = {
        "recipe": "lego-merge", "against": "lego-merge:modality=clinical", "outcome": "pays",
        "sentence": "'lego-merge' against 'lego-merge:modality=clinical': pays.",
    }  # fmt: skip
    trial = made_trial(contrasts=[*document()["contrasts"], of_genes])
    answer = answer_of_run(trial, asks)
    assert answer.text == of_genes["sentence"] and [own.key for own in answer.places] == ["contrasts[1].sentence"]
    assert not answer_of_run(trial, asks.replace("genes", "clinical")).answered


def test_what_both_modalities_give_together_is_the_verdict() -> None:
    assert answer_of_run(made_trial(), "Did combining genes and clinical pay?").text.startswith(
        "Combining: cannot tell"
    )


@pytest.mark.parametrize("asks", ["What is the average age?", "What is the mean age?", "What is the range of age?"])
def test_a_median_is_no_mean(asks: str) -> None:
    assert not answer_of_run(made_trial(), asks).answered
    assert answer_of_run(made_trial(), "What is the median age?").answered


@pytest.mark.parametrize("said", ["genes without clinical", "genes and clinical", "clinical but lack genes"])
def test_patients_of_two_modalities_are_told_by_their_combinations(said: str) -> None:
    answer = answer_of_run(made_trial(), f"How many patients have {said}?".replace("but ", ""))
    assert [place.key for place in answer.places] == [
        f"cohort.patterns.{name}" for name in ("clinical", "clinical+genes", "genes")
    ]


def test_a_column_is_not_answered_by_a_median_that_was_not_asked_for_or_is_held_back() -> None:
    assert not answer_of_run(made_trial(), "How many patients have age?").answered
    few = {"column": "age", "kind": "number", "known": [12], "missing": [0], "quartiles": [None]}
    trial = made_trial(description={"flow": {}, "characteristics": {"columns": [few]}})
    assert not answer_of_run(trial, "What is the median age?").answered


def test_of_both_sides_the_best_is_the_best_of_all() -> None:
    rows = [row | {"mean": 0.9} if row["name"] == "single:genes" else row for row in document()["recipes"]]
    answer = answer_of_run(made_trial(recipes=rows), "Which recipe is best, alone or combined?")
    assert "of all recipes is that of 'single:genes'" in answer.text


def test_subgroups_are_not_told_in_another_metric() -> None:
    row = {"recipe": "healnet", "subgroup": "sex", "level": "f", "n": 90, **estimate(0.6)}
    trial = made_trial(subgroups={"columns": [{"column": "sex"}], "rows": [row]})
    assert answer_of_run(trial, "What is Harrell's C in each subgroup?").answered
    assert not answer_of_run(trial, "What is Uno's C in each subgroup?").answered


def test_of_several_causes_the_event_is_each_and_boxes_are_no_patients() -> None:
    cohort = document()["cohort"]
    causes = {"classes": ["relapse", "death"], "counts": [51, 12], "events": 51, "main_named": False}
    boxes = {"classes": ["nodule"], "counts": [412], "without_boxes": 9}
    for target, asks, said in [
        (causes, "How many patients had the event?", "Patients of each: relapse 51, death 12."),
        (boxes, "How many are there of each class?", "Boxes of each: nodule 412."),
    ]:
        trial = made_trial(cohort=cohort | {"target": cohort["target"] | target})
        assert answer_of_run(trial, asks).text == said


def test_the_best_available_recipe_is_not_the_reference_of_that_name() -> None:
    for asks in ("Which is the best available recipe?", "Which model is the best available?"):
        assert not answer_of_run(made_trial(), asks).answered
    assert "'best-available' reaches" in answer_of_run(made_trial(), "How well does best-available do?").text


def test_what_a_run_lacks_is_not_answered() -> None:
    trial = made_trial(verdict=None, contrasts=[])
    for question in ("Did combining pay?", "Which recipe was picked?", "What does coverage add?"):
        assert not answer_of_run(trial, question).answered
    assert answer_of_run(trial, "What do the named contrasts say?").text == "No contrast was named for this trial."


@pytest.mark.parametrize("pair", ["healnet better than early-fusion", "early-fusion better than single:genes"])
def test_a_difference_in_the_primary_metric_does_not_answer_for_another(pair: str) -> None:
    answer = answer_of_run(made_trial(), f"Is {pair} in Uno's C?")
    assert {place.key.rpartition(".metrics.")[2] for place in answer.places} <= {f"uno_c.{own}" for own in estimate(0)}
    assert answer.places and "holds no interval of their difference" in answer.text


def test_an_unestimable_score_is_said_and_no_number() -> None:
    rows = document()["recipes"]
    rows[6] |= {"mean": None, "low": None, "high": None}
    answer = answer_of_run(made_trial(recipes=rows), "How well does healnet do?")
    assert answer.text == "'healnet' reaches Harrell's C not estimable."


def test_words_of_the_question_are_never_repeated() -> None:
    answer = answer_of_run(made_trial(), "What is the survival of patient Kowalski-17?")
    assert not answer.answered and "owalski" not in str(answer) and "17" not in str(answer)
