"""Who takes part in a round: hospitals that leave, stay silent, break off, come late, or answered before a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chiasm.federated.wire import CHUNK, FederationError, control
from federated_hospitals import Hospital, at_once, fitted_base, made, serving, stopped_after_one_answer


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted_base(tmp_path_factory.mktemp("base") / "model")


def test_one_that_leaves_or_stays_silent_is_not_waited_for_again(base: Path, tmp_path: Path) -> None:
    federation, tokens = made(tmp_path / "federation", base, "abcd", rounds=3)
    with serving(federation, round_seconds=2.0) as running:
        a, b, c, d = (Hospital(running, name, token) for name, token in tokens.items())

        def leaves() -> None:
            assert c.ask()["state"] == "train"
            c.line.leave(control({**c.who, "leaves": True}))

        assert at_once(a.take_part, b.take_part, leaves, d.ask) == [None] * 4
        rounds = running.finished()
    assert running.events("left") == [{"client": "hospital-c"}]
    assert rounds[0]["refused"] == {"hospital-c": "it left", "hospital-d": "no answer in 2 s"}
    assert rounds[1]["refused"] == rounds[2]["refused"] == {}


def test_one_message_larger_than_any_is_not_read(base: Path, tmp_path: Path) -> None:
    """gRPC refuses it before it is whole; a line that broke looks the same, so the round goes on as after silence."""
    federation, tokens = made(tmp_path / "federation", base, "abc", rounds=1)
    with serving(federation, round_seconds=2.0) as running:
        a, b, c = (Hospital(running, name, token) for name, token in tokens.items())

        def flood() -> None:
            assert c.ask()["state"] == "train"
            said = control({**c.who, "round": 1, "rank": 2, "patients": 10})
            c.line._patiently(lambda: c.line._send(iter([said, bytes(4 * CHUNK + 1)]), metadata=c.line.metadata))

        raised = at_once(a.take_part, b.take_part, flood)
        assert raised[:2] == [None, None] and isinstance(raised[2], FederationError)
        (only,) = running.finished(15.0)
    # Whether the server has begun to read when the line breaks is a matter of time.
    assert only["refused"] in (
        {"hospital-c": "no answer in 2 s"}, {"hospital-c": "these bytes are no safetensors file"},
    )  # fmt: skip


def test_too_few_answers_stop_it_and_it_goes_on_from_what_came(base: Path, tmp_path: Path) -> None:
    """The server ends in an open round; started again, it asks only the one whose answer it has not."""
    federation, tokens = made(tmp_path / "federation", base)
    with serving(federation, round_seconds=1.0) as running:
        a, b = (Hospital(running, name, token) for name, token in tokens.items())

        def once() -> None:
            a.send(a.ask()["round"], a.adapter(1))

        assert at_once(once, b.ask) == [None, None]
        with pytest.raises(FederationError, match=r"round 1 has a sound answer of hospital-a and needs 2.*--resume"):
            running.finished()
    with pytest.raises(FederationError, match="has begun: add --resume"), serving(federation) as running:
        running.finished()
    kept = federation.answers(1)["hospital-a"].adapter
    with serving(federation, resume=True) as running:
        a, b = (Hospital(running, name, token) for name, token in tokens.items())
        seen: list[int] = []

        def take_part_late() -> None:
            while (document := a.ask())["state"] == "train":
                seen.append(document["round"])
                a.send(document["round"], a.adapter(5))

        assert at_once(take_part_late, b.take_part) == [None, None]
        running.finished()
    assert seen == [2]
    for name, own in federation.answers(1)["hospital-a"].adapter.items():
        assert torch.equal(own, kept[name])


def test_an_answer_from_before_a_restart_counts_though_its_hospital_stays_away(base: Path, tmp_path: Path) -> None:
    federation, tokens, _ = stopped_after_one_answer(tmp_path / "federation", base)
    with serving(federation, resume=True) as running:
        _, b, c = (Hospital(running, name, token) for name, token in tokens.items())
        assert at_once(b.take_part, c.take_part) == [None, None]
        (only,) = running.finished()
    assert [own["client"] for own in only["clients"]] == ["hospital-a", "hospital-b", "hospital-c"]
    assert only["refused"] == {}


def test_who_is_invited_later_waits_for_a_restart_and_stops_nobody(base: Path, tmp_path: Path) -> None:
    federation, tokens = made(tmp_path / "federation", base)
    with serving(federation) as running:
        token = federation.invite("hospital-c")
        with pytest.raises(FederationError, match="invited after the server was started"):
            Hospital(running, "hospital-c", token).ask()
        sound = [Hospital(running, name, own) for name, own in tokens.items()]
        assert at_once(*(own.take_part for own in sound)) == [None, None]
        assert [len(own["clients"]) for own in running.finished()] == [2, 2]
