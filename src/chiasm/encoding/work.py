"""One encoding task: decodes and encodes some sources in any process, and returns errors as results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.encoders.frozen import Frozen
from chiasm.readers import Item, Reader, ReadError
from chiasm.readers.guard import quiet
from chiasm.readers.reading import Decoded, require_of

HELD_BYTES = 256 << 20  # limit of decoded values that wait for the rest of their batch


@dataclass(frozen=True)
class Work:
    """The context shared by all tasks of a modality; without an encoder, tasks only decode."""

    reader: Reader
    encoder: Frozen | None


@dataclass(frozen=True)
class Part:
    """The input of a task: some sources and their numbers."""

    numbers: tuple[int, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Done:
    """The result of a task: an array, a decoded value or the error of each source."""

    numbers: tuple[int, ...]
    found: tuple[Any, ...]
    times: tuple[NDArray[np.float32] | None, ...]


def run_part(work: Work, part: Part) -> Done:
    """Decode the sources of a task and encode them in the encoder's batches; an error becomes its source's result.

    Large sources are encoded in smaller batches, because the memory for decoded values is limited.
    """
    found: list[Any] = [None] * len(part.items)
    times: list[NDArray[np.float32] | None] = [None] * len(part.items)
    held: list[int] = []
    size = 0
    for k, item in enumerate(part.items):
        found[k] = _read(work.reader, item, work.encoder)
        if work.encoder is not None and not isinstance(found[k], ReadError):
            held.append(k)
            size += _bytes_of(found[k])
        if (
            work.encoder is not None
            and held
            and (len(held) == work.encoder.batch or size >= HELD_BYTES or k == len(part.items) - 1)
        ):
            for j, (array, when) in zip(held, _encode(work.encoder, [found[j] for j in held]), strict=True):
                found[j], times[j] = array, when
            held, size = [], 0
    return Done(part.numbers, tuple(found), tuple(times))


def _bytes_of(value: Any) -> int:
    """Return the size of a decoded value's array; 0 for text and for a slide, which is read tile by tile."""
    return value.values.nbytes if isinstance(value, Decoded) and isinstance(value.values, np.ndarray) else 0


def _read(reader: Reader, item: Item, encoder: Frozen | None) -> Any:
    """Read a source; a refusal, by the reader or before it is encoded, is returned."""
    try:
        with quiet():
            value = reader.read(item)
            require_of(encoder, value)
            return value
    except ReadError as refused:
        return refused


def _encode(encoder: Frozen, values: Sequence[Any]) -> list[tuple[Any, NDArray[np.float32] | None]]:
    """Encode values to tokens `(T_i, D)` and their hours; if a batch fails, encode its values one at a time."""
    try:
        tokens = encoder.encode(values)
    except (ReadError, ValueError) as refused:
        if len(values) > 1:
            return [pair for value in values for pair in _encode(encoder, [value])]
        if isinstance(refused, ReadError):
            return [(refused, None)]
        return [
            (ReadError(f"the encoder '{encoder.id}' refuses what the source holds", "choose another encoder"), None)
        ]
    mask = tokens.mask.numpy()
    if encoder.slots and not mask.all():
        raise ValueError(f"encoder '{encoder.id}' leaves a position empty: it fills all {encoder.slots} or refuses")
    arrays = [own[real] for own, real in zip(tokens.values.numpy(), mask, strict=True)]
    strange = ReadError(f"the encoder '{encoder.id}' gives values that are not finite", "check the source's units")
    found = [array if len(array) and np.isfinite(array).all() else strange for array in arrays]
    if tokens.times is None:
        return [(array, None) for array in found]
    return [(array, own[real]) for array, own, real in zip(found, tokens.times.numpy(), mask, strict=True)]
