"""Layer-wise learning-rate decay: the further a parameter is from the head, the lower its learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


def layer_rates(
    network: nn.Module,
    blocks: str | Sequence[str],
    *,
    stem: Sequence[str],
    rate: float,
    decay: float,
    weight_decay: float = 0.0,
    undecayed: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Build optimiser parameter groups with learning rate `rate decay^(N + 1 - depth)` for a network of N blocks.

    The stem (embeddings, positions, class token) has depth 0, block i of `0 .. N - 1` depth `i + 1`, and everything
    else (last norm, pooling, head) depth `N + 1`, at the full rate. Source: BEiT (arXiv 2106.08254) and MAE (arXiv
    2111.06377) in fine-tuning, and medical_mae (arXiv 2210.12843).

    Args:
        network: the network to train; frozen parameters are in no group, every other one is in exactly one. A parameter
            shared between two places has the lower depth.
        blocks: dotted name of the list of blocks, such as "encoder.layers"; or of several lists of one length, whose
            i-th parts are block i together, as a convolution that reduces and the block after it.
        stem: dotted names of modules or parameters below the blocks; `()` if there are none.
        rate: learning rate of the head, above 0.
        decay: above 0, at most 1; 1 gives all the same rate.
        weight_decay: weight decay of matrices; vectors (biases, norms) have none.
        undecayed: dotted names of modules or parameters without weight decay, such as class token and positions.

    Returns:
        groups by depth, matrices before vectors: "params", "lr", "weight_decay", "depth" and "scale" (`lr / rate`, for
        schedules that set "lr" themselves).

    Raises:
        ValueError: a number is outside its range, a name matches no parameter, `blocks` is no list of blocks, or
            several are of different lengths.

    Deviation: the published code writes "lr_scale", which only its own schedule reads, and matches parameters by the
    start of their names: for a network nested in another, nothing matches and all get the full rate. Here "lr" is set,
    and a name that matches no parameter is refused.
    """
    if not 0.0 < rate < float("inf") or not 0.0 < decay <= 1.0 or not 0.0 <= weight_decay < float("inf"):
        raise ValueError("the rate is above 0, the decay above 0 and at most 1, the weight decay at least 0")
    named = list(network.named_parameters(remove_duplicate=False))
    lists = (blocks,) if isinstance(blocks, str) else tuple(blocks)
    for name in (*lists, *stem, *undecayed):
        if not any(_inside(parameter, name) for parameter, _ in named):
            raise ValueError(f"the network has no parameter in '{name}': give the dotted name of a part that has one")
    below, lengths = dict.fromkeys(stem, 0), set()
    for own in lists:
        listed = dict(network.named_modules(remove_duplicate=False)).get(own)
        if not isinstance(listed, nn.ModuleList | nn.Sequential):
            raise ValueError(f"'{own}' is not a list of blocks: give the name of a ModuleList or a Sequential")
        names = [name for name, _ in listed.named_modules(remove_duplicate=False) if name and "." not in name]
        below |= {f"{own}.{name}": place for place, name in enumerate(names, 1)}
        lengths.add(len(names))
    if len(lengths) != 1:
        raise ValueError(f"the lists {', '.join(lists)} have different lengths: name those whose parts go together")
    top = lengths.pop() + 1
    depths: dict[nn.Parameter, int] = {}
    plain: set[nn.Parameter] = set()
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        places = [depth for part, depth in below.items() if _inside(name, part)]
        depths[parameter] = min([depths.get(parameter, top), *places])
        if parameter.ndim < 2 or any(_inside(name, part) for part in undecayed):
            plain.add(parameter)
    groups = []
    for depth in range(top + 1):
        scale = decay ** (top - depth)
        for vectors in (False, True):
            found = [each for each, own in depths.items() if own == depth and (each in plain) == vectors]
            if found:
                amount = 0.0 if vectors else weight_decay
                groups.append(
                    {"params": found, "lr": rate * scale, "weight_decay": amount, "depth": depth, "scale": scale}
                )
    return groups


def _inside(parameter: str, part: str) -> bool:
    return parameter == part or parameter.startswith(part + ".")
