"""A transformer over the latents of all modalities, in which something stands for those that are absent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import CrossAttention, FeedForward, TokenEntrance
from chiasm.fusion.concatenated import ALONE
from chiasm.fusion.missing_tokens import Missing, StandIn, make_missing
from chiasm.fusion.prompt_bank import PromptBank
from chiasm.fusion.relations import Relations
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

STANDS_IN = "stand-in "  # before a modality's name: the link by its prompts of what its tokens became


class Completed(nn.Module):
    """Transformer over a class token and L latents of each modality; the class token is the embedding.

        S_m = Q_m + CrossAttn(Q_m, X_m),  S_m <- S_m + FF(S_m)    where m is present, what `missing` says where absent
        Z = [c; S_1 + e_1; ...; S_M + e_M],  Z <- Z + Attn(Z),  Z <- Z + FF(Z)    in each layer

    So time grows linearly with the tokens of a patient, and a modality has the same L latents whatever it is. For a
    patient who has all modalities nothing stands in, and with the same weights the embedding is the same whatever
    `missing` is.

    Args:
        shapes: (width, slots) of each modality's tokens.
        latents, latent_width: L and D.
        depth, heads: number of layers, and heads of their attention.
        dropout: dropout on the tokens.
        missing: what stands for an absent modality, one of `MISSING`.
        pool, completion: size of a prompt pool, and weight of the completion of a graph.
        typed: give attention a bias for each pair of modalities (`Relations`).
        outputs: K of a bank of prompts for each modality, 0: none. The links by its prompts are extras: of a modality's
            latents "alone <modality>", of what the last layer made of them "stand-in <modality>".
        standing: the modalities for which something stands; None: all. For another that is absent nothing does.
    """

    stands: Tensor

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        latents: int = 4,
        latent_width: int = 32,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        missing: str = "placeholder",
        pool: int = 64,
        completion: float = 0.1,
        typed: bool = False,
        outputs: int = 0,
        standing: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        self.names, self.latents = sorted(shapes), latents
        count = len(self.names)
        stands = torch.tensor([standing is None or name in standing for name in self.names])
        self.register_buffer("stands", stands, persistent=False)
        self.entrances = nn.ModuleList(TokenEntrance(*shapes[name], latent_width, dropout) for name in self.names)
        self.queries = nn.Parameter(torch.randn(count, latents, latent_width))
        self.readers = nn.ModuleList(
            nn.ModuleList(
                [
                    CrossAttention(latent_width, latent_width, heads=heads, head_width=max(1, latent_width // heads)),
                    FeedForward(latent_width),
                ]
            )
            for _ in self.names
        )
        self.token = nn.Parameter(torch.randn(latent_width))
        self.kinds = nn.Parameter(torch.randn(count, 1, latent_width))
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [Relations(latent_width, heads=heads, types=count + 1, typed=typed), FeedForward(latent_width)]
            )
            for _ in range(depth)
        )
        # The last ones, so that the initial values of the rest are the same whatever stands in.
        self.bank = PromptBank(count, latent_width, outputs) if outputs else None
        self.missing: Missing = make_missing(
            missing, count, latents, latent_width, heads=heads, pool=pool, completion=completion
        )

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        states = self.states(tokens, present)
        stands: StandIn = self.missing(states, present)
        sequence, read = self.completed(states, present, stands.tokens)
        types = torch.arange(len(self.names), device=present.device).repeat_interleave(self.latents)
        types = torch.cat([types.new_tensor([len(self.names)]), types])
        for layer in self.layers:
            relations, feed_forward = cast(nn.ModuleList, layer)
            sequence = sequence + relations(sequence, sequence, read[:, None], types, types)
            sequence = sequence + feed_forward(sequence)
        extras: dict[str, Tensor] = {}
        if self.bank is not None:
            became = sequence[:, 1:].reshape(present.shape[0], len(self.names), self.latents, -1)
            for m, name in enumerate(self.names):
                extras[f"{ALONE}{name}"] = self.bank(states[:, m], m)
                extras[f"{STANDS_IN}{name}"] = self.bank(became[:, m], m)
        return Fused(sequence[:, 0], losses=dict(stands.losses), extras=extras)

    def states(self, tokens: dict[str, Tokens], present: Tensor) -> Tensor:
        """Read each modality's tokens into its latents, `(B, M, L, D)`, zero where it is absent."""
        found = []
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            attention, feed_forward = cast(nn.ModuleList, self.readers[m])
            query = self.queries[m].expand(present.shape[0], -1, -1)
            state = query + attention(query, self.entrances[m](own), own.mask)
            state = state + feed_forward(state)
            found.append(torch.where(present[:, m, None, None], state, torch.zeros((), dtype=state.dtype)))
        return torch.stack(found, 1)

    def completed(self, states: Tensor, present: Tensor, stands: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class token with all latents, `(B, 1 + M L, D)`, and which of them may be read, `(B, 1 + M L)`."""
        chosen = stands.shape[2]
        stands = nn.functional.pad(stands, (0, 0, 0, self.latents - chosen))
        whole = torch.where(present[:, :, None, None], states, stands) + self.kinds
        filled = self.stands[:, None] & (torch.arange(self.latents, device=present.device) < chosen)  # (M, L)
        read = present[:, :, None] | filled
        token = self.token.expand(states.shape[0], 1, -1)
        mask = torch.cat([read.new_ones(states.shape[0], 1), read.flatten(1)], 1)
        return torch.cat([token, whole.flatten(1, 2)], 1), mask
