"""Inverse planning equals enumeration of all that could have been done, and reads MuMA-ToM's questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chiasm.language.inverse_planning import Mind, likeliest, posterior
from chiasm.language.muma_tom import HELP, HINDER, INDIFFERENT, by_rules, events_of, read_muma_tom

SIDE, MOVES = 3, ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
PLACES = ((0, 0), (2, 2), (0, 2))
UTTERANCES = (*PLACES, None)
START, OTHER = (1, 1), (2, 0)
"""Where the one stands whose mind is asked for, and where the other one does."""
MINDS = [
    Mind(goal, belief, wish) for goal, belief, wish in product((HELP, HINDER, INDIFFERENT), PLACES, PLACES)
]  # fmt: skip


def moved(place: tuple[int, int], move: tuple[int, int]) -> tuple[int, int]:
    """Where a move leads; a wall stops it."""
    return min(max(place[0] + move[0], 0), SIDE - 1), min(max(place[1] + move[1], 0), SIDE - 1)


def far(one: tuple[int, int], other: tuple[int, int]) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def worth(mind: Mind, place: tuple[int, int], action: Any) -> float:
    """What an action is worth to a mind: nearness to where the other one is believed to want to be, or distance."""
    sign = {HELP: 1.0, HINDER: -1.0, INDIFFERENT: 0.0}[mind.goal]
    if action is None or action in UTTERANCES[:-1]:  # telling where the thing is believed to be serves who helps
        return 0.0 if action is None else sign * (1.5 if action == mind.belief else -1.5)
    return -sign * far(moved(place, action), mind.belief_of_goal) * 0.7


@cache
def chances(mind: Mind, place: tuple[int, int], actions: tuple[Any, ...]) -> np.ndarray:
    """A softly rational choice among actions."""
    each = np.exp([worth(mind, place, action) for action in actions])
    return each / each.sum()


def likelihood(event: Any, before: Sequence[Any], mind: Mind) -> float:
    """Of a pair (kind, action): moves are made from where the moves before have led."""
    place = START
    for kind, action in before:
        place = moved(place, action) if kind == "goes" else place
    actions = MOVES if event[0] == "goes" else UTTERANCES
    return float(np.log(chances(mind, place, actions)[list(actions).index(event[1])]))


def enumerated(prior: np.ndarray) -> dict[tuple[Any, ...], np.ndarray]:
    """Joint probability of each mind with each course of three events: a step, a word, a step."""
    table = {}
    for first, word, second in product(MOVES, UTTERANCES, MOVES):
        row = []
        for weight, mind in zip(prior, MINDS, strict=True):
            after = moved(START, first)
            row.append(
                weight
                * chances(mind, START, MOVES)[MOVES.index(first)]
                * chances(mind, after, UTTERANCES)[UTTERANCES.index(word)]
                * chances(mind, after, MOVES)[MOVES.index(second)]
            )
        table[("goes", first), ("says", word), ("goes", second)] = np.array(row)
    return table


def test_it_equals_enumeration_in_a_grid_of_two() -> None:
    prior = np.random.default_rng(0).dirichlet(np.ones(len(MINDS)))
    table = enumerated(prior)
    assert sum(row.sum() for row in table.values()) == pytest.approx(1.0), "all that can be done is counted"
    courses = list(table)
    for place in np.random.default_rng(1).choice(len(courses), 12, replace=False):
        expected = table[courses[place]] / table[courses[place]].sum()
        np.testing.assert_allclose(posterior(MINDS, courses[place], likelihood, prior), expected, atol=1e-12)


def test_what_cannot_be_is_ruled_out_and_what_is_no_number_is_refused() -> None:
    minds = [Mind("here"), Mind("there"), Mind("nowhere")]
    own = {"here": -1.0, "there": -np.inf, "nowhere": -1.0}
    found = posterior(minds, ["went"], lambda event, before, mind: own[mind.goal])
    np.testing.assert_allclose(found, [0.5, 0.0, 0.5])
    assert likeliest(found) is None and likeliest(found, least=True) == 1, "none is said where two are as likely"
    np.testing.assert_allclose(posterior(minds, [], lambda *given: np.nan, [1, 3, 0]), [0.25, 0.75, 0])
    for given, why in (
        (([minds[0]] * 2, [], lambda *own: 0.0), "differ"),
        ((minds, [1], lambda *own: np.nan), "event 1"),
        ((minds, [1], lambda *own: -np.inf), "cannot be by any"),
        ((minds, [], lambda *own: 0.0, [1.0, -1.0, 0.0]), "prior"),
    ):
        with pytest.raises(ValueError, match=why):
            posterior(*given)


STORY = (
    'Ann walked into the kitchen and asked, "Where is the milk?" Bob replied, "I found milk inside the fridge," while '
    "walking on. Ann opened the fridge and closed it. She then opened the stove and grabbed the milk."
)


def muma_folder(folder: Path) -> Path:
    """A folder of the released form with one episode."""
    asks = {
        "1": "Given the above interaction, if Bob has been trying to help Ann achieve her goal, which is MOST likely?\n"
        "A) When giving information, Bob believed that there was a milk inside the fridge\n"
        "B) When giving information, Bob believed that there was milk inside the stove",
        "2": "Given the above interaction, assuming that Bob knows what is inside the fridge, which is LEAST likely?\n"
        "A) When giving information, Bob was indifferent towards Ann’s goals\n"
        "B) When giving information, Bob has been trying to help Ann locate the milk\n"
        "C) When giving information, Bob has been trying to prevent Ann from finding the milk",
        "3": "Which is MOST likely?\nA) Something else.\nB) Another thing.",
    }
    lines = {number: text.split("\n") for number, text in asks.items()}
    answers = {"1": lines["1"][1], "2": lines["2"][2], "3": lines["3"][1]}
    (folder / "questions.json").write_text(json.dumps({"7": {"questions": asks, "answers": answers}}), encoding="utf-8")
    (folder / "texts.json").write_text(json.dumps({"7": STORY}), encoding="utf-8")
    return folder


def test_released_questions_become_minds_and_what_is_of_another_form_is_counted(tmp_path: Path) -> None:
    found, left = read_muma_tom(muma_folder(tmp_path))
    assert left == 1 and [own.kind for own in found] == ["belief", "social goal"]
    assert found[0].minds[0] == Mind(HELP, ("there", "milk", "inside the fridge")) and found[1].least
    assert events_of(STORY)[1].startswith("while walking on")
    for own in found:
        assert likeliest(posterior(own.minds, own.events, by_rules), least=own.least) == own.answer
    with pytest.raises(ValueError, match="fetch the release"):
        read_muma_tom(tmp_path / "none")


def test_on_the_released_questions_rules_are_far_above_chance(shared_data: Path) -> None:
    found, left = read_muma_tom(shared_data / "wings" / "muma-tom-text")
    right = [likeliest(posterior(own.minds, own.events, by_rules), least=own.least) == own.answer for own in found]
    assert len(found) + left == 900 and np.mean(right) > 0.7 > 1 / 3
