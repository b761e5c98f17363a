"""Who may send HL7 v2 messages, over which connections: limits, shares of addresses, certificates, ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chiasm.api.serving import serving_app
from chiasm.serving.hospital.hl7 import read_message
from chiasm.serving.hospital.mapping import MappingError
from chiasm.serving.hospital.mllp import BEGIN, END, Listener, MllpLimits, send_message, subject_of
from hl7_receiver import Receiver
from hospital_messages import MAPPING, mapping_file, message
from served_models import asked

pytest.importorskip("hl7apy")


def test_a_listener_bounds_what_a_sender_costs() -> None:
    async def run() -> None:
        events: list[str] = []
        limits = MllpLimits(message_bytes=100, message_seconds=0.2, idle_seconds=0.2, connections=1)

        async def answer(data: bytes, _: str) -> bytes:
            return data

        own = Listener(answer, lambda event, **_: events.append(event), limits)
        port = await own.start(socket.create_server(("127.0.0.1", 0)))
        for sent in (BEGIN + b"a" * 200 + END, BEGIN + b"slow", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        first = await asyncio.open_connection("127.0.0.1", port)
        first[1].write(BEGIN)  # a message has begun: it gives way to nobody
        await asyncio.sleep(0.02)
        second, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(second.read(), 5) == b""
        for one in (first[1], writer):
            one.close()
        await own.stop(1.0)
        assert events[:3] == ["mllp-broken", "mllp-lost", "mllp-lost"] and "mllp-full" in events

    asyncio.run(run())


def test_whoever_holds_connections_idle_closes_the_listener_to_nobody() -> None:
    async def run() -> None:
        events: list[str] = []

        async def answer(data: bytes, _: str) -> bytes:
            return data

        limits = MllpLimits(connections=8)
        own = Listener(answer, lambda event, **_: events.append(event), limits)
        port = await own.start(socket.create_server(("127.0.0.1", 0)))

        async def connected(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            found = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            await asyncio.sleep(0.02)
            return found

        one, two, three = [await connected("127.0.0.2") for _ in range(3)]
        assert await asyncio.wait_for(one[0].read(), 5) == b""  # the longest idle one of its address, which has two
        others = [await connected(f"127.0.0.{3 + number // 2}") for number in range(6)]
        two[1].write(BEGIN + b"two" + END)  # all are taken; what is said last is not the longest idle one
        assert await asyncio.wait_for(two[0].readuntil(END), 5) == BEGIN + b"two" + END
        last = await connected("127.0.0.9")
        assert await asyncio.wait_for(three[0].read(), 5) == b""
        last[1].write(BEGIN + b"last" + END)
        assert await asyncio.wait_for(last[0].readuntil(END), 5) == BEGIN + b"last" + END
        assert events == ["mllp-gave-way", "mllp-gave-way"]
        for _, writer in (one, two, three, *others, last):
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await own.stop(1.0)

    asyncio.run(run())


def self_signed(place: Path) -> Path:
    """Write a certificate that signs itself, and its key, at a path with .pem and .key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, place.name)])
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(x509.random_serial_number()).add_extension(x509.BasicConstraints(True, None), True)
    built = built.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    place.with_suffix(".pem").write_bytes(built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    place.with_suffix(".key").write_bytes(key.private_bytes(*private))
    return place


def test_a_sender_has_to_have_a_certificate_where_they_are_asked_for(
    served_folder: Path, receiver: Receiver, tmp_path: Path
) -> None:
    pytest.importorskip("cryptography")
    own, other = self_signed(tmp_path / "own"), self_signed(tmp_path / "other")
    keys = "".join(
        f'{name} = "own.{end}"\n' for name, end in (("certificate", "pem"), ("key", "key"), ("clients", "pem"))
    )
    text = (
        f'{MAPPING}\n[hl7]\nlisten = "127.0.0.1:0"\nsend = "127.0.0.1:{receiver.port}"\nzone = "Europe/Berlin"\n{keys}'
    )
    told: list[Any] = []
    trail = tmp_path / "audit.jsonl"
    options = {"hospital": mapping_file(tmp_path, text), "told": lambda event, **facts: told.append((event, facts))}
    options["audit"] = trail
    # half past eleven UTC is later than twelve in Berlin
    data = message("M1").replace(b"20260301120000+0000", b"20260301120000")
    data = data.replace(b"20260220080000+0000", b"20260301113000+0000")
    with asked([served_folder], **options):
        listening = int(next(facts["port"] for event, facts in told if event == "hl7"))

        def sent(certificate: Path | None) -> bytes:
            context = ssl.create_default_context(cafile=str(own.with_suffix(".pem")))
            context.check_hostname = False
            if certificate is not None:
                context.load_cert_chain(certificate.with_suffix(".pem"), certificate.with_suffix(".key"))

            async def conversation() -> bytes:
                try:
                    return await send_message("127.0.0.1", listening, data, 10.0, context)
                finally:
                    await asyncio.sleep(0.05)  # until TLS has said good-bye

            return asyncio.run(conversation())

        before = len(receiver.taken)
        for stranger in (None, other):
            with pytest.raises(OSError):
                sent(stranger)
        assert len(receiver.taken) == before
        assert read_message(sent(own)).field("MSA", 1) == "AA"
        assert b"later than the question" in receiver.taken[-1]
    lines = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [line.get("certificate") for line in lines if line["who"] == "hl7"] == ["CN=own"]


def test_a_subject_is_written_as_cryptography_writes_it(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from cryptography import x509

    oid = x509.oid.NameOID
    odd = [' lab, "B" ', "#1", "a+b=c\\d;<e>", "Klinikum Süd"]
    kinds = [oid.COMMON_NAME, oid.ORGANIZATION_NAME, oid.ORGANIZATIONAL_UNIT_NAME, oid.LOCALITY_NAME]
    words = ["commonName", "organizationName", "organizationalUnitName", "localityName"]
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in zip(kinds, odd, strict=True)])
    told = tuple(((word, value),) for word, value in zip(words, odd, strict=True))
    assert subject_of({"subject": told}) == name.rfc4514_string()
    assert subject_of({}) == subject_of(None) == "" and len(subject_of({"subject": ((("x", "y" * 9_999),),)})) == 1_000


@pytest.mark.parametrize(
    ("listen", "more", "words"),
    [
        ("taken", "", "cannot be listened on"),
        ("0.0.0.0:0", 'certificate = "hospital.toml"\nkey = "hospital.toml"', "and `clients`"),
        ("127.0.0.1:0", 'clients = "hospital.toml"', "told by TLS"),
        ("127.0.0.1:0", 'certificate = "hospital.toml"\nkey = "hospital.toml"', "no PEM file"),
        ("127.0.0.1:0", 'zone = "Europe/Atlantis"', "IANA time zones"),
        ("127.0.0.1:0", 'zone = "../etc/passwd"', "IANA time zones"),
    ],
)
def test_what_cannot_be_listened_on_is_told_before_anybody_is_served(
    served_folder: Path, receiver: Receiver, tmp_path: Path, listen: str, more: str, words: str
) -> None:
    address = f"127.0.0.1:{receiver.port}" if listen == "taken" else listen
    text = f'{MAPPING}\n[hl7]\nlisten = "{address}"\nsend = "127.0.0.1:9"\n{more}\n'
    with pytest.raises(MappingError, match=words):
        serving_app([served_folder], hospital=mapping_file(tmp_path, text))
