"""Public functions to sign a model folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chiasm import artifact
from chiasm.artifact.keys import is_locked as is_locked
from chiasm.artifact.signature import fingerprint_of


@dataclass(frozen=True)
class KeyPair:
    """Files of a pair of keys, and the fingerprint by which people know it."""

    private: Path
    public: Path
    fingerprint: str


def new_keys(out: Path | str, passphrase: bytes | None = None) -> KeyPair:
    """Make a pair of keys of Ed25519: `<out>.pem`, which is yours alone, and `<out>.pub.pem`, which others trust.

    Args:
        out: where, with or without `.pem`.
        passphrase: encrypts the private key; None: whoever reads the file, of mode 600, can sign.

    Raises:
        FileExistsError: one of the files is there: a key is never replaced.
        ModuleNotFoundError: `cryptography` is not installed (`pip install "chiasm[signing]"`).
    """
    private, public, raw = artifact.new_keys(Path(out), passphrase)
    return KeyPair(private, public, fingerprint_of(raw))


def is_signed(model: Path | str) -> bool:
    """Return whether a model folder holds a signature; whose, and whether it is right, is not asked."""
    return (Path(model) / artifact.SIGNATURE).is_file()


def sign_model(model: Path | str, key: Path | str, passphrase: bytes | None = None) -> str:
    """Sign a model folder: every byte of its files, as they are now; return the fingerprint of the key.

    `signature.json` is written into the folder, and replaces an older one.

    Args:
        model: the folder; it is checked before.
        key: the private key, a PEM file of mode 600.
        passphrase: of the key, where it has one.

    Raises:
        ArtifactError: the folder is not a model, or is damaged.
        ValueError: the key is none of Ed25519, is encrypted otherwise, or may be read by others.
        ModuleNotFoundError: `cryptography` is not installed (`pip install "chiasm[signing]"`).
    """
    return artifact.sign(model, artifact.private_key(Path(key), passphrase)).fingerprint
