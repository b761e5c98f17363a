"""MONAI's transformer as a writer of the codes of a picture, given what is known of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.artifact import storable
from chiasm.generation.picture_generator import monai_part


@storable("code-writer")
@dataclass(frozen=True)
class CodeWriterDesign:
    """Sizes of a transformer that writes codes.

    Args:
        codes: how many there are.
        places: codes of a picture.
        condition: numbers that are known of a patient; 0: none.
        width: a multiple of `heads`.
    """

    codes: int
    places: int
    condition: int = 0
    width: int = 64
    depth: int = 3
    heads: int = 4

    def __post_init__(self) -> None:
        if min(self.codes, self.places, self.width, self.depth, self.heads) < 1 or self.condition < 0:
            raise ValueError("codes, places, width, depth and heads of a transformer are 1 or more")
        if self.width % self.heads:
            raise ValueError(f"width={self.width} is no multiple of heads={self.heads}")

    def build(self) -> CodeWriter:
        """Create a transformer with random weights."""
        return CodeWriter(self)


class CodeWriter(nn.Module):
    """`p(code | codes before, condition)` at each place, by MONAI's `DecoderOnlyTransformer`.

    A patient is one token that each layer attends to; nothing known, a condition of None or a row of NaN, is one that
    is learnt.
    """

    def __init__(self, design: CodeWriterDesign) -> None:
        super().__init__()
        self.design = design
        self.network: Any = monai_part("networks.nets.transformer", "DecoderOnlyTransformer")(
            num_tokens=design.codes + 1, max_seq_len=design.places, attn_layers_dim=design.width,
            attn_layers_depth=design.depth, attn_layers_heads=design.heads, with_cross_attention=design.condition > 0,
        )  # fmt: skip
        self.known = nn.Linear(design.condition, design.width) if design.condition else None
        self.unknown = nn.Parameter(torch.zeros(design.width))

    def forward(self, codes: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits `(B, T, C)` at each place of codes `(B, T)`, of those before it."""
        return self.after(self.begun(codes)[:, :-1], condition)

    @torch.no_grad()
    def draw(self, n: int, generator: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """Write the codes `(n, places)` of n pictures one after the other."""
        codes = self.begun(torch.zeros(n, 0, dtype=torch.long))
        for _ in range(self.design.places):
            likely = self.after(codes, condition)[:, -1].softmax(-1)
            codes = torch.cat([codes, torch.multinomial(likely, 1, generator=generator)], 1)
        return codes[:, 1:]

    def begun(self, codes: Tensor) -> Tensor:
        """Codes with the one before all of them that begins a picture."""
        return functional.pad(codes, (1, 0), value=self.design.codes)

    def after(self, codes: Tensor, condition: Tensor | None) -> Tensor:
        """Logits `(B, T, C)` of the code after each of codes `(B, T)`; none begins a picture."""
        found: Tensor = self.network(codes, context=self.context(len(codes), condition))
        return found[..., : self.design.codes]

    def context(self, n: int, condition: Tensor | None) -> Tensor | None:
        """The token `(B, 1, D)` of each patient; None where the transformer reads none."""
        if self.known is None:
            return None
        if condition is None:
            return self.unknown.expand(n, 1, -1)
        lacks = condition.isnan().any(1, keepdim=True)
        return torch.where(lacks, self.unknown, self.known(condition.nan_to_num()))[:, None]
