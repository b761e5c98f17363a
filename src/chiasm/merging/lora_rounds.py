"""One round of federated LoRA: aggregation of the clients' adapters, and folding of an adapter into the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from chiasm.merging.lora_stack import PAIRS, stack_lora
from chiasm.merging.methods import merge_models

State = Mapping[str, Tensor]
AGGREGATIONS = ("flora", "fedavg", "zero-pad")
DOWN, UP = PAIRS[0]


def aggregate_lora(
    method: str, states: Sequence[State], weights: Sequence[float], scalings: Sequence[float] | None = None
) -> dict[str, Tensor]:
    """Aggregate the adapters of several clients to one.

    - `flora`: `B = [B_1, ..., B_K]`, `A = [p_1 s_1 A_1; ...; p_K s_K A_K]`, whose product is exactly the weighted sum
      of the clients' products, for any ranks; the rank is the sum of theirs (`stack_lora`).
    - `fedavg`: the weighted means of A and of B; `mean(B) mean(A)` is not the mean of the products. Every client
      counts, unlike in FLoRA's released baseline, whose mean keeps only the first client.
    - `zero-pad`: as `fedavg`, with each factor padded with zeros to the largest rank.

    Args:
        states: one per client, `<site>.lora_A.weight` `(r, in)` and `<site>.lora_B.weight` `(out, r)`.
        weights: numbers >= 0, not all zero; scaled to sum to one.
        scalings: `alpha / r` of each client, for `flora` only: the means are used with the clients' own scaling.

    Raises:
        ValueError: an unknown method; a factor without its partner; factors that do not fit; for `fedavg`, differing
            ranks.

    Source: Wang et al., FLoRA, NeurIPS 2024, arXiv 2409.05976, equations 4 to 8; FedIT, arXiv 2305.05644; zero-padding
    as in HetLoRA, arXiv 2401.06432.
    """
    if method not in AGGREGATIONS:
        raise ValueError(f"aggregation '{method}' is not known: choose one of {', '.join(AGGREGATIONS)}")
    stacked = stack_lora(
        states, weights, scalings if method == "flora" else None
    )  # also validates the adapters, for all three methods
    if method == "flora":
        return stacked
    ranks = [rank_of(state) for state in states]
    if method == "fedavg" and len(set(ranks)) > 1:
        raise ValueError(f"fedavg needs equal ranks, and they are {ranks}: choose flora or zero-pad")
    return merge_models([resize_lora(state, max(ranks)) for state in states], weights, "linear")


def rank_of(state: State) -> int:
    """Return the rank of an adapter, the same at all its sites.

    Raises:
        ValueError: the sites have different ranks, or there are none.
    """
    ranks = {tensor.shape[0] for name, tensor in state.items() if DOWN in name.split(".")}
    if len(ranks) != 1:
        raise ValueError(f"an adapter has one rank, and this one has {sorted(ranks) or 'none'}")
    return ranks.pop()


def resize_lora(state: State, rank: int) -> dict[str, Tensor]:
    """Truncate an adapter to its first `rank` components, or pad it with zeros.

    Args:
        state: an adapter, as for `aggregate_lora`.
    """
    out = {}
    for name, tensor in state.items():
        axis = 0 if DOWN in name.split(".") else 1
        kept = tensor.detach().narrow(axis, 0, min(rank, tensor.shape[axis]))
        missing = rank - kept.shape[axis]
        out[name] = nn.functional.pad(kept, (0, 0, 0, missing) if axis == 0 else (0, missing)).clone()
    return out


def fold_lora(weights: State, adapter: State, scaling: float = 1.0) -> dict[str, Tensor]:
    """Fold an adapter into weights, `W + scaling B A` at each site in double precision; other tensors are unchanged.

    Args:
        weights: `<site>.weight` `(out, in)`, such as a network's state dict.

    Raises:
        ValueError: a site is missing in `weights` or has another shape, or a sum is not finite; the message names it.
    """
    out = dict(weights)
    for name in adapter:
        if DOWN not in name.split("."):
            continue
        site = name.partition(f".{DOWN}.")[0]
        key = f"{site}.weight"
        product = adapter[name.replace(DOWN, UP)].double() @ adapter[name].double()
        if key not in weights or weights[key].shape != product.shape:
            raise ValueError(f"the adapter's site '{site}' is none of this network, or has another shape there")
        total = (weights[key].double() + scaling * product).to(weights[key].dtype)
        if not bool(torch.isfinite(total).all()):
            raise ValueError(f"the adapter makes '{key}' not finite: it has diverged")
        out[key] = total
    return out
