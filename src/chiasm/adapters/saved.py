"""Saving and restoring an adapter without its base: its options, its tensors, and the identity of its base."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chiasm import artifact
from chiasm.adapters.attach import Attached, attach, tensors_of
from chiasm.adapters.identity import same_base
from chiasm.adapters.part import Adapter, check_state
from chiasm.adapters.peft_attached import PeftAttached
from chiasm.adapters.peft_families import PeftAdapter, Prefix, Prompt
from chiasm.artifact import storable


@storable("adapter")
@dataclass(frozen=True)
class SavedAdapter:
    """Content of a saved adapter, as written by `save_adapter`.

    Args:
        adapter: the adapter family with its options, itself storable.
        sites: names of the submodules to which it is attached.
        structure: hash of the names and types of the base's submodules.
        base: name of each tensor of the base to its dtype, shape and hash.
        tensors: the adapter's own tensors.
    """

    adapter: Any
    sites: tuple[str, ...]
    structure: str
    base: dict[str, str]
    tensors: dict[str, np.ndarray]


def save_adapter(path: Path | str, attached: Attached | PeftAttached) -> None:
    """Write the adapter as a model folder, safetensors and JSON, without a tensor of the base.

    Raises:
        ValueError: the base is not the one that the adapter was attached to, or the adapter is not finite.
    """
    attached.check_base()
    state = attached.state()
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"'{name}' has values that are not finite: the adapter has diverged, train it again")
    tensors = {name: _array(tensor) for name, tensor in state.items()}
    artifact.save(path, SavedAdapter(attached.adapter, attached.sites, *attached.identity, tensors))


def restore_adapter(path: Path | str, model: nn.Module) -> Attached | PeftAttached:
    """Attach a saved adapter to its base.

    Raises:
        ArtifactError: the folder is damaged or holds something else.
        ValueError: `model` is not the adapter's base; the message names the difference, and `model` is unchanged.
    """
    saved = artifact.load(path)
    if not isinstance(saved, SavedAdapter) or not isinstance(saved.adapter, Adapter | PeftAdapter):
        raise artifact.ArtifactError(f"'{Path(path).name}' holds no adapter")
    same_base(model, saved.structure, saved.base)
    state = {name: torch.from_numpy(array) for name, array in saved.tensors.items()}
    _check_size(model, saved, state)
    attached = attach(model, saved.adapter, lambda name, _: name in saved.sites)
    try:
        attached.load(state)
    except ValueError:
        attached.remove()
        raise
    return attached


def _check_size(model: nn.Module, saved: SavedAdapter, state: dict[str, Tensor]) -> None:
    """Refuse options that ask for more than the file holds, before anything of that size is allocated."""
    if isinstance(saved.adapter, PeftAdapter):
        rows = max((tensor.shape[0] for tensor in state.values() if tensor.ndim), default=0)
        tokens = saved.adapter.tokens if isinstance(saved.adapter, Prompt | Prefix) else 0
        if saved.adapter.groups > len(state) or tokens > rows:
            raise ValueError("the adapter's options ask for more tensors than it holds")
        return
    sites = {name: module for name, module in model.named_modules() if name in saved.sites}
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        check_state(dict(tensors_of(saved.adapter.parts(sites))), state)


def _array(tensor: Tensor) -> np.ndarray:
    plain = tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
    array: np.ndarray = plain.cpu().numpy()
    return array
