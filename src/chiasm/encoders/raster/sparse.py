"""Convolutional networks that read the active places of a grid alone, as a sparse convolution would (SparK)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd
from torch.utils.hooks import RemovableHandle

POOLS = (_MaxPoolNd, _AvgPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd)


@contextmanager
def sparse_convolutions(network: nn.Module, active: Tensor) -> Iterator[Callable[[Tensor], Tensor]]:
    """Within, the network's maps are zero wherever a place is not active, and its norms count active places alone.

    The output of every convolution, pool and norm is multiplied by the mask, enlarged to its resolution; batch, group
    and instance norms have the statistics of active places. What is given is a function that masks a raster, or any map
    whose sides are multiples of the grid's. Where every place is active the network is the plain one, to the bit.

    Other modules must leave zero at zero and read each place alone, as rectifiers do. A norm over the channels of each
    place takes part where it is a subclass of `LayerNorm` that reads `(B, C, *space)`.

    Source: Tian et al., SparK (ICLR 2023), arXiv 2301.03580, section 3.1 and its code.

    Args:
        network: of convolutions over one to three axes of space.
        active: `(B, *grid)` bool, the grid of its coarsest map, an active place at least.

    Raises:
        ValueError: a map whose sides are no multiples of the grid's, or an instance norm with running statistics.
    """
    every = bool(active.all())

    def enlarged(values: Tensor) -> Tensor:
        """Return the mask `(B, *space)` at the resolution of `(B, C, *space)`."""
        mask = active
        for axis, (side, own) in enumerate(zip(values.shape[2:], active.shape[1:], strict=True), start=1):
            if side % own:
                raise ValueError(f"a map of {side} places along an axis has no mask of {own}: sides are multiples")
            mask = mask.repeat_interleave(side // own, axis)
        return mask

    def masked(values: Tensor) -> Tensor:
        return values if every else torch.where(enlarged(values)[:, None], values, 0.0)

    def rows_of_active(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if every:
            return None
        (values,) = given
        here.append(enlarged(values))
        rows = values.movedim(1, -1)[here[-1]].T  # (C, n)
        return (rows.reshape(1, *rows.shape, *[1] * (values.ndim - 3)),)

    def back(module: nn.Module, given: Any, found: Tensor) -> Tensor | None:
        if every:
            return None
        mask = here.pop()
        spread = found.new_zeros(*mask.shape, found.shape[1])
        spread[mask] = found.flatten(1).reshape(found.shape[1], -1).T
        return spread.movedim(-1, 1)

    here: list[Tensor] = []
    hooks: list[RemovableHandle] = []
    for module in network.modules():
        if isinstance(module, _InstanceNorm) and module.track_running_stats:
            raise ValueError("an instance norm with running statistics is not masked: leave them out")
        if isinstance(module, _BatchNorm):
            hooks += [module.register_forward_pre_hook(rows_of_active), module.register_forward_hook(back)]
        elif isinstance(module, nn.GroupNorm | _InstanceNorm):
            hooks.append(
                module.register_forward_hook(
                    lambda norm, given, found: None if every else group_norm(norm, given[0], enlarged(given[0]))
                )
            )
        elif isinstance(module, (_ConvNd, *POOLS)) or (
            isinstance(module, nn.LayerNorm) and type(module) is not nn.LayerNorm
        ):
            hooks.append(module.register_forward_hook(lambda module, given, found: masked(found)))
    try:
        yield masked
    finally:
        for hook in hooks:
            hook.remove()


def group_norm(norm: Any, values: Tensor, mask: Tensor) -> Tensor:
    """Apply a group or instance norm with mean and variance of the active places; the others become zero."""
    groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else values.shape[1]
    own = values.reshape(len(values), groups, -1, *values.shape[2:])  # (B, G, C / G, *space)
    here = mask[:, None, None]
    axes = tuple(range(2, own.ndim))
    count = here.sum(axes, keepdim=True) * own.shape[2]
    mean = torch.where(here, own, 0.0).sum(axes, keepdim=True) / count
    apart = torch.where(here, own - mean, 0.0)
    scaled = (apart / (apart.square().sum(axes, keepdim=True) / count + norm.eps).sqrt()).flatten(1, 2)
    if norm.weight is not None:
        shape = (-1, *[1] * (values.ndim - 2))
        scaled = scaled * norm.weight.reshape(shape) + norm.bias.reshape(shape)
    return torch.where(mask[:, None], scaled, 0.0)
