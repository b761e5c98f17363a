"""What recipes share that change a frozen encoder a little: its network runs in training, and only the change is kept.

Inputs of the encoder are stored, so reading and preparing happen once. Modalities whose encoder has no network (tables,
omics, fingerprints) take part as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from chiasm.adapters import Attached, PeftAttached, attach
from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.encoders.registry import fit_encoders
from chiasm.fusion.pooled import PooledMean
from chiasm.heads.response import Response
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.base import BaseRecipe, Training
from chiasm.recipes.neural import Prepared, Shapes, build, finish, fit_network, new_head, prepare, seeded
from chiasm.tokens import Tokens
from chiasm.training import Network, Objective, TrainOptions

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
        penalty: of an attached adapter, added to the loss in training.
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
        self.attached: dict[str, Attached | PeftAttached] = {}
        trained: list[nn.Module] = []
        for name, own in adaptations.items():
            trunk = trunks[name]
            if own.adapter is not None:
                found: Any = attach(trunk.network, own.adapter, _among(own.sites))
                trunk.network, self.attached[name] = found.model, found
                trained.append(_tensors(found))
            elif own.full:
                trained.append(trunk.requires_grad_(True))
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
            made[name] = _where(trunk, tokens[name], here, self.shapes[name][0])
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


@dataclass(frozen=True)
class AdaptedRecipe(BaseRecipe):
    """A recipe that trains a small change of frozen networks together with a pooled fusion and a head.

    Args:
        latent_width: D of the embedding.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: of the training.
    """

    latent_width: int = 32
    dropout: float = 0.1
    epochs: int = 10
    patience: int = 3
    batch: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    modality_dropout: float = 0.0

    family: ClassVar[str] = "adaptation"
    needs: ClassVar[str] = "a modality whose encoder is a network: text, image, volume or ECG"
    least_modalities: ClassVar[int] = 1
    reads_inputs: ClassVar[bool] = True
    by_default: ClassVar[bool] = False

    @abstractmethod
    def adaptation(self, trunk: Trunk) -> Adaptation:
        """What is changed of this network."""

    def penalty(self, attached: Any) -> Tensor:
        """What the adapter adds to the loss."""
        return torch.zeros(())

    def adapted(self, cohort: Cohort) -> dict[str, InputsAsTheyAre]:
        """The modalities whose network runs in training; the others take part by their tokens."""
        return adapted_modalities(cohort)

    def objective(self, data: Prepared) -> Objective | None:
        """What is minimised; None for the loss of the target's kind."""
        return None

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` where no modality has a network to adapt, or its inputs were not kept."""
        super().supports(cohort)
        if not self.adapted(cohort.with_modalities(self.modalities(cohort))):
            raise Unsupported(
                "no modality has an encoder with a network to adapt (such as text by minilm, or hf:folder); where the "
                "cohort is encoded already, encode it with inputs=True"
            )

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train on the patients; a fifth of them decide when to stop, and calibrate."""
        data, design, trunks = self.prepared(training)
        return self.trained(training, data, design, trunks)

    def prepared(self, training: Training) -> tuple[Prepared, AdaptedDesign, dict[str, Trunk]]:
        """The cohort as tensors, the design of the network, and the networks, with nothing attached yet."""
        inputs = self.adapted(training.cohort)
        others = fit_encoders(
            training.cohort.with_modalities([name for name in training.cohort.modalities if name not in inputs])
        )
        data = prepare(training, {**others, **inputs})
        trunks = {name: own.trunk() for name, own in inputs.items()}
        adaptations = {name: self.adaptation(trunk) for name, trunk in trunks.items()}
        return data, AdaptedDesign(self.latent_width, inputs, adaptations), trunks

    def trained(
        self, training: Training, data: Prepared, design: AdaptedDesign, trunks: Mapping[str, Trunk], stage: str = ""
    ) -> tuple[Predictor, Response]:
        """The network trained and calibrated; `stage` names its checkpoint and its seeds where there are several."""
        seed = seeded(training.seed, stage)
        fusion = build(
            lambda: adapted_fusion(design, trunks, data.shapes, self.dropout, self.penalty), seeded(seed, "fusion")
        )
        network = Network(fusion, new_head(training, self.latent_width, seeded(seed, "head")))
        file = training.checkpoint / f"{self.id}{stage}.safetensors" if training.checkpoint else None
        fit_network(
            network, data, self.options(), seed=seeded(seed, "train"), checkpoint=file, device=training.device,
            objective=self.objective(data),
        )  # fmt: skip
        return finish(training, data, network, design)

    def options(self) -> TrainOptions:
        """How the network is trained."""
        return TrainOptions(
            self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay, self.modality_dropout
        )


def adapted_modalities(cohort: Cohort) -> dict[str, InputsAsTheyAre]:
    """Those whose encoder's inputs are kept, each with what makes its network."""
    found = {}
    for name in cohort.modalities:
        inputs, encoding = cohort.inputs(name), cohort.encodings.get(name)
        if inputs is not None and encoding is not None and len(inputs):
            width = int(cohort.raw(name).width)
            found[name] = InputsAsTheyAre(encoding.encoder, encoding.kind, encoding.identity, int(inputs.width), width)
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
