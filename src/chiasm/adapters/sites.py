"""Discovery of adapter sites in an arbitrary network: names of its projections, linear maps, norms and blocks."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from chiasm.adapters.part import channels_of

MAPS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.LayerNorm, nn.GroupNorm, _BatchNorm)
JOINT = ("qkv", "Wqkv", "qkv_proj", "query_key_value", "in_proj")  # one map for queries, keys and values
KEYS_AND_VALUES = (
    "key", "value", "k", "v", "k_proj", "v_proj", "k_lin", "v_lin", "key_proj", "value_proj", *JOINT,
)  # fmt: skip
PROJECTIONS = ("query", "q", "q_proj", "q_lin", "query_proj", *KEYS_AND_VALUES)


def linear_maps(network: nn.Module, rank: int = 1) -> tuple[str, ...]:
    """List the linear layers, convolutions without groups and torch attentions whose weight allows a rank above `rank`.

    An attention stands for its joint projection; its output map, which is read without a call, is left out.
    """
    held = {name for name, module in network.named_modules() if _joint(module)}
    found = []
    for name, module in network.named_modules():
        if name in held:
            weight = module.in_proj_weight
        elif name.rpartition(".")[0] not in held and isinstance(module, MAPS) and getattr(module, "groups", 1) == 1:
            weight = module.weight
        else:
            continue
        if isinstance(weight, nn.Parameter) and min(weight.shape[0], weight[0].numel()) > rank:
            found.append(name)
    return tuple(found)


def projections(network: nn.Module, rank: int = 1) -> tuple[str, ...]:
    """List the query, key and value maps of attention; every linear map if there are none."""
    every = linear_maps(network, rank)
    chosen = [name for name in every if name.rpartition(".")[2] in PROJECTIONS or _joint(network.get_submodule(name))]
    return tuple(chosen) or every


def layers(network: nn.Module) -> tuple[str, ...]:
    """List all layers with channels: linear maps, convolutions, norms, and torch attentions with their output maps."""
    kinds = (*MAPS, *NORMS, nn.MultiheadAttention)
    return tuple(name for name, module in network.named_modules() if isinstance(module, kinds))


def norms(network: nn.Module) -> tuple[str, ...]:
    """List the layer, group and batch norms with an affine map."""
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, NORMS)]
    return tuple(name for name, module in found if getattr(module, "weight", None) is not None)


def blocks(network: nn.Module) -> tuple[str, ...]:
    """List the repeated blocks in order: members of the outermost lists of modules of one class.

    Raises:
        ValueError: the network has no repeated block.
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


def feed_forwards(network: nn.Module) -> tuple[tuple[str, str], ...]:
    """List the first and last map of each block's feed-forward network: from D to another width and back.

    Raises:
        ValueError: a block has no feed-forward network, or the network has no repeated block.
    """
    return tuple(_ends(network, block) for block in blocks(network))


def keys_and_values(network: nn.Module) -> tuple[str, ...]:
    """List the key and value maps of attention, or the joint map for queries, keys and values.

    Raises:
        ValueError: there is none, as in a torch attention.
    """
    found = [name for name, own in network.named_modules() if isinstance(own, nn.Linear)]
    chosen = tuple(name for name in found if name.rpartition(".")[2] in KEYS_AND_VALUES)
    if not chosen:
        raise ValueError("it has no map to keys and values of an attention")
    return chosen


def attentions(network: nn.Module) -> tuple[tuple[str, str], ...]:
    """List an input map and the output map of each block's attention; a torch attention is named twice.

    Raises:
        ValueError: a block has no attention with known maps, or the network has no repeated block.
    """
    found = []
    for block in blocks(network):
        whole = [f"{block}.{name}" for name, own in network.get_submodule(block).named_modules() if _joint(own)]
        if whole:
            found.append((whole[0], whole[0]))
            continue
        maps = _maps(network, block)
        reading = [name for name in maps if name.rpartition(".")[2] in PROJECTIONS]
        if not reading:
            raise ValueError(f"the block '{block}' has no attention whose maps are known")
        width = maps[reading[0]].in_features
        others = [name for name in maps if name not in (*reading, *_ends(network, block))]
        answering = [name for name in others if maps[name].out_features == width]
        if not answering:
            raise ValueError(f"the attention of the block '{block}' has no map to its output")
        found.append((reading[0], answering[0]))
    return tuple(found)


def width_of(network: nn.Module, block: str) -> int:
    """Return the token width D of a block.

    Raises:
        ValueError: the block does not define its width, or contains convolutions.
    """
    module = network.get_submodule(block)
    try:
        return channels_of(block, module)[1]
    except ValueError:
        kind = type(module).__name__
        raise ValueError(f"its block '{block}' is a {kind} and no layer of a transformer that says its width") from None


def _ends(network: nn.Module, block: str) -> tuple[str, str]:
    width = width_of(network, block)
    maps = {name: own for name, own in _maps(network, block).items() if name.rpartition(".")[2] not in PROJECTIONS}
    first = [name for name, own in maps.items() if own.in_features == width != own.out_features]
    last = [name for name, own in maps.items() if own.out_features == width != own.in_features]
    if not first or not last:
        raise ValueError(f"the block '{block}' has no feed-forward network of its own")
    beside = [name for name in first if name.rpartition(".")[0] == last[-1].rpartition(".")[0]]
    return (beside or first)[0], last[-1]


def _maps(network: nn.Module, block: str) -> dict[str, nn.Linear]:
    """Return the linear maps of a block by their name in the network, without those inside a torch attention."""
    own = network.get_submodule(block)
    held = {name for name, module in own.named_modules() if _joint(module)}
    return {
        f"{block}.{name}": module
        for name, module in own.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[0] not in held
    }


def _joint(module: nn.Module) -> bool:
    return isinstance(module, nn.MultiheadAttention)
