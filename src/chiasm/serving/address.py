"""Where a service listens, and by which names it may be asked: loopback unless it has tokens and TLS."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOCAL = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Address:
    """A host, without brackets, and a port; 0 takes a free one."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """True if only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def everywhere(self) -> bool:
        """True if it is every address of the machine."""
        return self.host in ("0.0.0.0", "::")


def address_of(text: str) -> Address:
    """Read `host:port`.

    Raises:
        ValueError: it is of another form.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"--listen is '{text}': write host:port, as in 127.0.0.1:8000 or [::1]:8000")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


@dataclass(frozen=True)
class Hosts:
    """Names that a `Host` header may have, so that a page of another site cannot ask by a name of its own."""

    names: frozenset[str]

    def knows(self, header: str) -> bool:
        found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", header)
        return found is not None and found[1].lower().rstrip(".") in self.names


def hosts_of(address: Address, allowed: Sequence[str]) -> Hosts:
    """Return the names of an address, of this machine where it listens beyond loopback, and those that are allowed."""
    names = {*LOCAL, *allowed}
    if not address.everywhere:
        names.add(f"[{address.host}]" if ":" in address.host else address.host)
    if not address.is_local:
        names |= {socket.gethostname(), socket.getfqdn()}
    return Hosts(frozenset(name.lower().rstrip(".") for name in names))


def require_safe(address: Address, tokens: int, certificate: Path | None, key: Path | None, behind_proxy: bool) -> None:
    """Refuse to be reached from elsewhere without tokens, or unencrypted.

    Raises:
        ValueError: naming what lacks, or what does not fit together.
    """
    if (certificate is None) != (key is None):
        raise ValueError("TLS needs both --certificate and --key")
    if certificate is not None and key is not None:
        for option, file in (("--certificate", certificate), ("--key", key)):
            if not file.is_file():
                raise ValueError(f"{option}: there is no file '{file}'")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
        except (ssl.SSLError, ValueError, OSError):
            raise ValueError(
                "--key does not belong to --certificate, or one is no PEM file, or asks for a password"
            ) from None
    if address.is_local:
        return
    if not tokens:
        raise ValueError(
            f"'{address.host}' is reached from elsewhere, and anybody could ask: give --tokens with a file of tokens, "
            "or listen on 127.0.0.1"
        )
    if certificate is None and not behind_proxy:
        raise ValueError(
            f"'{address.host}' is reached from elsewhere, and values of patients would travel unencrypted: give "
            "--certificate and --key, or --behind-proxy where a proxy on this network encrypts"
        )
