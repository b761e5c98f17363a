"""Reading of a model folder: each file is opened and read once, checked, hashed, and only then understood.

In this order: the names in the folder, the description by itself, the header of the weights against the size of their
file, the hashes, the signature, and then each field against its annotation. `load` executes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.artifact.description import CARD, DESCRIPTION, FILES, SIGNATURE, WEIGHTS, described, require_parts
from chiasm.artifact.keys import Given, trusted_keys
from chiasm.artifact.opening import BLOCK, UNREADABLE, Folder, OpenFile, opened_folder
from chiasm.artifact.register import ArtifactError, unknown_kinds
from chiasm.artifact.signature import Signature, require_signed
from chiasm.artifact.tensors import Header, array_of, read_arrays, read_header
from chiasm.artifact.trees import Outline, outlined, rebuild
from chiasm.limits import CARD_BYTES, LOOKED_BYTES, MODEL_JSON_BYTES, SIGNATURE_BYTES, WEIGHTS_BYTES, LimitError


def load(path: Path | str, bring: Callable[[Any], None] | None = None, trusted: Sequence[Given] | None = None) -> Any:
    """Read a model folder written by `save`. Each of its files is opened and read once.

    Args:
        bring: imports where the classes of a stored tree are; called if it holds a kind that has no place in the table,
            such as one of a recipe's own module or of another package.
        trusted: public keys, one of which has to have signed the folder; None: it need not be signed.

    Raises:
        ArtifactError: a missing, truncated or changed file, another schema, an unknown kind or field; or no signature
            by a trusted key.
        ValueError: a trusted key is no public key of Ed25519.
    """
    path, allowed = Path(path), None if trusted is None else trusted_keys(trusted)
    with permitted(path), opened_folder(path, FILES) as folder:
        raw = folder.bytes_of(DESCRIPTION, MODEL_JSON_BYTES)
        # Where trust is asked for, nothing is parsed before it is known whose it is.
        document = described(raw, folder.name) if allowed is None else None
        with folder.file(WEIGHTS, WEIGHTS_BYTES) as file, worded(f"{folder.name}/{WEIGHTS}"):
            header = read_header(file)
            arrays, body = read_arrays(file, header)
        hashes = {DESCRIPTION: hashlib.sha256(raw).hexdigest(), WEIGHTS: _hash_of(header, body)}
        _require_signature(folder, hashes, allowed)
        document = document or described(raw, folder.name)
    require_weights(document, hashes[WEIGHTS], folder.name)
    named = require_parts(document["model"], folder.name)
    if bring is not None and unknown_kinds(document["model"]):
        bring(document["model"])
    model = rebuild(document["model"], arrays, folder.name)
    _require_same(named, header, folder.name)
    return model


def outline(path: Path | str) -> Outline:
    """What a model folder says of itself: its JSON, and the header of its weights. No weight is read.

    Raises:
        ArtifactError: as for `load`, but for what only the weights show.
    """
    document, header, folder = described_and_header(path)
    named = {name: (own.shape, own.dtype) for name, own in header.places.items()}
    _require_same(require_parts(document["model"], folder.name), header, folder.name)
    return Outline(outlined(document["model"], named))


def described_and_header(path: Path | str) -> tuple[dict[str, Any], Header, Folder]:
    """The document of a model folder, the header of its weights, and the folder, closed again; no weight is read."""
    path = Path(path)
    with permitted(path), opened_folder(path, FILES) as folder:
        document = described(folder.bytes_of(DESCRIPTION, MODEL_JSON_BYTES), folder.name)
        with folder.file(WEIGHTS, WEIGHTS_BYTES) as file, worded(f"{folder.name}/{WEIGHTS}"):
            return document, read_header(file), folder


def looked_into(
    path: Path | str, wanted: Callable[[Any], Collection[str]], trusted: Sequence[Given] | None = None
) -> LookedInto:
    """Look into a model folder, and read of its weights no more than a few arrays; the rest is hashed as it goes by.

    No class of a stored part is looked up and nothing is imported for it: the tree stays as it is stored.

    Args:
        wanted: names of the arrays to read, from the stored tree; those of over `LOOKED_BYTES` are left out.
        trusted: as for `load`.

    Raises:
        ArtifactError: as for `load`, but for what only the classes of the parts, or the numbers, would show.
    """
    path, allowed = Path(path), None if trusted is None else trusted_keys(trusted)
    with permitted(path), opened_folder(path, FILES) as folder:
        raw = folder.bytes_of(DESCRIPTION, MODEL_JSON_BYTES)
        document = described(raw, folder.name) if allowed is None else None  # as in `load`
        card = folder.bytes_of(CARD, CARD_BYTES) if CARD in folder.names else None
        with folder.file(WEIGHTS, WEIGHTS_BYTES) as file, worded(f"{folder.name}/{WEIGHTS}"):
            header = read_header(file)
            hashes = {DESCRIPTION: hashlib.sha256(raw).hexdigest(), WEIGHTS: hash_of_rest(file, header)}
            hashes |= {} if card is None else {CARD: hashlib.sha256(card).hexdigest()}
            signature = _require_signature(folder, hashes, allowed)
            document = document or described(raw, folder.name)
            require_weights(document, hashes[WEIGHTS], folder.name)
            _require_same(require_parts(document["model"], folder.name), header, folder.name)
            arrays = {}
            for name in wanted(document["model"]):
                own = header.places[name]
                if own.end - own.start <= LOOKED_BYTES:
                    body = file.at(len(header.raw) + own.start, own.end - own.start)
                    if len(body) < own.end - own.start:
                        raise LimitError("changed while it was read", "copy it again")
                    arrays[name] = array_of(body, own, own.start)
        sizes = {DESCRIPTION: len(raw), WEIGHTS: file.size, **({} if card is None else {CARD: len(card)})}
    text = "" if card is None else card.decode("utf-8", "replace")
    return LookedInto(folder.name, document, header, arrays, sizes, hashes, text, signature, allowed is not None)


@dataclass(frozen=True)
class LookedInto:
    """A model folder as it lies there: its description and header, a few `arrays`, sizes and hashes of its files.

    `signature` is what its files agree with; with `trusted` it was made by a trusted key.
    """

    name: str
    document: Mapping[str, Any]
    header: Header
    arrays: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    hashes: Mapping[str, str]
    card: str
    signature: Signature | None
    trusted: bool


def hash_of_rest(file: OpenFile, header: Header) -> str:
    """The hash of an open file whose header was read, block by block.

    Raises:
        LimitError: the file changed meanwhile.
    """
    digest_of, read = hashlib.sha256(header.raw), len(header.raw)
    while block := file.read(BLOCK):
        digest_of.update(block)
        read += len(block)
    file.require_end(read)
    return digest_of.hexdigest()


def require_weights(document: Mapping[str, Any], found: str, name: str) -> None:
    """Refuse weights of another hash than their description names."""
    if found != document["weights_sha256"]:
        raise ArtifactError(f"'{name}/{WEIGHTS}' does not have the hash in model.json: copy the model again")


def _require_same(named: set[str], header: Header, name: str) -> None:
    """Refuse a description that refers to other arrays than its weights hold."""
    if named != set(header.places):
        raise ArtifactError(
            f"'{name}' refers to an array that its weights do not hold, or holds one that nothing refers to: copy the "
            "model again"
        )


def _require_signature(
    folder: Folder, hashes: Mapping[str, str], allowed: Mapping[bytes, str] | None
) -> Signature | None:
    """Compare a folder with its signature, where it has one, and ask for a trusted one where that is wanted."""
    if SIGNATURE not in folder.names and allowed is None:
        return None
    own = dict(hashes)
    if CARD in folder.names and CARD not in own:
        own[CARD] = hashlib.sha256(folder.bytes_of(CARD, CARD_BYTES)).hexdigest()
    raw = folder.bytes_of(SIGNATURE, SIGNATURE_BYTES) if SIGNATURE in folder.names else None
    return require_signed(folder.name, own, raw, allowed)


@contextmanager
def worded(shown: str) -> Iterator[None]:
    """Turn a limit that a file breaks into words on it."""
    try:
        yield
    except LimitError as error:
        raise ArtifactError(f"'{shown}' {error.what}: {error.fix}") from None


@contextmanager
def permitted(path: Path) -> Iterator[None]:
    """Turn the refusal of the system to read a model, or its folder, into words."""
    try:
        yield
    except PermissionError:
        raise ArtifactError(f"'{path.name}' {UNREADABLE}") from None


def identity(path: Path | str) -> str:
    """The sha256 that a model folder gives itself, over its JSON and its weights' hash: equal for copies of one folder.

    Raises:
        ArtifactError: as for `outline`.
    """
    return str(described_and_header(path)[0]["sha256"])


def _hash_of(header: Header, body: bytearray) -> str:
    digest_of = hashlib.sha256(header.raw)
    digest_of.update(body)
    return digest_of.hexdigest()
