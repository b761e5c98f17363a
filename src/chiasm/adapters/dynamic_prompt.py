"""DVPT adapter: a few learned queries attend to each sample's features, and the result is added to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.adapters.part import Part, channels_of
from chiasm.artifact import storable


@storable("adapter-dynamic-prompt")
@dataclass(frozen=True)
class DynamicPrompt:
    """Dynamic prompts: `y = f(x) + gate * up(S' softmax_t(Q X' / sqrt(R)) X)`, `X = gelu(down(x))`, Q learned.

    The queries Q `(prompts, R)` gather sample-specific content, `(B, prompts, R)`, and return it to the tokens by S,
    the softmax over prompts of the same scores. `gate` is one number per site, 0 at first: a fresh adapter is the
    identity. `down`, `up` and Q are shared by `share` consecutive sites.

    Args:
        prompts: number of queries.
        width: R, width of the narrow path.
        share: number of sites that share one module.
        attend: False omits the queries: `y = f(x) + gate * up(X)`, as in the released code.

    Sites are blocks that map tokens `(B, T, D)` to tokens of the same shape.

    Source: He et al., DVPT, arXiv 2307.09787.
    Deviation: the paper does not specify how prompts are returned to the tokens; this is the simplest way.
    """

    keeps_rows: ClassVar[bool] = True

    prompts: int = 10
    width: int = 20
    share: int = 3
    attend: bool = True

    def __post_init__(self) -> None:
        if min(self.prompts, self.width, self.share) < 1:
            raise ValueError("prompts, width and share must be 1 or more")

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        parts: dict[str, Part] = {}
        shared: _Shared | None = None
        for index, (name, site) in enumerate(sites.items()):
            taken, given = channels_of(name, site)
            if taken != given:
                raise ValueError(f"the site '{name}' takes {taken} channels and gives {given}: choose a whole block")
            if shared is None or index % self.share == 0:
                shared = _Shared(given, self)
            if shared.channels != given:
                raise ValueError(f"the site '{name}' has {given} channels and shares with sites of {shared.channels}")
            parts[name] = _DynamicPart(shared)
        return parts


class _Shared(nn.Module):
    def __init__(self, channels: int, options: DynamicPrompt) -> None:
        super().__init__()
        self.channels = channels
        self.down, self.up = nn.Linear(channels, options.width), nn.Linear(options.width, channels)
        self.queries = nn.Parameter(torch.randn(options.prompts, options.width)) if options.attend else None

    def forward(self, tokens: Tensor) -> Tensor:
        narrow = F.gelu(self.down(tokens))  # (B, T, R)
        if self.queries is not None:
            scores = self.queries @ narrow.transpose(1, 2) / math.sqrt(narrow.shape[-1])  # (B, prompts, T)
            narrow = scores.softmax(1).transpose(1, 2) @ (scores.softmax(2) @ narrow)
        change: Tensor = self.up(narrow)
        return change


class _DynamicPart(Part):
    def __init__(self, shared: _Shared) -> None:
        super().__init__()
        self.shared = shared
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, given: Tensor, output: Tensor) -> Tensor:
        change: Tensor = self.shared(given)
        return output + self.gate * change
