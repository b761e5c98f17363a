"""MM-Lego block: encodes one modality's tokens into a small latent whose shape is the same for all blocks.

Hemker, Simidjievski, Jamnik: Multimodal Lego, ICLR 2025, arXiv 2405.19950. A block is trained alone, without the other
modalities; blocks with latents of the same shape can then be merged or fused.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import CrossAttention, FeedForward, TokenEntrance
from chiasm.tokens import Tokens

Domain = Literal["signal", "rfft", "fft", "complex"]
DOMAINS: tuple[Domain, ...] = ("signal", "rfft", "fft", "complex")


class LegoLayer(nn.Module):
    """One iteration of a block: cross-attention on the tokens, then a gated feed-forward layer, both residual."""

    def __init__(self, latent_width: int, token_width: int, *, heads: int, head_width: int) -> None:
        super().__init__()
        self.attention = CrossAttention(latent_width, token_width, heads=heads, head_width=head_width)
        self.feed_forward = FeedForward(latent_width)

    def forward(self, latents: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        latents = latents + self.attention(latents, tokens, mask)
        return latents + self.feed_forward(latents)  # type: ignore[no-any-return]


class LegoBlock(nn.Module):
    """MM-Lego block that maps the tokens of one modality to latents `(B, L, D)`.

    In each of `depth` iterations the latents are divided by their norm along L, transformed to `domain`, updated by
    attention on the tokens, and transformed back; the last iteration stays in its domain.

    - `signal`: no transform; the latents are real.
    - `fft`: the Fourier transform along L of the real latents, all L rows, as in the paper. Attention updates the real
      part; the imaginary part is passed through and never depends on the tokens of that iteration.
    - `rfft`: the same without the rows that mirror others, `L // 2 + 1` of them. What is computed is equal to `fft`,
      but the mean over rows that the head reads counts unpaired rows (the first; for even L the last) twice as much.
    - `complex`: all L rows, real and imaginary part concatenated, so that attention updates both.

    Deviations: no self-attention on raw tokens goes first, as in the released block without an encoder: encoders give
    tokens; the tokens are not transformed (a Fourier transform along a bag makes the order of its tokens matter and
    loses the odd part); the encoder runs once, not in every iteration; every iteration has its own weights.

    Args:
        width, slots: shape of the modality's tokens.
        latents, latent_width: L and D, the same for all blocks to be combined.
        depth: number of iterations.
        domain: domain in which the latents are updated.
    """

    def __init__(
        self,
        width: int,
        slots: int,
        *,
        latents: int = 16,
        latent_width: int = 64,
        depth: int = 2,
        heads: int = 4,
        head_width: int = 8,
        dropout: float = 0.1,
        domain: Domain = "signal",
    ) -> None:
        super().__init__()
        self.domain: Domain = domain
        inner = 2 * latent_width if domain == "complex" else latent_width
        self.entrance = TokenEntrance(width, slots, latent_width, dropout)
        self.latent = nn.Parameter(torch.randn(latents, latent_width))
        self.layers = nn.ModuleList(
            LegoLayer(inner, latent_width, heads=heads, head_width=head_width) for _ in range(depth)
        )

    def forward(self, tokens: Tokens, present: Tensor, start: Tensor | None = None) -> Tensor:
        """Compute latents `(B, L, D)`, complex unless the domain is `signal`; absent patients keep the initial ones.

        Args:
            tokens: the tokens of this modality.
            present: `(B,)` bool.
            start: `(B, L, D)` initial latents in the signal domain; None takes the block's own learned ones.
        """
        tokens = tokens.where_present(present)
        context = self.entrance(tokens)  # (B, T, D)
        latents = self.latent.expand(present.shape[0], -1, -1) if start is None else start
        for layer in range(len(self.layers) - 1):
            latents = self.from_domain(self.iterate(layer, latents, context, tokens.mask, present))
        return self.iterate(len(self.layers) - 1, latents, context, tokens.mask, present)

    def iterate(self, layer: int, latents: Tensor, context: Tensor, mask: Tensor, present: Tensor) -> Tensor:
        """Run iteration `layer`, from the signal domain to the block's; `context` is `(B, T, D)`."""
        spectrum = self.to_domain(latents * unit_scale(latents))
        if self.domain == "signal":
            updated: Tensor = self.layers[layer](spectrum, context, mask)
        elif self.domain in ("rfft", "fft"):
            updated = torch.complex(self.layers[layer](spectrum.real, context, mask), spectrum.imag)
        else:
            both = self.layers[layer](torch.cat([spectrum.real, spectrum.imag], -1), context, mask)
            updated = torch.complex(*both.chunk(2, -1))
        if bool(present.all()):
            return updated
        return torch.where(present[:, None, None], updated, self.to_domain(latents))

    def reorder(self, order: Tensor) -> None:
        """Put the widths of the latents into another order, in place: the block then gives `latents[..., order]`.

        Args:
            order: `(D,)` int64, a permutation.
        """
        inner = torch.cat([order, order + len(order)]) if self.domain == "complex" else order
        with torch.no_grad():
            self.latent.copy_(self.latent[:, order])
            for layer in cast(list[LegoLayer], list(self.layers)):
                attention, forward = layer.attention, layer.feed_forward
                out, norms = cast(nn.Linear, attention.out[0]), (attention.norm, forward.norm)
                for own in (out.weight, out.bias, forward.narrow.weight, forward.narrow.bias):
                    own.copy_(own[inner])
                for own in (weight for norm in norms for weight in (norm.weight, norm.bias)):
                    own.copy_(own[inner])
                for own in (attention.query.weight, forward.widen.weight):
                    own.copy_(own[:, inner])

    def to_domain(self, latents: Tensor) -> Tensor:
        """Transform `(B, L, D)` from the signal domain to the block's, `(B, L or L // 2 + 1, D)`."""
        if self.domain == "signal":
            return latents
        transform = torch.fft.rfft if self.domain == "rfft" else torch.fft.fft
        spectrum: Tensor = transform(latents, dim=1, norm="ortho")
        return spectrum

    def from_domain(self, latents: Tensor) -> Tensor:
        """Transform latents from the block's domain to the signal domain, `(B, L, D)`."""
        if self.domain == "signal":
            return latents
        signal: Tensor
        if self.domain == "rfft":
            signal = torch.fft.irfft(latents, n=len(self.latent), dim=1, norm="ortho")
        else:
            signal = torch.fft.ifft(latents, dim=1, norm="ortho")
        return signal.real if self.domain == "fft" else signal  # the update keeps mirrored rows conjugate


def pool(latents: Tensor) -> Tensor:
    """Average the real part over L, `(B, L, D)` to `(B, D)`: the input of MM-Lego's head."""
    return latents.real.mean(1) if latents.is_complex() else latents.mean(1)


def unit_scale(latents: Tensor) -> Tensor:
    """Compute `1 / ||l||` along L, `(B, 1, D)`, at most 1e6; the gradient at zero is zero."""
    square = latents.real.square() + latents.imag.square() if latents.is_complex() else latents.square()
    return square.sum(1, keepdim=True).clamp_min(1e-12).rsqrt()
