"""LoRA for networks with torch's `MultiheadAttention`, whose projection weights are read without a module call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chiasm.adapters.part import Adapter, Part, refuse
from chiasm.adapters.peft_families import LoRA, PeftAdapter
from chiasm.artifact import storable

_MAPS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@storable("adapter-attention-lora")
@dataclass(frozen=True)
class AttentionLoRA:
    """LoRA on a weight W, a MultiheadAttention's joint projection or a map's: `W' = W + sum_g (alpha / rank) B_g A_g`.

    Every read of the weight gives W', also in torch's fused layers; W itself is unchanged bitwise. A is initialised as
    in peft and B at zero, so a fresh adapter is the identity. On a map that is called this equals peft's LoRA.

    Args:
        rank, alpha, groups: as in `LoRA`.

    Source: Hu et al., LoRA, ICLR 2022, arXiv 2106.09685.
    Deviation: queries, keys and values of an attention share one product, as in peft.
    """

    rank: int = 8
    alpha: float = 8.0
    groups: int = 1

    def __post_init__(self) -> None:
        LoRA(self.rank, self.alpha, self.groups)  # LoRA refuses invalid options

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        return {name: AttentionLoRAPart(self._weight(name, site), site, self) for name, site in sites.items()}

    def _weight(self, name: str, site: nn.Module) -> str:
        joint = isinstance(site, nn.MultiheadAttention) and site.in_proj_weight is not None
        if not joint and (not isinstance(site, _MAPS) or getattr(site, "groups", 1) > 1):
            raise refuse(name, site, "MultiheadAttention of one width, Linear, and Conv1d to Conv3d without groups")
        key = "in_proj_weight" if joint else "weight"
        weight = site.get_parameter(key)
        smallest = min(weight.shape[0], weight[0].numel())
        if self.rank > smallest:
            raise ValueError(f"the site '{name}' has rank {smallest} at most: {self.rank} is no low rank there")
        return key


class AttentionLoRAPart(Part):
    """Low-rank products at one site."""

    def __init__(self, key: str, site: nn.Module, options: AttentionLoRA) -> None:
        super().__init__()
        weight = site.get_parameter(key)
        self.changes, self.factor = (key,), options.alpha / options.rank
        rows, columns = weight.shape[0], weight[0].numel()
        self.thin = nn.ParameterList(torch.empty(options.rank, columns) for _ in range(options.groups))
        self.tall = nn.ParameterList(torch.zeros(rows, options.rank) for _ in range(options.groups))
        for own in self.thin:
            nn.init.kaiming_uniform_(own, a=5**0.5)

    def deltas(self) -> list[Tensor]:
        """Return `B_g A_g` of each group, without the factor alpha / rank."""
        return [tall @ thin for tall, thin in zip(self.tall, self.thin, strict=True)]

    def changed(self, name: str, base: Tensor | None) -> Tensor:
        if base is None:
            raise ValueError(f"the site has no '{name}'")
        return base + self.factor * torch.stack(self.deltas()).sum(0).view_as(base)


def low_rank(
    network: nn.Module, sites: Sequence[str], rank: int, alpha: float, groups: int = 1
) -> Adapter | PeftAdapter:
    """Choose peft's `LoRA`, or `AttentionLoRA` if a site is a torch attention, which peft cannot restore bitwise."""
    joint = any(isinstance(network.get_submodule(name), nn.MultiheadAttention) for name in sites)
    return AttentionLoRA(rank, alpha, groups) if joint else LoRA(rank, alpha, groups)
