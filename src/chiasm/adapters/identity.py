"""Identity of an adapter's base network: hashes of its submodules' names and types, and of all its tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def base_tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """List each parameter and buffer by name, shared ones under each of their names."""
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]


def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, str]:
    """Map each name to the dtype, the shape and the first 32 hex digits of the sha256 of the bytes."""
    found = {}
    for name, tensor in tensors:
        data = tensor.detach().cpu().contiguous().reshape(-1)
        digest = hashlib.sha256(data.view(torch.uint8).numpy().tobytes()).hexdigest()
        found[name] = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)} {digest[:32]}"
    return found


def structure(model: nn.Module) -> str:
    """Return the sha256 of the names and types of all submodules."""
    kinds = [(name, type(module).__name__) for name, module in model.named_modules()]
    return hashlib.sha256(json.dumps(kinds).encode()).hexdigest()


def same_base(model: nn.Module, wanted_structure: str, wanted: dict[str, str]) -> None:
    """Raise `ValueError` naming the difference if `model` is not the base of an adapter."""
    same_tensors(fingerprint(base_tensors(model)), wanted)
    if structure(model) != wanted_structure:
        raise ValueError("this network has the weights of the adapter's base and submodules of other kinds or names")


def same_tensors(found: dict[str, str], wanted: dict[str, str]) -> None:
    """Raise `ValueError` naming the first tensor in which two fingerprints differ."""
    for name in [*wanted, *found]:
        if name not in found or name not in wanted:
            raise ValueError(f"this is another network: it {'lacks' if name in wanted else 'has also'} '{name}'")
        (kind, digest), (other, other_digest) = wanted[name].rsplit(" ", 1), found[name].rsplit(" ", 1)
        if kind != other:
            raise ValueError(f"this is another network: '{name}' is {other} and was {kind} in the adapter's base")
        if digest != other_digest:
            raise ValueError(f"this network has other weights than the adapter's base: '{name}' differs")
