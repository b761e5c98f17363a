"""`imgany-retrieval`: a training-free retrieval bottleneck on frozen embeddings, and the head alone is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.compute.isolation import seeded
from chiasm.fitting.base import Training
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_size, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.pooled import mean_token
from chiasm.fusion.retrieval_bottleneck import retrieved
from chiasm.heads.response import Response
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.alignment import ROWS
from chiasm.tokens import Tokens

READ_AT_ONCE = 256  # patients


@storable("imgany-retrieval")
@dataclass(frozen=True)
class RetrievalDesign:
    """The vocabulary, `(K, D)` float32 of unit length, and how many words a modality finds."""

    vocabulary: np.ndarray
    k: int

    def __post_init__(self) -> None:
        check_size("k", self.k)
        if self.vocabulary.ndim != 2 or not self.vocabulary.size:
            raise ValueError("a vocabulary is (K, D), of one word or more")

    @property
    def latent_width(self) -> int:
        """Width D of the words, and of the embedding."""
        return int(self.vocabulary.shape[1])

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> RetrievalBottleneck:
        """Create the fusion module, in which nothing is trained."""
        return RetrievalBottleneck(shapes, torch.from_numpy(np.array(self.vocabulary, np.float32)), self.k)


class RetrievalBottleneck(nn.Module):
    """The fused words of `retrieved` as the embedding; a modality's vector is its mean token at unit length."""

    vocabulary: Tensor

    def __init__(self, shapes: Shapes, vocabulary: Tensor, k: int) -> None:
        super().__init__()
        self.names, self.k = sorted(shapes), k
        self.register_buffer("vocabulary", vocabulary, persistent=False)  # the design has it

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        words = self.vocabulary
        parts = [
            unit_mean(tokens[name].where_present(present[:, m]), words.shape[1]) for m, name in enumerate(self.names)
        ]
        return Fused(retrieved(torch.stack(parts, 1), present, words, k=self.k))


def unit_mean(tokens: Tokens, width: int) -> Tensor:
    """Return the mean token at unit length, `(B, width)`; zeros without a token."""
    return nn.functional.normalize(mean_token(tokens, width), dim=1)


@dataclass(frozen=True)
class ImgAnyRetrieval(NetworkRecipe):
    """Words are drawn from the training patients' own vectors, the same number of each modality; the head is learned.

    Args:
        modality: the one modality to read; empty: all.
        latent_width, dropout: unused; the width is that of the embeddings.
        epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`, of the head.
        words: size of the vocabulary, K, or as many as there are.
        k: words that a modality finds.
    """

    words: int = 256
    k: int = 8

    row: ClassVar[Row] = ROWS["imgany-retrieval"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("words", self.words, 65_536)
        check_size("k", self.k)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Draw the words from the patients who are trained on, then train the head and calibrate it."""
        data = prepare(training)
        design = RetrievalDesign(self.vocabulary(data, seeded(training.seed, "words")), self.k)
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def vocabulary(self, data: Prepared, seed: int) -> np.ndarray:
        """Draw the words of each modality among its patients who are not held out, or all where none is left."""
        names = sorted(data.tokens)
        width = max(own for own, _ in data.shapes.values())
        generator, found = np.random.default_rng(seed), []
        for m, name in enumerate(names):
            rows = np.flatnonzero(data.present[:, m] & ~data.held_out)
            rows = rows if len(rows) else np.flatnonzero(data.present[:, m])
            rows = np.sort(generator.permutation(rows)[: max(1, self.words // len(names))])
            starts = range(0, len(rows), READ_AT_ONCE)
            found += [unit_mean(data.tokens[name].take(rows[start : start + READ_AT_ONCE]), width) for start in starts]
        return np.asarray(torch.cat(found).numpy())
