"""Which lists of a network hold its layers, and what lies below them: for rates that fall towards the input."""

from __future__ import annotations

from torch import nn

from chiasm.training.layer_rates import layer_rates


def layers_of(network: nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the dotted names of the lists of layers, and the parameters and modules below them.

    The layers are the list with most parameters; lists of its length beside it go with it, part by part. Below them are
    the parameters that the network names before its first layer.

    Raises:
        ValueError: no list has two parts or more with parameters.
    """
    lists = {
        name: sum(parameter.numel() for parameter in own.parameters())
        for name, own in network.named_modules()
        if name and isinstance(own, nn.ModuleList | nn.Sequential) and _parts(own) > 1
    }
    if not lists:
        raise ValueError("the layers of the network stand in no list, so that no rate can fall from one to the next")
    largest = max(lists, key=lambda name: lists[name])
    above, _, _ = largest.rpartition(".")
    length = _parts(network.get_submodule(largest))
    beside = [
        name for name in lists if name.rpartition(".")[0] == above and _parts(network.get_submodule(name)) == length
    ]
    stem = []
    for name, _ in network.named_parameters():
        if any(name.startswith(f"{own}.") for own in beside):
            break
        stem.append(name)
    return tuple(beside), tuple(stem)


def falling_rates(network: nn.Module, decay: float, weight_decay: float) -> list[dict[str, object]]:
    """Return the groups of `layer_rates` for the layers of a network: `decay^(N + 1 - depth)` of the rate of the head.

    Raises:
        ValueError: its layers stand in no list.
    """
    lists, stem = layers_of(network)
    return [
        {"params": own["params"], "scale": own["scale"], "weight_decay": own["weight_decay"]}
        for own in layer_rates(network, lists, stem=stem, rate=1.0, decay=decay, weight_decay=weight_decay)
    ]


def _parts(own: nn.Module) -> int:
    return sum(any(True for _ in part.parameters()) for part in own.children())
