"""Modalities and sentences in one space: images are read by a small transformer, texts by a projector."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.aligned import AlignedModalities, Projector
from chiasm.fusion.transformer import TransformerLayer
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

BIAS = -10.0  # SigLIP's first bias: nearly all pairs are negative


class Tower(Projector):
    """Projector whose tokens attend to each other first; with `shared`, one map for all places, which are learned.

    Args:
        width, slots, out, dropout: as in `Projector`.
        depth, heads: transformer layers, and heads of each.
        shared: tokens are patches of a grid: `h_t = W x_t + b + p_t`, so that what is learned at one place holds at
            another; else each place has a map of its own.
    """

    def __init__(
        self, width: int, slots: int, out: int, dropout: float = 0.0, *, depth: int, heads: int, shared: bool = False
    ) -> None:
        super().__init__(width, 0 if shared else slots, out, dropout)
        self.places = nn.Parameter(torch.randn(slots, out) * 0.02) if shared and slots else None
        self.layers = nn.ModuleList(TransformerLayer(out, heads=heads, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(out)

    def hidden(self, tokens: Tokens) -> Tensor:
        """Return what the tokens become, `(B, T, D)`."""
        hidden: Tensor = self.entrance(tokens)
        hidden = hidden if self.places is None else hidden + self.places
        for layer in self.layers:
            hidden = layer(hidden, tokens.mask)
        return self.norm(hidden)  # type: ignore[no-any-return]

    def forward(self, tokens: Tokens) -> Tensor:
        """Project tokens to unit vectors `(B, D)`; the caller discards patients without a token."""
        return self.read(self.hidden(tokens), tokens.mask)


class WordedModalities(AlignedModalities):
    """Aligned modalities, and sentences that are read into the same space though no patient has them.

    Sentences are read by the projector of the modality of language where there is one, else by one of their own.
    `Fused.extras` holds, beside the vectors, `patches:<m>` `(B, T, D)`, unit vectors of the tokens of each modality
    but language, and `seen:<m>` `(B, T)` if `patches` asks for them.

    Args:
        shapes, latent_width, dropout, temperature: as in `AlignedModalities`.
        grids: modalities whose tokens are patches.
        words: the modality of language; empty: none.
        told: (width, slots) of the tokens of a sentence where they have a projector of their own; (0, 0): none.
        depth, heads: of the towers of modalities that are no language.
        patches: hand over the tokens' vectors, too.
        queries: labels have a query each that asks the patches for itself, `decided`.
        sigmoid: learn a bias beside the scale.
        encoder: name and identity of the encoder that gives the tokens of sentences; empty where a modality's does.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        latent_width: int,
        dropout: float = 0.0,
        *,
        temperature: float = 0.07,
        grids: Collection[str] = (),
        words: str = "",
        told: tuple[int, int] = (0, 0),
        depth: int = 1,
        heads: int = 4,
        patches: bool = False,
        queries: bool = False,
        sigmoid: bool = False,
        encoder: tuple[str, str] = ("", ""),
    ) -> None:
        super().__init__(shapes, latent_width, dropout, temperature=temperature)
        self.words, self.patches, self.encoder = words, patches, encoder
        for m, name in enumerate(self.names):
            if name != words:
                self.projectors[m] = Tower(
                    *shapes[name], latent_width, dropout, depth=depth, heads=heads, shared=name in grids
                )
        self.told = Projector(*told, latent_width, dropout) if told[0] else None
        self.log_scale.requires_grad_(bool(told[0]) or len(self.names) > 1)
        self.bias = nn.Parameter(torch.tensor(BIAS)) if sigmoid else None
        self.reader = TransformerLayer(latent_width, heads=heads, dropout=dropout) if queries else None
        self.decision = nn.Linear(latent_width, 1) if queries else None

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Project and join the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        if not self.patches:
            return super().forward(tokens, present)
        parts: list[Tensor] = []
        extras: dict[str, Tensor] = {}
        for m, name in enumerate(self.names):
            own, tower = tokens[name].where_present(present[:, m]), self.projectors[m]
            if isinstance(tower, Tower):
                hidden = tower.hidden(own)
                vector = tower.read(hidden, own.mask)
                extras |= {f"patches:{m}": self.unit(tower, hidden), f"seen:{m}": own.mask}
            else:
                vector = tower(own)
            parts.append(torch.where(present[:, [m]], vector, torch.zeros_like(vector)))
        vectors = torch.stack(parts, 1)
        return Fused(self.joined(vectors, present), extras={"vectors": vectors, **extras})

    @property
    def reads_words(self) -> Projector | None:
        """The projector that reads sentences; None if nothing does."""
        if self.told is None and self.words in self.names:
            own = self.projectors[self.names.index(self.words)]
            assert isinstance(own, Projector)  # as built
            return own
        return self.told

    def sentences(self, tokens: Tokens) -> Tensor:
        """Return the unit vectors `(P, D)` of sentences."""
        reader = self.reads_words
        if reader is None:
            raise ValueError("nothing of this fusion reads sentences")
        own: Tensor = reader(tokens)
        return own

    def told_tokens(self, tokens: Tokens) -> Tensor:
        """Return the unit vectors `(P, T, D)` of the tokens of sentences."""
        reader = self.reads_words
        if reader is None:
            raise ValueError("nothing of this fusion reads sentences")
        return self.unit(reader, reader.entrance(tokens))

    def decided(self, queries: Tensor, patches: Tensor, seen: Tensor) -> Tensor:
        """Return the logits `(B, K)` of labels: each asks the patches by attention for what it describes.

        Args:
            queries: `(K, D)`, a vector a label.
            patches: `(B, T, D)`; seen: `(B, T)` bool.
        """
        if self.reader is None or self.decision is None:
            raise ValueError("this fusion was built without queries")
        asked = queries.expand(len(patches), -1, -1)
        return self.decision(self.reader.across(asked, patches, seen))[..., 0]  # type: ignore[no-any-return]

    @staticmethod
    def unit(reader: Projector, hidden: Tensor) -> Tensor:
        """Return the unit vectors of projected tokens, each read as if it were alone."""
        mapped: Tensor = reader.map(nn.functional.gelu(hidden))
        return nn.functional.normalize(mapped, dim=-1)
