"""What stands for an absent modality: a few tokens, learned, looked up or computed from the modalities present."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import FeedForward
from chiasm.fusion.relations import Relations


@dataclass(frozen=True)
class StandIn:
    """What stands for each modality where it is absent.

    Args:
        tokens: `(B, M, k, D)`, k of L or fewer; those of a modality that a patient has are not read.
        losses: scalar terms for the objective.
    """

    tokens: Tensor
    losses: dict[str, Tensor] = field(default_factory=dict)


class Missing(nn.Module):
    """Base of what stands for absent modalities; it maps states `(B, M, L, D)` and `present` `(B, M)` to `StandIn`.

    States are zero where a modality is absent.

    Args:
        modalities, latents, width: M, L and D.
    """

    def __init__(self, modalities: int, latents: int, width: int) -> None:
        super().__init__()
        self.sizes = (modalities, latents, width)

    def forward(self, states: Tensor, present: Tensor) -> StandIn:
        """Return what stands for each modality."""
        raise NotImplementedError


class Nothing(Missing):
    """Nothing stands for an absent modality: no token (k = 0)."""

    def forward(self, states: Tensor, present: Tensor) -> StandIn:
        """Return no tokens."""
        return StandIn(states[:, :, :0])


class Placeholder(Missing):
    """L learned tokens for each modality, the same for every patient who lacks it."""

    def __init__(self, modalities: int, latents: int, width: int) -> None:
        super().__init__(modalities, latents, width)
        self.tokens = nn.Parameter(torch.randn(modalities, latents, width))

    def forward(self, states: Tensor, present: Tensor) -> StandIn:
        """Return the learned tokens."""
        return StandIn(self.tokens.expand(present.shape[0], -1, -1, -1))


class Indicator(Missing):
    """One token for each modality, a linear map of the indicators of all that are absent: `A_m (1 - present) + b_m`.

    After the indicators of missing inputs of Symile (NeurIPS 2024, arXiv 2411.01053), which stand beside a constant.
    `A_m` starts at zero: a modality that no training patient lacked changes no other's token.
    """

    def __init__(self, modalities: int, latents: int, width: int) -> None:
        super().__init__(modalities, latents, width)
        self.maps = nn.Linear(modalities, modalities * width)
        nn.init.zeros_(self.maps.weight)

    def forward(self, states: Tensor, present: Tensor) -> StandIn:
        """Return one token for each modality."""
        made = self.maps((~present).to(states.dtype))  # (B, M D)
        return StandIn(made.unflatten(1, (self.sizes[0], 1, self.sizes[2])))


class PromptPool(Missing):
    """k prompts for each modality out of a pool of its own, those nearest to what the patient has.

        q = mean of the states present,    prompts = P_m[top-k of q . P_m']

    Source: Chen et al., PTUnifier, ICCV 2023, arXiv 2302.08958. The choice has no gradient, as in the released code:
    prompts learn where they are chosen for an absent modality, and have gradient zero elsewhere. Of equal products the
    first prompt counts. k = 0 is `Nothing`. A prompt that training never chose for somebody is as it was drawn, and may
    be chosen in prediction.

    Deviation: the query is the mean over all modalities present, the paper having two; the pool is trained with the
    target, there in pre-training.

    Args:
        modalities, latents, width: M, L and D.
        pool: number of prompts N of each modality.
        chosen: k, L unless given.
    """

    def __init__(self, modalities: int, latents: int, width: int, pool: int = 64, chosen: int | None = None) -> None:
        super().__init__(modalities, latents, width)
        self.chosen = latents if chosen is None else chosen
        if not 0 <= self.chosen <= min(latents, pool):
            raise ValueError(f"{self.chosen} prompts are chosen of {pool}, for {latents} latents: no more than either")
        self.prompts = nn.Parameter(torch.randn(modalities, pool, width))

    def forward(self, states: Tensor, present: Tensor) -> StandIn:
        """Return the prompts that are nearest to each patient's query."""
        here = present.to(states.dtype)[:, :, None, None]
        query = (states * here).mean(2).sum(1) / here.sum(1)[:, 0].clamp_min(1)  # (B, D)
        products = torch.einsum("bd,mnd->bmn", query, self.prompts)
        if torch.onnx.is_in_onnx_export():  # whose TopK takes the first of equals, as a stable sort does
            chosen = products.topk(min(self.chosen, products.shape[2]), dim=2).indices
        else:
            chosen = torch.sort(products, dim=2, descending=True, stable=True).indices[:, :, : self.chosen]  # (B, M, k)
        modalities, pool, _ = self.prompts.shape
        rows = chosen + pool * torch.arange(modalities, device=states.device)[:, None]
        # Not by indexing, whose gradient threads may add up in any order.
        return StandIn(nn.functional.embedding(rows, self.prompts.flatten(0, 1)))


class GraphCompletion(Missing):
    """Learned nodes of an absent modality that read the nodes of those present, through relations of a type each.

        x_m = p_m + Attn(p_m -> states of m' present, m' not m; + b[m, m']),    x_m = x_m + FF(x_m)

    In training each modality that a patient has beside another is computed from the others too; `loss_weight` times the
    mean squared distance to its own state, which gets no gradient from it, is the loss "completion".

    Source: Li et al., GTP-4o, ECCV 2024, arXiv 2407.05540, of whose prompt graph this keeps the nodes and the typed
    edges. Its losses are not published; the squared distance is ours. Where nobody is present x_m is read from p_m
    alone.

    Args:
        modalities, latents, width: M, L and D.
        heads: attention heads.
        loss_weight: weight of the completion; 0: none.
    """

    def __init__(self, modalities: int, latents: int, width: int, heads: int = 4, loss_weight: float = 0.1) -> None:
        super().__init__(modalities, latents, width)
        self.loss_weight = loss_weight
        self.nodes = nn.Parameter(torch.randn(modalities, latents, width))
        self.relations = Relations(width, heads=heads, types=modalities)
        self.feed_forward = FeedForward(width)

    def forward(self, states: Tensor, present: Tensor) -> StandIn:
        """Return what the others say of each modality."""
        tokens = self.completed(states, present)
        if not self.training or not self.loss_weight:
            return StandIn(tokens)
        known = present & (present.sum(1, keepdim=True) > 1)  # (B, M)
        gaps = (tokens - states.detach()).square().mean((2, 3))
        loss = torch.where(known, gaps, 0.0).sum() / known.sum().clamp_min(1)
        return StandIn(tokens, {"completion": self.loss_weight * loss})

    def completed(self, states: Tensor, present: Tensor) -> Tensor:
        """Compute each modality's states from those of the other modalities present, `(B, M, L, D)`."""
        modalities, latents, _ = self.sizes
        types = torch.arange(modalities, device=states.device).repeat_interleave(latents)  # (M L,)
        readable = (types[:, None] != types)[None] & present[:, None, types]  # (B, M L, M L)
        nodes = self.nodes.flatten(0, 1).expand(states.shape[0], -1, -1)
        nodes = nodes + self.relations(nodes, states.flatten(1, 2), readable, types, types)
        nodes = nodes + self.feed_forward(nodes)
        return nodes.reshape(states.shape[0], modalities, latents, -1)  # type: ignore[no-any-return]


MISSING: dict[str, Any] = {
    "nothing": Nothing,
    "placeholder": Placeholder,
    "indicator": Indicator,
    "pool": PromptPool,
    "distilled": Placeholder,  # whose outputs learn from prompts of their modality, by `training/distilled_prompts.py`
    "graph": GraphCompletion,
}
"""Name to class, as the option `missing` names them."""


def make_missing(
    name: str, modalities: int, latents: int, width: int, *, heads: int, pool: int, completion: float
) -> Missing:
    """Create what stands for absent modalities, by its name in `MISSING`."""
    own: dict[str, dict[str, Any]] = {"pool": {"pool": pool}, "graph": {"heads": heads, "loss_weight": completion}}
    made: Missing = MISSING[name](modalities, latents, width, **own.get(name, {}))
    return made
