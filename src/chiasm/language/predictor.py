"""The stored form of a connected language model: how patients are asked, encoders, connectors, what was tuned."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import ref

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.compute.memo import of_the_last
from chiasm.encoders import pack
from chiasm.errors import FindingWarning, count, first_rows
from chiasm.fitting.chosen import options_to_choose_among
from chiasm.fitting.neural import build, restore
from chiasm.heads.head import Head
from chiasm.language.asked import Asked
from chiasm.language.connected import Connected, ConnectedDesign
from chiasm.language.language_model import LanguageModel
from chiasm.protocols import Encoder
from chiasm.targets.options import MOST_OPTIONS
from chiasm.tokens import Packed
from chiasm.training import Network, predict_link
from chiasm.training.batches import take


@storable("connected-language-model")
@dataclass(frozen=True)
class ConnectedPredictor:
    """A language model that answers each patient's question, by the likelihood of answers or in words of its own.

    Args:
        asked: how patients are asked.
        encoders: of the modalities that have a slot.
        shapes: modality to (width, slots) of its tokens.
        design: language model, connectors and adapters, which `state` fills.
        kind: kind of target.
        state: connectors and what of the language model was changed, or all of it where it is tiny.
        slope: of the logits, from held-out patients.
        longest: most tokens that are written for an answer in words; 0 where answers are given.
        notes: values that were measured in the fit, for readers of the model folder.
    """

    asked: Asked
    encoders: dict[str, Encoder]
    shapes: dict[str, tuple[int, int]]
    design: ConnectedDesign
    kind: str
    state: dict[str, np.ndarray] = field(repr=False)
    trained_parameters: int
    slope: float = 1.0
    longest: int = 0
    notes: dict[str, float] = field(default_factory=dict)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the logits of the answers `(B, K)`, in the cohort's sorted row order; -inf where a patient has fewer.

        Texts that are longer than the language model can read are cut, which is a `FindingWarning` with their rows.

        Raises:
            Unsupported: answers are longer than the language model can read, or a choice has no options.
        """
        if self.longest:
            return np.zeros((len(cohort), 0))
        inside = None if self.asked.labels else options_to_choose_among(cohort).inside
        if not len(cohort):
            return np.zeros((0, self.design.outputs))
        tokens, present = self._read(cohort)
        found = predict_link(self._network(), tokens, present) * self.slope
        return found if inside is None else np.where(inside, found[:, : inside.shape[1]], -np.inf)

    def written(self, cohort: Cohort) -> list[str]:
        """Return what the model writes for each patient, in the cohort's sorted row order."""
        if not len(cohort):
            return []
        tokens, present = self._read(cohort)
        fusion, found = self._fusion(), list[str]()
        for start in range(0, len(cohort), 64):
            rows = np.arange(start, min(start + 64, len(cohort)))
            found += fusion.written(take(tokens, rows), torch.from_numpy(present[rows]), self.longest)
        return found

    def network(self) -> Network:
        """Rebuild the network; the language model is opened from where it is, unless it is tiny."""
        outputs = self.design.outputs if self.asked.labels else MOST_OPTIONS  # as many as any patient may have
        design = replace(self.design, outputs=outputs)
        module = build(lambda: Network(design.fusion(self.shapes), Head(0, outputs, self.kind)), 0)
        restore(module, self.state)
        return module.double() if self.design.tiny else module  # who else is in the batch then changes no digit

    def _network(self) -> Network:
        return of_the_last(_READING, self, self.network)

    def _fusion(self) -> Connected:
        fusion = self._network().fusion
        assert isinstance(fusion, Connected)
        return fusion

    def _read(self, cohort: Cohort) -> tuple[dict[str, Packed], np.ndarray]:
        answers = [("",)] * len(cohort) if self.longest else None
        return self.read(cohort, self._fusion().language, answers)

    def read(
        self, cohort: Cohort, language: LanguageModel, answers: Sequence[Sequence[str]] | None
    ) -> tuple[dict[str, Packed], np.ndarray]:
        """Return prompts of patients with answers (None: their own), their modalities, and which they have `(B, M)`."""
        tokens: dict[str, Packed] = dict(pack(cohort, self.encoders))
        present = presence(tokens, sorted(self.shapes), len(cohort))
        soft = self.design.soft_tokens(self.shapes)
        words, cut = self.asked.packed_within(cohort, language.words, language.reach, soft, answers, self.longest)
        if cut:
            rows = np.sort(cohort.file_rows[np.array(cut)]).tolist()
            warnings.warn(
                f"the texts of {count(len(cut), 'patient')} ({first_rows(rows)}) are longer than the language model "
                "can read, and their ends are cut",
                FindingWarning,
                stacklevel=2,
            )
        return {**tokens, **words}, present


_READING: list[tuple[ref[ConnectedPredictor], Network]] = []


def presence(tokens: Mapping[str, Packed], names: list[str], patients: int) -> np.ndarray:
    """Return which patients have tokens of which modality, `(B, M)` bool; M may be zero."""
    if not names:
        return np.zeros((patients, 0), dtype=bool)
    return np.stack([tokens[name].lengths > 0 for name in names], axis=1)
