"""What reads and encodes a modality, and whether it is what a model was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from chiasm.cohort import Cohort, Encoding, Unsupported
from chiasm.encoders.catalogue import DEFAULTS, make_encoder
from chiasm.readers import Reader, reader_for


class Choice(NamedTuple):
    """The encoder as it was named, and the identity that its tokens are kept under."""

    spec: str
    reader: Reader
    encoder: Any
    identity: str


def choose(kind: str, spec: str | None = None) -> Choice:
    """The reader of a kind, and an encoder by its name and options; None takes the default of the kind.

    Raises:
        Unsupported: nothing reads the kind, there is no such encoder, its weights or a package are missing.
        ValueError: an option that it does not have.
    """
    spec = spec or DEFAULTS.get(kind, kind)
    reader, encoder = reader_for(kind), make_encoder(spec, kind)
    identity = f"{kind}/{reader.version}"
    return Choice(spec, reader, encoder, identity if encoder.fitted_on_cohort else f"{identity}|{encoder.identity}")


def require_same(cohort: Cohort, encodings: Mapping[str, Encoding]) -> None:
    """The modalities that a model reads are encoded, or would be, as at its fit; asked before anything is encoded.

    Raises:
        Unsupported: a modality is of another kind, or its encoder or the encoder's weights differ.
    """
    for name in sorted(set(encodings) & set(cohort.modalities)):
        wanted, own = encodings[name], cohort.encodings.get(name)
        kind = own.kind if own else cohort.kinds[name]
        if kind != wanted.kind:
            raise Unsupported(f"modality '{name}' was of kind '{wanted.kind}' at fit and is of kind '{kind}' now")
        if (own.identity if own else choose(kind, wanted.encoder).identity) != wanted.identity:
            raise Unsupported(
                f"modality '{name}' was encoded by '{wanted.encoder}' at fit, and its encoder or the encoder's "
                "weights differ now: bring the same weights, or fit again"
            )
