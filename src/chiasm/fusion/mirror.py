"""MIRROR: aligned modalities whose vectors also keep what is of one modality alone, and share prototypes of style."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.aligned import AlignedModalities, Projector
from chiasm.protocols import Fused
from chiasm.tokens import Tokens


class Mirror(AlignedModalities):
    """`AlignedModalities` with a decoder of latents for each modality, and one module of style for all, where asked.

    The latents of a modality are its projected tokens `h_t`, in `Fused.latents`; `Fused.extras["mask:<m>"]` says which
    are real, m the place of the name. From the vector of the visible tokens the decoder predicts the hidden ones:
    `h_t = W_2 gelu(W_1 r + p_t)`, `p_t` of the token's place, which the tokens of a bag have in common.

    Args:
        shapes, latent_width, dropout, temperature: as in `AlignedModalities`.
        prototypes: their number K.
        retained, style, cluster: whether latents are decoded, styles held to a normal distribution, and compared
            between modalities; what none of these trains is not there.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        latent_width: int,
        dropout: float = 0.0,
        *,
        temperature: float = 0.07,
        prototypes: int = 64,
        retained: bool = True,
        style: bool = True,
        cluster: bool = True,
    ) -> None:
        super().__init__(shapes, latent_width, dropout, temperature=temperature)
        decoded = self.names if retained else []
        self.decoders = nn.ModuleList(LatentDecoder(shapes[name][1], latent_width) for name in decoded)
        several = len(self.names) > 1
        cluster = cluster and several
        styled = cluster or (style and (retained or several))  # one modality alone is only trained to be retained
        self.style = Style(latent_width, prototypes if cluster else 0) if styled else None

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Project and join the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        latents, extras, parts = {}, {}, []
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            latents[name], extras[f"mask:{m}"] = self.projector(m).entrance(own), own.mask
            vector = self.projector(m).read(latents[name], own.mask)
            parts.append(torch.where(present[:, [m]], vector, torch.zeros_like(vector)))
        extras["vectors"] = torch.stack(parts, 1)
        return Fused(self.joined(extras["vectors"], present), latents=latents, extras=extras)

    def projector(self, m: int) -> Projector:
        """Return the projector of the modality at a place."""
        own = self.projectors[m]
        assert isinstance(own, Projector)
        return own

    def predicted(self, m: int, latents: Tensor, visible: Tensor) -> Tensor:
        """Predict the latents `(B, T, D)` of the modality at place m from its visible ones, `(B, T)` bool."""
        vector = self.projector(m).read(latents, visible)
        found: Tensor = self.decoders[m](vector, latents.shape[1])
        return found


class LatentDecoder(nn.Module):
    """Decoder `W_2 gelu(W_1 r + p_t)` of a vector to the latents of each place t; one place for a bag's tokens."""

    def __init__(self, slots: int, width: int) -> None:
        super().__init__()
        self.slots = slots
        self.places = nn.Parameter(torch.randn(max(slots, 1), width) * 0.02)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, vector: Tensor, length: int) -> Tensor:
        """Return latents `(B, length, D)` from vectors `(B, D)`."""
        places = self.places if self.slots else self.places.expand(length, -1)
        return self.outer(nn.functional.gelu(self.inner(vector)[:, None] + places))  # type: ignore[no-any-return]


class Style(nn.Module):
    """Style of a vector, a normal distribution, and the similarity of a draw from it to each of K prototypes.

    `[mu, v] = MLP(r)`; `z = mu + exp(v / 2) eps`; logits `P (W z)` at unit length, over a tenth. The prototypes start
    orthogonal, as far as their number allows. Without prototypes there is the distribution alone.
    """

    def __init__(self, width: int, prototypes: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2 * width))
        self.count = prototypes
        if prototypes:
            self.decoder = nn.Linear(width, width)
            self.prototypes = nn.Parameter(nn.init.orthogonal_(torch.empty(prototypes, width)))

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the styles of vectors `(B, D)`, `(B, D)` each."""
        mean, log_variance = self.encoder(vector).chunk(2, 1)
        return mean, log_variance

    def similar(self, mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
        """Return the logits `(B, K)` of a draw from each style."""
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        drawn = self.decoder(mean + (log_variance / 2).exp() * noise)
        unit = nn.functional.normalize(drawn, dim=1) @ nn.functional.normalize(self.prototypes, dim=1).T
        return unit / 0.1
