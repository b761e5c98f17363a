"""Network of prompt learning: frozen language models with prompts, words as classes, and the other modalities."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from chiasm.adapters import SoftVerbalizer, Verbalizer
from chiasm.adapters.language_trunk import LanguageTrunk, StateAtMask, Template
from chiasm.artifact import storable
from chiasm.encoders.adaptable import InputsAsTheyAre
from chiasm.fitting.neural import Shapes
from chiasm.fusion.pooled import PooledMean
from chiasm.protocols import Fused
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedFusion
from chiasm.tokens import Tokens


class WordScores(nn.Module):
    """Sum of class scores from texts and other modalities: `link = mean of text scores + W pooled(other modalities)`.

    Each term counts only where it is present. W and its bias start at zero, so an untrained network gives the language
    model's scores.

    Args:
        shapes: modality to (width, slots) of its tokens.
        texts: modalities whose tokens are scores, or with `soft` the states that a soft verbalizer reads.
        labels: number of classes, K.
        soft: read states by a learned verbalizer instead of scores.
        width, dropout, columns: as in `PooledMean`, of the other modalities.
    """

    def __init__(
        self,
        shapes: Shapes,
        texts: list[str],
        labels: int,
        soft: bool,
        width: int,
        dropout: float,
        columns: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.texts = texts
        self.columns = [m for m, name in enumerate(sorted(shapes)) if name not in texts]
        others = {name: shape for name, shape in shapes.items() if name not in texts}
        self.places = [m for m, name in enumerate(sorted(shapes)) if name in texts]
        if soft:
            self.verbalizers = nn.ModuleList(SoftVerbalizer(shapes[name][0], labels) for name in texts)
        self.soft, self.labels = soft, labels
        if others:
            self.pooled, self.linear = PooledMean(others, width, dropout, columns), nn.Linear(width, labels)
            nn.init.zeros_(self.linear.weight), nn.init.zeros_(self.linear.bias)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return the link `(B, K)`, in place of an embedding."""
        here = present[:, self.places]
        scores = torch.zeros(len(present), self.labels, device=present.device)
        for m, name in enumerate(self.texts):
            own = tokens[name].where_present(here[:, m])
            count = own.mask.sum(1, keepdim=True).clamp_min(1)
            said = (own.values * own.mask[..., None]).sum(1) / count  # (B, K), or (B, D) states
            if self.soft:
                said = self.verbalizers[m](said, said)
            scores = scores + torch.where(here[:, [m]], said, 0.0)
        link = scores / here.sum(1, keepdim=True).clamp_min(1)
        if not self.columns:
            return Fused(link)
        rest = present[:, self.columns]
        return Fused(
            link + torch.where(rest.any(1, keepdim=True), self.linear(self.pooled(tokens, rest).embedding), 0.0)
        )


@storable("prompt-learning")
@dataclass(frozen=True)
class PromptDesign:
    """Storable description of the network: encoders of the texts, their templates and words, and the sizes."""

    keeps_rows: ClassVar[bool] = True

    texts: dict[str, InputsAsTheyAre]
    templates: dict[str, Template]
    verbalizers: dict[str, Verbalizer]
    labels: int
    adaptations: dict[str, Adaptation]
    width: int
    columns: tuple[str, ...] = ()

    @property
    def latent_width(self) -> int:
        """Always 0: the fusion returns the link itself."""
        return 0

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> AdaptedFusion:
        """Build language models with prompts, initialised by vocabulary embeddings (Lester et al., section 3.2)."""
        names, soft = sorted(self.texts), not self.verbalizers
        models = {name: self.texts[name].encoder().language_model() for name in names}
        trunks = {}
        for name, model in models.items():
            reader = StateAtMask() if soft else self.verbalizers[name]
            trunks[name] = LanguageTrunk(model, self.templates[name], reader)
        widths = {name: self.texts[name].token_width if soft else self.labels for name in names}
        known = {name: (widths.get(name, own[0]), own[1]) for name, own in shapes.items()}
        scores = WordScores(known, names, self.labels, soft, self.width, dropout, self.columns)
        fusion = AdaptedFusion(trunks, self.adaptations, scores, known)
        for name, found in fusion.attached.items():
            vocabulary = models[name].get_input_embeddings().weight
            for prompt in found.parameters():
                prompt.data = vocabulary[torch.randint(len(vocabulary), (len(prompt),))].clone()
        return fusion
