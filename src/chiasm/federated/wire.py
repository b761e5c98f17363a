"""Adapters as bytes: safetensors, and every check that bytes of somebody else have to pass before they are used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

CHUNK = 256 * 2**10  # bytes in a message: nothing larger is read at once, by either side
MOST_CONTROL_BYTES = 64 * 2**10
MOST_PATIENTS = 10**9
State = dict[str, Tensor]
Sites = Mapping[str, tuple[int, int]]


class FederationError(ValueError):
    """Something in a federation that is not as it must be, and what to do about it."""


def to_bytes(state: Mapping[str, Tensor]) -> bytes:
    """The tensors as the bytes of a safetensors file."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})


def from_bytes(data: bytes) -> State:
    """The tensors in these bytes; nothing in them is executed.

    Raises:
        FederationError: they are not safetensors.
    """
    try:
        found: State = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise FederationError("these bytes are no safetensors file") from error
    return found


def adapter_shapes(sites: Sites, rank: int) -> dict[str, tuple[int, int]]:
    """The name and shape of every tensor of an adapter of this rank."""
    shapes = {}
    for site, (out, into) in sites.items():
        shapes[f"{site}.lora_A.weight"] = (rank, into)
        shapes[f"{site}.lora_B.weight"] = (out, rank)
    return shapes


def most_bytes(sites: Sites, rank: int) -> int:
    """How many bytes an adapter of this rank takes at most, its header included."""
    shapes = adapter_shapes(sites, rank)
    return sum(4 * rows * columns + len(name) + 200 for name, (rows, columns) in shapes.items()) + 1024


def read_adapter(data: bytes, sites: Sites, rank: int) -> State:
    """The adapter of this rank in these bytes.

    Raises:
        FederationError: more bytes than it takes; no safetensors; a tensor missing, unknown, of another shape or dtype,
            or not finite, by its name as the base knows it.
    """
    if len(data) > most_bytes(sites, rank):
        raise FederationError(f"{len(data):,} bytes are more than an adapter of rank {rank} takes")
    state = from_bytes(data)
    wanted = adapter_shapes(sites, rank)
    unknown = len(set(state) - set(wanted))
    if unknown:  # names that somebody else chose are not repeated
        raise FederationError(f"{unknown} of the tensors belong to no adapter of the base")
    for name, shape in wanted.items():
        if name not in state:
            raise FederationError(f"'{name}' is missing")
        require_plain(name, state[name], shape)
    return state


def read_update(data: bytes, sites: Sites) -> State:
    """What a server made of the adapters, of any rank.

    Raises:
        FederationError: as `read_adapter`.
    """
    state = from_bytes(data)
    down = state.get(f"{next(iter(sites))}.lora_A.weight")
    rank = down.shape[0] if down is not None and down.ndim == 2 else 0
    if set(state) != set(adapter_shapes(sites, rank)):
        raise FederationError("the server's update is for another base than this one: ask for the base again")
    for name, shape in adapter_shapes(sites, rank).items():
        require_plain(name, state[name], shape)
    return state


def require_plain(name: str, tensor: Tensor, shape: tuple[int, int]) -> None:
    """Raise `FederationError` unless the tensor is a finite float32 matrix of this shape."""
    if tuple(tensor.shape) != shape:
        raise FederationError(f"'{name}' is {tuple(tensor.shape)} and must be {shape}")
    if tensor.dtype != torch.float32:
        raise FederationError(f"'{name}' is {str(tensor.dtype).removeprefix('torch.')} and must be float32")
    if not bool(torch.isfinite(tensor).all()):
        raise FederationError(f"'{name}' holds values that are not finite: the training diverged")


def control(document: Mapping[str, Any]) -> bytes:
    """What is said beside the adapters, as JSON."""
    return json.dumps(document, allow_nan=False).encode()


def read_control(data: bytes) -> dict[str, Any]:
    """The JSON object in these bytes.

    Raises:
        FederationError: it is none, or too long.
    """
    if len(data) > MOST_CONTROL_BYTES:
        raise FederationError("a message is longer than any of this protocol")
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FederationError("a message is not JSON") from error
    if not isinstance(document, dict):
        raise FederationError("a message is not a JSON object")
    return document


def whole(document: Mapping[str, Any], key: str, least: int, most: int) -> int:
    """A whole number of a message.

    Raises:
        FederationError: it is missing, no whole number, or outside the range.
    """
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise FederationError(f"'{key}' must be a whole number from {least:,} to {most:,}")
    return value


def chunks(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces of a message each."""
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


def gathered(pieces: Iterable[bytes], most: int) -> bytes:
    """The pieces put together; reading ends where they exceed `most` bytes.

    Raises:
        FederationError: they do.
    """
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > most:
            raise FederationError(f"more than the {most:,} bytes that were agreed")
    return bytes(data)
