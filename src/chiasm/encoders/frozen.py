"""Protocol of frozen encoders, and the identity string and hashes under which their tokens are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch

from chiasm.tokens import Tokens

BLOCK = 1 << 20


class Frozen(Protocol):
    """Protocol of an encoder that learns nothing from a cohort: it runs once per source, and its tokens are stored.

    A frozen dataclass whose fields are its options (text, numbers, booleans), so that `name:option=value` creates it.
    Weights are loaded at the first `encode` and are not a field. `fit` returns the encoder itself.
    """

    id: ClassVar[str]
    version: ClassVar[str]  # changes whenever the tokens do
    fitted_on_cohort: ClassVar[bool] = False

    @property
    def batch(self) -> int:
        """Number of values to pass to `encode` at once."""

    @property
    def width(self) -> int: ...

    @property
    def slots(self) -> int: ...

    @property
    def identity(self) -> str: ...

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self: ...

    def encode(self, raw: Sequence[Any]) -> Tokens: ...


def identity_of(encoder: Any, weights: str = "") -> str:
    """Return the name under which tokens are stored: id, version, every option, and the hash of the weights.

    Two encoders of equal identity give equal tokens for equal content.
    """
    options = ",".join(f"{field.name}={getattr(encoder, field.name)}" for field in fields(encoder))
    return f"{encoder.id}/{encoder.version}({options})" + (f"#{weights}" if weights else "")


def hash_files(paths: Sequence[Path]) -> str:
    """Compute the sha256 of files, over their names and contents in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(path.name.encode() + b"\0" + path.stat().st_size.to_bytes(8, "little"))
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def hash_state(state: Mapping[str, Any]) -> str:
    """Compute the sha256 of a network's parameters and buffers, over name, shape, dtype and bytes."""
    digest = hashlib.sha256()
    for name in sorted(state):
        array = state[name].detach().cpu().contiguous()
        data = array.reshape(-1).view(torch.uint8).numpy()  # NumPy has no bfloat16
        digest.update(f"{name}{tuple(array.shape)}{array.dtype}".encode() + data.tobytes())
    return digest.hexdigest()
