"""Who may ask what: bearer tokens with roles, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chiasm.errors import nearest

ROLES = ("predict", "explain", "metrics", "admin")
LEAST_LETTERS = 16
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Caller:
    """Who asks: the name of the token, not the token."""

    name: str
    roles: frozenset[str]


ANYBODY = Caller("-", frozenset(ROLES))
"""Of a service without tokens, which only this machine reaches."""


@dataclass(frozen=True, repr=False)
class Access:
    """The tokens, each as its SHA-256."""

    tokens: tuple[tuple[bytes, Caller], ...] = field(default=())

    def __repr__(self) -> str:
        return f"Access of {len(self.tokens)} tokens"

    def caller(self, authorization: str | None) -> Caller | None:
        """Return who sent an `Authorization` header; None if no token is his.

        Every token is compared, in a time that does not tell how far one agrees.
        """
        if not self.tokens:
            return ANYBODY
        scheme, _, token = (authorization or "").partition(" ")
        given = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        found = None
        for own, caller in self.tokens:
            if hmac.compare_digest(own, given):
                found = caller
        return found if scheme.lower() == "bearer" else None


def access_of(file: Path | None, text: str | None = None) -> Access:
    """Read tokens from a file: one token, or a table of them; or take the one of the environment.

    A table is TOML, `[NAME]` with `token` or `sha256`, and `roles`, of predict, explain, metrics and admin.

    Raises:
        ValueError: others may read the file, it holds no token, one is short, or a role is not known.
    """
    if file is None:
        return Access((_hashed("token", text.strip(), ROLES),)) if text and text.strip() else Access()
    if sys.platform != "win32" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise ValueError(f"'{file}' may be read by others than its owner: chmod 600 it")
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"'{file}' has over {MOST_BYTES >> 20} MB: it is no file of tokens")
    content = file.read_text("utf-8").strip()
    if "\n" not in content and "=" not in content.rstrip("=") and not content.startswith("["):
        return Access((_hashed("token", content, ROLES),))
    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError:
        raise ValueError(f"'{file}' is neither one token in a line nor a table of tokens in TOML") from None
    found = []
    for name, own in table.items():
        if (
            not isinstance(own, dict)
            or set(own) - {"token", "sha256", "roles"}
            or ("token" in own) == ("sha256" in own)
        ):
            raise ValueError(f"'{file}': [{name}] has `token` or `sha256`, and `roles`, and nothing else")
        roles = own.get("roles", ["predict"])
        for role in roles if isinstance(roles, list) else [roles]:
            if role not in ROLES:
                like = nearest(str(role), ROLES)
                hint = f"did you mean '{like}'?" if like else f"there are {', '.join(ROLES)}"
                raise ValueError(f"'{file}': [{name}] has an unknown role, {hint}")
        if "token" in own:
            found.append(_hashed(name, str(own["token"]), roles))
        else:
            found.append((_digest(str(own["sha256"]), name), Caller(name, frozenset(roles))))
    if not found:
        raise ValueError(f"'{file}' holds no token")
    if len({digest for digest, _ in found}) < len(found):
        raise ValueError(f"'{file}' holds a token twice: give each name its own")
    return Access(tuple(found))


def _hashed(name: str, token: str, roles: Sequence[str]) -> tuple[bytes, Caller]:
    if len(token) < LEAST_LETTERS or any(letter.isspace() for letter in token):
        raise ValueError(
            f"the token '{name}' has spaces or fewer than {LEAST_LETTERS} letters: make one with openssl rand -hex 32"
        )
    return hashlib.sha256(token.encode()).digest(), Caller(name, frozenset(roles))


def _digest(text: str, name: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != hashlib.sha256().digest_size:
        raise ValueError(f"the sha256 of the token '{name}' is no SHA-256 in 64 hexadecimal digits")
    return found


def token_of_environment(name: str) -> str | None:
    """Return a token from an environment variable; None without one."""
    return os.environ.get(name)
