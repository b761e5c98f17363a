"""The strategy and the hospital know only Flower: they work on a grid that is none of ours."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid

import chiasm.federated
from chiasm import artifact
from chiasm.federated.grid import message_apart
from chiasm.federated.strategy import FACTS, LoraStrategy, Round, hospital_app, require_rank_growth, take_updates
from chiasm.federated.wire import FederationError, read_adapter, to_bytes
from chiasm.recipes.hospitals.federation import Participant, Plan, sites_of
from federated_hospitals import fitted_base
from small_recipes import at_night, mixed


class CallingGrid(Grid):
    """Calls the hospitals' apps, and keeps each message's size."""

    def __init__(self, participants: list[Participant]) -> None:
        self.apps = {node: hospital_app(own) for node, own in enumerate(participants, start=1)}
        self.sent: list[int] = []

    def set_run(self, run: Any) -> None: ...

    @property
    def run(self) -> Any:
        return None

    def create_message(self, *arguments: Any, **named: Any) -> Message:
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.apps)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return [
            self.apps[own.metadata.dst_node_id](own, Context(0, own.metadata.dst_node_id, {}, RecordDict(), {}))
            for own in messages
        ]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return artifact.load(fitted_base(tmp_path_factory.mktemp("base") / "model"))


@pytest.mark.parametrize("aggregation", ["flora", *at_night("fedavg", "zero-pad")])
def test_on_another_grid_it_is_what_the_hospitals_add_up_to(base: Any, aggregation: str) -> None:
    cohort, plan = mixed("classification", 84), Plan(aggregation, rounds=3, rank=2, epochs=1)
    assert cohort.site is not None
    ranks = (2, 2) if aggregation == "fedavg" else (3, 1)
    sites = ("north", "south")

    def members() -> list[Participant]:
        return [
            Participant(base, cohort.subset(cohort.site == site), plan, rank, site)
            for site, rank in zip(sites, ranks, strict=True)
        ]

    rounds: list[Round] = []
    strategy = LoraStrategy(
        plan, sites_of(base), keep=rounds.append, write=message_apart, name_of=lambda node: sites[node - 1]
    )
    strategy.start(CallingGrid(members()), ArrayRecord(), num_rounds=plan.rounds)
    alone = members()
    for number in range(1, plan.rounds + 1):
        adapters = [own.train(number) for own in alone]
        update = plan.put_together(adapters, [own.patients for own in alone])
        for own in alone:
            own.take(update, number)
        assert all(torch.equal(value, strategy.updates[number - 1][key]) for key, value in update.items())
        assert list(rounds[number - 1].answers) == list(sites) and rounds[number - 1].refused == {}
        for site, adapter in zip(sites, adapters, strict=True):
            kept = rounds[number - 1].answers[site].adapter
            assert all(torch.equal(value, kept[key]) for key, value in adapter.items())


def test_a_hospital_sends_its_adapter_and_what_the_plan_asks_for_alone(base: Any) -> None:
    cohort = mixed("classification", 84)
    for weights, facts in (("patients", {"rank", "patients"}), ("equal", {"rank"})):
        member = Participant(base, cohort, Plan(weights=weights, epochs=1), 2, "a")
        strategy = LoraStrategy(member.plan, sites_of(base), write=message_apart)
        grid = CallingGrid([member])
        (reply,) = grid.send_and_receive(strategy.configure_train(1, ArrayRecord(), ConfigRecord(), grid))
        assert set(reply.content) == {"adapter", FACTS} and set(reply.content.metric_records[FACTS]) == facts
        (array,) = reply.content.array_records["adapter"].values()
        assert array.stype == "safetensors" and set(read_adapter(array.data, member.sites, 2))


def test_one_sound_answer_is_not_enough(base: Any) -> None:
    member = Participant(base, mixed("classification", 84), Plan(epochs=1), 2, "a")
    strategy = LoraStrategy(member.plan, sites_of(base), write=message_apart)
    with pytest.raises(FederationError, match="round 1 has a sound answer of node 1 and needs 2"):
        strategy.start(CallingGrid([member]), ArrayRecord(), num_rounds=1)
    assert strategy.updates == []


def test_an_answer_without_an_adapter_is_refused(base: Any) -> None:
    strategy = LoraStrategy(Plan(), sites_of(base))
    for content in (RecordDict(), RecordDict({FACTS: MetricRecord({"rank": 2, "patients": 5})})):
        with pytest.raises(FederationError):
            strategy.read(content)


def test_a_stack_that_lost_somebody_is_seen() -> None:
    require_rank_growth({"x.lora_A.weight": torch.zeros(5, 2), "x.lora_B.weight": torch.zeros(3, 5)}, [2, 3])
    with pytest.raises(FederationError, match="not their sum"):
        require_rank_growth({"x.lora_A.weight": torch.zeros(2, 2)}, [2, 3])


def test_updates_of_a_server_are_checked_before_they_are_used(base: Any) -> None:
    member = Participant(base, mixed("classification", 84), Plan(epochs=1), 2, "a")
    update = member.plan.put_together([member.train(1)], [1])
    name = next(iter(update))
    for spoilt, message in (
        (to_bytes({**update, name: update[name] * float("nan")}), "not finite"),
        (to_bytes({key: value for key, value in update.items() if key != name}), "another base"),
        (to_bytes({**update, "head.linear.weight": torch.zeros(2, 2)}), "another base"),
        (b"\x80\x04", "no safetensors"),
    ):
        with pytest.raises(FederationError, match=message):
            take_updates(member, {1: spoilt})
    with pytest.raises(FederationError, match="left out round 1"):
        take_updates(member, {2: to_bytes(update)})
    assert member.round == 0
    take_updates(member, {1: to_bytes(update)})
    take_updates(member, {1: to_bytes(update)})
    assert member.round == 1 and len(member.updates) == 1


def test_flower_s_telemetry_is_off_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "asked of the user")
    monkeypatch.delenv("FLWR_TELEMETRY_ENABLED")
    before = set(sys.modules)
    importlib.reload(chiasm.federated)  # which every import of a part of it runs first
    assert os.environ["FLWR_TELEMETRY_ENABLED"] == "0" and set(sys.modules) == before


@pytest.mark.nightly
def test_importing_it_calls_nobody(tmp_path: Path) -> None:
    """Flower's telemetry and its question for updates would open sockets; ours are opened by gRPC alone."""
    code = (
        "import socket, chiasm.federated.client, chiasm.federated.server, os\n"
        "assert os.environ['FLWR_TELEMETRY_ENABLED'] == '0'\n"
        "from flwr.supercore import telemetry\n"
        "assert telemetry.FLWR_TELEMETRY_ENABLED == '0'\n"
    )
    refuse = "import socket\ndef refuse(*a, **k):\n    raise SystemExit('a connection was tried')\n"
    refuse += "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
    (tmp_path / "sitecustomize.py").write_text(refuse)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "HOME": str(tmp_path / "home")}
    environment.pop("FLWR_TELEMETRY_ENABLED", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "home").exists()
