"""A network with a distillation token, and the two heads of classes that are averaged (DeiT)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.encoders.raster.patch_transformer import PatchTransformer
from chiasm.fitting.neural import Shapes
from chiasm.fusion.pooled import PooledMean
from chiasm.heads.head import Head
from chiasm.protocols import EMBEDDING, Fused
from chiasm.recipes.adaptation.adapted_fusion import Adaptation, AdaptedFusion, made_widths
from chiasm.targets import Classification
from chiasm.tokens import Tokens
from chiasm.training.from_teacher import OF_CLASSES, OF_TEACHER


class TokenTrunk(Trunk):
    """Trunk of a `PatchTransformer` with one more token, which begins as its class token does.

    It maps an input to two tokens: the mean of the places, and the state of the distillation token.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk.network)
        self.unread = trunk.unread
        self.second = nn.Parameter(self._transformer.first.detach().clone(), requires_grad=False)

    @property
    def _transformer(self) -> PatchTransformer:
        assert isinstance(self.network, PatchTransformer)
        return self.network

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map flat inputs `(N, P)` to tokens `(N, 2, D)`."""
        network = self._transformer
        tokens = network.embed(inputs.reshape(-1, *network.config.shape))
        both = torch.cat([network.first, self.second], 1).expand(len(tokens), 2, -1)
        tokens = torch.cat([both, tokens], 1)
        for block in network.blocks:
            tokens = block(tokens)
        states = network.norm(tokens)
        return torch.stack([states[:, 2:].mean(1), states[:, 1]], 1), None


class TwoHeads(nn.Module):
    """Logits of the classes from all modalities, and from the distillation tokens, and the mean of both probabilities.

    A patient of whom no modality with such a token is known has the first alone.

    Args:
        shapes: (width, slots) of each modality's tokens.
        taught: modalities whose second token is a distillation token.
        width: D of the embeddings; outputs: K.
        dropout: on the embeddings; columns: see `PooledMean`.
    """

    def __init__(
        self,
        shapes: Shapes,
        taught: Collection[str],
        width: int,
        outputs: int,
        dropout: float,
        columns: Collection[str],
    ) -> None:
        super().__init__()
        self.names, self.taught = sorted(shapes), sorted(taught)
        self.pooled = PooledMean(shapes, width, dropout, columns)
        self.classes = Head(width, outputs, Classification.kind)
        self.second = PooledMean({name: shapes[name] for name in self.taught}, width, dropout) if taught else None
        self.teacher = Head(width, outputs, Classification.kind) if taught else None

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse; the link, log probabilities `(B, K)`, stands in place of the embedding, which is an extra."""
        first = {name: _part(own, 0) if name in self.taught else own for name, own in tokens.items()}
        embedding = self.pooled(first, present).embedding
        logits = self.classes(embedding)
        if self.second is None or self.teacher is None:
            return Fused(
                torch.log_softmax(logits, 1), extras={EMBEDDING: embedding, OF_CLASSES: logits, OF_TEACHER: logits}
            )
        here = present[:, [self.names.index(name) for name in self.taught]]
        second = {name: _part(tokens[name], 1) for name in self.taught}
        learned = self.teacher(self.second(second, here).embedding)
        learned = torch.where(here.any(1, keepdim=True), learned, logits)
        both = torch.stack([torch.log_softmax(logits, 1), torch.log_softmax(learned, 1)])
        link = torch.logsumexp(both, 0) - math.log(2)
        return Fused(link, extras={EMBEDDING: embedding, OF_CLASSES: logits, OF_TEACHER: learned})


@storable("distilled")
@dataclass(frozen=True)
class DistilledDesign:
    """Storable description of a distilled network; its fusion gives the link, so that no head follows.

    Args:
        width: D of the embeddings; outputs: K.
        trunks, adaptations, columns: as in `AdaptedDesign`.
        taught: modalities whose network has a distillation token.
    """

    width: int
    outputs: int
    trunks: dict[str, InputsAsTheyAre]
    adaptations: dict[str, Adaptation]
    columns: tuple[str, ...] = ()
    taught: tuple[str, ...] = ()

    latent_width: ClassVar[int] = 0

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> AdaptedFusion:
        """Create a fresh fusion, with the networks at their encoders' weights."""
        return self.fusion_of({name: own.trunk() for name, own in self.trunks.items()}, shapes, dropout)

    def fusion_of(self, trunks: Mapping[str, Trunk], shapes: Shapes, dropout: float = 0.0) -> AdaptedFusion:
        """Create a fresh fusion with these networks."""
        own = {name: TokenTrunk(trunk) if name in self.taught else trunk for name, trunk in trunks.items()}
        widths = made_widths(self.trunks, shapes)
        heads = TwoHeads(widths, self.taught, self.width, self.outputs, dropout, self.columns)
        return AdaptedFusion(own, self.adaptations, heads, widths)


def has_room(trunk: Trunk) -> bool:
    """Tell whether a distillation token can be added to a network."""
    return isinstance(trunk.network, PatchTransformer)


def _part(tokens: Tokens, number: int) -> Tokens:
    """Return one token of each patient; where there are none of them at all, the placeholder that stands there."""
    at = min(number, tokens.values.shape[1] - 1)
    return Tokens(tokens.values[:, at : at + 1], tokens.mask[:, at : at + 1])
