"""Masked autoencoder of the tokens of several modalities: a shared trunk, and a decoder for what it did not see."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.shared_trunk import SharedTrunk
from chiasm.fusion.transformer import TransformerLayer
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

DECODER = "decoder."  # before the names of parameters that only reconstruct


class Decoder(nn.Module):
    """Decoder of a masked autoencoder: seen tokens and mask tokens, `(B, T, D)`, to the tokens' own values.

    A mask token has the vector of its modality and of its place; places of a bag have none, so that all unseen tokens
    of a bag are given one answer, their mean as the seen ones let expect it.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.enter = nn.Linear(width, width)
        self.unseen = nn.Parameter(torch.randn(width) * 0.02)
        self.modality = nn.Parameter(torch.randn(len(self.names), width) * 0.02)
        # One place is none: the modality's own vector says all of it.
        self.places = nn.ParameterList(
            torch.randn(slots, width) * 0.02 if slots > 1 else torch.zeros(0, width)
            for slots in (shapes[name][1] for name in self.names)
        )
        self.layers = nn.ModuleList(TransformerLayer(width, heads=heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.exits, self.biases = nn.ParameterList(), nn.ParameterList()
        for name in self.names:
            own, slots = shapes[name]
            bound = 1 / math.sqrt(width)
            self.exits.append(torch.empty(max(1, slots), width, own).uniform_(-bound, bound))
            self.biases.append(torch.zeros(max(1, slots), own))

    def forward(
        self, hidden: Tensor, lengths: list[int], seen: Tensor, mask: Tensor, context: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Reconstruct each modality, `(B, T_m, width)`, from the trunk's tokens where `seen` `(B, T)` is True.

        Args:
            lengths: T_m of each modality, by name.
            mask: `(B, T)` bool, tokens that are seen or asked for; the others are not attended to.
            context: `(B, D)`, what is added to every token; None: nothing.
        """
        hidden = torch.where(seen[..., None], self.enter(hidden), self.unseen)
        vectors = [
            (vector + place if len(place) else vector).expand(length, -1)
            for vector, place, length in zip(self.modality, self.places, lengths, strict=True)
        ]
        hidden = hidden + torch.cat(vectors)
        hidden = hidden if context is None else hidden + context[:, None]
        for layer in self.layers:
            hidden = layer(hidden, mask)
        found = {}
        for part, name, out, bias in zip(
            self.norm(hidden).split(lengths, 1), self.names, self.exits, self.biases, strict=True
        ):
            if len(out) == 1:
                found[name] = part @ out[0] + bias[0]
            else:
                found[name] = torch.einsum("btd,tdw->btw", part, out) + bias
        return found


class MaskedTrunk(nn.Module):
    """BM-MAE: a shared trunk that is first trained to tell unseen tokens from seen ones, then to predict.

    Source: Robinet et al., arXiv 2505.00568: a trunk on the tokens that are seen, a small decoder on these and mask
    tokens, the squared error of what was not seen. Deviations: any tokens of any encoder in place of patches of
    registered MRI; each modality's error is divided by the variance of its tokens in the training set, where theirs
    normalises patches.

    Args:
        shapes: (width, slots) of each modality's tokens.
        latent_width, depth, heads, dropout: of the trunk, as in `SharedTrunk`.
        decoder_depth: layers of the decoder; 0: there is none, and nothing is reconstructed.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        latent_width: int = 32,
        depth: int = 2,
        heads: int = 4,
        decoder_depth: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.trunk = SharedTrunk(shapes, latent_width=latent_width, depth=depth, heads=heads, dropout=dropout)
        self.decoder = Decoder(shapes, latent_width, decoder_depth, heads) if decoder_depth else None

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        fused: Fused = self.trunk(tokens, present)
        return fused

    def reconstruct(
        self, tokens: dict[str, Tokens], seen: dict[str, Tensor], asked: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Reconstruct the tokens that are asked for from those that are seen.

        Args:
            tokens: of every modality; values that are not seen are never read.
            seen, asked: `(B, T_m)` bool of each modality.

        Returns:
            the reconstruction of each modality, `(B, T_m, width)`, which means nothing where it was not asked for, and
            the trunk's class token `(B, D)`.
        """
        if self.decoder is None:
            raise ValueError("without a decoder nothing is reconstructed: give it a layer")
        shown = {name: Tokens(own.values, seen[name]) for name, own in tokens.items()}
        everybody = torch.ones(len(next(iter(seen.values()))), len(self.names), dtype=torch.bool)
        hidden, mask = self.trunk.tokenise(shown, everybody.to(next(iter(seen.values())).device))
        first, hidden = self.trunk.reader(hidden, mask)
        lengths = [tokens[name].mask.shape[1] for name in self.names]
        wanted = torch.cat([asked[name] for name in self.names], 1)
        return self.decoder(hidden, lengths, mask, mask | wanted), first


def reconstruction_loss(
    tokens: dict[str, Tokens], found: dict[str, Tensor], asked: dict[str, Tensor], spread: Mapping[str, float]
) -> Tensor:
    """Return the mean over the modalities of the squared error of the tokens asked for, each over its variance.

    Zero where nothing was asked for.

    Args:
        tokens: the true tokens.
        found: the reconstruction of each modality, `(B, T_m, width)`.
        asked: `(B, T_m)` bool.
        spread: variance of each modality's tokens, above zero; the same for every batch, since that of a batch with two
            tokens of a rare modality may be anything.
    """
    losses = []
    for name, wanted in asked.items():
        if bool(wanted.any()):
            losses.append((found[name][wanted] - tokens[name].values[wanted]).square().mean() / spread[name])
    return torch.stack(losses).mean() if losses else next(iter(found.values())).sum() * 0.0
