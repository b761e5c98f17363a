"""`devide`: all that is written of a label is positive, and patches meet what describes them (DeViDe, 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.fitting.row import Row
from chiasm.heads.multilabel import masked_cross_entropy
from chiasm.objectives.contrastive import contrast_of
from chiasm.objectives.label_texts import max_similarity
from chiasm.recipes.vision_language import ROWS
from chiasm.recipes.vision_language.flair import ExpertWords
from chiasm.recipes.vision_language.seen import Seen


@dataclass(frozen=True)
class DeViDe(ExpertWords):
    """`L = L_text + L_knowledge + patch L_patch + query L_query`, of the modalities that are no language.

    - `text`: contrast with the patient's own text.
    - `knowledge`: contrast with every sentence of every label, those of the patient's labels positive.
    - `patch`: the same, where an image shows a sentence as far as its most similar patches show the sentence's tokens.
    - `query`: cross entropy of each known label, whose mean sentence asks the patches for what it describes.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        depth, heads, words, encoder: as in `WordedRecipe`.
        patch, query: weights of the terms; 0 leaves one out.
    """

    patch: float = 1.0
    query: float = 1.0

    row: ClassVar[Row] = ROWS["devide"]
    patches: ClassVar[bool] = True
    shares_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, weight in (("patch", self.patch), ("query", self.query)):
            if not 0.0 <= weight < math.inf:
                raise ValueError(f"{name}={weight} is not known: a weight is 0 or more, and finite")

    def queried(self) -> bool:
        """Return True if labels ask the patches."""
        return self.query > 0

    def terms(self, seen: Seen, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the terms, each with its weight."""
        found = {}
        if seen.language >= 0:
            alike = torch.maximum(self.targets(seen.labels), seen.same_text())
            found["text"] = seen.contrasted(seen.vectors[:, seen.language], seen.read(), alike, False)
        if seen.lesson.tokens is None:
            return found or {"text": seen.vectors.sum() * 0.0}
        tokens = seen.lesson.on(seen.vectors.device)
        sentences, words = seen.fusion.sentences(tokens), seen.fusion.told_tokens(tokens)
        owners = seen.lesson.owners.to(sentences.device)
        knowledge, patch, query = [], [], []
        for k in seen.others:
            rows = torch.nonzero(seen.batch.present[:, k])[:, 0]
            if not len(rows):
                continue
            scale, positive = seen.fusion.scale(), seen.labels[rows][:, owners]  # (n, P)
            patches, shown = (seen.fused.extras[f"{own}:{k}"][rows] for own in ("patches", "seen"))
            knowledge.append(contrast_of(scale * seen.vectors[rows, k] @ sentences.T, positive))
            if self.patch:
                patch.append(contrast_of(scale * max_similarity(patches, shown, words, tokens.mask), positive))
            if self.query:
                own = functional.one_hot(owners, seen.labels.shape[1]).to(sentences).T  # (K, P)
                asked = own @ sentences / own.sum(1, keepdim=True).clamp_min(1)
                logits = seen.fusion.decided(asked, patches, shown)
                query.append(masked_cross_entropy(logits, seen.known[rows], seen.batch.target.event[rows]))
        nothing = seen.vectors.sum() * 0.0
        for name, terms, weight in (
            ("knowledge", knowledge, 1.0), ("patch", patch, self.patch), ("query", query, self.query),
        ):  # fmt: skip
            if weight:
                found[name] = weight * (torch.stack(terms).mean() if terms else nothing)
        return found
