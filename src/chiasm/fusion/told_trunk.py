"""A trunk that rebuilds hidden tokens of what it sees, and tells hidden tokens of a text from the mean of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.masked_trunk import DECODER, Decoder
from chiasm.fusion.pooled import masked_mean
from chiasm.fusion.shared_trunk import SharedTrunk
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

WRITER = "writer."  # before the names of parameters that only tell a text
READS_NO_TARGET = (f"fusion.{DECODER}", f"fusion.{WRITER}")


class ToldTrunk(nn.Module):
    """UrFound's two tasks without labels, then a shared trunk that reads the modalities present.

    Of the modalities but the text the trunk reads visible tokens alone, a decoder rebuilds the hidden ones, and the
    mean of the visible latents is added to each token of the text, hidden ones in place of a mask token, from which a
    writer tells the hidden ones.

    Source: Yu et al., UrFound, MICCAI 2024, arXiv 2408.05618. Deviations: any modalities in place of two kinds of image
    of the retina; a text is a sequence of an encoder's vectors, of windows or of pieces, and they are told by their
    squared error, where the paper tells the words of a vocabulary by cross entropy; on the target the trunk reads the
    text too.

    Args:
        shapes: (width, slots) of each modality's tokens.
        text: the modality that is told; empty: none.
        latent_width, depth, heads, dropout: of the trunk, as in `SharedTrunk`.
        decoder_depth: layers of the decoder and of the writer; 0: there are none.
        rebuilds: whether there is a decoder.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        text: str,
        latent_width: int = 32,
        depth: int = 2,
        heads: int = 4,
        decoder_depth: int = 1,
        dropout: float = 0.0,
        rebuilds: bool = True,
    ) -> None:
        super().__init__()
        self.names, self.text = sorted(shapes), text
        self.trunk = SharedTrunk(shapes, latent_width=latent_width, depth=depth, heads=heads, dropout=dropout)
        seen = {name: own for name, own in shapes.items() if name != text}
        told = {name: own for name, own in shapes.items() if name == text}
        self.decoder = Decoder(seen, latent_width, decoder_depth, heads) if decoder_depth and rebuilds else None
        self.writer = Decoder(told, latent_width, decoder_depth, heads) if decoder_depth and told else None

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        fused: Fused = self.trunk(tokens, present)
        return fused

    def rebuilt(
        self, tokens: dict[str, Tokens], visible: dict[str, Tensor], asked: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Rebuild tokens of the modalities that are seen, from those that are visible.

        Args:
            tokens: of every modality; values that are not visible, and those of the text, are never read.
            visible, asked: `(B, T_m)` bool of each modality; nothing of the text is asked for.

        Returns:
            each modality's tokens, `(B, T_m, width)`, which mean nothing where they were not asked for, none without a
            decoder; the mean of the visible latents `(B, D)`, zeros where there is none; and the trunk's class token
            `(B, D)`.
        """
        if self.decoder is None and self.writer is None:
            raise ValueError("without a decoder nothing is rebuilt: give it a layer")
        everybody = next(iter(visible.values())).new_ones(len(next(iter(visible.values()))), len(self.names))
        shown = {name: Tokens(own.values, visible[name] & (name != self.text)) for name, own in tokens.items()}
        hidden, mask = self.trunk.tokenise(shown, everybody)
        first, hidden = self.trunk.reader(hidden, mask)
        lengths = [tokens[name].mask.shape[1] for name in self.names]
        parts, seen = hidden.split(lengths, 1), [name for name in self.names if name != self.text]
        own = {name: part for name, part in zip(self.names, parts, strict=True) if name in seen}
        shared = torch.cat([own[name] for name in seen], 1)
        real = torch.cat([shown[name].mask for name in seen], 1)
        mean = masked_mean(shared, real)
        if self.decoder is None:
            return {}, mean, first
        wanted = torch.cat([asked[name] for name in seen], 1)
        found = self.decoder(shared, [tokens[name].mask.shape[1] for name in seen], real, real | wanted)
        return found, mean, first

    def told(self, text: Tokens, visible: Tensor, asked: Tensor, mean: Tensor) -> Tensor:
        """Tell the tokens of the text `(B, T, width)` that are asked for, from the visible ones and a mean `(B, D)`.

        Args:
            text: its tokens; values that are not visible are never read.
            visible, asked: `(B, T)` bool.
        """
        if self.writer is None:
            raise ValueError("nothing tells a text here: name one, and give the writer a layer")
        place = self.names.index(self.text)
        shown = Tokens(text.values, visible).where_present(visible.any(1))
        hidden = self.trunk.entrances[place](shown) + self.trunk.modality[place]
        found: Tensor = self.writer(hidden, [hidden.shape[1]], visible, visible | asked, mean)[self.text]
        return found
