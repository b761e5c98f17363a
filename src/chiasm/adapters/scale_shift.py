"""SSF adapter: a scale and a shift for every channel of a frozen layer, which can be merged at no inference cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from chiasm.adapters.part import Part, refuse
from chiasm.artifact import storable

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
ADAPTS = "Linear, Conv1d to Conv3d, LayerNorm, GroupNorm, BatchNorm, or MultiheadAttention (its joint projection)"


@storable("adapter-scale-shift")
@dataclass(frozen=True)
class ScaleShift:
    """SSF: `y = gamma * f(x) + beta` for each output channel of a layer f.

    f is linear in its weight and bias, so this equals `W' = diag(gamma) W`, `b' = gamma * b + beta`, and is computed in
    this way, without an addition to the forward pass. A site has `2 * channels` parameters, or `channels` without the
    shift. With `shift=False` it is IA3 on the site's output.

    Args:
        shift: also learn beta.
        start: "identity": gamma 1, beta 0. "paper": N(1, 0.02) and N(0, 0.02), which is not the identity at first.

    Source: Lian et al., Scaling & Shifting Your Features, NeurIPS 2022, arXiv 2210.08823.
    Deviation: "identity" is the default. A LayerNorm over several axes has a scale for each element. A
    MultiheadAttention as a site stands for its joint projection of queries, keys and values, 3 D channels; choose its
    `out_proj` to adapt the output projection.
    """

    shift: bool = True
    start: Literal["identity", "paper"] = "identity"

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        return {name: _ScaleShiftPart(_channels(name, site), site, self) for name, site in sites.items()}


class _ScaleShiftPart(Part):
    def __init__(self, shape: tuple[int, ...], site: nn.Module, options: ScaleShift) -> None:
        super().__init__()
        spread = 0.02 if options.start == "paper" else 0.0
        self.scale = nn.Parameter(1 + spread * torch.randn(shape) if spread else torch.ones(shape))
        weight, bias = ("in_proj_weight", "in_proj_bias") if isinstance(site, nn.MultiheadAttention) else _NAMES
        self.weight_name = weight
        has_bias = site._parameters.get(bias) is not None
        self.changes = (weight, bias) if options.shift or has_bias else (weight,)
        if options.shift:
            self.shift = nn.Parameter(spread * torch.randn(shape) if spread else torch.zeros(shape))
        else:
            self.register_parameter("shift", None)

    def changed(self, name: str, base: Tensor | None) -> Tensor:
        if name == self.weight_name:
            if base is None:  # a norm without an affine map
                return self.scale
            return base * self.scale.reshape(self.scale.shape + (1,) * (base.ndim - self.scale.ndim))
        if base is None:
            return self.shift
        return self.scale * base if self.shift is None else self.scale * base + self.shift


_NAMES = ("weight", "bias")


def _channels(name: str, site: nn.Module) -> tuple[int, ...]:
    if isinstance(site, nn.Linear):
        return (site.out_features,)
    if isinstance(site, _CONVOLUTIONS):
        return (site.out_channels,)
    if isinstance(site, nn.LayerNorm):
        return site.normalized_shape
    if isinstance(site, nn.GroupNorm):
        return (site.num_channels,)
    if isinstance(site, _BatchNorm):
        return (site.num_features,)
    if isinstance(site, nn.MultiheadAttention) and site.in_proj_weight is not None:
        return (3 * site.embed_dim,)
    raise refuse(name, site, ADAPTS)
