"""A base that fits in a moment, certificates, a server in a thread, and hospitals that send what a test wants."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("flwr")
pytest.importorskip("peft")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chiasm import artifact
from chiasm.cohort import Cohort
from chiasm.federated.address import client_channel
from chiasm.federated.client import Joining, Line
from chiasm.federated.folder import Federation, create_federation
from chiasm.federated.server import Serving, run_server
from chiasm.federated.service import PROTOCOL
from chiasm.federated.wire import CHUNK, FederationError, adapter_shapes, control, read_update, to_bytes
from chiasm.recipes.hospitals.federation import Plan, State, sites_of
from small_recipes import mixed, small

SIZES = {"latents": 4, "latent_width": 8, "heads": 2, "depth": 1, "epochs": 1}


def fitted_base(folder: Path, cohort: Cohort | None = None) -> Path:
    """A model folder with a small network."""
    small("healnet", **SIZES).fit(cohort or mixed("classification", 84), seed=0).save(folder)
    return folder


def made(folder: Path, base: Path, names: str = "ab", least: int = 2, **plan: Any) -> tuple[Federation, dict[str, str]]:
    """A federation of `hospital-a` and so on, and their tokens."""
    federation = create_federation(folder, base, Plan(**{"rounds": 2, "rank": 2, "epochs": 1, **plan}), least)
    return federation, {f"hospital-{letter}": federation.invite(f"hospital-{letter}") for letter in names}


@dataclass(frozen=True)
class Certificates:
    authority: Path
    certificate: Path
    key: Path


def certificates(folder: Path, host: str = "localhost") -> Certificates:
    """An authority, and a server's certificate that it signed."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)

    def signed(name: str, issuer: x509.Name | None, signer: Any, key: Any, extension: Any, critical: bool) -> Any:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
        built = built.public_key(key.public_key()).serial_number(x509.random_serial_number())
        built = built.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
            now + datetime.timedelta(days=1)
        )
        return built.add_extension(extension, critical).sign(signer, hashes.SHA256())

    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = signed("test authority", None, root, root, x509.BasicConstraints(True, None), True)
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    server = signed(host, authority.subject, root, own, names, False)
    found = Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    found.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    found.certificate.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return found


@dataclass
class Running:
    """A server in a thread, what it told, and what became of it."""

    federation: Federation
    port: int = 0
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    rounds: list[dict[str, Any]] | None = None
    error: BaseException | None = None
    thread: threading.Thread | None = None

    def finished(self, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Its rounds, once it has ended."""
        assert self.thread is not None
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the server did not end"
        if self.error is not None:
            raise self.error
        assert self.rounds is not None
        return self.rounds

    def events(self, name: str) -> list[dict[str, Any]]:
        return [facts for event, facts in self.told if event == name]


@contextmanager
def serving(federation: Federation, pems: Certificates | None = None, **how: Any) -> Iterator[Running]:
    """The federation's server, on a port of its own."""
    running, listening = Running(federation), threading.Event()
    resume = how.pop("resume", False)

    def told(event: str, **facts: Any) -> None:
        running.told.append((event, facts))
        if event == "listening":
            running.port = facts["port"]
            listening.set()

    tls = {"certificate": pems.certificate, "key": pems.key} if pems else {"insecure": True}
    options = Serving("localhost:0", **{"gather_seconds": 20.0, "round_seconds": 20.0, **tls, **how})

    def run() -> None:
        try:
            running.rounds = run_server(federation.path, options, resume=resume, told=told)
        except BaseException as error:
            running.error = error
            listening.set()

    running.thread = threading.Thread(target=run, daemon=True)
    running.thread.start()
    assert listening.wait(20.0)
    yield running


class Hospital:
    """Speaks the protocol without training: it sends what the test gives it."""

    def __init__(
        self, running: Running, name: str, token: str, pems: Certificates | None = None, rank: int = 2
    ) -> None:
        address = f"localhost:{running.port}"
        self.name, self.rank, self.known = name, rank, 0
        self.sites = sites_of(running.federation.base)
        self.who = {"protocol": PROTOCOL, "base": artifact.identity(running.federation.path / "base")}
        self.updates: dict[int, State] = {}
        authority = pems.authority if pems else None
        self.channel = client_channel(address, authority, pems is None, 4 * CHUNK)
        joining = Joining(address, name, token, authority, pems is None, patience_seconds=15.0)
        self.line = Line(self.channel, joining, lambda event, **facts: None)

    def adapter(self, seed: int, scale: float = 0.1) -> State:
        """Any sound adapter."""
        generator = torch.Generator().manual_seed(seed)
        shapes = adapter_shapes(self.sites, self.rank)
        return {name: scale * torch.randn(*shape, generator=generator) for name, shape in shapes.items()}

    def ask(self) -> dict[str, Any]:
        """What the server says until it is no longer `wait`; updates are kept."""
        while True:
            document, data = self.line.next(control({**self.who, "round": self.known, "ready": True}))
            for number, own in data.items():
                self.updates[number] = read_update(own, self.sites)
                self.known = number
            if document["state"] != "wait":
                return document

    def send(self, number: int, adapter: State | bytes, **facts: Any) -> bool:
        """An adapter, or whatever bytes."""
        data = adapter if isinstance(adapter, bytes) else to_bytes(adapter)
        said = {**self.who, "round": number, "rank": self.rank, "patients": 10, **facts}
        return self.line.send(control({key: value for key, value in said.items() if value is not None}), data)

    def take_part(self, seed: int = 0, **facts: Any) -> None:
        """Every round with a sound adapter."""
        while (document := self.ask())["state"] == "train":
            self.send(document["round"], self.adapter(seed + document["round"]), **facts)


def at_once(*calls: Callable[[], Any]) -> list[BaseException | None]:
    """The calls side by side, and what each raised."""
    raised: list[BaseException | None] = [None] * len(calls)

    def run(position: int) -> None:
        try:
            calls[position]()
        except BaseException as error:
            raised[position] = error

    threads = [threading.Thread(target=run, args=(position,), daemon=True) for position in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive()
    return raised


def stopped_after_one_answer(folder: Path, base: Path) -> tuple[Federation, dict[str, str], Hospital]:
    """A federation of a, b and c whose server ended in its only round, when a alone had answered; and hospital c."""
    federation, tokens = made(folder, base, "abc", rounds=1)
    with serving(federation, round_seconds=1.0) as running:
        a, b, c = (Hospital(running, name, token) for name, token in tokens.items())
        assert at_once(lambda: a.send(a.ask()["round"], a.adapter(1)), b.ask, c.ask) == [None] * 3
        with pytest.raises(FederationError, match="sound answer of hospital-a"):
            running.finished()
    return federation, tokens, c
