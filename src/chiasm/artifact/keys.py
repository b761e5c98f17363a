"""Keys of Ed25519 in PEM files: made, kept readable by their owner alone, and read with limits.

`cryptography` is imported where a key is used, so that models open without it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chiasm.artifact.opening import LinkedError, opened_file
from chiasm.limits import KEY_BYTES, TRUSTED_KEYS, LimitError
from chiasm.shown import visible

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Given = Path | str | bytes
"""A trusted key: the path of a PEM file or of a folder of them, or the text of a PEM file as bytes."""
PRIVATE, PUBLIC = ".pem", ".pub.pem"
NEEDS = 'signatures need cryptography: pip install "chiasm[signing]"'


def new_keys(out: Path, passphrase: bytes | None) -> tuple[Path, Path, bytes]:
    """Make a pair of keys, and write `<out>.pem`, for its owner alone, and `<out>.pub.pem`.

    Args:
        out: where, without an ending or with `.pem`.
        passphrase: encrypts the private key; None: it lies open in a file of mode 600.

    Returns:
        Both paths, and the 32 bytes of the public key.

    Raises:
        FileExistsError: one of the files is there: a key is never replaced.
        ModuleNotFoundError: `cryptography` is not installed.
    """
    ed25519, serialization = _cryptography()
    stem = out.with_suffix("") if out.suffix == PRIVATE else out
    private, public = (stem.with_name(stem.name + ending) for ending in (PRIVATE, PUBLIC))
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise FileExistsError(17, "exists already, and a key is never replaced: choose another --out", str(path))
    key = ed25519.Ed25519PrivateKey.generate()
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private.parent.mkdir(parents=True, exist_ok=True)
    _write_new(private, key.private_bytes(pem, pkcs8, locked), 0o600)
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    try:
        _write_new(public, key.public_key().public_bytes(pem, info), 0o644)
    except BaseException:
        private.unlink()
        raise
    return private, public, public_bytes(key.public_key())


def private_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        ValueError: it is no private key of Ed25519, or needs another passphrase; or others than its owner may read it.
        ModuleNotFoundError: `cryptography` is not installed.
    """
    ed25519, serialization = _cryptography()
    raw = _pem(path)
    mode = path.stat().st_mode
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ValueError(f"the key '{visible(path.name)}' may be read by others: chmod 600, or make a new one")
    try:
        found = serialization.load_pem_private_key(raw, passphrase or None)
    except TypeError:
        how = "is not encrypted: give no passphrase" if passphrase else "is encrypted: give its passphrase"
        raise ValueError(f"the key '{visible(path.name)}' {how}") from None
    except (ValueError, _unsupported()):
        what = "does not open with this passphrase, or is damaged" if passphrase else "is no private key in a PEM file"
        raise ValueError(f"the key '{visible(path.name)}' {what}: chiasm keys makes a pair") from None
    if not isinstance(found, ed25519.Ed25519PrivateKey):
        raise ValueError(f"the key '{visible(path.name)}' is not one of Ed25519: chiasm keys makes a pair")
    own: Ed25519PrivateKey = found
    return own


def is_locked(path: Path) -> bool:
    """Return whether a private key is encrypted, by the first line of its file."""
    return b"ENCRYPTED" in _pem(path)


def trusted_keys(given: Sequence[Given]) -> dict[bytes, str]:
    """Return the 32 bytes of each trusted public key, with the name of its file.

    Args:
        given: PEM files, folders of such files (`*.pem`), or their texts as bytes.

    Raises:
        ValueError: none is named, one is no public key of Ed25519, or a folder has none.
        FileNotFoundError: there is no such file.
    """
    if isinstance(given, str | bytes | Path):
        raise ValueError("trusted keys are a list of files or folders, as in trusted=['hospital.pub.pem']")
    found: dict[bytes, str] = {}
    for own in given:
        if isinstance(own, bytes):
            found[_public(own, "a trusted key")] = "a trusted key"
            continue
        place = Path(own)
        files = sorted(place.glob("*.pem"))[: TRUSTED_KEYS + 1] if place.is_dir() else [place]
        if not files or len(files) > TRUSTED_KEYS:
            number = "no key (*.pem)" if not files else f"over {TRUSTED_KEYS:,} keys"
            raise ValueError(f"the folder of trusted keys '{visible(place.name)}' has {number}: name another")
        for file in files:
            found[_public(_pem(file), f"the trusted key '{visible(file.name)}'")] = file.name
    if not found:
        raise ValueError("no trusted key is named, so that no model could be opened: name one, or do not ask for trust")
    return found


def public_key(raw: bytes) -> Ed25519PublicKey:
    """Return the public key of 32 bytes."""
    ed25519, _ = _cryptography()
    found: Ed25519PublicKey = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    return found


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes of a public key."""
    _, serialization = _cryptography()
    found: bytes = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return found


def _public(raw: bytes, what: str) -> bytes:
    ed25519, serialization = _cryptography()
    if b"PRIVATE KEY" in raw:
        raise ValueError(f"{what} is a private key: keep it where it is, and trust the public one beside it ({PUBLIC})")
    try:
        found = serialization.load_pem_public_key(raw)
    except (ValueError, _unsupported()):
        raise ValueError(f"{what} is no public key in a PEM file: chiasm keys makes a pair") from None
    if not isinstance(found, ed25519.Ed25519PublicKey):
        raise ValueError(f"{what} is not one of Ed25519: chiasm keys makes a pair")
    return public_bytes(found)


def _pem(path: Path) -> bytes:
    """The bytes of a key's file; a link is followed, since the path is the caller's own."""
    try:
        with opened_file(path.resolve(), KEY_BYTES, path.name) as file:
            return bytes(file.read(file.size))
    except LimitError as error:
        raise ValueError(f"the key '{visible(path.name)}' {error.what}: {error.fix}") from None
    except LinkedError:
        raise ValueError(f"the key '{visible(path.name)}' was changed while it was opened: try again") from None


def _write_new(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _unsupported() -> type[Exception]:
    """What `cryptography` raises for a key of a kind that it does not know."""
    from cryptography.exceptions import UnsupportedAlgorithm

    return UnsupportedAlgorithm


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError:
        raise ModuleNotFoundError(NEEDS) from None
    return ed25519, serialization
