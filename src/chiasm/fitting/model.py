"""The fitted model that every built-in recipe returns: a predictor with the response that maps its link to output."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.artifact import parts_within, save, storable
from chiasm.cohort import Cohort, Encoding, Unsupported
from chiasm.cohort.handed import handed
from chiasm.encoders.knowledge import Entities
from chiasm.encoding.preparing import encode_for
from chiasm.errors import FindingWarning, count, findings_are_hushed
from chiasm.fitting.card import card_of, held_of_training, start_of
from chiasm.fitting.expected import Expected, completed, expected_of
from chiasm.fitting.facts import facts_of
from chiasm.fitting.history import Step
from chiasm.fitting.possible import require_possible
from chiasm.fitting.reference import Reference
from chiasm.fitting.similar_groups import SimilarGroups
from chiasm.fitting.tuning.record import Tuning
from chiasm.fitting.zero_shot import (
    Prompts,
    asking,
    classify,
    classify_by_sentences,
    prompt_lines,
    prompted,
    required_space,
    retrieve,
)
from chiasm.heads.response import Response, predicted
from chiasm.protocols import Predictor, reads_inputs
from chiasm.shown import html_page, html_table, visible
from chiasm.targets import kind_of

SHOWN = 10  # unfamiliar columns that a warning names


@storable("model")
@dataclass(frozen=True)
class FittedModel:
    """A fitted recipe.

    Args:
        recipe: name of the recipe with its options.
        modalities: modality to kind, as at fit.
        predictor: the fitted predictor, which gives the link.
        response: maps the link to the columns of a prediction.
        target: description of the target (kind, column, unit) for readers of the model folder.
        has_prior: True if a patient with none of the modalities gets the training-set prior rather than an error.
        scarce: modalities that too few training patients had to learn from; a patient with only these is predicted as
            one with no observed modality.
        encodings: modality to the encoding that turned its files, cells or events into the model's input.
        learned_from: how many `patients` the model was trained on, and for survival how many `events` they had.
        patterns: patterns of its modalities that training patients had, as in `clinical+rna`; empty: not known.
        prevalence: share of each class, or label, among the training patients; empty: not known, or without either.
        tuning: the search on inner folds that picked the recipe's options; None where none was searched.
        reference: summary of the training patients, with which later ones are compared; None where none is kept.
        similar: groups of training patients, with which later ones are compared; None where none are kept.
        history: what was done to the model after its fit, the first first, each with the model that it was done to.
    """

    recipe: str
    modalities: dict[str, str]
    predictor: Predictor
    response: Response
    target: dict[str, Any]
    has_prior: bool = False
    scarce: tuple[str, ...] = ()
    encodings: dict[str, Encoding] = field(default_factory=dict)
    learned_from: dict[str, int] = field(default_factory=dict)
    patterns: tuple[str, ...] = ()
    prevalence: dict[str, float] = field(default_factory=dict)
    tuning: Tuning | None = None
    history: tuple[Step, ...] = ()
    reference: Reference | None = None
    similar: SimilarGroups | None = None

    def __post_init__(self) -> None:
        if self.target.get("kind") != self.response.kind:
            raise ValueError("a model describes a target of the kind that it predicts")

    def __repr__(self) -> str:
        reads = ", ".join(f"{name} {kind}" for name, kind in self.kinds.items())
        return visible(
            f"FittedModel '{self.recipe}': {self.target.get('kind', 'no target')}; {reads}; "
            f"{count(self.trained_parameters, 'trained parameter')}"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: what the model reads, and what it learned from."""
        columns = self.columns
        rows = [
            (name, kind, f"{len(columns[name]):,}" if name in columns else "-", self._encoder_of(name))
            for name, kind in self.kinds.items()
        ]
        learned = ", ".join(f"{number:,} {noun}" for noun, number in self.learned_from.items())
        return html_page(
            f"Model '{self.recipe}'",
            f"{self.target.get('kind', 'no target')}, {count(self.trained_parameters, 'trained parameter')}"
            + (f", learned from {learned}" if learned else ""),
            html_table(("modality", "kind", "columns", "encoder"), rows),
        )

    def _encoder_of(self, modality: str) -> str:
        return self.encodings[modality].encoder if modality in self.encodings else "-"

    @property
    def trained_parameters(self) -> int:
        return self.predictor.trained_parameters

    @property
    def start(self) -> str:
        """How a network that could begin with a source's weights began: "source", "fresh" or "untried"; else ""."""
        return start_of(self.predictor)

    @property
    def reads_inputs(self) -> bool:
        """True if an encoder's network was changed, so that the model needs its inputs instead of stored tokens."""
        return reads_inputs(self.predictor)

    @property
    def reads_one_grid(self) -> bool:
        """True if the model draws in the images of a patient, which lie on one another then."""
        return kind_of(self.response.kind).has_masks

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of each modality as a manifest names it, before it was encoded."""
        own = self.encodings
        return {name: own[name].kind if name in own else kind for name, kind in self.modalities.items()}

    @property
    def columns(self) -> dict[str, list[str]]:
        """Columns that the model reads of each table and omics block."""
        return {name: list(own.columns) for name, own in self._expected.items()}

    def template(self) -> dict[str, pd.DataFrame]:
        """Return an empty frame for each table and omics block, with the columns to fill in for new patients."""
        index = pd.Index([], name="patient", dtype=object)
        return {name: pd.DataFrame(columns=list(columns), index=index) for name, columns in self.columns.items()}

    @property
    def _expected(self) -> dict[str, Expected]:
        return expected_of(self.predictor, self.modalities)

    def predict(self, cohort: Any, *, strict: bool = True) -> pd.DataFrame:
        """Predict one row per patient, in the cohort's row order, indexed by id: `pattern`, then the prediction.

        Patients need not be a cohort. Frames by modality do, and a MuData; a frame or AnnData where the model reads one
        table; and one patient as `{"clinical": {"age": 61, "stage": "II"}, "ct": "scan.nii.gz"}`.

        What is not encoded yet is encoded as at fit; sources that cannot be read count as absent, and a warning says
        how many kinds there are. Levels that the model does not know, values far outside of training, and no knowledge
        where the model learned of some, are a `FindingWarning`.

        Args:
            strict: refuse tables that lack columns of the fit; False reads these as missing values.

        Raises:
            ImpossiblePrediction: a number is not finite, or a probability is outside 0 to 1.
            Unsupported: a patient has none of the model's modalities (unless `has_prior`), a modality is of another
                kind than at fit or lacks columns, or its encoder's weights have changed.
        """
        return self.predict_ready(self._ready(cohort, strict))

    def predict_ready(self, cohort: Cohort) -> pd.DataFrame:
        """Predict, as `predict` does, patients who are encoded and have every column of the fit; nothing is warned of.

        Raises:
            ImpossiblePrediction, Unsupported: as for `predict`.
        """
        known = cohort.with_modalities([name for name in cohort.modalities if name in self.modalities])
        accepted = [name for name in cohort.modalities if name in self.modalities or name in self.scarce]
        lacking = int((~cohort.with_modalities(accepted).present.any(1)).sum()) if accepted else len(known)
        if lacking and not self.has_prior:
            raise Unsupported(
                f"{lacking} of {len(known)} patients have none of {sorted(self.modalities)}: leave them out, a "
                "model that has seen nothing of a patient has nothing to say"
            )
        frame = predicted(self.predictor, self.response, known)
        require_possible(frame, known.file_rows)
        texts, own = known.patterns()
        frame.insert(0, "pattern", texts.astype(object)[own])  # one string per pattern, not one per patient
        frame.index = pd.Index(known.ids, name="patient", dtype=object)
        ordered: pd.DataFrame = frame.iloc[known.order]
        return ordered

    def retrieve(
        self, cohort: Any, *, query: str | Sequence[str], among: str, k: int = 10, collection: Any = None
    ) -> pd.DataFrame:
        """Find what goes with a patient's modality in another: `patient`, `rank`, `found`, `score`; no label is read.

        The score is the inner product of the aligned vectors; with several modalities that ask, of the candidate's and
        the sum of theirs, or with Symile their product.

        Args:
            cohort: patients who ask, as for `predict`; those who lack a modality of `query` are left out.
            query: the modality that asks, or several.
            among: the modality that is searched.
            k: number of finds for each patient; fewer where there are not so many.
            collection: patients to search among; None: the same.

        Raises:
            Unsupported: the model's modalities were not aligned, or nobody has one of them.
            ValueError: a modality is not of the model, or k is below 1.
        """
        space = required_space(self.predictor, self.recipe)
        asking(space, query, among)
        asked = self._ready(cohort, True)
        return retrieve(space, asked, asked if collection is None else self._ready(collection, True), query, among, k)

    def classify(self, cohort: Any, prompts: Prompts, *, by: str = "") -> pd.DataFrame:
        """Predict classes from their descriptions alone: `pattern` and `p_<class>`, in the cohort's row order.

        Args:
            cohort: patients, as for `predict`; what they have of the prompts' own modality is not read.
            prompts: class to a text that describes it, or several, whose mean vector is taken.
            by: the modality that they are read as; empty: the only one that is text, or what a model reads of labels
                beside its modalities. A molecule or a sequence stands for a class where a modality of these is named.

        Raises:
            Unsupported: the model's modalities were not aligned, none is text, or a patient has no other.
            ValueError: fewer than two classes, a class without text, or `by` is no modality of cells.
        """
        space = required_space(self.predictor, self.recipe)
        if not by and space.told:
            return classify_by_sentences(space, self._ready(cohort, True), prompts)
        by = prompted(space, self.kinds, by)
        texts, _ = prompt_lines(prompts)
        given = {by: pd.DataFrame({by: texts}, index=[str(number) for number in range(len(texts))])}
        return classify(space, self._ready(cohort, True), self._ready(given, True), by, prompts)

    def _ready(self, cohort: Any, strict: bool) -> Cohort:
        """Return patients, in whatever form they are given, as an encoded cohort with the columns of the fit."""
        expected = self._expected
        given = handed(cohort, self.kinds, {name: own.columns for name, own in expected.items()})
        found = encode_for(self, given)
        if found.problems:
            warnings.warn(
                f"{len(found.problems)} kinds of broken sources count as absent", FindingWarning, stacklevel=3
            )
        ready = completed(found.cohort, expected, strict=strict)
        self._warn_of_unfamiliar(ready, expected)
        return ready

    def _warn_of_unfamiliar(self, cohort: Cohort, expected: dict[str, Expected]) -> None:
        if findings_are_hushed():
            return
        said = [
            f"{words} (modality '{name}')"
            for name, own in expected.items()
            if name in cohort.modalities and len(cohort.rows_of(name))
            for words in own.unfamiliar(cohort.raw(name))
        ]
        of_knowledge = (own.unmet(cohort) for own in parts_within(self.predictor) if isinstance(own, Entities))
        said = [*filter(None, of_knowledge), *said]
        if said:
            more = f"; and {count(len(said) - SHOWN, 'other column')} so" if len(said) > SHOWN else ""
            warnings.warn("; ".join(said[:SHOWN]) + more, FindingWarning, stacklevel=4)

    def save(self, path: Path | str) -> None:
        """Write the model folder: safetensors and JSON, and for people a card in Markdown."""
        held = [phrase for phrase, _ in sorted(held_of_training(self).items())]
        save(path, self, card_of(self), facts_of(self.trained_parameters, self.encodings, held))
