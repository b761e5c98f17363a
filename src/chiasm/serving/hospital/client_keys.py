"""Callers who prove themselves by a signed JSON Web Token, as CDS Hooks asks of its clients: once each, for minutes."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from chiasm.limits import require_regular
from chiasm.serving.access import Access, Caller

CDS = "cds"
"""The role of who signs: to ask by CDS Hooks, and nothing else."""
ALGORITHMS = ("ES384", "RS384")
LONGEST_SECONDS = 300  # from issue to expiry, as the standard advises
LEEWAY_SECONDS = 30
REMEMBERED = 100_000
MOST_BYTES = 1 << 20
LETTERS = 8_192


class SignedAccess(Access):
    """The tokens of a service, and beside them signed ones of known issuers, who may ask by CDS Hooks.

    Args:
        own: the tokens.
        keys: a JSON Web Key Set of the clients' public keys, each with its `kid` and, as `iss`, whose it is.
        audience: address of this service, as the client calls it.
    """

    def __init__(self, own: Access, keys: Path, audience: str) -> None:
        super().__init__(own.tokens)
        object.__setattr__(self, "_keys", _keys_of(keys))
        object.__setattr__(self, "_audience", audience)
        object.__setattr__(self, "_seen", OrderedDict())
        object.__setattr__(self, "_lock", threading.Lock())

    _keys: dict[str, tuple[str, Any]]
    _audience: str
    _seen: OrderedDict[tuple[str, str], float]
    _lock: threading.Lock

    def caller(self, authorization: str | None) -> Caller | None:
        """Return who sent the header: the holder of a token, or the issuer of a signed one that was not used before."""
        found = super().caller(authorization) if self.tokens else None
        return found or self._signed(authorization)

    def _signed(self, authorization: str | None) -> Caller | None:
        import jwt

        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(token) <= LETTERS:
            return None
        try:
            name = jwt.get_unverified_header(token).get("kid")
            issuer, key = self._keys[str(name)]
            claims = jwt.decode(
                token, key, algorithms=list(ALGORITHMS), issuer=issuer, leeway=LEEWAY_SECONDS,
                options={"require": ["iss", "aud", "exp", "iat", "jti"], "verify_aud": False},
            )  # fmt: skip
        except (jwt.PyJWTError, KeyError, ValueError, TypeError):
            return None
        if (
            not self._is_here(claims["aud"])
            or claims["exp"] - claims["iat"] > LONGEST_SECONDS
            or not self._first((issuer, str(claims["jti"])))
        ):
            return None
        return Caller(issuer, frozenset({CDS}))

    def _is_here(self, audience: object) -> bool:
        """Tell whether a token is for this service: its address, or one beneath it, as that of the service asked."""
        base = self._audience.rstrip("/")
        return isinstance(audience, str) and (audience.rstrip("/") == base or audience.startswith(f"{base}/"))

    def _first(self, used: tuple[str, str]) -> bool:
        """Remember a token's id; False where it was used before."""
        now = time.monotonic()
        with self._lock:
            while self._seen and next(iter(self._seen.values())) < now:
                self._seen.popitem(last=False)
            if used in self._seen or len(self._seen) >= REMEMBERED:
                return False
            self._seen[used] = now + LONGEST_SECONDS + 2 * LEEWAY_SECONDS
            return True


def _keys_of(path: Path) -> dict[str, tuple[str, Any]]:
    """Read a key set.

    Raises:
        ValueError: it is none, or a key has no name, no issuer or is private.
    """
    import jwt

    require_regular(path, MOST_BYTES)
    try:
        given = json.loads(path.read_bytes())["keys"]
        found = {}
        for own in given:
            if "d" in own:
                raise ValueError(f"'{path.name}' holds a private key: give the clients' public keys alone")
            found[str(own["kid"])] = (str(own["iss"]), jwt.PyJWK.from_dict(own).key)
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError, jwt.PyJWTError) as error:
        what = "is no set of public keys, each with kid and iss"
        raise ValueError(f"'{path.name}' {what} ({type(error).__name__})") from None
    if not found:
        raise ValueError(f"'{path.name}' holds no key")
    return found
