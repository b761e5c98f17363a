"""Where adapters go in a network that nobody described: its projections, linear maps, norms and blocks, by name."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

MAPS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.LayerNorm, nn.GroupNorm, _BatchNorm)
PROJECTIONS = ("query", "key", "value", "q", "k", "v", "qkv", "q_proj", "k_proj", "v_proj", "q_lin", "k_lin", "v_lin")


def linear_maps(network: nn.Module, rank: int = 1) -> tuple[str, ...]:
    """Linear layers and convolutions without groups whose weight has more than `rank` rows and columns.

    The output of an attention of torch is left out: it is read and never called.
    """
    held = {name for name, module in network.named_modules() if isinstance(module, nn.MultiheadAttention)}
    found = []
    for name, module in network.named_modules():
        if name.rpartition(".")[0] in held or not isinstance(module, MAPS) or getattr(module, "groups", 1) > 1:
            continue
        if min(module.weight.shape[0], module.weight[0].numel()) > rank:
            found.append(name)
    return tuple(found)


def projections(network: nn.Module, rank: int = 1) -> tuple[str, ...]:
    """The maps to queries, keys and values of attention; every linear map where there is none of these."""
    every = linear_maps(network, rank)
    return tuple(name for name in every if name.rpartition(".")[2] in PROJECTIONS) or every


def norms(network: nn.Module) -> tuple[str, ...]:
    """Layer, group and batch norms with an affine map."""
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, NORMS)]
    return tuple(name for name, module in found if getattr(module, "weight", None) is not None)


def blocks(network: nn.Module) -> tuple[str, ...]:
    """The repeated blocks, in order: members of a list of modules of one class, the outermost lists that repeat.

    Raises:
        ValueError: the network repeats nothing.
    """
    found: list[str] = []
    for name, module in network.named_modules():
        if not isinstance(module, nn.ModuleList | nn.Sequential) or any(name.startswith(f"{own}.") for own in found):
            continue
        children = list(module.named_children())
        kinds = {type(child) for _, child in children}
        inner = all(isinstance(child, nn.ModuleList | nn.Sequential) for _, child in children)
        if len(children) > 1 and len(kinds) == 1 and not inner and next(iter(children))[1]._modules:
            found += [f"{name}.{child}".lstrip(".") for child, _ in children]
    if not found:
        raise ValueError("the network repeats no block: choose the sites by name")
    return tuple(found)
