"""What an adapter puts at one place of a network, and what every family of adapters provides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class Part(nn.Module):
    """The trainable piece at one site: it changes the site's weights as they are read, or what the site gives.

    A part that names weights in `changes` overrides `changed`, and can be merged; any other overrides `forward`, and
    stays beside the network for good. Buffers are the part's own constants; they are saved with it.
    """

    changes: tuple[str, ...] = ()
    off: bool = False  # True: the site answers as the base does

    def changed(self, name: str, base: Tensor | None) -> Tensor:
        """The weight that the site reads under `name`, from the frozen one, None where the site has none."""
        raise NotImplementedError(f"{type(self).__name__} changes no weight")

    def forward(self, given: Tensor, output: Tensor) -> Tensor:
        """The site's output after adaptation, from what the site was given and what it answered."""
        raise NotImplementedError(f"{type(self).__name__} changes no output")


@runtime_checkable
class Adapter(Protocol):
    """A family with its options: a frozen dataclass, storable, so that an adapter is saved without its base."""

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        """One part a site, in the order of the sites; `ValueError` names the first site that it cannot adapt."""
        ...


def refuse(site: str, module: nn.Module, adapts: str) -> ValueError:
    """The error for a site of a kind that an adapter does not know."""
    return ValueError(
        f"the site '{site}' is a {type(module).__name__}: this adapter takes {adapts}, choose other sites"
    )


def channels_of(site: str, module: nn.Module) -> tuple[int, int]:
    """How many channels a site takes and gives, read from its own fields; of a block of tokens, from its norms.

    Raises:
        ValueError: a kind of module that does not say.
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
    """The one width of the norms of a block that does not convolve, else 0."""
    norms = [own for own in module.modules() if "norm" in type(own).__name__.lower()]
    weights = [own._parameters.get("weight") for own in norms]
    convolves = any(isinstance(own, nn.Conv1d | nn.Conv2d | nn.Conv3d) for own in module.modules())
    widths = {weight.numel() for weight in weights if weight is not None}
    return 0 if convolves or len(widths) != 1 else widths.pop()


def check_state(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` that names the first tensor of `state` that `own` cannot take."""
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
    """Copy `state` into the tensors of an adapter; nothing has changed where it raises.

    Raises:
        ValueError: a tensor missing, unknown, of another shape, or with NaN or infinity in it, by its name; or the
            adapter is merged.
    """
    if merged:
        raise ValueError("this adapter is merged: unmerge it before loading another state")
    check_state(own, state)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])
