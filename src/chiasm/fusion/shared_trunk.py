"""One transformer for the tokens of any subset of the modalities, and classes that it reads as it reads patients."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import TokenEntrance
from chiasm.fusion.transformer import ClassReader
from chiasm.protocols import EMBEDDING, Fused
from chiasm.tokens import Tokens

TEMPERATURE = 0.1  # the start of tau


class SharedTrunk(nn.Module):
    """Shared transformer: a class token before the tokens of all modalities present, each with its modality's vector.

    `e` is what the class token has become. A modality that is absent has no token: the trunk on a subset is the trunk
    with the other tokens left out. The cost of a patient is the square of the number of tokens.

    Sources: Uni-Perceiver, Zhu et al., CVPR 2022, arXiv 2112.01522 (a tokenizer for each modality, one transformer);
    BM-MAE, Robinet et al., arXiv 2505.00568 (any subset is fewer tokens). Deviation: positions stand in the tokenizer,
    which has a map for each token of fixed position, and bags have none.

    Args:
        shapes: (width, slots) of each modality's tokens.
        latent_width: D, a multiple of `heads`.
        depth: number of layers.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        latent_width: int = 32,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.entrances = nn.ModuleList(TokenEntrance(*shapes[name], latent_width, dropout) for name in self.names)
        self.modality = nn.Parameter(torch.randn(len(self.names), latent_width) * 0.02)
        self.reader = ClassReader(latent_width, depth, heads, dropout)

    def tokenise(self, tokens: dict[str, Tokens], present: Tensor) -> tuple[Tensor, Tensor]:
        """Bring the tokens of all modalities to one width; return `(B, T, D)`, by name, and their mask `(B, T)`."""
        own = [tokens[name].where_present(present[:, m]) for m, name in enumerate(self.names)]
        hidden = [
            entrance(part) + vector for entrance, part, vector in zip(self.entrances, own, self.modality, strict=True)
        ]
        return torch.cat(hidden, 1), torch.cat([part.mask for part in own], 1)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        return Fused(self.reader(*self.tokenise(tokens, present))[0])


def cosine_logits(embedding: Tensor, classes: Tensor, temperature: Tensor | float) -> Tensor:
    """Return `cos(e, w_k) / tau`, `(B, K)`: each column depends on its own class alone, so that one may be added.

    Args:
        embedding: `(B, D)`.
        classes: `(K, D)`, an embedding of each class.
        temperature: tau, above zero.
    """
    unit = nn.functional.normalize
    return unit(embedding, dim=1) @ unit(classes, dim=1).T / temperature


class UniPerceiver(nn.Module):
    """Shared trunk whose link is the likeness of a patient and of each class: `g cos(f(x), f(y_k)) / tau + b_k`.

    `f(y_k)` is the same trunk's class token before one learned token of class k (one for each label; one in all for a
    number or a hazard). With `free`, classes are vectors `w_k` of their own, neither read by the trunk nor of one
    length, and the link is `f(x) / |f(x)| . w_k + b_k`: a linear head. `b_k` starts at 0, `g` at 1, or at 0 upon
    another model (`start_at_zero`).

    Source: Uni-Perceiver, equations 1 and 2. Deviations: trained on the one target, not pre-trained on many tasks, so
    that a class has a learned token where theirs is the tokens of its name; tau is learned and starts at 0.1, for one
    output at 1; `g` and `b_k`, without which a number could not have the mean that it has.

    Args:
        outputs: K.
        free: see above.
        shapes, latent_width, depth, heads, dropout: as in `SharedTrunk`.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        outputs: int,
        free: bool = False,
        latent_width: int = 32,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.trunk = SharedTrunk(shapes, latent_width=latent_width, depth=depth, heads=heads, dropout=dropout)
        self.classes = nn.Parameter(torch.randn(outputs, latent_width) / math.sqrt(latent_width))
        self.bias = nn.Parameter(torch.zeros(outputs))
        start = math.log(TEMPERATURE) if outputs > 1 else 0.0
        self.log_temperature = None if free else nn.Parameter(torch.tensor(start))
        self.gain = None if free else nn.Parameter(torch.ones(()))

    def start_at_zero(self) -> None:
        """Let every link be zero, as where the network is added to another model's link."""
        nn.init.zeros_(self.classes if self.gain is None else self.gain)

    def encoded_classes(self, classes: Tensor) -> Tensor:
        """Let the trunk read class tokens `(K, D)`, each alone; return `(K, D)`."""
        one = torch.ones(classes.shape[0], 1, dtype=torch.bool, device=classes.device)
        read: Tensor = self.trunk.reader(classes[:, None], one)[0]
        return read

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return the link `(B, K)` in place of an embedding, and the embedding `(B, D)` as an extra."""
        embedding = self.trunk(tokens, present).embedding
        if self.log_temperature is None or self.gain is None:
            link = nn.functional.normalize(embedding, dim=1) @ self.classes.T
        else:
            cosines = cosine_logits(embedding, self.encoded_classes(self.classes), self.log_temperature.exp())
            link = self.gain * cosines
        return Fused(link + self.bias, extras={EMBEDDING: embedding})
