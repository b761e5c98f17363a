"""A server on this machine is asked; one that hangs, lies, refuses or breaks off is counted and never guessed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, chat_server, completion, sleeping

import chiasm
from chiasm.language.speaking.chat import open_chat
from chiasm.language.speaking.speaker import Manner, NotSaid
from made_suites import medqa_folder, medqa_rows

ASKED = "Which of the finding 7 is it?"


def test_what_a_server_says_is_scored_and_what_it_took_is_counted(tmp_path: Path) -> None:
    rows, seen = medqa_rows(10), list[dict[str, Any]]()

    def answer(asked: dict[str, Any]) -> tuple[int, bytes]:
        seen.append(asked)
        question = asked["messages"][0]["content"]
        return 200, completion(next(row["answer_idx"] for row in rows if row["question"] in question))

    with chat_server(answer) as address:
        found = chiasm.bench(
            "medqa", data=medqa_folder(tmp_path, 10), model=f"chat:{address},model=small", controls=["none"], draws=100
        )
    assert found.items()["right"].all() and "10 calls and 420 tokens" in found.document["candidate"]["told"]
    assert {own["path"] for own in seen} == {"/v1/chat/completions"} and seen[0]["model"] == "small"
    assert seen[0]["temperature"] == 0 and seen[0]["max_tokens"] == 24 and len(seen[0]["messages"]) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (lambda asked: (500, b"a stack trace with the finding 7"), "crashed", "status 500"),
        (lambda asked: (302, b"http://192.0.2.1/v1"), "crashed", "status 302"),
        (lambda asked: (200, completion("A")[:40]), "crashed", "no JSON"),
        (lambda asked: (200, b"[" * 100_000), "crashed", "no JSON"),
        (lambda asked: (200, b'{"choices": []}'), "crashed", "no choice with a text"),
        (lambda asked: (200, b'["finding 7"]'), "crashed", "no choice with a text"),
        (lambda asked: (200, completion(None)), "crashed", "no choice with a text"),
        (lambda asked: (200, completion("A" * (1 << 20))), "too long", "bytes"),
        (sleeping(0.4), "silent", "0.2 s"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(answer: Answer, kind: str, why: str) -> None:
    with chat_server(answer) as address, pytest.raises(NotSaid, match=why) as raised:
        open_chat(address, seconds=0.2 if kind == "silent" else 20.0).say(ASKED, Manner())
    assert raised.value.kind == kind and "finding" not in str(raised.value)


def test_a_server_that_sends_a_byte_at_a_time_is_not_waited_for() -> None:
    begun = time.monotonic()
    with (
        chat_server(lambda asked: (200, completion("A")), slowly=0.05) as address,
        pytest.raises(NotSaid, match="did not answer"),
    ):
        open_chat(address, seconds=0.3).say(ASKED, Manner())
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("says", [5_000, "9" * 5_000])
def test_a_length_that_is_a_lie_is_an_answer_that_was_broken_off(says: int | str) -> None:
    with (
        chat_server(lambda asked: (200, completion("A")), says=says) as address,
        pytest.raises(NotSaid, match="before the length that it told"),
    ):
        open_chat(address).say(ASKED, Manner())


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -5, "completion_tokens": 1}, {"prompt_tokens": "many"}, []])
def test_tokens_that_nobody_tells_or_that_cannot_be_are_guessed_and_said_to_be(usage: object) -> None:
    body = json.loads(completion(" B\nQuestion: more"))
    with chat_server(lambda asked: (200, json.dumps({**body, "usage": usage}).encode())) as address:
        candidate = chiasm.prompted(f"chat:{address}", "zero-shot")
        found = candidate.prompted.ask(question())
    assert found.text == "B" and candidate.prompted.speaker.counted["tokens guessed"] == 1
    assert "guessed at four bytes" in candidate.told


def question() -> Any:
    from chiasm.language.prompting.asking import Shown

    return Shown(ASKED, ("one", "two"))


def test_items_at_which_a_server_failed_are_counted_and_asked_again(tmp_path: Path) -> None:
    folder, fails = medqa_folder(tmp_path / "data", 8), [False, True, True, False]
    failing: list[Callable[[], bool]] = [lambda: bool(fails) and fails.pop()]

    def answer(asked: dict[str, Any]) -> tuple[int, bytes]:
        return (500, b"") if failing[0]() else (200, completion("C"))

    with chat_server(answer) as address:
        run = {"data": folder, "model": f"chat:{address}", "controls": ["none"], "draws": 100, "out": tmp_path / "run"}
        first, second = chiasm.bench("medqa", **run), chiasm.bench("medqa", **run)
    assert first.document["ways"]["candidate"] == {"answered": 6, "crashed": 2}
    assert second.document["ways"]["candidate"] == {"answered": 8}


@pytest.mark.parametrize(
    "address",
    [
        "http://192.0.2.1:8000/v1",
        "https://127.0.0.1/v1",
        "http://example.org",
        "127.0.0.1:8000",
        "http://[::1",
        "http:",
    ],
)
def test_only_this_machine_is_asked(address: str) -> None:
    with pytest.raises(ValueError, match="on this machine"):
        open_chat(address)
    with pytest.raises(ValueError, match="--timeout"):
        open_chat("http://localhost:1/v1", seconds=0)


def test_nobody_who_listens_is_said() -> None:
    with pytest.raises(NotSaid, match="cannot be reached"):
        open_chat("http://127.0.0.1:9/v1").say(ASKED, Manner())
