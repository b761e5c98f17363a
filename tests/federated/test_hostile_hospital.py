"""One hospital with a valid token that wants to end a federation, or to keep the others waiting, can do neither."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from flwr.app import RecordDict

from chiasm import artifact
from chiasm.cli import main
from chiasm.federated import service
from chiasm.federated.folder import Answer, open_federation
from chiasm.federated.grid import HospitalGrid
from chiasm.federated.limits import MOST_CALLS, Seldom
from chiasm.federated.service import SERVICE
from chiasm.federated.wire import FederationError, control, to_bytes
from federated_hospitals import (
    Certificates,
    Hospital,
    at_once,
    certificates,
    fitted_base,
    made,
    serving,
    stopped_after_one_answer,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted_base(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("pems"))


def constant(hospital: Hospital, a: float, b: float) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(own, a if ".lora_A." in name else b) for name, own in hospital.adapter(0).items()}


TOO_LARGE = {"both": (3e38, 3e38), "one": (3e38, 1e-38), "other": (1e-38, -3e38), "product": (9e3, 9e3)}


@pytest.mark.parametrize("aggregation", ["flora", "fedavg", "zero-pad"])
def test_finite_factors_whose_product_is_not_are_refused_by_name(base: Path, tmp_path: Path, aggregation: str) -> None:
    letters = "ab" + "cdef"[: len(TOO_LARGE)]
    federation, tokens = made(tmp_path / "federation", base, letters, aggregation=aggregation)
    with serving(federation) as running:
        a, b, *bad = (Hospital(running, name, token) for name, token in tokens.items())

        def attack(own: Hospital, factors: tuple[float, float]) -> None:
            number = own.ask()["round"]
            with pytest.raises(FederationError, match=f"'{own.name}' was turned away: .* the training diverged"):
                own.send(number, constant(own, *factors))

        calls = [lambda own=own, how=how: attack(own, how) for own, how in zip(bad, TOO_LARGE.values(), strict=True)]
        assert at_once(a.take_part, b.take_part, *calls) == [None] * (2 + len(bad))
        rounds = running.finished()
    assert [len(own["clients"]) for own in rounds] == [2, 2]
    assert sorted(rounds[0]["refused"]) == [own.name for own in bad]
    final = artifact.load(federation.path / "model")
    assert all(np.isfinite(value).all() for value in final.predictor.state.values())


def test_an_answer_from_before_a_restart_is_checked_again(base: Path, tmp_path: Path) -> None:
    """A folder that an earlier version left: such an answer is refused by name, such a round is named."""
    federation, tokens, c = stopped_after_one_answer(tmp_path / "federation", base)
    federation.keep_answer(1, "hospital-c", Answer(constant(c, 3e38, 3e38), 2, 10))
    with serving(federation, resume=True) as running:
        _, b, _ = (Hospital(running, name, token) for name, token in tokens.items())
        assert at_once(b.take_part) == [None]
        (only,) = running.finished()
    assert [own["client"] for own in only["clients"]] == ["hospital-a", "hospital-b"]
    assert "diverged" in only["refused"]["hospital-c"]
    update = federation.round_folder(1) / "update.safetensors"
    artifact.save_checkpoint(update, {"update": {k: v.numpy() for k, v in constant(c, 3e38, 3e38).items()}})
    unsound = r"round 1 holds an update that cannot be folded.*delete 'round-001'"
    with pytest.raises(FederationError, match=unsound), serving(federation, resume=True) as running:
        running.finished()


class Flood:
    """Calls of one hospital that say nothing and do not end."""

    def __init__(self, hospital: Hospital, number: int) -> None:
        self.over = threading.Event()
        send = hospital.channel.stream_unary(f"/{SERVICE}/Send")
        self.calls = [send.future(self._silence(), metadata=hospital.line.metadata) for _ in range(number)]

    def _silence(self) -> Any:
        self.over.wait(60.0)
        yield from ()

    def refused(self) -> int:
        return sum(call.done() and call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED for call in self.calls)

    def end(self) -> None:
        self.over.set()
        for call in self.calls:
            call.cancel()


def test_two_hundred_silent_calls_keep_nobody_waiting(base: Path, tmp_path: Path) -> None:
    federation, tokens = made(tmp_path / "federation", base, "abc")
    with serving(federation, round_seconds=3.0) as running:
        a, b, c = (Hospital(running, name, token) for name, token in tokens.items())
        assert at_once(lambda: c.line.next(control({**c.who, "round": 0, "ready": True}))) == [None]
        flood = Flood(c, 200)
        until = time.monotonic() + 20.0
        while flood.refused() < 200 - MOST_CALLS and time.monotonic() < until:
            time.sleep(0.05)
        assert flood.refused() == 200 - MOST_CALLS
        assert at_once(a.take_part, b.take_part) == [None, None]
        rounds = running.finished()
        flood.end()
    assert [[own["client"] for own in turn["clients"]] for turn in rounds] == [["hospital-a", "hospital-b"]] * 2
    assert rounds[0]["refused"] == {"hospital-c": "no answer in 3 s"}
    turned = running.events("turned-away")
    assert {own["client"] for own in turned} == {"hospital-c"} and "4 calls open already" in turned[0]["reason"]
    assert [own["times"] for own in turned] == [1, 10, 100]
    assert "hospital-c" in (federation.path / "log.jsonl").read_text()


def test_a_call_that_stays_silent_is_ended(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "DOCUMENT_SECONDS", 0.5)
    federation, tokens = made(tmp_path / "federation", base, "ab", rounds=1)
    with serving(federation) as running:
        a, b = (Hospital(running, name, token) for name, token in tokens.items())
        flood = Flood(a, 1)
        with pytest.raises(grpc.RpcError) as caught:
            flood.calls[0].result(timeout=10.0)
        assert caught.value.code() is grpc.StatusCode.CANCELLED
        flood.end()
        assert at_once(a.take_part, b.take_part) == [None, None]
        running.finished()
    (turned,) = running.events("turned-away")
    assert turned["client"] == "hospital-a" and "was not whole in 0 s" in turned["reason"]


def test_who_lets_a_round_wait_in_vain_does_so_once(base: Path, tmp_path: Path) -> None:
    """It asks for every round and answers none: only the first waits for it."""
    federation, tokens = made(tmp_path / "federation", base, "abc", rounds=4)
    with serving(federation, round_seconds=5.0) as running:
        a, b, c = (Hospital(running, name, token) for name, token in tokens.items())
        over = threading.Event()

        def asks_only() -> None:
            while not over.is_set():
                try:
                    c.line.next(control({**c.who, "round": 0, "ready": True}))
                except FederationError:
                    return
                time.sleep(0.05)

        asking = threading.Thread(target=asks_only, daemon=True)
        asking.start()
        assert at_once(a.take_part, b.take_part) == [None, None]
        over.set()
        rounds = running.finished()
    assert rounds[0]["refused"] == {"hospital-c": "no answer in 5 s"}
    later = [reason for own in rounds[1:] for reason in own["refused"].values()]
    assert later and all("before the others" in reason for reason in later), "later rounds waited for it again"
    assert all(len(own["clients"]) == 2 for own in rounds)


def test_replayed_late_and_foreign_answers_change_nothing_over_tls(
    base: Path, pems: Certificates, tmp_path: Path
) -> None:
    federation, tokens = made(tmp_path / "federation", base, "abc", rounds=2)
    with serving(federation, pems, round_seconds=4.0) as running:
        a, b, c = (Hospital(running, name, token, pems) for name, token in tokens.items())
        first: dict[str, Any] = {}

        def replays() -> None:
            document = a.ask()
            first["data"] = to_bytes(a.adapter(1))
            assert a.send(1, first["data"])
            assert not a.send(1, to_bytes(a.adapter(9)))  # a second answer to the same round
            assert document["round"] == 1
            document = a.ask()
            assert not a.send(1, first["data"])  # the first round's answer, when it is closed
            assert a.send(2, a.adapter(2))
            until = time.monotonic() + 60.0
            while a.ask()["state"] != "done" and time.monotonic() < until:
                pass

        def late() -> None:
            assert c.ask()["round"] == 1
            until = time.monotonic() + 60.0
            while not (federation.round_folder(1) / "update.safetensors").exists() and time.monotonic() < until:
                time.sleep(0.05)
            assert not c.send(1, c.adapter(5))

        assert at_once(replays, lambda: b.take_part(3), late) == [None] * 3
        rounds = running.finished()
    kept = open_federation(federation.path).answers(1)
    assert sorted(kept) == ["hospital-a", "hospital-b"]
    assert all(torch.equal(kept["hospital-a"].adapter[name], own) for name, own in a.adapter(1).items())
    assert rounds[0]["refused"] == {"hospital-c": "no answer in 4 s"}


def test_no_caller_fills_the_log() -> None:
    seen: list[tuple[str, dict[str, Any]]] = []
    seldom = Seldom(lambda event, **facts: seen.append((event, facts)))
    grid = HospitalGrid(["a", "b"], least=2, gather_seconds=1.0, told=seldom)
    for _ in range(1000):
        grid.next_for("a", seconds=0.0)
        grid.leave("a")
        grid.refuse("b", "1", "no adapter")
    assert len(seen) == 3 * 4 and seen[-1][1]["times"] == 1000
    seldom("round", round=1)
    grid.refuse("b", "2", "no adapter")
    assert seen[-1] == ("refused", {"client": "b", "reason": "no adapter"})


def test_a_hospital_that_never_answers_is_waited_for_less_and_less() -> None:
    lost: list[str] = []

    def told(event: str, **facts: Any) -> None:
        lost.extend([facts["reason"]] if event == "lost" else [])

    grid = HospitalGrid(["a", "b"], least=1, gather_seconds=1.0, told=told)
    for number in range(1, 14):
        sent = [grid.create_message(RecordDict(), "train", node, str(number)) for node in (1, 2)]

        def answers(group: str = str(number)) -> None:
            while not grid.awaited("a", group):
                time.sleep(0.001)
            grid.answer("a", group, RecordDict(), lambda: None)

        answering = threading.Thread(target=answers, daemon=True)
        answering.start()
        assert len([own for own in grid.send_and_receive(sent, timeout=0.3) if not own.has_error()]) == 1
        answering.join(5)
    assert [number for number, reason in enumerate(lost, 1) if reason.startswith("no answer in")] == [1, 5, 13]


def test_invitations_at_once_all_count(base: Path, tmp_path: Path) -> None:
    federation, _ = made(tmp_path / "federation", base, "")
    names = [f"hospital-{number}" for number in range(24)]
    tokens: dict[str, str] = {}
    assert at_once(*(lambda own=own: tokens.update({own: federation.invite(own)}) for own in names)) == [None] * 24
    assert all(federation.admits(name, tokens[name]) for name in names)
    again: list[str] = []
    assert at_once(*[lambda: again.append(federation.invite("hospital-1"))] * 8) == [None] * 8
    assert sum(federation.admits("hospital-1", own) for own in again) == 1
    assert all(federation.admits(name, tokens[name]) for name in names if name != "hospital-1")


def test_two_commands_for_one_token_file_leave_one_whole(base: Path, tmp_path: Path) -> None:
    federation, _ = made(tmp_path / "federation", base, "")
    out = tmp_path / "a.token"
    codes: list[int] = []

    def invite() -> None:
        try:
            main(["federate", "invite", str(federation.path), "hospital-a", "--out", str(out)])
        except SystemExit as stopped:
            codes.append(int(stopped.code or 0))

    at_once(*[invite] * 6)
    assert sorted(codes) == [0, 2, 2, 2, 2, 2]
    assert federation.admits("hospital-a", out.read_text().strip())
    assert out.stat().st_mode & 0o777 == 0o600


def test_what_a_federation_keeps_is_its_owners_alone(base: Path, tmp_path: Path) -> None:
    federation, tokens = made(tmp_path / "federation", base, rounds=1)
    with serving(federation) as running:
        sound = [Hospital(running, name, token) for name, token in tokens.items()]
        assert at_once(*(own.take_part for own in sound)) == [None, None]
        running.finished()
    assert federation.path.stat().st_mode & 0o077 == 0
    assert json.loads((federation.path / "invited.json").read_text()).keys() == tokens.keys()
