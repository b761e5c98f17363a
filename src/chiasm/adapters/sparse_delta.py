"""Sparse weight change of a network: few weights change, the others stay bitwise equal; several can be added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.adapters.attach import Attached
from chiasm.adapters.part import Part
from chiasm.artifact import storable


@storable("adapter-sparse-delta")
@dataclass(frozen=True)
class SparseDelta:
    """Sparse delta: `W' = W + phi`, with phi zero except at given positions, where it is trained.

    Args:
        indices: name of a parameter ("encoder.fc.weight") to positions in the flattened tensor, int64, each once.
        start: name to initial phi at these positions, zeros if missing, so that a fresh delta is the identity.
        settled: name to a bool for each position: True if phi stays at its start and is not trained.

    Positions come from `lottery_ticket` (LT-SFT), `small_weights` (SaRA), or a mask of your own (SHiRA).

    Source: Ansell et al., Composable Sparse Fine-Tuning, ACL 2022, arXiv 2110.07560.
    """

    indices: dict[str, np.ndarray]
    start: dict[str, np.ndarray] = field(default_factory=dict)
    settled: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, places in self.indices.items():
            if places.ndim != 1 or places.dtype.kind != "i" or len(np.unique(places)) != len(places):
                raise ValueError(f"the places in '{name}' must be integers in one row, each once")
            for values in (self.start.get(name), self.settled.get(name)):
                if values is not None and values.shape != places.shape:
                    raise ValueError(f"'{name}' has {len(places)} places and {values.shape} values or flags")
        for name in [*self.start, *self.settled]:
            if name not in self.indices:
                raise ValueError(f"'{name}' has values or flags and no places")

    def where(self, name: str, module: nn.Module) -> bool:
        """True for sites of this delta; use as `attach(model, delta, delta.where)`."""
        return any(key.rpartition(".")[0] == name for key in self.indices)

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        known = {f"{site}.{name}".lstrip(".") for site, module in sites.items() for name in module._parameters}
        for name in self.indices:
            if name not in known:
                raise ValueError(f"the sites have no parameter '{name}': choose sites by `where` of the delta")
        return {site: SparsePart(site, module, self) for site, module in sites.items()}

    @property
    def size(self) -> int:
        """Number of weights in the delta, settled ones included."""
        return sum(len(places) for places in self.indices.values())


class SparsePart(Part):
    """Trained and settled entries of one site's parameters."""

    def __init__(self, site: str, module: nn.Module, delta: SparseDelta) -> None:
        super().__init__()
        names = []
        for name, weight in module._parameters.items():
            key = f"{site}.{name}".lstrip(".")
            if key not in delta.indices:
                continue
            places = torch.from_numpy(delta.indices[key].astype(np.int64))
            if weight is None or (len(places) and not 0 <= int(places.min()) <= int(places.max()) < weight.numel()):
                raise ValueError(f"a place lies outside '{key}', which has {0 if weight is None else weight.numel()}")
            start = torch.from_numpy(delta.start.get(key, np.zeros(len(places))).astype(np.float32))
            settled = torch.from_numpy(delta.settled.get(key, np.zeros(len(places))).astype(bool))
            names.append(name)
            self.register_buffer(f"{name}_places", places[~settled])
            self.register_buffer(f"{name}_settled_places", places[settled])
            self.register_buffer(f"{name}_settled", start[settled])
            self.register_parameter(f"{name}_values", nn.Parameter(start[~settled]))
        self.changes = tuple(names)

    def changed(self, name: str, base: Tensor | None) -> Tensor:
        if base is None:
            raise ValueError(f"the site has no '{name}'")
        places, values = self.entries(name)
        return base.flatten().index_add(0, places, values.to(base.dtype)).view_as(base)

    def entries(self, name: str) -> tuple[Tensor, Tensor]:
        """Return positions and their phi, trained ones first."""
        places = torch.cat([self.get_buffer(f"{name}_places"), self.get_buffer(f"{name}_settled_places")])
        return places, torch.cat([self.get_parameter(f"{name}_values"), self.get_buffer(f"{name}_settled")])


def delta_of(attached: Attached, settle: Callable[[str, Tensor, Tensor], Tensor] | None = None) -> SparseDelta:
    """Return the current delta of `attached` as an independent copy.

    Args:
        attached: an attached `SparseDelta`.
        settle: maps a parameter's name, its frozen values and phi at the positions to flags of those to stop training.
    """
    indices, start, settled = {}, {}, {}
    for site, part in attached.parts.items():
        if not isinstance(part, SparsePart):
            raise ValueError(f"the site '{site}' carries no sparse delta")
        module = attached.model.get_submodule(site)
        for name in part.changes:
            key = f"{site}.{name}".lstrip(".")
            places, values = part.entries(name)
            still = len(part.get_buffer(f"{name}_places"))
            flags = torch.arange(len(places)) >= still
            weight = module._parameters[name]
            if settle is not None and weight is not None:
                flags = flags | settle(key, weight.detach().flatten()[places], values.detach()).cpu()
            indices[key], start[key] = places.cpu().numpy(), values.detach().float().cpu().numpy()
            settled[key] = flags.numpy()
    return SparseDelta(indices, start, settled)


def compose(*deltas: SparseDelta) -> SparseDelta:
    """Add deltas, `phi_1 + phi_2 + ...`, as in theta + phi_task + phi_language."""
    indices, start = {}, {}
    for name in dict.fromkeys(name for delta in deltas for name in delta.indices):
        held = [delta for delta in deltas if name in delta.indices]
        places = np.unique(np.concatenate([delta.indices[name] for delta in held]))
        total = np.zeros(len(places))
        for delta in held:
            values = delta.start.get(name, np.zeros(len(delta.indices[name])))
            total[np.searchsorted(places, delta.indices[name])] += values
        indices[name], start[name] = places, total.astype(np.float32)
    return SparseDelta(indices, start)
