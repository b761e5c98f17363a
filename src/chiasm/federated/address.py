"""Addresses and TLS of a federation: connections are encrypted, except explicitly insecure ones on this machine."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]

from chiasm.federated.limits import KEEPALIVE
from chiasm.federated.wire import FederationError


def host_of(address: str) -> str:
    """Return the host of `host:port`, without the brackets of an IPv6 address.

    Raises:
        FederationError: the address is not of this form.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise FederationError(f"'{address}' is no address: write host:port, as in coordinator.example.org:8443")
    return host.removeprefix("[").removesuffix("]")


def loopback(address: str) -> bool:
    """Return whether an address is on this machine."""
    host = host_of(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def server_credentials(address: str, certificate: Path | None, key: Path | None, insecure: bool) -> Any | None:
    """Load the server's TLS credentials; None for an unencrypted server.

    Raises:
        FederationError: neither, or both, of a valid certificate with its key and `insecure` on a loopback address.
    """
    host_of(address)
    if certificate is not None and key is not None:
        if insecure:
            raise FederationError("--insecure and --certificate exclude each other")
        pair = _read(key, "--key"), _read(certificate, "--certificate")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
        except (ssl.SSLError, ValueError) as error:
            raise FederationError("--key: it does not belong to the certificate, or asks for a password") from error
        return grpc.ssl_server_credentials([pair])
    if certificate is not None or key is not None:
        raise FederationError("TLS needs both --certificate and --key")
    require_insecure(address, insecure, "give --certificate and --key")
    return None


def client_channel(address: str, authority: Path | None, insecure: bool, most_bytes: int) -> Any:
    """Create a channel to the server; it connects at first use.

    Raises:
        FederationError: the authority file is unreadable, or `insecure` is combined with it or with another machine.
    """
    host_of(address)
    options: list[tuple[str, int]] = [("grpc.max_receive_message_length", most_bytes), *KEEPALIVE]
    if loopback(address):
        options.append(("grpc.enable_http_proxy", 0))
    if insecure:
        if authority is not None:
            raise FederationError("--insecure and --authority exclude each other")
        require_insecure(address, insecure, "")
        return grpc.insecure_channel(address, options)
    roots = None if authority is None else _read(authority, "--authority")
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), options)


def require_insecure(address: str, insecure: bool, instead: str) -> None:
    """Raise FederationError unless an unencrypted connection was requested and the address is on this machine."""
    if not insecure:
        raise FederationError(f"tokens and adapters travel encrypted: {instead}, or --insecure on this machine alone")
    if not loopback(address):
        raise FederationError(
            f"--insecure is for this machine alone, and '{host_of(address)}' is not: use TLS, or 127.0.0.1"
        )


def _read(file: Path, option: str) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise FederationError(f"{option}: '{file}' cannot be read") from error
    if b"-----BEGIN" not in data:
        raise FederationError(f"{option}: '{file}' is no PEM file")
    return data
