"""Networks of adapted modalities before a fusion of all: what of it is trained, and what runs frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.adapters import Attached, PeftAttached, attach
from chiasm.artifact import storable
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.fitting.neural import Shapes
from chiasm.fusion.pooled import PooledMean
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

Penalty = Callable[[Any], Tensor]


@storable("adaptation")
@dataclass(frozen=True)
class Adaptation:
    """What is changed of one network: an adapter at its sites; without one nothing, or everything (`full`)."""

    adapter: Any = None
    sites: tuple[str, ...] = ()
    full: bool = False


class AdaptedFusion(nn.Module):
    """The networks of the adapted modalities before a fusion of all; only what is trained is a part of the module.

    Args:
        trunks: modality to its network, frozen.
        adaptations: modality to its change.
        fusion: of all modalities.
        shapes: modality to (width, slots) of its tokens.
        penalty: of an attached adapter, or of a network that is trained whole; added to the loss in training.
    """

    def __init__(
        self,
        trunks: Mapping[str, Trunk],
        adaptations: Mapping[str, Adaptation],
        fusion: nn.Module,
        shapes: Shapes,
        penalty: Penalty | None = None,
    ) -> None:
        super().__init__()
        self.fusion, self.shapes, self.penalty = fusion, shapes, penalty
        self.names = sorted(shapes)
        self.attached: dict[str, Attached | PeftAttached | Trunk] = {}
        trained: list[nn.Module] = []
        for name, own in adaptations.items():
            if own.adapter is not None:
                found = attached(trunks[name], own, seed=int(torch.randint(2**31, ())))  # as `build` has seeded
                self.attached[name] = found
                trained.append(_tensors(found))
            elif own.full:
                trunk = self.attached[name] = trunks[name].requires_grad_(True)
                for unread in trunk.unread:
                    trunk.network.get_submodule(unread).requires_grad_(False)
                trained.append(trunk)
        self.trained = nn.ModuleList(trained)
        self.__dict__["trunks"] = dict(trunks)  # not a part of the module: a base is neither trained nor saved

    @property
    def frozen_parameters(self) -> int:
        """How many numbers run and are not trained."""
        trunks: dict[str, Trunk] = self.__dict__["trunks"]
        return sum(p.numel() for trunk in trunks.values() for p in trunk.parameters() if not p.requires_grad)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Inputs of adapted modalities, tokens of the others; `present` `(B, M)` bool, modalities sorted by name."""
        made = dict(tokens)
        for name, trunk in self.__dict__["trunks"].items():
            here = present[:, self.names.index(name)]
            full = self.training and self.attached.get(name) is trunk
            if full and int(tokens[name].mask[here].sum()) == 1:
                trunk.eval()  # one input has no spread that a batch norm could take
            made[name] = _where(trunk, tokens[name], here, self.shapes[name][0])
            if full:
                trunk.train()
        fused: Fused = self.fusion(made, present)
        if self.penalty is None or not self.training:
            return fused
        losses = {f"penalty of {name}": self.penalty(own) for name, own in self.attached.items()}
        return Fused(fused.embedding, fused.latents, {**fused.losses, **losses})

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        for trunk in self.__dict__["trunks"].values():
            trunk._apply(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


@storable("adapted")
@dataclass(frozen=True)
class AdaptedDesign:
    """From what an adapted network is built again: encoders by name, changes by site, and the fusion's width."""

    latent_width: int
    trunks: dict[str, InputsAsTheyAre]
    adaptations: dict[str, Adaptation]

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> AdaptedFusion:
        """A fresh fusion, the networks with the weights that their encoders have."""
        return adapted_fusion(self, {name: own.trunk() for name, own in self.trunks.items()}, shapes, dropout)


def adapted_fusion(
    design: AdaptedDesign,
    trunks: Mapping[str, Trunk],
    shapes: Shapes,
    dropout: float = 0.0,
    penalty: Penalty | None = None,
) -> AdaptedFusion:
    """Networks, their changes and a `PooledMean` over all modalities."""
    widths = {
        name: (design.trunks[name].token_width if name in design.trunks else own[0], own[1])
        for name, own in shapes.items()
    }
    fusion = PooledMean(widths, design.latent_width, dropout)
    return AdaptedFusion(trunks, design.adaptations, fusion, widths, penalty)


def attached(trunk: Trunk, own: Adaptation, *, seed: int) -> Any:
    """The adapter at its sites of a network, which becomes what is called from now on; None without an adapter.

    Raises:
        ValueError: the adapter does not fit a site.
    """
    if own.adapter is None:
        return None
    found = attach(trunk.network, own.adapter, _among(own.sites), seed=seed)
    trunk.network = found.model
    return found


def _among(sites: tuple[str, ...]) -> Callable[[str, nn.Module], bool]:
    return lambda name, module: name in sites


def _tensors(attached: Attached | PeftAttached) -> nn.Module:
    """What is trained of an adapter, as a module."""
    if isinstance(attached, Attached):
        return nn.ModuleList(attached.parts.values())
    return nn.ParameterDict({name.replace(".", "/"): own for name, own in attached.named_parameters()})


def _where(trunk: Trunk, inputs: Tokens, here: Tensor, width: int) -> Tokens:
    """Tokens of the patients who have the modality; masked ones of the others, for whom nothing runs."""
    here = here & inputs.mask.any(1)
    if bool(here.all()):
        own: Tokens = trunk(inputs)
        return own
    if bool(here.any()):
        own = trunk(Tokens(inputs.values[here], inputs.mask[here]))
        values = own.values.new_zeros((len(here), *own.values.shape[1:]))
        mask = own.mask.new_zeros((len(here), own.mask.shape[1]))
        values[here], mask[here] = own.values, own.mask
        return Tokens(values, mask)
    return Tokens(inputs.values.new_zeros((len(here), 1, width)), inputs.mask.new_zeros((len(here), 1)))
