"""Choice of reader and encoder for a modality, and the check that they match those of a fitted model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from chiasm.cohort import Cohort, Encoding, Unsupported
from chiasm.encoders.catalogue import DEFAULTS, make_encoder
from chiasm.readers import Reader, reader_for
from chiasm.readers.reading import AcceptsEarlier


class Choice(NamedTuple):
    """A reader and an encoder, the specification that named it, and the identity under which its tokens are stored."""

    spec: str
    reader: Reader
    encoder: Any
    identity: str


def choose(kind: str, spec: str | None = None) -> Choice:
    """Choose the reader of a kind, and an encoder by its name and options; None takes the kind's default.

    Raises:
        Unsupported: nothing reads the kind, there is no such encoder, or its weights or a package are missing.
        ValueError: the encoder does not have an option.
    """
    spec = spec or DEFAULTS.get(kind, kind)
    reader, encoder = reader_for(kind), make_encoder(spec, kind)
    identity = f"{kind}/{reader.version}"
    return Choice(spec, reader, encoder, identity if encoder.fitted_on_cohort else f"{identity}|{encoder.identity}")


def same_identity(kind: str, now: str, fitted: str) -> bool:
    """Tell whether values that are read and encoded now are what a model was fitted on.

    Both are identities of `choose`. They are equal, or differ in the version of the reader alone, which accepts the
    earlier one: its values differ in rare files that it read wrongly.
    """
    reader, _, encoder = now.partition("|")
    earlier, _, then = fitted.partition("|")
    reads = reader_for(kind)
    accepted = {f"{kind}/{version}" for version in reads.accepts} if isinstance(reads, AcceptsEarlier) else set()
    return now == fitted or (encoder == then and earlier in accepted and reader.startswith(f"{kind}/"))


def require_same(cohort: Cohort, encodings: Mapping[str, Encoding]) -> None:
    """Check, before anything is encoded, that a model's modalities are or would be encoded as at its fit.

    Raises:
        Unsupported: a modality is of another kind, or its encoder or the encoder's weights differ.
    """
    for name in sorted(set(encodings) & set(cohort.modalities)):
        wanted, own = encodings[name], cohort.encodings.get(name)
        kind = own.kind if own else cohort.kinds[name]
        if kind != wanted.kind:
            raise Unsupported(f"modality '{name}' was of kind '{wanted.kind}' at fit and is of kind '{kind}' now")
        identity = own.identity if own else choose(kind, wanted.encoder).identity
        if not same_identity(kind, identity, wanted.identity):
            raise Unsupported(
                f"modality '{name}' was encoded by '{wanted.encoder}' at fit, and its encoder or the encoder's "
                "weights differ now: bring the same weights, or fit again"
            )
