"""BioD2C: one modality's features, and a gated residual of the same features as another modality asks for them.

Ji et al., BioD2C: A Dual-level Semantic Consistency Constraint Framework for Biomedical VQA, MICCAI 2025, arXiv
2503.02476.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import TokenEntrance
from chiasm.fusion.transformer import ClassReader, TransformerLayer
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

BASE, ASKS = "base", "asks "


class BioD2C(nn.Module):
    """Gated residual fusion: `e = f_base + sum over m of tanh(beta_m) f_m`, m the other modalities present.

    `f_base` is what the class token of a transformer on the base's tokens has become. `f_m` is what a decoder has: the
    tokens of m attend to the base's, and their mean is taken. Every beta starts at `beta`; where it is 0 the output is
    that of the base alone. Of a patient without the base, `f_base` is zeros and the tokens of m find nothing to attend
    to. Extras, `(B, D)`, NaN where the base or m is absent: `base`, the output e, and `asks m`, the mean token of m.

    Deviations: tokens of any modalities in place of image and question; no features of several scales, which tokens
    without a grid do not have; the decoder of training is that of prediction, where the released code has two.

    Args:
        shapes: (width, slots) of each modality's tokens.
        base: the modality that stands for the image.
        latent_width, heads: D, a multiple of `heads`.
        beta: the start of every beta.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        base: str,
        latent_width: int = 32,
        heads: int = 4,
        beta: float = 0.1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.base = self.names.index(base)
        self.entrances = nn.ModuleList(TokenEntrance(*shapes[name], latent_width, dropout) for name in self.names)
        self.reader = ClassReader(latent_width, 1, heads)
        self.decoders = nn.ModuleList(TransformerLayer(latent_width, heads=heads) for _ in self.names[1:])
        self.betas = nn.Parameter(torch.full((len(self.names) - 1,), beta))

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        own = [tokens[name].where_present(present[:, m]) for m, name in enumerate(self.names)]
        hidden = [entrance(part) for entrance, part in zip(self.entrances, own, strict=True)]
        has_base = present[:, [self.base]]
        first, base = self.reader(hidden[self.base], own[self.base].mask)
        found, asks = torch.where(has_base, first, torch.zeros_like(first)), {}
        others = [m for m in range(len(self.names)) if m != self.base]
        for m, decoder, gate in zip(others, self.decoders, torch.tanh(self.betas), strict=True):
            here = present[:, [m]]
            read = _mean(decoder.across(hidden[m], base, own[self.base].mask), own[m].mask)  # type: ignore[operator]
            found = found + torch.where(here, gate * read, torch.zeros_like(read))
            asks[ASKS + self.names[m]] = torch.where(here & has_base, _mean(hidden[m], own[m].mask), torch.nan)
        return Fused(found, extras={BASE: torch.where(has_base, found, torch.nan), **asks})


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    total = torch.where(mask[..., None], hidden, torch.zeros_like(hidden)).sum(1)
    return total / mask.sum(1, keepdim=True).clamp_min(1)
