"""Interfaces of adapters: the trainable part at one site of a network, and the adapter family that creates parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class Part(nn.Module):
    """Trainable part at one site, which changes the site's weights as they are read, or the site's output.

    A part that names weights in `changes` overrides `changed` and can be merged; any other overrides `forward` and
    cannot be merged. Buffers are constants of the part and are saved with it.
    """

    changes: tuple[str, ...] = ()
    off: bool = False  # True: the site acts as in the base

    def changed(self, name: str, base: Tensor | None) -> Tensor:
        """Compute the weight that the site reads as `name` from the frozen one; `base` is None if the site has none."""
        raise NotImplementedError(f"{type(self).__name__} changes no weight")

    def forward(self, given: Tensor, output: Tensor) -> Tensor:
        """Compute the adapted output of the site from its input `given` and its output."""
        raise NotImplementedError(f"{type(self).__name__} changes no output")


@runtime_checkable
class Adapter(Protocol):
    """Adapter family with its options: a storable frozen dataclass, so that an adapter is saved without its base."""

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        """Create one part per site, in order; raise `ValueError` naming the first site that cannot be adapted."""
        ...


def refuse(site: str, module: nn.Module, adapts: str) -> ValueError:
    """Return the error for a site of a type that an adapter does not support."""
    return ValueError(
        f"the site '{site}' is a {type(module).__name__}: this adapter takes {adapts}, choose other sites"
    )


def channels_of(site: str, module: nn.Module) -> tuple[int, int]:
    """Return the input and output channels of a site from its attributes; for a block of tokens, from its norms.

    Raises:
        ValueError: the module does not define its width.
    """
    for taken, given in (("in_features", "out_features"), ("in_channels", "out_channels")):
        if isinstance(getattr(module, taken, None), int) and isinstance(getattr(module, given, None), int):
            return getattr(module, taken), getattr(module, given)
    for same in ("embed_dim", "num_features", "num_channels", "hidden_size"):
        if isinstance(getattr(module, same, None), int):
            return getattr(module, same), getattr(module, same)
    if isinstance(module, nn.LayerNorm):
        return module.normalized_shape[-1], module.normalized_shape[-1]
    if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        return module.linear1.in_features, module.linear2.out_features
    width = _width_of_norms(module)
    if width:
        return width, width
    raise ValueError(f"the site '{site}' is a {type(module).__name__}, which does not say its width: give `channels`")


def _width_of_norms(module: nn.Module) -> int:
    """Return the common width of the norms in a block without convolutions; otherwise 0."""
    norms = [own for own in module.modules() if "norm" in type(own).__name__.lower()]
    weights = [own._parameters.get("weight") for own in norms]
    convolves = any(isinstance(own, nn.Conv1d | nn.Conv2d | nn.Conv3d) for own in module.modules())
    widths = {weight.numel() for weight in weights if weight is not None}
    return 0 if convolves or len(widths) != 1 else widths.pop()


def check_state(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` naming the first tensor of `state` that does not fit `own`."""
    for name in [*own, *state]:
        if name not in state or name not in own:
            raise ValueError(f"'{name}' is {'missing in' if name in own else 'unknown to'} this adapter's state")
        if state[name].shape != own[name].shape:
            raise ValueError(f"'{name}' is {tuple(state[name].shape)} and must be {tuple(own[name].shape)}")
        if state[name].is_floating_point() != own[name].is_floating_point():
            raise ValueError(f"'{name}' is {state[name].dtype} and must be {own[name].dtype}")
        if not bool(torch.isfinite(state[name]).all()):
            raise ValueError(f"'{name}' has values that are not finite: the adapter has diverged, train it again")


def load_state(own: Mapping[str, Tensor], state: Mapping[str, Tensor], *, merged: bool) -> None:
    """Copy `state` into the tensors of an adapter; an error leaves them unchanged.

    Raises:
        ValueError: a tensor, named in the message, is missing, unknown, of another shape or not finite, or the adapter
            is merged.
    """
    if merged:
        raise ValueError("this adapter is merged: unmerge it before loading another state")
    check_state(own, state)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])
