"""Stacking of LoRA adapters: exactly the weighted sum of their products, for any ranks (FLoRA, arXiv 2409.05976)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from chiasm.merging.tensors import require_weights

State = Mapping[str, Tensor]
PAIRS = (("lora_A", "lora_B"), ("lora_embedding_A", "lora_embedding_B"))


def stack_lora(
    states: Sequence[State],
    weights: Sequence[float],
    scalings: Sequence[float] | None = None,
    *,
    normalize: bool = True,
) -> dict[str, Tensor]:
    """Stack LoRA adapters into one whose product is the weighted sum of theirs, `B A = sum_i p_i s_i B_i A_i`.

    `A = [p_1 s_1 A_1; ...; p_N s_N A_N]`, `B = [B_1, ..., B_N]`; the rank is the sum of the ranks. The weight is on one
    factor only: on both it would count squared. Averaging the factors themselves, or padding them with zeros to one
    rank, is not equivalent: `mean(B) mean(A)` is not the mean of the products.

    Args:
        states: peft's adapter state dicts: `...lora_A.weight` `(r, in)` or `(r, in, *kernel)`, `...lora_B.weight`
            `(out, r)` or `(out, r, 1, ...)`, `lora_embedding_A` and `_B`; each may adapt other modules.
        weights: numbers >= 0, not all zero; scaled to sum to one if `normalize`.
        scalings: `alpha / r` of each adapter; None is one. The scaling of the result is one.

    Raises:
        ValueError: a factor without its partner, a tensor that is not a LoRA factor, shapes that differ in more than
            the rank.
    """
    if not states:
        raise ValueError("there is no adapter to stack: give one or more")
    require_weights(weights, len(states))
    scalings = [1.0] * len(states) if scalings is None else scalings
    if len(scalings) != len(states):
        raise ValueError(f"{len(scalings)} scalings for {len(states)} adapters: give one each")
    pairs = [_pairs(state, number) for number, state in enumerate(states, start=1)]
    total = sum(weights) if normalize else 1.0
    out: dict[str, Tensor] = {}
    for name in dict.fromkeys(name for own in pairs for name in own):
        partner, downs, ups = "", [], []
        for state, own, weight, scaling in zip(states, pairs, weights, scalings, strict=True):
            if name in own and weight > 0:
                partner = own[name]
                down = state[name].detach()
                downs.append((down.double() * (weight / total * scaling)).to(down.dtype))
                ups.append(state[partner].detach())
        if not downs:
            continue
        _require_alike(name, downs, 0)
        _require_alike(partner, ups, 1)
        out[name], out[partner] = torch.cat(downs, 0), torch.cat(ups, 1)
    return out


def truncate_lora(state: State, rank: int) -> dict[str, Tensor]:
    """Truncate each pair of factors to the best product of this rank, by singular values (Eckart and Young 1936).

    `B A` is never formed: `B = Q R`, `A' = P S`, and the singular values are those of the small `R S'`.

    Raises:
        ValueError: a rank below one, or factors that are not matrices.
    """
    if rank < 1:
        raise ValueError("the rank is one or more")
    out = dict(state)
    for name, partner in _pairs(state, 1).items():
        down, up = state[name].detach(), state[partner].detach()
        if down.dim() != 2 or up.dim() != 2:
            raise ValueError(f"'{name}' is not a matrix: only adapters of linear layers and embeddings are truncated")
        left, small = torch.linalg.qr(up.double())
        right, other = torch.linalg.qr(down.double().T)
        u, values, v = torch.linalg.svd(small @ other.T, full_matrices=False)
        root = values[:rank].sqrt()
        out[partner] = (left @ u[:, :rank] * root).to(up.dtype)
        out[name] = (root[:, None] * v[:rank] @ right.T).to(down.dtype)
    return out


def _pairs(state: State, number: int) -> dict[str, str]:
    """Pair the factors of an adapter and validate them; map the name of each A to that of its B."""
    found: dict[str, str] = {}
    rest = set(state)
    for key in state:
        for down, up in PAIRS:
            parts = key.split(".")
            if down in parts:
                partner = ".".join(up if part == down else part for part in parts)
                if partner not in state:
                    raise ValueError(f"adapter {number} has '{key}' without '{partner}'")
                if state[key].shape[0] != state[partner].shape[1]:
                    raise ValueError(f"'{key}' and '{partner}' of adapter {number} have different ranks")
                found[key] = partner
                rest -= {key, partner}
    if rest:
        raise ValueError(f"adapter {number} holds '{min(rest)}', which is no factor of LoRA: merge it by itself")
    return found


def _require_alike(name: str, tensors: Sequence[Tensor], axis: int) -> None:
    """Raise ValueError for factors that differ in dtype or in more than the rank, which lies along `axis`."""
    shapes = {tuple(size for k, size in enumerate(tensor.shape) if k != axis) for tensor in tensors}
    if len(shapes) > 1 or len({tensor.dtype for tensor in tensors}) > 1:
        raise ValueError(f"'{name}' differs between adapters in more than its rank: they were made for other models")
