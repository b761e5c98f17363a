"""Connectors: the tokens of any encoder become soft tokens, vectors as wide as a language model's word embeddings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from chiasm.fusion.transformer import TransformerLayer
from chiasm.tokens import Tokens

CONNECTORS = ("linear", "mlp", "resampler")
"""Kinds of connector, the simplest first."""


class Connector(nn.Module):
    """Map tokens `(B, T, D)` to soft tokens `(B, K, W)` of the size that word embeddings have.

    - `linear`: `s_t = W x_t + b`, K = T (BioMedGPT, RetinaVLM, LLaVA-Med 1.0);
    - `mlp`: `s_t = W_2 gelu(W_1 x_t + b_1) + b_2`, K = T (LLaVA-Med 1.5, GMAI-VL);
    - `resampler`: `queries` learned queries attend to the tokens, then a linear map, K = `queries` (MiniGPT-4's).

    Word embeddings of a language model are small, and soft tokens that are many times longer would drown its words: the
    output is `gain` times its layer norm, where `gain` begins at the mean root square of the word embeddings. With
    `slots` each place of the tokens adds a vector of its own, so that their order is known.

    Args:
        width, slots: D, and the number of tokens with a place of their own, 0 for a bag.
        out: W.
        kind: one of `CONNECTORS`.
        queries: K of a resampler.
        size: root mean square of a word embedding's entries.

    Source: Liu et al., LLaVA (NeurIPS 2023), arXiv 2304.08485; Li et al., BLIP-2 (ICML 2023), for learned queries.
    Deviation: the layer norm and gain, which let a small learning rate begin within the range of words.
    """

    def __init__(self, width: int, slots: int, out: int, kind: str = "mlp", queries: int = 4, size: float = 1.0):
        super().__init__()
        if kind not in CONNECTORS:
            raise ValueError(f"connector={kind!r} is not known: choose one of {', '.join(CONNECTORS)}")
        if queries < 1:
            raise ValueError(f"queries={queries} asks nothing: one or more are needed")
        self.slots = slots
        self.place = nn.Parameter(torch.zeros(slots, width)) if slots else None
        if kind == "linear":
            self.map: nn.Module = nn.Linear(width, out)
        elif kind == "mlp":
            self.map = nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))
        else:
            self.map = _Resampler(width, out, queries)
        self.kind = kind
        self.norm = nn.LayerNorm(out, elementwise_affine=False)
        self.gain = nn.Parameter(torch.tensor(float(size)))

    def forward(self, tokens: Tokens) -> Tokens:
        """Return the soft tokens and which of them are real; a patient without a token has none.

        Raises:
            ValueError: tokens with places are fewer or more than at the fit.
        """
        values = torch.where(tokens.mask[..., None], tokens.values, 0.0)
        if self.place is not None:
            if values.shape[1] != self.slots:
                raise ValueError(f"{self.slots} tokens at fit and {values.shape[1]} now")
            values = values + self.place
        if isinstance(self.map, _Resampler):
            made = self.map(values, tokens.mask)
            mask = tokens.mask.any(1, keepdim=True).expand(-1, made.shape[1])
        else:
            made, mask = self.map(values), tokens.mask
        return Tokens(self.gain * self.norm(made), mask)


class _Resampler(nn.Module):
    """Learned queries that attend to the tokens in one layer, and a map to the words' width."""

    def __init__(self, width: int, out: int, queries: int) -> None:
        super().__init__()
        inner = max(32, 4 * math.ceil(min(width, out) / 4))
        self.entrance = nn.Linear(width, inner)
        self.queries = nn.Parameter(torch.randn(queries, inner) / math.sqrt(inner))
        self.layer = TransformerLayer(inner, heads=4)
        self.exit = nn.Linear(inner, out)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        asked = self.queries.expand(len(values), -1, -1)
        return self.exit(self.layer.across(asked, self.entrance(values), mask))  # type: ignore[no-any-return]


class Tower(nn.Module):
    """One transformer layer upon an encoder's stored tokens, the identity until it is trained.

    It stands for the last layers of an encoder in stages that train the encoder too: stored tokens are never made anew.

    Args:
        width: D of the tokens.
        slots: number of tokens with a place of their own, 0 for a bag.
    """

    def __init__(self, width: int, slots: int) -> None:
        super().__init__()
        inner = max(16, 4 * math.ceil(min(width, 64) / 4))
        self.place = nn.Parameter(torch.zeros(slots, inner)) if slots else None
        self.entrance, self.layer, self.exit = (
            nn.Linear(width, inner), TransformerLayer(inner, heads=4), nn.Linear(inner, width),
        )  # fmt: skip
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)

    def forward(self, tokens: Tokens) -> Tokens:
        """Return the tokens with what the layer adds; masked ones are never read."""
        values = torch.where(tokens.mask[..., None], tokens.values, 0.0)
        hidden = self.entrance(values)
        hidden = hidden if self.place is None else hidden + self.place
        return Tokens(values + self.exit(self.layer(hidden, tokens.mask)), tokens.mask, tokens.times)
