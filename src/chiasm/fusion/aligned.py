"""Modalities in one space: a projector to unit vectors for each, and an embedding of those that are present."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import TokenEntrance
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

MOST = 100.0  # CLIP holds its scale below a hundred


class Projector(nn.Module):
    """Projector of one modality: `r = W gelu(mean over the tokens of LN(W_t x_t + b_t)) + b`, at unit length.

    Args:
        width, slots: of the modality's tokens.
        out: D of the vectors, and of the layer within.
        dropout: dropout on the tokens' projections.
    """

    def __init__(self, width: int, slots: int, out: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.entrance = TokenEntrance(width, slots, out, dropout)
        self.map = nn.Linear(out, out)

    def forward(self, tokens: Tokens) -> Tensor:
        """Project tokens to unit vectors `(B, D)`; the caller discards patients without a token."""
        return self.read(self.entrance(tokens), tokens.mask)

    def read(self, projected: Tensor, mask: Tensor) -> Tensor:
        """Return the vectors `(B, D)` of projected tokens `(B, T, D)`, of those in `mask` `(B, T)`."""
        here = mask[..., None]
        pooled = (projected * here).sum(1) / here.sum(1).clamp_min(1)
        mapped: Tensor = self.map(nn.functional.gelu(pooled))
        return nn.functional.normalize(mapped, dim=1)


class AlignedModalities(nn.Module):
    """Unit vectors `r_m` of the modalities, and `e = gelu(mean over the present m of W_m r_m + b_m)`.

    `Fused.extras["vectors"]` holds the vectors, `(B, M, D)`, zeros for an absent modality.

    Args:
        shapes: (width, slots) of each modality's tokens.
        latent_width: D of vectors and embedding.
        dropout: dropout in the projectors.
        temperature: the first one; one over it is the learned scale, held below 100.
        product: compare tuples by the multilinear inner product, of as many factors as there are modalities; else
            pairs by inner products.
        stand_ins: with `product`, learn a unit vector for each modality that stands where it is absent, never read
            from a patient. All start with equal entries, as which a factor changes nothing; without, they stay so.
    """

    stand_ins: Tensor

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        latent_width: int,
        dropout: float = 0.0,
        *,
        temperature: float = 0.07,
        product: bool = False,
        stand_ins: bool = False,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.product = product
        self.projectors = nn.ModuleList(Projector(*shapes[name], latent_width, dropout) for name in self.names)
        self.maps = nn.ModuleList(nn.Linear(latent_width, latent_width) for _ in self.names)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.log_scale.requires_grad_(len(self.names) > 1)  # one modality is compared with none
        even = torch.full((len(self.names), latent_width), latent_width**-0.5)
        if stand_ins:
            self.stand_ins = nn.Parameter(even, requires_grad=len(self.names) > 1)
        else:
            self.register_buffer("stand_ins", even, persistent=False)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Project and join the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        vectors = self.vectors(tokens, present)
        return Fused(self.joined(vectors, present), extras={"vectors": vectors})

    def vectors(self, tokens: Mapping[str, Tokens], present: Tensor) -> Tensor:
        """Return the unit vectors `(B, M, D)`, zeros for an absent modality."""
        parts = []
        for m, name in enumerate(self.names):
            own = self.projectors[m](tokens[name].where_present(present[:, m]))
            parts.append(torch.where(present[:, [m]], own, torch.zeros_like(own)))
        return torch.stack(parts, 1)

    def joined(self, vectors: Tensor, present: Tensor) -> Tensor:
        """Return the embedding `(B, D)` of vectors `(B, M, D)`; zeros for a patient who has no modality."""
        parts = torch.stack([own(vectors[:, m]) for m, own in enumerate(self.maps)], 1)
        here = present.to(parts.dtype)[..., None]
        return nn.functional.gelu((parts * here).sum(1) / here.sum(1).clamp_min(1))

    @property
    def needs_all(self) -> bool:
        """True if a question needs every modality but the one that is asked for: products without learned stand-ins."""
        return self.product and not isinstance(self.stand_ins, nn.Parameter) and len(self.names) > 2

    def scale(self) -> Tensor:
        """Return the scale of the logits, a scalar: `exp(log_scale)`, at most 100.

        For products it is multiplied by `D^((M - 2) / 2)`, so that the product of vectors with random signs has logits
        as large as the inner product of two.
        """
        factors = len(self.names) if self.product else 2
        width = self.stand_ins.shape[1]
        return self.log_scale.exp().clamp_max(MOST) * float(width ** ((factors - 2) / 2))

    def filled(self, vectors: Tensor, present: Tensor) -> Tensor:
        """Return the vectors `(B, M, D)` with the stand-in, at unit length, where a modality is absent."""
        return torch.where(present[..., None], vectors, nn.functional.normalize(self.stand_ins, dim=1))

    def question(self, vectors: Tensor, given: Tensor, among: int) -> Tensor:
        """Return the vectors `(B, D)` whose inner product with a candidate's `r` is the score of that candidate.

        The sum of the vectors that ask; with `product` their product, with stand-ins for the other modalities.

        Args:
            vectors: `(B, M, D)`.
            given: `(B, M)` bool, the modalities of each patient that ask.
            among: the modality of the candidates, which does not ask.
        """
        asking = given.clone()
        asking[:, among] = False
        if not self.product:
            return (vectors * asking[..., None]).sum(1)
        others = [m for m in range(len(self.names)) if m != among]
        return self.filled(vectors, asking)[:, others].prod(1)
