"""Wire format of adapters (safetensors) and control messages (JSON), with the checks of untrusted bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from chiasm.recipes.hospitals.federation import SCALING

CHUNK = 256 * 2**10  # bytes in a message of tensors
MOST_CONTROL_BYTES = 64 * 2**10
MOST_PATIENTS = 10**9
MOST_WEIGHT = 1e30  # below the largest number of single precision, with room for the rounds of a federation
MOST_FACTOR = MOST_CHANGE = 1e4  # a factor's and a weight's change, which trained adapters stay a thousandfold below
State = dict[str, Tensor]
Sites = Mapping[str, tuple[int, int]]


class FederationError(ValueError):
    """Error in a federation; the message says what is wrong and what to do about it."""


def to_bytes(state: Mapping[str, Tensor]) -> bytes:
    """Serialise tensors to the bytes of a safetensors file."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})


def from_bytes(data: bytes) -> State:
    """Deserialise tensors from the bytes of a safetensors file; nothing in them is executed.

    Raises:
        FederationError: they are not safetensors.
    """
    try:
        found: State = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise FederationError("these bytes are no safetensors file") from error
    return found


def adapter_shapes(sites: Sites, rank: int) -> dict[str, tuple[int, int]]:
    """Return the name and shape of every tensor of an adapter of this rank."""
    shapes = {}
    for site, (out, into) in sites.items():
        shapes[f"{site}.lora_A.weight"] = (rank, into)
        shapes[f"{site}.lora_B.weight"] = (out, rank)
    return shapes


def most_bytes(sites: Sites, rank: int) -> int:
    """Return the maximum number of bytes of an adapter of this rank, header included."""
    shapes = adapter_shapes(sites, rank)
    return sum(4 * rows * columns + len(name) + 200 for name, (rows, columns) in shapes.items()) + 1024


def read_adapter(data: bytes, sites: Sites, rank: int) -> State:
    """Read and validate an adapter of this rank.

    Its factors and the change of each weight, folded in double precision, are at most `MOST_FACTOR` and `MOST_CHANGE`.
    FLoRA's sum of such adapters, by weights that sum to one, is within the same bound, and the controls' product of
    means is at most the rank times `MOST_FACTOR` squared: whatever one hospital sends, a round that is kept can be
    folded into the weights.

    Raises:
        FederationError: too many bytes; not safetensors; a tensor is missing, unknown, not finite, too large, or of
            another shape or dtype. Only tensor names of the base are quoted.
    """
    if len(data) > most_bytes(sites, rank):
        raise FederationError(f"{len(data):,} bytes are more than an adapter of rank {rank} takes")
    state = from_bytes(data)
    wanted = adapter_shapes(sites, rank)
    unknown = len(set(state) - set(wanted))
    if unknown:  # untrusted names are not quoted
        raise FederationError(f"{unknown} of the tensors belong to no adapter of the base")
    for name, shape in wanted.items():
        if name not in state:
            raise FederationError(f"'{name}' is missing")
        require_plain(name, state[name], shape)
        if float(state[name].abs().max()) > MOST_FACTOR:
            raise FederationError(f"'{name}' holds values over {MOST_FACTOR:,.0f}: the training diverged")
    require_fold(state, sites, SCALING, MOST_CHANGE)
    return state


def read_update(data: bytes, sites: Sites) -> State:
    """Read and validate a server's update, an adapter of any rank.

    Raises:
        FederationError: not safetensors, or tensors that do not fit the base.
    """
    state = from_bytes(data)
    down = state.get(f"{next(iter(sites))}.lora_A.weight")
    rank = down.shape[0] if down is not None and down.ndim == 2 else 0
    if set(state) != set(adapter_shapes(sites, rank)):
        raise FederationError("the server's update is for another base than this one: ask for the base again")
    for name, shape in adapter_shapes(sites, rank).items():
        require_plain(name, state[name], shape)
    require_fold(state, sites, SCALING)
    return state


def require_fold(state: State, sites: Sites, scaling: float, most: float = MOST_WEIGHT) -> None:
    """Raise `FederationError` unless `scaling B A`, computed in double precision, is at most `most` at every site."""
    for site in sites:
        up, down = state[f"{site}.lora_B.weight"].double(), state[f"{site}.lora_A.weight"].double()
        if not float((up @ down).abs().max()) * scaling <= most:  # NaN too
            raise FederationError(
                f"'{site}' would change its weights by more than {most:,.0f}: the training diverged"
                if most <= MOST_CHANGE
                else f"'{site}' would change its weights by more than a number of single precision holds"
            )


def require_plain(name: str, tensor: Tensor, shape: tuple[int, int]) -> None:
    """Raise `FederationError` unless the tensor is a finite float32 matrix of this shape."""
    if tuple(tensor.shape) != shape:
        raise FederationError(f"'{name}' is {tuple(tensor.shape)} and must be {shape}")
    if tensor.dtype != torch.float32:
        raise FederationError(f"'{name}' is {str(tensor.dtype).removeprefix('torch.')} and must be float32")
    if not bool(torch.isfinite(tensor).all()):
        raise FederationError(f"'{name}' holds values that are not finite: the training diverged")


def control(document: Mapping[str, Any]) -> bytes:
    """Serialise a control message to JSON."""
    return json.dumps(document, allow_nan=False).encode()


def read_control(data: bytes) -> dict[str, Any]:
    """Parse a control message.

    Raises:
        FederationError: it is not a JSON object, or too long.
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
    """Return an integer field of a message.

    Raises:
        FederationError: it is missing, not an integer, or outside `least` to `most`.
    """
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise FederationError(f"'{key}' must be a whole number from {least:,} to {most:,}")
    return value


def chunks(data: bytes) -> Iterator[bytes]:
    """Split bytes into chunks of at most CHUNK bytes."""
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


def gathered(pieces: Iterable[bytes], most: int) -> bytes:
    """Concatenate the pieces, and stop reading once they exceed `most` bytes.

    Raises:
        FederationError: they exceed it.
    """
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > most:
            raise FederationError(f"more than the {most:,} bytes that were agreed")
    return bytes(data)
