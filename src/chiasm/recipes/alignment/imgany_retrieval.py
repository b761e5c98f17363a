"""`imgany-retrieval`: a training-free retrieval bottleneck on frozen embeddings, and the head alone is learned."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from sklearn.cluster import KMeans  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.compute.isolation import seeded
from chiasm.errors import FindingWarning
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
PER_WORD = 8  # training patients of a modality for each word: a word that one of them makes is near him alone
LEAST_IN_A_WORD = 5  # patients


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
    """Words are the centres of clusters of training patients' vectors, modality by modality; the head is learned.

    Args:
        modality: the one modality to read; empty: all.
        latent_width, dropout: unused; the width is that of the embeddings.
        epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`, of the head.
        words: size of the vocabulary, K, at most; a modality has one for eight of its training patients or fewer.
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
        """Find the words of the patients who are trained on, then train the head and calibrate it."""
        data = prepare(training)
        warn_of_spaces(data)
        design = RetrievalDesign(self.vocabulary(data, seeded(training.seed, "words")), self.k)
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def vocabulary(self, data: Prepared, seed: int) -> np.ndarray:
        """Cluster each modality's vectors of patients who are not held out, or of all where none is left.

        No word is one patient's vector, and a patient who was trained on finds himself no more than a new one does.
        """
        names = sorted(data.tokens)
        width = max(own for own, _ in data.shapes.values())
        found = []
        for m, name in enumerate(names):
            rows = np.flatnonzero(data.present[:, m] & ~data.held_out)
            rows = rows if len(rows) else np.flatnonzero(data.present[:, m])
            starts = range(0, len(rows), READ_AT_ONCE)
            own = [unit_mean(data.tokens[name].take(rows[start : start + READ_AT_ONCE]), width) for start in starts]
            found.append(centres(torch.cat(own).double().numpy(), self.words // len(names), seeded(seed, name)))
        return np.concatenate(found)


def centres(vectors: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return the centres of clusters of vectors `(n, D)` at unit length, `(K, D)` float32, `most` at most.

    A cluster of few patients has none, and where all are such their mean is the only one.
    """
    count = max(1, min(most, len(vectors) // PER_WORD, len(np.unique(vectors, axis=0))))
    with threadpool_limits(limits=1):  # sums in one order, whatever the machine
        found = KMeans(count, n_init=1, random_state=seed % 2**32).fit(vectors)
    plenty = np.bincount(found.labels_, minlength=count) >= LEAST_IN_A_WORD
    own = found.cluster_centers_[plenty] if plenty.any() else vectors.mean(0, keepdims=True)
    return np.asarray(own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12), np.float32)


def warn_of_spaces(data: Prepared) -> None:
    """Warn where encoders of several modalities have no space in common, as far as widths and fits can tell."""
    if len(data.encoders) < 2:
        return
    fitted = sorted(name for name, own in data.encoders.items() if own.fitted_on_cohort)
    widths = {own.width for own in data.encoders.values()}
    if fitted or len(widths) > 1:
        why = f"{', '.join(fitted)} are encoded as fitted on the cohort" if fitted else "their tokens differ in width"
        warnings.warn(
            f"imgany-retrieval compares modalities that share no space ({why}): give frozen encoders of one model",
            FindingWarning,
            stacklevel=2,
        )
