"""Networks of adapted modalities in front of a common fusion, divided into trained and frozen parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from chiasm.adapters import Attached, PeftAttached, attach
from chiasm.artifact import storable
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.fitting.neural import Shapes
from chiasm.fusion.pooled import PooledMean
from chiasm.protocols import Fused
from chiasm.tokens import Tokens
from chiasm.training import Batch, Network, Objective
from chiasm.training.objective import PENALTY

Penalty = Callable[[Any], Tensor]


@storable("adaptation")
@dataclass(frozen=True)
class Adaptation:
    """Change of one network: an adapter at its sites, full fine-tuning (`full`), or nothing."""

    adapter: Any = None
    sites: tuple[str, ...] = ()
    full: bool = False


class AdaptedFusion(nn.Module):
    """Networks of the adapted modalities, followed by a fusion of all; only trained parts are registered in the module.

    Args:
        trunks: modality to its frozen network.
        adaptations: modality to its change.
        fusion: fusion module of all modalities.
        shapes: modality to (width, slots) of its tokens.
    """

    def __init__(
        self,
        trunks: Mapping[str, Trunk],
        adaptations: Mapping[str, Adaptation],
        fusion: nn.Module,
        shapes: Shapes,
    ) -> None:
        super().__init__()
        self.fusion, self.shapes = fusion, shapes
        self.names = sorted(shapes)
        self.attached: dict[str, Attached | PeftAttached | Trunk] = {}
        trained: list[nn.Module] = []
        for name, own in adaptations.items():
            if own.adapter is not None:
                found = attached(trunks[name], own, seed=int(torch.randint(2**31, ())))  # seeded by `build`
                self.attached[name] = found
                trained.append(_tensors(found))
            elif own.full:
                trunk = self.attached[name] = trunks[name].requires_grad_(True)
                for unread in trunk.unread:
                    trunk.network.get_submodule(unread).requires_grad_(False)
                trained.append(trunk)
        self.trained = nn.ModuleList(trained)
        self.__dict__["trunks"] = dict(trunks)  # not registered: a base is neither trained nor saved

    @property
    def frozen_parameters(self) -> int:
        """Number of parameters that run but are not trained."""
        trunks: dict[str, Trunk] = self.__dict__["trunks"]
        return sum(p.numel() for trunk in trunks.values() for p in trunk.parameters() if not p.requires_grad)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse encoder inputs of adapted modalities and tokens of the others.

        Args:
            present: `(B, M)` bool, modalities sorted by name.
        """
        fused: Fused = self.fusion(self.made(tokens, present), present)
        return fused

    def made(self, tokens: Mapping[str, Tokens], present: Tensor) -> dict[str, Tokens]:
        """Return the tokens of all modalities: of the adapted ones as their networks make them of their inputs."""
        made = dict(tokens)
        for name, trunk in self.__dict__["trunks"].items():
            here = present[:, self.names.index(name)]
            full = trunk.training and self.attached.get(name) is trunk
            if full and int(tokens[name].mask[here].sum()) == 1:
                trunk.eval()  # a batch norm cannot estimate a variance from one input
            made[name] = _where(trunk, tokens[name], here, self.shapes[name][0])
            if full:
                trunk.train()
        return made

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        for trunk in self.__dict__["trunks"].values():
            trunk._apply(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


class Penalised(Objective):
    """The head's own loss, and a penalty of every attached adapter or fully trained network.

    Args:
        penalty: penalty of one of them, a scalar.
    """

    def __init__(self, penalty: Penalty) -> None:
        self.penalty = penalty

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the head's mean loss, and the penalty of each modality."""
        attached = cast(AdaptedFusion, network.fusion).attached
        penalties = {f"{PENALTY}{name}": self.penalty(own) for name, own in attached.items()}
        return {**super().losses(network, batch, link, fused), **penalties}


@storable("adapted")
@dataclass(frozen=True)
class AdaptedDesign:
    """Storable description of an adapted network: encoders and changes by modality, and the fusion's width.

    Args:
        columns: the other modalities that are columns, whose tokens are read side by side.
    """

    latent_width: int
    trunks: dict[str, InputsAsTheyAre]
    adaptations: dict[str, Adaptation]
    columns: tuple[str, ...] = ()

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> AdaptedFusion:
        """Create a fresh fusion, with the networks at their encoders' weights."""
        return adapted_fusion(self, {name: own.trunk() for name, own in self.trunks.items()}, shapes, dropout)


def adapted_fusion(
    design: AdaptedDesign,
    trunks: Mapping[str, Trunk],
    shapes: Shapes,
    dropout: float = 0.0,
) -> AdaptedFusion:
    """Assemble networks, their changes and a `PooledMean` over all modalities."""
    widths = made_widths(design.trunks, shapes)
    fusion = PooledMean(widths, design.latent_width, dropout, design.columns)
    return AdaptedFusion(trunks, design.adaptations, fusion, widths)


def made_widths(trunks: Mapping[str, InputsAsTheyAre], shapes: Shapes) -> dict[str, tuple[int, int]]:
    """Return (width, slots) of the tokens that the fusion reads, of adapted modalities those that the network makes."""
    return {name: (trunks[name].token_width if name in trunks else own[0], own[1]) for name, own in shapes.items()}


def attached(trunk: Trunk, own: Adaptation, *, seed: int) -> Any:
    """Attach the adapter at its sites and make `trunk` run the adapted network; None without an adapter.

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
    """Collect the trained parameters of an adapter as a module."""
    if isinstance(attached, Attached):
        return nn.ModuleList(attached.parts.values())
    return nn.ParameterDict({name.replace(".", "/"): own for name, own in attached.named_parameters()})


def _where(trunk: Trunk, inputs: Tokens, here: Tensor, width: int) -> Tokens:
    """Compute tokens for the patients who have the modality; the others get masked tokens without a network run."""
    here = here & inputs.mask.any(1)
    if bool(here.any()) and bool(here.all()):
        own: Tokens = trunk(inputs)
        return own
    if bool(here.any()):
        own = trunk(Tokens(inputs.values[here], inputs.mask[here]))
        values = own.values.new_zeros((len(here), *own.values.shape[1:]))
        mask = own.mask.new_zeros((len(here), own.mask.shape[1]))
        values[here], mask[here] = own.values, own.mask
        return Tokens(values, mask)
    return Tokens(inputs.values.new_zeros((len(here), 1, width)), inputs.mask.new_zeros((len(here), 1)))
