"""Common part of the recipes in which words teach images: reports that patients have, and sentences of their labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]
from torch import Tensor

from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.memo import remember
from chiasm.fitting.base import Training, require_pairs
from chiasm.fitting.label_sentences import Lesson, encoder_identity, frozen_language, labels_of, lesson_of
from chiasm.fitting.language import language_of, languages
from chiasm.fitting.neural import Prepared, check_size, new_network, prepare
from chiasm.fitting.space import SENTENCES
from chiasm.heads.response import Response
from chiasm.objectives.label_texts import co_occurrence, drawn_sentences, same_labels
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.alignment.aligned import AlignedRecipe
from chiasm.recipes.vision_language.design import WordedDesign, grids_of
from chiasm.recipes.vision_language.seen import Seen
from chiasm.training import Phase
from chiasm.training.examples import Batch
from chiasm.training.taught import Taught


@dataclass(frozen=True)
class WordedRecipe(AlignedRecipe):
    """Base of recipes that learn from words before they learn the target.

    The first phase contrasts the vectors of every modality that is no language with those of the patient's own text,
    where there is a modality of language, and with those of a sentence of his labels that is drawn anew in each step.
    It reads the labels of training patients, and no head. Where a target has no labels there are pairs alone.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        depth, heads: transformer layers of a modality that is no language, 0 for none, and heads of each.
        words: the modality of language; empty: the only one that is text, or none.
        encoder: frozen encoder of text that reads sentences where no modality of language does.
    """

    least_modalities: ClassVar[int] = 1
    needs_pairs: ClassVar[bool] = False
    patches: ClassVar[bool] = False
    sigmoid: ClassVar[bool] = False
    shares_labels: ClassVar[bool] = False
    """True where two patients belong together who share one of several labels; else they have the same ones."""

    depth: int = 1
    heads: int = 4
    words: str = ""
    encoder: str = "minilm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth:
            check_size("depth", self.depth, 64)
        _ = WordedDesign(self.latent_width, self.temperature, self.depth, self.heads)  # refuses invalid sizes

    # What is read

    def written(self, cohort: Cohort) -> list[tuple[str, ...]]:
        """Return what is written of each label of the target; here its name."""
        return [(name,) for name in self.names(cohort)]

    @staticmethod
    def names(cohort: Cohort) -> tuple[str, ...]:
        """Return the labels of the target; none where it has none."""
        target = cohort.target
        return target.names if target is not None and (target.has_classes or target.has_labels) else ()

    def language(self, cohort: Cohort) -> str:
        """Return the modality of language; empty where there is none, or too few patients have it.

        Raises:
            Unsupported: several are text and none is named.
        """
        if self.words or len(languages(cohort)) > 1:
            return language_of(cohort, self.words, "words", "clip-pairs, which needs none")
        return next(iter(languages(cohort)), "")

    def place(self, cohort: Cohort) -> int:
        """Return the place of language among the modalities of a training set; -1 if it has none."""
        try:
            return cohort.modalities.index(self.language(cohort)) if len(cohort.modalities) > 1 else -1
        except (Unsupported, ValueError):  # too few of these patients have it
            return -1

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if there is neither a text of patients nor a label of which one is written."""
        super().supports(cohort)
        if self.modality:
            return
        language, written = self.language(cohort), any(self.written(cohort))
        if language and cohort.modalities == (language,):
            raise Unsupported(f"'{language}' is the only modality: words teach others, add one")
        if not language and not written:
            raise Unsupported(
                f"{self.id} learns from words, and the cohort has none: add a modality of text, or take a target with "
                "labels"
            )
        if language and not written:
            m = cohort.modalities.index(language)
            both = cohort.present[:, m] & (cohort.present.sum(1) > 1)
            require_pairs(cohort, of=both, what=f"'{language}' and another modality")

    def lesson(self, data: Prepared) -> Lesson:
        """Return what is written of the labels, as tokens, and who has which label."""
        cohort, target = data.cohort, data.cohort.target
        assert target is not None  # of a training set
        written, m = self.written(cohort), self.place(cohort)
        own = frozen_language(cohort, cohort.modalities[m]) if m >= 0 else ""
        through = data.encoders[cohort.modalities[m]] if own else None
        key = ("label sentences", own or self.encoder, bool(own), tuple(written))
        return remember(
            cohort.fingerprint, key, lambda: lesson_of(target, data.outcome, written, own or self.encoder, through)
        )

    def queried(self) -> bool:
        """Return True if labels ask the patches; here they do not."""
        return False

    # What is aligned

    def others(self, data: Prepared) -> list[int]:
        """Return the places of the modalities that are no language."""
        m = self.place(data.cohort)
        return [k for k in range(len(data.cohort.modalities)) if k != m]

    def told(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the patients `(B,)` who are trained on and have a label with a sentence."""
        assert data.cohort.target is not None  # of a training set
        labels = labels_of(data.cohort.target, data.outcome)
        own = np.array([bool(texts) for texts in self.written(data.cohort)], bool)
        has = (labels[:, own] > 0).any(1) if labels.shape[1] else np.zeros(len(labels), bool)
        return np.asarray(~data.held_out & has)

    def paired(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the patients `(B,)` who are trained on and have something beside a text, or a sentence, of theirs."""
        m = self.place(data.cohort)
        other = data.present[:, self.others(data)].any(1)
        read = data.present[:, m] if m >= 0 else np.zeros(len(other), bool)
        return np.asarray(~data.held_out & other & (read | self.told(data)))

    def connected(self, data: Prepared) -> dict[str, int]:
        """Return the group of each modality: pairs with language connect, and sentences that are read by it, too."""
        names, m = data.cohort.modalities, self.place(data.cohort)
        rows = np.zeros((len(data.present), len(names) + 1), int)
        rows[:, :-1] = data.present & ~data.held_out[:, None]
        told = self.told(data)
        rows[:, -1] = told
        joined = np.zeros((len(names) + 1,) * 2, bool)
        for k in self.others(data):
            for hub in (m, -1) if m >= 0 else (-1,):
                joined[k, hub] = joined[hub, k] = (rows[:, k] * rows[:, hub]).sum() > 1
        if m >= 0 and frozen_language(data.cohort, names[m]) and told.sum() > 1:
            joined[m, -1] = joined[-1, m] = True  # one projector reads both
        _, groups = connected_components(joined, directed=False)
        return {name: int(groups[k]) for k, name in enumerate([*names, SENTENCES])}

    def met(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the modalities `(M,)` of which the first phase learns: those that words connect to something."""
        m, told, names = self.place(data.cohort), self.told(data), data.cohort.modalities
        found = np.zeros(len(names), bool)
        for k in self.others(data):
            own = data.present[:, k] & ~data.held_out
            both = own & data.present[:, m] if m >= 0 else np.zeros(len(own), bool)
            found[k] = both.sum() > 1 or (own & told).sum() > 1
            if m >= 0 and (both.sum() > 1 or (found[k] and frozen_language(data.cohort, names[m]))):
                found[m] = True
        return found

    def idle(self, data: Prepared) -> tuple[str, ...]:
        """Return the beginnings of names, below `within`, of parameters that no phase trains on these patients."""
        if not self.met(data).any():
            return "log_scale", "told.", "bias", "reader.", "decision."
        others = data.present[:, self.others(data)].any(1)
        return () if (self.told(data) & others).sum() > 1 else ("told.", "reader.", "decision.")

    # Training

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network, with a projector of sentences where there are any, train and calibrate it."""
        data = prepare(training)
        design = self.design_for(data)
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def design_for(self, data: Prepared) -> WordedDesign:
        """Return the sizes of the network for a training set."""
        cohort, lesson, m = data.cohort, self.lesson(data), self.place(data.cohort)
        words = cohort.modalities[m] if m >= 0 else ""
        own = lesson.tokens is not None and not (words and frozen_language(cohort, words))
        return WordedDesign(
            self.latent_width, self.temperature, self.depth, self.heads,
            grids=grids_of(cohort, data.shapes),
            words=words,
            told=(lesson.tokens.values.shape[2], 0) if own and lesson.tokens is not None else (0, 0),
            encoder=self.encoder if own else "", identity=encoder_identity(self.encoder) if own else "",
            patches=self.patches, queries=self.queried() and lesson.tokens is not None, sigmoid=self.sigmoid,
        )  # fmt: skip

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the phase that words teach, and that of the target; the latter alone where no word is."""
        found = super().phases(data)
        if len(found) < 2:
            return found
        return replace(found[0], objective=Taught(self.taught_by(data), self.name)), found[1]

    def targets(self, labels: Tensor) -> Tensor:
        """Return how far two patients belong together by their labels, `(B, B)`."""
        return co_occurrence(labels) if self.shares_labels else same_labels(labels)

    def taught_by(self, data: Prepared) -> Any:
        """Return the loss of the first phase on this training set."""
        lesson, m, others = self.lesson(data), self.place(data.cohort), self.others(data)

        def loss(fusion: Any, fused: Fused, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
            return self.terms(Seen(fusion, fused, batch, lesson, m, others), generator)

        return loss

    def terms(self, seen: Seen, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the contrast with the patients' own texts, and with sentences of their labels that are drawn."""
        same = self.targets(seen.labels)
        found = {}
        if seen.language >= 0:
            alike = torch.maximum(same, seen.same_text())
            found["text"] = seen.contrasted(seen.vectors[:, seen.language], seen.read(), alike, self.sigmoid)
        if seen.lesson.tokens is not None:
            drawn = drawn_sentences(seen.labels, seen.lesson.owners, generator)
            sentences = seen.sentences()
            found["label"] = seen.contrasted(sentences[drawn.clamp_min(0)], drawn >= 0, same, self.sigmoid)
        return found or {"text": seen.vectors.sum() * 0.0}
