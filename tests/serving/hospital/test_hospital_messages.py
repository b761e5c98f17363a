"""HL7 v2 over a real socket: answers as `/predict`, in order, once each; what is broken is refused, nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from chiasm.serving.hospital.hl7 import BrokenMessage, read_message
from chiasm.serving.hospital.mllp import BEGIN, END, Listener, MllpLimits, send_message
from examples import examples
from hospital_messages import MAPPING, OFFLINE, mapping_file, message
from served_models import asked

pytest.importorskip("hl7apy")


class Receiver:
    """A server that takes predictions; `code` is what it acknowledges with."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.code = "AA"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = Listener(self._answer, lambda *_, **__: None)
        self.port = asyncio.run_coroutine_threadsafe(self._listener.start("127.0.0.1", 0), self._loop).result(10)

    async def _answer(self, data: bytes) -> bytes:
        self.taken.append(data)
        control = read_message(data).control
        return f"MSH|^~\\&|R||CHIASM||20260301||ACK|1|P|2.5.1\rMSA|{self.code}|{control}\r".encode()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._listener.stop(1.0), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    own = Receiver()
    yield own
    own.close()


@pytest.fixture(scope="module")
def told() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture(scope="module")
def client(
    served_folder: Path, receiver: Receiver, told: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("hospital")
    text = f'{MAPPING}\n[hl7]\nlisten = "127.0.0.1:0"\nsend = "127.0.0.1:{receiver.port}"\n'
    options = {"hospital": mapping_file(folder, text), "audit": folder / "audit.jsonl"}
    with asked([served_folder], told=lambda event, **facts: told.append((event, facts)), **options) as own:
        yield own


@pytest.fixture(scope="module")
def port(client: TestClient, told: list[Any]) -> int:
    return int(next(facts["port"] for event, facts in told if event == "hl7"))


def send(port: int, data: bytes) -> Any:
    return read_message(asyncio.run(send_message("127.0.0.1", port, data, 30.0)))


def test_a_message_is_predicted_as_the_same_values_are(client: TestClient, port: int, receiver: Receiver) -> None:
    answer = send(port, message("A1"))
    assert (answer.field("MSA", 1), answer.field("MSA", 2)) == ("AA", "A1")
    sent = read_message(receiver.taken[-1])
    same = {"patients": [{**OFFLINE, "clinical": {**OFFLINE["clinical"], "code": "250.00"}}]}
    (offline,) = client.post("/predict", json=same).json()["patients"]
    found = {
        sent.components(fields[3])[1].split(": ")[-1]: float(fields[5])
        for name, fields in sent.segments if name == "OBX"
    }  # fmt: skip
    assert {f"p_{name}": value for name, value in found.items()} == pytest.approx(offline["prediction"], abs=1e-6)
    assert sent.field("PID", 3).startswith("12345")  # the receiver files it by the sender's own number
    assert any("Absent, and not guessed: rna" in fields[3] for name, fields in sent.segments if name == "NTE")


def test_a_message_that_is_sent_again_is_answered_once(port: int, receiver: Receiver) -> None:
    first, before = send(port, message("A2")), len(receiver.taken)
    again = send(port, message("A2"))
    assert again.segments == first.segments and len(receiver.taken) == before
    other = send(port, message("A2", crp="5.0"))
    assert other.field("MSA", 1) == "AR" and len(receiver.taken) == before


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (message("B1", unit="mmol/L"), "AE", "lab.crp"),
        (message("B2", crp="1000000"), "AE", "far outside"),
        (message("B3").replace(b"ORU^R01^ORU_R01", b"ADT^A01^ADT_A01"), "AR", "no ORU^R01"),
        (message("B4").replace(b"19610203", b"unknown"), "AR", "a time in it is none"),
        (message("B5", extra="PID|2||6789"), "AR", "one patient"),
        (message("B6").replace(b"2.5.1", b"9.9"), "AR", "version is not read"),
        (message("B7").replace(b"UNICODE UTF-8", b"KLINGON"), "AR", "character set"),
        (message(""), "AR", "control id"),
        (b"\x00\x01", "AR", "no message of HL7"),
        (message("B8").replace(b"DOE", b"\xff\xfe"), "AR", "character set"),
    ],
)
def test_what_cannot_be_answered_rightly_is_refused_without_a_value(
    port: int, receiver: Receiver, data: bytes, code: str, words: str
) -> None:
    before = len(receiver.taken)
    answer = send(port, data)
    assert answer.field("MSA", 1) == code
    told = " ".join(answer.components(fields[8])[0] for name, fields in answer.segments if name == "ERR")
    assert words in told.replace("\\S\\", "^") and "DOE" not in told and "1000000" not in told
    assert len(receiver.taken) == before


