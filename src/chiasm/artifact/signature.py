"""`signature.json`: who says that a model folder is as they left it, by Ed25519 (RFC 8032).

Signed is the text `chiasm model signature 1`, a line break, and the canonical JSON (sorted keys, no spaces, ASCII) of
`signed`: the SHA-256 of every other file of the folder, and when it was signed. The hash of `model.json` covers the
description, which names the hash of the weights again. A signature says that whoever holds the key signed these very
bytes; it does not say that the model is good, nor whose the key is: that is for whoever trusts the key to know.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chiasm.artifact.description import DESCRIPTION, FILES, SIGNATURE, WEIGHTS
from chiasm.artifact.keys import public_bytes, public_key
from chiasm.artifact.register import ArtifactError
from chiasm.artifact.strict_json import JsonError, read_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SCHEMA = 1
ALGORITHM = "Ed25519"
KEYS = {"schema", "algorithm", "public_key", "signed", "signature"}
HEAD = b"chiasm model signature 1\n"


@dataclass(frozen=True)
class Signature:
    """What `signature.json` holds: `key` (32 bytes), the hash of each file, `at` (UTC, ISO 8601), and the `proof`."""

    key: bytes
    files: Mapping[str, str]
    at: str
    proof: bytes

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return HEAD + _canonical({"at": self.at, "files": dict(self.files)})

    @property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the public key, by which people know it."""
        return fingerprint_of(self.key)


def signed(hashes: Mapping[str, str], key: Ed25519PrivateKey) -> str:
    """Return the text of `signature.json` for a folder whose files have these hashes."""
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    own = Signature(public_bytes(key.public_key()), dict(hashes), at, b"")
    document = {
        "schema": SCHEMA,
        "algorithm": ALGORITHM,
        "public_key": base64.b64encode(own.key).decode(),
        "signed": {"at": at, "files": dict(sorted(hashes.items()))},
        "signature": base64.b64encode(key.sign(own.message)).decode(),
    }
    return json.dumps(document, indent=1)


def read_signature(raw: bytes | bytearray, name: str) -> Signature:
    """Read the bytes of a `signature.json`; whether it is right is not asked.

    Raises:
        ArtifactError: it is none.
    """
    try:
        document = read_json(raw)
        if set(document) != KEYS or set(document["signed"]) != {"at", "files"}:
            raise ValueError
        if type(document["schema"]) is not int or (document["schema"], document["algorithm"]) != (SCHEMA, ALGORITHM):
            raise ValueError
        at, files = document["signed"]["at"], document["signed"]["files"]
        if len(at) > 40 or datetime.datetime.fromisoformat(at).tzinfo is None:
            raise ValueError
        if not {DESCRIPTION, WEIGHTS} <= set(files) <= {*FILES} - {SIGNATURE}:
            raise ValueError
        if any(len(own) != 64 or set(own) - set("0123456789abcdef") for own in files.values()):
            raise ValueError
        key, proof = (base64.b64decode(document[part], validate=True) for part in ("public_key", "signature"))
        if (len(key), len(proof)) != (32, 64):
            raise ValueError
    except (JsonError, ValueError, TypeError, KeyError, AttributeError, binascii.Error):
        raise ArtifactError(f"'{name}/{SIGNATURE}' is not a signature of chiasm: sign the model again") from None
    return Signature(key, files, at, proof)


def require_signed(
    name: str, hashes: Mapping[str, str], raw: bytes | bytearray | None, allowed: Mapping[bytes, str] | None
) -> Signature | None:
    """Compare the files of a folder with its signature, and the signature with the trusted keys.

    Args:
        name: of the folder.
        hashes: the SHA-256 of every file of the folder but the signature, as it was read.
        raw: the bytes of its `signature.json`; None without one.
        allowed: trusted public keys, by `keys.trusted_keys`; None: none is asked for, and only hashes are compared.

    Raises:
        ArtifactError: a file was changed, added or taken away since; or the signature is missing, is not that of its
            key, or its key is not trusted.
    """
    if raw is None:
        if allowed is None:
            return None
        raise ArtifactError(
            f"'{name}' is not signed, and only models signed by a trusted key are to be opened: ask whoever sent it "
            "for a signed one, or check it and sign it yourself (chiasm sign)"
        )
    found = read_signature(raw, name)
    odd = sorted({own for own in {*found.files, *hashes} if found.files.get(own) != hashes.get(own)})
    if odd:
        how = "was added" if odd[0] not in found.files else "is missing" if odd[0] not in hashes else "was changed"
        raise ArtifactError(
            f"'{name}/{odd[0]}' {how} after the model was signed: get the signed model again, or check it and sign it"
        )
    if allowed is None:
        return found
    if found.key not in allowed:
        raise ArtifactError(
            f"'{name}' is signed by the key {found.fingerprint}, which is not among the {len(allowed):,} trusted: ask "
            "whoever sent it for their public key by another way, and trust that"
        )
    require_proof(found, name)
    return found


def require_proof(found: Signature, name: str) -> None:
    """Refuse a signature that the holder of its key did not make.

    Raises:
        ArtifactError: see above.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        public_key(found.key).verify(found.proof, found.message)
    except InvalidSignature:
        raise ArtifactError(
            f"'{name}/{SIGNATURE}' was not made by the key that it names: get the signed model again"
        ) from None


def proved(found: Signature) -> str:
    """Return "valid" where the holder of the key made a signature, else "not valid"; "not checked" without a means.

    Whether the key is to be trusted is another question.
    """
    try:
        require_proof(found, "")
    except ModuleNotFoundError:
        return "not checked"
    except ArtifactError:
        return "not valid"
    return "valid"


def fingerprint_of(key: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a public key's 32 bytes."""
    return hashlib.sha256(key).hexdigest()[:16]


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")
