"""HL7 v2 over a real socket: answers as `/predict`, in order, once each; what is broken is refused, nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from chiasm.serving.audit import Audit, AuditFull
from chiasm.serving.hospital.hl7 import BrokenMessage, moment_of, read_message
from chiasm.serving.hospital.mllp import BEGIN, END, send_message
from examples import examples
from hl7_receiver import Receiver
from hospital_messages import MAPPING, OFFLINE, mapping_file, message
from served_models import asked

pytest.importorskip("hl7apy")


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
def trail(client: TestClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit trail of the service."""
    return next(tmp_path_factory.getbasetemp().glob("hospital*/audit.jsonl"))


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
        (message("B9").replace(b"\r", b"\r\n"), "AR", "segments end with CR"),
        (message("B10").replace(b"\r", b"\n"), "AR", "segments end with CR"),
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


def lines_of(trail: Path) -> list[dict[str, Any]]:
    return [own for own in map(json.loads, trail.read_text().splitlines()) if own["what"] == "hl7-oru"]


def test_a_prediction_is_written_down_before_it_is_sent_and_a_repeat_too(
    client: TestClient, port: int, receiver: Receiver, trail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise AuditFull("no space is left")

    before = len(receiver.taken)
    with monkeypatch.context() as own:
        own.setattr(Audit, "write", full)
        assert send(port, message("H1")).field("MSA", 1) == "AE" and len(receiver.taken) == before
    assert send(port, message("H1")).field("MSA", 1) == "AA" and len(receiver.taken) == before + 1
    (model,) = client.get("/models").json()["models"]
    line = lines_of(trail)[-1]
    assert {name: line[name] for name in ("status", "outcome", "model", "version", "sha256", "patients")} == {
        "status": "AA", "outcome": "answered", "model": model["name"], "version": model["version"],
        "sha256": model["sha256"], "patients": 1,
    }  # fmt: skip
    assert line["patterns"] == {"clinical+lab": 1}
    with monkeypatch.context() as own:
        own.setattr(Audit, "write", full)
        assert send(port, message("H1")).field("MSA", 1) == "AE"
    assert send(port, message("H1")).field("MSA", 1) == "AA" and len(receiver.taken) == before + 1
    assert lines_of(trail)[-1]["outcome"] == "repeated"
    receiver.code = "AE"
    try:
        send(port, message("H2"))
    finally:
        receiver.code = "AA"
    answered, unsent = lines_of(trail)[-2:]
    assert (answered["outcome"], unsent["outcome"], unsent["status"]) == ("answered", "not-sent", "AE")
    assert answered["request"] == unsent["request"] and unsent["sha256"] == model["sha256"]


def test_a_test_message_stays_one(port: int, receiver: Receiver) -> None:
    answer = send(port, message("T1").replace(b"|T1|P|", b"|T1|T|"))
    assert answer.field("MSH", 11) == "T" and read_message(receiver.taken[-1]).field("MSH", 11) == "T"
    assert send(port, message("T2").replace(b"|T2|P|", b"|T2|D|")).field("MSH", 11) == "D"


def test_what_cannot_be_read_is_rejected_by_its_control_id(port: int) -> None:
    for data in (
        message("I1").replace(b"DOE", b"\xff\xfe"),
        message("I1").replace(b"2.5.1", b"9.9"),
        message("I1").replace(b"OBX|1", b"?"),
        message("I1").replace(b"\r", b"\n"),
    ):
        answer = send(port, data.replace(b"|I1|P|", b"|I1|T|"))
        found = [
            answer.field("MSA", 1),
            answer.field("MSA", 2),
            *(answer.field("MSH", number) for number in (5, 6, 11)),
        ]
        assert found == ["AR", "I1", "LAB", "HOSP", "T"]
    reply = send(port, message("I2").replace(b"ORU^R01^ORU_R01", b"ADT^A01^ADT_A01"))
    assert reply.field("MSH", 9) == "ACK^A01^ACK"


def test_the_patient_is_told_on_as_it_was_sent(port: int, receiver: Receiver) -> None:
    pid = b"PID|1||12345^^^H^MR||DO\\X41\\E\\S\\^JANE||19610203|F"
    assert send(port, message("J1").replace(b"PID|1||12345^^^H^MR||DOE^JANE||19610203|F", pid)).field("MSA", 1) == "AA"
    assert pid in receiver.taken[-1].split(b"\r")
    other = message("J2").translate(bytes.maketrans(b"|^~\\&", b"#@%!$"))
    other = other.replace(b"12345", b"1^|&\\~2").replace(b"DOE@JANE", b"D!X41!!F!!R!!E!$B@J")
    assert send(port, other).field("MSA", 1) == "AA"
    told = b"PID|1||1\\S\\\\F\\\\T\\\\E\\\\R\\2^^^H^MR||D\\X41\\#%!&B^J||19610203|F"
    assert told in receiver.taken[-1].split(b"\r")


def test_preliminary_results_are_left_out_and_counted(port: int, receiver: Receiver) -> None:
    last = "OBX|4|NM|1988-5^CRP^LN||99|mg/L^^UCUM|||||P|||20260221080000+0000"
    assert send(port, message("K1", extra=last)).field("MSA", 1) == "AA"
    plain = send(port, message("K2")) and receiver.taken[-1]
    values = [[f[5] for n, f in read_message(own).segments if n == "OBX"] for own in (receiver.taken[-2], plain)]
    assert values[0] == values[1] and b"1 left out: not final" in receiver.taken[-2]


def test_a_result_is_known_under_either_of_its_codings(port: int, receiver: Receiver) -> None:
    assert send(port, message("N1")).field("MSA", 1) == "AA"
    other = message("N2").replace(b"|1988-5^CRP^LN|", b"|CRP^CRP^L^1988-5^CRP^LN|")
    other = other.replace(b"258228008^Stage IV^SCT", b"S4^Stage IV^L^258228008^Stage IV^SCT")
    assert send(port, other).field("MSA", 1) == "AA"
    first, second = ([f for n, f in read_message(own).segments if n == "OBX"] for own in receiver.taken[-2:])
    assert [own[5] for own in first] == [own[5] for own in second]


def test_a_time_without_a_zone_is_of_the_zone_of_the_message(port: int, receiver: Receiver) -> None:
    data = message("L1").replace(b"20260301120000+0000", b"20260301120000+0100")
    assert send(port, data.replace(b"20260220080000+0000", b"20260301113000")).field("MSA", 1) == "AA"
    assert b"later than the question" not in receiver.taken[-1]  # 10:30 UTC, half an hour before it
    assert moment_of("20260301", last=True, local=ZoneInfo("Europe/Berlin")) == datetime(
        2026, 3, 1, 22, 59, 59, tzinfo=UTC
    )
    assert moment_of("202412", last=True) == datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert moment_of("2024", last=True) == datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(BrokenMessage):
        moment_of("20260015")


def test_no_identifier_stands_in_what_is_told_or_written_down(
    client: TestClient, told: list[Any], port: int, trail: Path
) -> None:
    send(port, message("F1").replace(b"DOE^JANE", b"PLANTED^NAME"))
    written = re.sub('"[0-9a-f]{16,}"', '""', trail.read_text())  # hashes, in which any digits may stand
    written = re.sub('"at":"[^"]*"', "", written)  # a clock, which may show any digits
    everything = written + repr(told) + client.get("/metrics").text
    assert '"what":"hl7-oru"' in everything
    for planted in ("PLANTED", "12345", "19610203", "12.3", "DOE"):
        assert planted not in everything


@settings(max_examples=examples(120), deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_reading_ends_with_a_message_or_a_refusal(noise: bytes, start: int, size: int) -> None:
    good = message("G1")
    for data in (noise, good[:start] + noise + good[start + size :]):
        with contextlib.suppress(BrokenMessage):
            read_message(data)
