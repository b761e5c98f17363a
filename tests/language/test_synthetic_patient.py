"""A synthetic patient tells what its state allows, whoever speaks for it; the rubric says what was done and when."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import chiasm
from chiasm.api.conversing import EXAMPLE
from chiasm.language.conversation.persona import PersonaError, persona_of, read_persona
from chiasm.language.conversation.rubric import replay
from chiasm.language.conversation.talk import MOST_CHARACTERS, MOST_TURNS, UNKNOWN, Conversation
from good_talk import GOOD


def document(**changed: Any) -> dict[str, Any]:
    return {**tomllib.loads(EXAMPLE.read_text(encoding="utf-8")), **changed}


def test_a_fact_is_withheld_until_the_state_allows_it() -> None:
    patient = chiasm.synthetic_patient()
    first = patient.hear("Do you smoke?")
    assert (first.told, first.withheld, first.after) == ((), ("smoking",), "guarded")
    assert "twenty" not in first.says and "rather not" in first.says
    moved = patient.hear("I understand. Do you smoke?")
    assert (moved.before, moved.after, moved.told) == ("guarded", "open", ("smoking",)) and "twenty" in moved.says
    assert patient.hear("I understand that").after == "open", "no move leads out of this state"


@pytest.mark.parametrize(
    ("said", "told"), [("Have you any allergies?", ("allergy",)), ("ALLERGY?!", ("allergy",)), ("Smokeless fuel", ())]
)
def test_words_are_heard_whole_whatever_their_case_and_marks(said: str, told: tuple[str, ...]) -> None:
    assert chiasm.synthetic_patient().hear(said).told == told


def test_what_nobody_knows_is_not_known_and_an_act_is_answered() -> None:
    patient = chiasm.synthetic_patient()
    assert patient.hear("What is the capital of France?").says == UNKNOWN
    assert patient.hear("Hello!").says == "Good morning."


def test_the_rubric_gives_each_point_to_the_first_turn_that_met_it() -> None:
    patient = chiasm.synthetic_patient()
    for said in GOOD:
        patient.hear(said)
    score = chiasm.conversation_score(patient)
    assert score.points == score.of == 17
    turns = {mark.name: mark.turn for mark in score.marks}
    assert turns["greets the patient"] == 1 and turns["learns of the smoking"] == 7 and turns["sums up"] == 10
    silent = chiasm.conversation_score(replay(patient.persona, ["Hm."]))
    assert silent.points == 0 and {mark.turn for mark in silent.marks} == {None}
    cold = replay(patient.persona, [said for said in GOOD if "hard" not in said])
    assert chiasm.conversation_score(cold).points == 17 - 2 - 2 - 2, "without empathy neither smoking nor the father"
    assert json.loads(json.dumps(patient.as_json()))["turns"][6]["told"] == ["smoking"]


class Speaks:
    """A speaker that follows a script, and keeps the prompts that it was given."""

    def __init__(self, *said: Any) -> None:
        self.said, self.prompts = list(said), list[str]()

    def __call__(self, prompt: str) -> Any:
        self.prompts.append(prompt)
        return self.said.pop(0)


def test_a_speaker_says_it_in_words_of_its_own() -> None:
    said = "Well, it started three weeks ago, about that."
    speaker = Speaks(said)
    turn = chiasm.synthetic_patient(speaker=speaker).hear("When did it start?")
    assert (turn.says, turn.replaced, turn.told) == (said, "", ("onset",))
    assert "TELL: It started about three weeks ago." in speaker.prompts[0] and "penicillin" not in speaker.prompts[0]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("I cannot say.", "left out a fact"),
        ("It started about three weeks ago. I am allergic to penicillin.", "not to be told yet"),
        ("", "said nothing"),
        (None, "said nothing"),
        ("It started about three weeks ago. " * 100, "too much"),
    ],
)
def test_what_a_speaker_must_not_say_is_replaced_and_counted(said: Any, why: str) -> None:
    patient = chiasm.synthetic_patient(speaker=Speaks(said))
    turn = patient.hear("When did it start?")
    assert turn.says == "It started about three weeks ago." and why in turn.replaced
    assert patient.replaced == 1 and patient.as_json()["replaced"] == 1


def test_nothing_too_much_and_no_end_are_refused() -> None:
    patient = Conversation(read_persona(EXAMPLE))
    for said in ("", "  ", "a" * (MOST_CHARACTERS + 1)):
        with pytest.raises(ValueError, match=r"said|characters"):
            patient.hear(said)
    for _ in range(MOST_TURNS):
        patient.hear("Hm.")
    with pytest.raises(ValueError, match="begin another one"):
        patient.hear("Hm.")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"opns": "x"}, "no key 'opns': did you mean 'opens'"),
        ({"starts": "shy"}, r"the state 'shy', which is not there"),
        ({"states": []}, "names no state"),
        ({"moves": [{"from": "guarded", "to": "open", "after": "empaty"}]}, "did you mean 'empathy'"),
        ({"facts": [{"name": "a", "asks": ["!"], "says": "b"}]}, "phrase without a word"),
        ({"facts": [{"name": "a", "asks": "b", "says": "b"}]}, "list of phrases"),
        ({"facts": "none"}, r"\[\[facts\]\]"),
        ({"rubric": [{"name": "a", "learns": "fear", "act": "empathy"}]}, "one of asks, learns and act"),
        ({"rubric": [{"name": "a", "act": "empathy", "points": 0}]}, "a number above 0"),
        ({"rubric": [{"name": "a", "act": "empathy", "points": float("inf")}]}, "a number above 0"),
        ({"rubric": [{"name": "a", "learns": "feer"}]}, "did you mean 'fear'"),
        ({"replies": {"empathie": "x"}}, "did you mean 'empathy'"),
        ({"opens": "a" * 1001}, "more than 1,000 characters"),
        ({"name": 7}, "needs 'name' as a text"),
    ],
)
def test_a_file_that_is_no_persona_is_refused_with_its_place(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(PersonaError, match=words):
        persona_of(document(**changed))


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    for content in (b"\xff = [", b"a = " + b"[" * 9_000, b"a = " + b"1" * 5_000):
        (tmp_path / "a.toml").write_bytes(content)
        with pytest.raises(PersonaError, match="no TOML file"):
            read_persona(tmp_path / "a.toml")


def test_a_language_model_speaks_for_the_patient_and_one_that_fails_says_nothing() -> None:
    from chat_server import chat_server, completion

    def answer(asked: dict[str, Any]) -> tuple[int, bytes]:
        prompt = asked["messages"][0]["content"]
        told = prompt.rpartition("TELL: ")[2].partition("\n")[0]
        return (500, b"") if "smoke" in prompt.rpartition("Clinician: ")[2] else (200, completion(f"Well, {told}\nBye"))

    with chat_server(answer) as address:
        patient = chiasm.synthetic_patient(speaker=f"chat:{address}")
        first, second = patient.hear("When did it start?"), patient.hear("Do you smoke?")
    assert first.says == "Well, It started about three weeks ago." and not first.replaced
    assert second.replaced == "it said nothing" and "rather not" in second.says
    with pytest.raises(ValueError, match="names nobody who speaks"):
        chiasm.synthetic_patient(speaker="smol.gguf")
