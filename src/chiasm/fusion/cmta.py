"""CMTA: each modality is read twice, by itself and translated from the others, and the two are averaged.

Zhou and Chen, Cross-Modal Translation and Alignment for Survival Analysis, ICCV 2023, arXiv 2309.12855.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import TokenEntrance
from chiasm.fusion.transformer import ClassReader
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

OWN, TRANSLATED = "own ", "translated "


class Bridge(nn.Module):
    """Single-head cross-attention, `softmax(W_q x (W_k c)' / sqrt(D)) W_v c`: the others' content in x's places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, hidden: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """Read the context `(B, S, D)` where `mask` is True in the places of the tokens: `(B, T, D)`."""
        readable = (mask | ~mask.any(1, keepdim=True))[:, None, :]  # an empty row is finite, and discarded
        queries, keys, values = self.query(hidden), self.key(context), self.value(context)
        return nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=readable)


class Cmta(nn.Module):
    """Cross-modal translation: `e = relu(W [(p_1 + q_1) / 2; ...; (p_M + q_M) / 2] + b)`.

    `p_m` is the class token of modality m's encoder. `q_m` is that of its decoder, which reads the tokens of all other
    modalities present, attended to by the tokens of m: m as translated from the others. For two modalities this is the
    paper's; for more its "other" is the union of the others, in one softmax. Where m is alone, `p_m` stands for the
    mean; where m is absent, zeros. Each `p_m` and `q_m`, `(B, D)`, is an extra, NaN where it does not exist.

    Deviations: plain transformer layers, where the paper has those of TransMIL (Nystrom attention, positions by
    convolution) for patches; entrances with a map for each token of fixed position.

    Args:
        shapes: (width, slots) of each modality's tokens.
        latent_width: D, a multiple of `heads`.
        depth: layers of each encoder and each decoder.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        latent_width: int = 32,
        depth: int = 1,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.entrances = nn.ModuleList(TokenEntrance(*shapes[name], latent_width, dropout) for name in self.names)
        self.encoders = nn.ModuleList(ClassReader(latent_width, depth, heads, dropout) for _ in self.names)
        several = len(self.names) > 1
        self.bridges = nn.ModuleList(Bridge(latent_width) for _ in self.names if several)
        self.decoders = nn.ModuleList(ClassReader(latent_width, depth, heads, dropout) for _ in self.names if several)
        self.map = nn.Sequential(nn.Linear(len(self.names) * latent_width, latent_width), nn.ReLU())

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        own = [tokens[name].where_present(present[:, m]) for m, name in enumerate(self.names)]
        read = [
            encoder(entrance(part), part.mask)
            for encoder, entrance, part in zip(self.encoders, self.entrances, own, strict=True)
        ]
        parts, extras = [], {}
        for m, name in enumerate(self.names):
            p, hidden = read[m]
            here, alone = present[:, [m]], present.sum(1, keepdim=True) == 1
            others = [k for k in range(len(self.names)) if k != m]
            mean = p
            extras[OWN + name] = p
            if others:
                context = torch.cat([read[k][1] for k in others], 1)
                mask = torch.cat([own[k].mask for k in others], 1)
                q, _ = self.decoders[m](self.bridges[m](hidden, context, mask), own[m].mask)
                mean = torch.where(alone, p, (p + q) / 2)
                extras[TRANSLATED + name] = torch.where(here & ~alone, q, torch.nan)
            parts.append(torch.where(here, mean, torch.zeros_like(mean)))
        return Fused(self.map(torch.cat(parts, 1)), extras=extras)


def alignment_loss(fused: Fused) -> Tensor:
    """Return the mean of `|sg(p_m) - q_m|` over the modalities translated, a scalar; zero if there is none.

    `sg` stops the gradient on `p_m` itself, as in the paper. The encoders still feel the loss where their tokens are
    what is translated.
    Source: CMTA, equation of the alignment loss (L1); its sum over D and the modalities is a mean here, so that its
    weight means the same at every width.

    Args:
        fused: the output of `Cmta`.
    """
    gaps = []
    for name, q in fused.extras.items():
        if name.startswith(TRANSLATED):
            there = ~torch.isnan(q[:, 0])
            p = fused.extras[OWN + name.removeprefix(TRANSLATED)].detach()
            gaps.append((p[there] - q[there]).abs().mean(1))
    found = torch.cat(gaps) if gaps else fused.embedding.new_zeros(0)
    return found.mean() if len(found) else fused.embedding.sum() * 0.0