def test_a_prediction_that_nobody_takes_is_not_acknowledged(port: int, receiver: Receiver) -> None:
    receiver.code = "AE"
    try:
        assert send(port, message("C1")).field("MSA", 1) == "AE"
    finally:
        receiver.code = "AA"
    assert send(port, message("C1")).field("MSA", 1) == "AA"  # sent again, it is taken


def test_messages_on_one_connection_are_answered_in_their_order(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 30) as own:
        own.sendall(b"".join(BEGIN + message(f"D{number}") + END for number in range(4)))
        data = b""
        while data.count(END) < 4:
            data += own.recv(65536)
    controls = [read_message(part.removeprefix(BEGIN)).field("MSA", 2) for part in data.split(END)[:4]]
    assert controls == ["D0", "D1", "D2", "D3"]


def test_split_and_trickling_frames_are_read_and_broken_ones_end_the_connection(port: int) -> None:
    framed = BEGIN + message("E1") + END
    with socket.create_connection(("127.0.0.1", port), 30) as own:
        for start in range(0, len(framed), 37):
            own.sendall(framed[start : start + 37])
        assert b"MSA|AA|E1" in own.recv(65536)
    for broken in (b"GET / HTTP/1.1\r\n\r\n", BEGIN + b"MSH" + framed):
        with socket.create_connection(("127.0.0.1", port), 30) as own, contextlib.suppress(ConnectionError):
            own.sendall(broken)
            assert own.recv(65536) == b""


def test_a_listener_bounds_what_a_sender_costs() -> None:
    async def run() -> None:
        events: list[str] = []
        limits = MllpLimits(message_bytes=100, message_seconds=0.2, idle_seconds=0.2, connections=1)

        async def answer(data: bytes) -> bytes:
            return data

        own = Listener(answer, lambda event, **_: events.append(event), limits)
        port = await own.start("127.0.0.1", 0)
        for sent in (BEGIN + b"a" * 200 + END, BEGIN + b"slow", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        first = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.02)
        second, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(second.read(), 5) == b""
        for one in (first[1], writer):
            one.close()
        await own.stop(1.0)
        assert events[:3] == ["mllp-broken", "mllp-lost", "mllp-lost"] and "mllp-full" in events

    asyncio.run(run())


def test_no_identifier_stands_in_what_is_told_or_written_down(
    client: TestClient, told: list[Any], port: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    send(port, message("F1").replace(b"DOE^JANE", b"PLANTED^NAME"))
    trail = next(tmp_path_factory.getbasetemp().glob("hospital*/audit.jsonl")).read_text()
    everything = trail + repr(told) + client.get("/metrics").text
    assert '"what":"hl7-oru"' in trail
    for planted in ("PLANTED", "12345", "19610203", "12.3", "DOE"):
        assert planted not in everything


@settings(max_examples=examples(120), deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_reading_ends_with_a_message_or_a_refusal(noise: bytes, start: int, size: int) -> None:
    good = message("G1")
    for data in (noise, good[:start] + noise + good[start + size :]):
        with contextlib.suppress(BrokenMessage):
            read_message(data)
