"""A batch as words see it: vectors, labels, the patients' own texts, and the sentences of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.fitting.label_sentences import Lesson
from chiasm.fusion.worded import WordedModalities
from chiasm.objectives.contrastive import contrast
from chiasm.objectives.matching import same_content
from chiasm.protocols import Fused
from chiasm.training.examples import Batch


@dataclass(frozen=True, eq=False)
class Seen:
    """A batch as words see it.

    Args:
        fusion, fused: the fusion and its output.
        batch: the patients, with their outcomes.
        lesson: what is written of them.
        language: place of the modality of language, -1 without.
        others: places of the other modalities.
    """

    fusion: WordedModalities
    fused: Fused
    batch: Batch
    lesson: Lesson
    language: int
    others: list[int]

    @property
    def vectors(self) -> Tensor:
        """Unit vectors `(B, M, D)`."""
        return self.fused.extras["vectors"]

    @cached_property
    def known(self) -> Tensor:
        """Labels `(B, K)` of the batch, NaN where one is not known; K is 0 where the target has none."""
        value, count = self.batch.target.value, self.lesson.labels.shape[1]
        if not count:
            return value.new_zeros(len(value), 0)
        if value.ndim == 1:  # the code of a class
            return functional.one_hot(value.long(), count).to(value)
        return value

    @cached_property
    def labels(self) -> Tensor:
        """Labels `(B, K)`, 1 for each that a patient has; one that is not known counts as one that he lacks."""
        return torch.nan_to_num(self.known)

    def read(self) -> Tensor:
        """The patients `(B,)` who have a text."""
        return self.batch.present[:, self.language]

    def same_text(self) -> Tensor:
        """Return 1 where two patients have the same text, `(B, B)`: repeated texts are no negatives of each other."""
        tokens = self.batch.tokens[self.fusion.names[self.language]].where_present(self.read())
        both = self.read()[:, None] & self.read()[None, :]
        return (same_content(tokens.values * tokens.mask[..., None]) & both).to(self.labels.dtype)

    def sentences(self) -> Tensor:
        """Return the unit vectors `(P, D)` of all sentences."""
        assert self.lesson.tokens is not None  # asked for where there are some
        return self.fusion.sentences(self.lesson.on(self.vectors.device))

    def contrasted(self, told: Tensor, here: Tensor, targets: Tensor, sigmoid: bool) -> Tensor:
        """Return the mean over the modalities of their contrast with `told` `(B, D)`, of those who are `here`."""
        terms = [
            contrast(
                self.vectors[:, k], told, self.fusion.scale(), here=here & self.batch.present[:, k], targets=targets,
                sigmoid=sigmoid, bias=self.fusion.bias if sigmoid else None,
            )
            for k in self.others
        ]  # fmt: skip
        return torch.stack(terms).mean()
