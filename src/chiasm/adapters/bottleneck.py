"""Bottleneck and convolutional adapters: a narrow path beside or after a frozen layer, with zero output at first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.adapters.part import Part, channels_of
from chiasm.artifact import storable

_CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}


@storable("adapter-bottleneck")
@dataclass(frozen=True)
class Bottleneck:
    """Bottleneck adapter: `y = f(x) + scale * up(act(conv(down(norm(h)))))`; sequential `h = f(x)`, parallel `h = x`.

    `down` and `up` map channels, C to `width` and back. `conv` is depthwise over the `dims` spatial axes, absent for
    `dims=0`. Only `up` starts at zero, weights and bias: a fresh adapter is the identity, its first gradient reaches
    only `up`, its second all parameters.

    A layer that consists of two sites, such as a feed-forward network of two maps, is one of `pairs`: h is the input of
    the first site, and the path is added to the output of the second.

    Args:
        width: channels of the narrow path.
        dims: 0: tokens are mapped one by one; 1 to 3: signals, images or volumes are convolved along their axes.
        layout: position of the channels, "last" `(B, T, C)`, `(B, H, W, C)`, or "first" `(B, C, H, W)`.
        parallel: the path reads the input of the layer instead of its output.
        kernel: extent of the convolution, odd.
        activation: "relu", "gelu" or "silu".
        gate: `down` gives twice the width, and one half gates the other (GLU), as in a Conformer's convolution.
        norm: apply a LayerNorm over the channels before `down`.
        scale: fixed factor of the path.
        channels: C in and out, if the site does not define them.
        residual: also add h. None: only in sequence, which makes a fresh adapter the identity. True in parallel counts
            h twice; False in sequence returns the path alone, 0 at first.
        pairs: first and second site of each layer, with `parallel` only; other sites are refused.
        activation_before: with a convolution: the activation before it too, as in the 3DSAM-adapter.

    Source: Houlsby et al., ICML 2019, arXiv 1902.00751 (sequential); He et al., ICLR 2022, arXiv 2110.04366
    (parallel); Cappellazzo et al., PETL of AST, arXiv 2312.03694 (convolution, gate); Wu et al., Medical SAM Adapter,
    arXiv 2304.12620, and Gong et al., 3DSAM-adapter, arXiv 2306.13465 (two and three dimensions).
    Deviation: one activation, after the convolution, unless `activation_before`; no BatchNorm in the convolution and no
    squeeze-and-excitation (`ChannelSpatial` has one); no activation after `up`, with which the path could only add.
    Released codes that initialise both maps at zero (which trains only a bias), compute an unused convolution, or
    discard their norm's result are not followed.
    """

    width: int = 8
    dims: Literal[0, 1, 2, 3] = 0
    layout: Literal["last", "first"] = "last"
    parallel: bool = False
    kernel: int = 3
    activation: Literal["relu", "gelu", "silu"] = "gelu"
    gate: bool = False
    norm: bool = False
    scale: float = 1.0
    channels: tuple[int, int] | None = None
    residual: bool | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    activation_before: bool = False

    def __post_init__(self) -> None:
        if self.width < 1 or self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"width {self.width} must be 1 or more and kernel {self.kernel} odd")
        if self.activation_before and not self.dims:
            raise ValueError("activation_before is for a path with a convolution: give dims")
        if self.pairs and not self.parallel:
            raise ValueError("pairs of sites are for a path in parallel: one in sequence reads its own site")

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        if self.pairs:
            return self._across(sites)
        return {name: _BottleneckPart(*self._channels(name, site), self) for name, site in sites.items()}

    def _across(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        named = [name for pair in self.pairs for name in dict.fromkeys(pair)]
        if sorted(named) != sorted(sites):
            raise ValueError("the sites are not those that `pairs` names, each once")
        parts: dict[str, Part] = {}
        for first, second in self.pairs:
            taken, given = channels_of(first, sites[first])[0], channels_of(second, sites[second])[1]
            if self.residual and taken != given:
                raise ValueError(f"'{first}' takes {taken} channels, '{second}' gives {given}: residual=True cannot be")
            if first == second:
                parts[first] = _BottleneckPart(taken, given, self)
                continue
            held: list[Tensor] = []
            parts[first], parts[second] = _Listening(held), _BottleneckPart(taken, given, self, held)
        return parts

    def _channels(self, name: str, site: nn.Module) -> tuple[int, int]:
        taken, given = self.channels or channels_of(name, site)
        if self.parallel and self.layout == "first" and any(step != 1 for step in _steps(site)):
            raise ValueError(f"the site '{name}' changes the grid by a stride: its adapter must be sequential")
        if self.parallel and self.residual and taken != given:
            raise ValueError(f"the site '{name}' takes {taken} channels and gives {given}: residual=True cannot be")
        return (taken if self.parallel else given), given


class _Listening(Part):
    """Part that passes its site's input to the part at the end of the same layer."""

    def __init__(self, held: list[Tensor]) -> None:
        super().__init__()
        self.held = held

    def forward(self, given: Tensor, output: Tensor) -> Tensor:
        self.held[:] = [given]
        return output


class _BottleneckPart(Part):
    def __init__(self, taken: int, given: int, options: Bottleneck, held: list[Tensor] | None = None) -> None:
        super().__init__()
        self.options, self.held = options, held
        self.norm = nn.LayerNorm(taken) if options.norm else None
        self.down = nn.Linear(taken, options.width * (2 if options.gate else 1))
        nn.init.kaiming_uniform_(self.down.weight)
        self.conv: nn.Module | None = None
        if options.dims:
            convolution = _CONVOLUTIONS[options.dims]
            self.conv = convolution(
                options.width, options.width, options.kernel, padding=options.kernel // 2, groups=options.width
            )
        self.up = nn.Linear(options.width, given)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, given: Tensor, output: Tensor) -> Tensor:
        if self.held is not None:
            given = self.held.pop()
        hidden = whole = given if self.options.parallel else output
        first = self.options.layout == "first"
        if self.options.dims and hidden.ndim != self.options.dims + 2:
            raise ValueError(f"an adapter of {self.options.dims} dimensions met a tensor of {hidden.ndim} axes")
        hidden = hidden.movedim(1, -1) if first else hidden
        hidden = self.down(hidden if self.norm is None else self.norm(hidden))
        if self.options.gate:
            hidden = F.glu(hidden, -1)
        if self.conv is not None:
            if self.options.activation_before:
                hidden = _ACTIVATIONS[self.options.activation](hidden)
            hidden = self.conv(hidden.movedim(-1, 1)).movedim(1, -1)
        path: Tensor = self.up(_ACTIVATIONS[self.options.activation](hidden)) * self.options.scale
        path = path.movedim(-1, 1) if first else path
        if path.shape != output.shape:
            raise ValueError(f"a parallel path gives {tuple(path.shape)} beside an output of {tuple(output.shape)}")
        if self.options.residual is None:
            return output + path
        if self.options.residual:
            path = path + whole
        return output + path if self.options.parallel else path


def _steps(site: nn.Module) -> tuple[int, ...]:
    stride = getattr(site, "stride", ())
    return stride if isinstance(stride, tuple) else ()
