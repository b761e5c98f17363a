"""The space that a fitted network's modalities were aligned in: vectors of patients, and what they ask of others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.cohort import Cohort
from chiasm.encoders import pack
from chiasm.protocols import Encoder
from chiasm.tokens import Packed, Tokens
from chiasm.training.batches import presence, reading_batches, take, total_lengths

PAIRED = "paired_patients"
"""The note of a predictor by which its modalities are known to be aligned: on how many patients they were."""
CONNECTED = "connected:"
"""With a modality's name, the note of its group: pairs of training patients connect the modalities of one group."""
SENTENCES = ""
"""The name, after `CONNECTED`, of what reads sentences of labels that no patient has."""
TUNED = "tuned"
"""The note that the aligned vectors were trained on the target afterwards."""
READ_AT_ONCE = 256  # patients
Array = NDArray[np.float32]


class AligningFusion(Protocol):
    """Protocol of a fusion that maps each modality to vectors of one space."""

    names: list[str]

    @property
    def needs_all(self) -> bool: ...
    def vectors(self, tokens: Mapping[str, Tokens], present: Tensor) -> Tensor: ...
    def question(self, vectors: Tensor, given: Tensor, among: int) -> Tensor: ...
    def scale(self) -> Tensor: ...


@runtime_checkable
class ReadsSentences(Protocol):
    """Protocol of an aligning fusion that reads sentences; `encoder` is the name and identity of what encodes them.

    Both are empty where the modality `words` reads them.
    """

    words: str
    encoder: tuple[str, str]

    def sentences(self, tokens: Tokens) -> Tensor: ...


@dataclass(frozen=True)
class Space:
    """The encoders and the fusion, in evaluation mode, of a model whose modalities lie in one space.

    Args:
        groups: modality to its group; vectors of different groups were never compared.
        sentences: the group of sentences that are read beside the modalities; None where none are.
    """

    encoders: Mapping[str, Encoder]
    fusion: AligningFusion
    groups: Mapping[str, int]
    sentences: int | None = None

    def comparable(self, modality: str) -> list[str]:
        """Return the other modalities whose vectors were aligned with those of this one."""
        return [own for own in self.names if own != modality and self.groups[own] == self.groups[modality]]

    @property
    def told(self) -> list[str]:
        """The modalities that were aligned with sentences which no modality reads; none where there are none."""
        if self.sentences is None or not isinstance(self.fusion, ReadsSentences) or not self.fusion.encoder[0]:
            return []
        return [own for own in self.names if self.groups[own] == self.sentences and own != self.fusion.words]

    @property
    def names(self) -> list[str]:
        """The modalities, sorted by name."""
        return self.fusion.names

    @property
    def scale(self) -> float:
        """Factor of the scores where they are logits, as the alignment learned it."""
        return float(self.fusion.scale().detach())

    def vectors(self, cohort: Cohort, modality: str) -> tuple[NDArray[np.int_], Array]:
        """Return the rows of the patients who have the modality, `(n,)`, and their unit vectors, `(n, D)` float32."""
        known = cohort.with_modalities([name for name in cohort.modalities if name == modality])
        rows = known.rows_of(modality) if modality in known.modalities else np.zeros(0, int)
        tokens = pack(known.subset(rows), self.encoders)
        own = self._read(tokens)[0][:, self.names.index(modality)]
        return rows, own.numpy()

    def questions(self, cohort: Cohort, query: Collection[str], among: str) -> Array:
        """Return each patient's question `(B, D)` float32: its inner product with a vector of `among` is the score.

        Args:
            query: the modalities that ask, as far as a patient has them.
            among: the modality that is asked for, which never asks.
        """
        known = cohort.with_modalities([name for name in cohort.modalities if name in query])
        vectors, present = self._read(pack(known, self.encoders))
        with torch.inference_mode():
            asked: Array = self.fusion.question(vectors, present, self.names.index(among)).numpy()
        return asked

    def sums(self, cohort: Cohort, query: Collection[str]) -> Array:
        """Return the sum of each patient's vectors of the modalities `query`, `(B, D)` float32."""
        known = cohort.with_modalities([name for name in cohort.modalities if name in query])
        vectors, present = self._read(pack(known, self.encoders))
        asking = present & torch.tensor([name in query for name in self.names])
        summed: Array = (vectors * asking[..., None]).sum(1).numpy()
        return summed

    def _read(self, tokens: Mapping[str, Packed]) -> tuple[Tensor, Tensor]:
        """Return the vectors `(B, M, D)` and who has what, `(B, M)` bool."""
        here = torch.from_numpy(presence(tokens, self.names))
        parts, order = [], []
        with torch.inference_mode():
            for batch in reading_batches(total_lengths(tokens), READ_AT_ONCE):
                parts.append(self.fusion.vectors(take(tokens, batch), here[torch.from_numpy(batch)]))
                order.append(batch)
            if not parts:
                nobody = take(tokens, np.zeros(0, int))
                return self.fusion.vectors(nobody, here), here
            back = torch.from_numpy(np.argsort(np.concatenate(order)))
            return torch.cat(parts)[back], here


@runtime_checkable
class HasSpace(Protocol):
    """Protocol of a predictor that may have a space of its modalities; None if it, or what it wraps, has none."""

    @property
    def space(self) -> Space | None: ...


def space_of(predictor: object) -> Space | None:
    """Return the space of a predictor's modalities, or None."""
    return predictor.space if isinstance(predictor, HasSpace) else None
