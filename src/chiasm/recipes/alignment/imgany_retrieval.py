"""`imgany-retrieval`: a training-free retrieval bottleneck on frozen embeddings, and the head alone is learned."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from sklearn.cluster import KMeans  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.compute.isolation import seeded
from chiasm.encoders import columns_among, fit_encoders
from chiasm.encoders.adaptable import TokensAsTheyAre
from chiasm.errors import FindingWarning
from chiasm.fitting.base import Training
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_size, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.pooled import one_vector
from chiasm.fusion.retrieval_bottleneck import retrieved
from chiasm.heads.response import Response
from chiasm.protocols import Encoder, Fused, Predictor
from chiasm.recipes.alignment import ROWS
from chiasm.tokens import Tokens

READ_AT_ONCE = 256  # patients
PER_WORD = 8  # training patients of a modality for each word: a word that one of them makes is near him alone
LEAST_IN_A_WORD = 5  # patients


@storable("imgany-retrieval")
@dataclass(frozen=True)
class RetrievalDesign:
    """The vocabulary, `(K, D)` float32 of unit length, how many words a modality finds, and how it is read.

    Args:
        columns: the modalities whose tokens, side by side, are one vector; of the others their mean is.
        places: where each modality's vectors lie among the D numbers of a word, first and width; in one place are those
            that share a space. Empty: all in the first.
    """

    vocabulary: np.ndarray
    k: int
    columns: tuple[str, ...] = ()
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

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
        words = torch.from_numpy(np.array(self.vocabulary, np.float32))
        return RetrievalBottleneck(shapes, words, self.k, self.columns, self.places)


class RetrievalBottleneck(nn.Module):
    """The fused words of `retrieved` as the embedding, of the modalities' `unit_vector`, each in its place."""

    vocabulary: Tensor
    known: Tensor
    comparable: Tensor

    def __init__(
        self,
        shapes: Shapes,
        vocabulary: Tensor,
        k: int,
        columns: Collection[str] = (),
        places: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        super().__init__()
        self.names, self.k, self.columns = sorted(shapes), k, frozenset(columns)
        everywhere = (0, vocabulary.shape[1])
        self.places = [(places or {}).get(name, everywhere) for name in self.names]
        own = [vocabulary[:, first : first + width].any(1) for first, width in self.places]
        self.register_buffer("vocabulary", vocabulary, persistent=False)  # the design has it
        known = torch.stack(own)
        self.register_buffer("known", known | ~known.any(1, keepdim=True), persistent=False)  # of constants no word is
        one = torch.tensor([[mine == theirs for theirs in self.places] for mine in self.places])
        self.register_buffer("comparable", one, persistent=False)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        parts = []
        for m, (name, (first, width)) in enumerate(zip(self.names, self.places, strict=True)):
            own = unit_vector(tokens[name].where_present(present[:, m]), width, name in self.columns)
            parts.append(nn.functional.pad(own, (first, self.vocabulary.shape[1] - first - width)))
        vectors = torch.stack(parts, 1)
        return Fused(
            retrieved(vectors, present, self.vocabulary, k=self.k, known=self.known, comparable=self.comparable)
        )


def unit_vector(tokens: Tokens, width: int, columns: bool = False) -> Tensor:
    """Return `one_vector` at unit length, `(B, width)`; zeros without a token."""
    return nn.functional.normalize(one_vector(tokens, width, columns), dim=1)


def places_of(encoders: Mapping[str, Encoder]) -> dict[str, tuple[int, int]]:
    """Return where the vectors of each modality lie, first number and width.

    Frozen encoders of one width may share a space, and lie in one place; what is fitted on the cohort shares none, and
    has a place of its own, where no other modality's word is.
    """
    found: dict[str, tuple[int, int]] = {}
    shared: dict[int, tuple[int, int]] = {}
    columns, first = columns_among(encoders), 0
    for name, own in sorted(encoders.items()):
        width = own.width * (own.slots if name in columns else 1)
        apart = own.fitted_on_cohort and not isinstance(own, TokensAsTheyAre)
        if apart or own.width not in shared:
            found[name], first = (first, width), first + width
        if not apart:
            found[name] = shared.setdefault(own.width, found.get(name, (first, width)))
    return found


@dataclass(frozen=True)
class ImgAnyRetrieval(NetworkRecipe):
    """Words are the centres of clusters of training patients' vectors, modality by modality; the head is learned.

    Args:
        modality: the one modality to read; empty: all.
        latent_width, dropout: unused; the width is that of the embeddings.
        epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`, of the head,
            which alone is trained, at a higher rate than a network.
        words: size of the vocabulary, K, at most; a modality has one for eight of its training patients or fewer.
        k: words that a modality finds.
    """

    learning_rate: float = 1e-2
    words: int = 256
    k: int = 8

    row: ClassVar[Row] = ROWS["imgany-retrieval"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("words", self.words, 65_536)
        check_size("k", self.k)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Find the words of the patients who are trained on, then train the head and calibrate it."""
        data = prepare(training, fit_encoders(training.cohort, of_one_width(training.cohort)))
        warn_of_spaces(data)
        words = self.vocabulary(data, seeded(training.seed, "words"))
        design = RetrievalDesign(words, self.k, columns_among(data.encoders), places_of(data.encoders))
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def vocabulary(self, data: Prepared, seed: int) -> np.ndarray:
        """Cluster each modality's vectors of patients who are not held out, or of all where none is left.

        No word is one patient's vector, and a patient who was trained on finds himself no more than a new one does.
        """
        names, columns, places = sorted(data.tokens), columns_among(data.encoders), places_of(data.encoders)
        end = max(first + width for first, width in places.values())
        found = []
        for m, name in enumerate(names):
            rows = np.flatnonzero(data.present[:, m] & ~data.held_out)
            rows = rows if len(rows) else np.flatnonzero(data.present[:, m])
            first, width = places[name]
            parts = (rows[start : start + READ_AT_ONCE] for start in range(0, len(rows), READ_AT_ONCE))
            own = [unit_vector(data.tokens[name].take(part), width, name in columns) for part in parts]
            words = centres(torch.cat(own).double().numpy(), self.words // len(names), seeded(seed, name))
            found.append(np.pad(words, ((0, 0), (first, end - first - width))))
        return np.concatenate(found)


def of_one_width(cohort: Cohort) -> dict[str, TokensAsTheyAre]:
    """Return the encoded modalities whose tokens are as wide as another's, to be read as they are.

    They may lie in one space, of which a projection of each would make two.
    """
    wide = {}
    for name in cohort.modalities:
        encoding = cohort.encodings.get(name)
        if cohort.kinds[name] == "tokens" and encoding is not None and len(cohort.rows_of(name)):
            width = int(cohort.raw(name).width)
            wide[name] = TokensAsTheyAre(encoding.encoder, encoding.kind, encoding.identity, width, width)
    often = Counter(own.width for own in wide.values())
    return {name: own for name, own in wide.items() if often[own.width] > 1}


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
    places = places_of(data.encoders)
    often = Counter(places.values())
    apart = sorted(name for name, place in places.items() if often[place] == 1)
    if apart:
        warnings.warn(
            f"imgany-retrieval compares modalities that share no space: {', '.join(apart)}; nothing is weighed against "
            "them, and their weight is the mean one; give encoders of one contrastive model",
            FindingWarning,
            stacklevel=2,
        )
