"""A fitted model as a source: what a cohort shares with it, and what it tells of patients of the cohort.

A model that is linear on named columns lends their coefficients. Any other lends its score, the link that it gives a
patient. A model may read which modalities are present; so that a score does not, it stands about the mean of its
pattern of modalities: that of all training patients who have at least these, asked with these alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import content_of, parts_within, storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.cohort.lending import READ_ALIKE, Shared, kind_in
from chiasm.encoders.choice import choose, same_identity
from chiasm.errors import FindingWarning
from chiasm.fitting.base import LEAST_PATIENTS
from chiasm.fitting.borrowed_choice import reduced
from chiasm.fitting.coefficients import Coefficients, coefficients_of
from chiasm.fitting.expected import Expected, expected_of
from chiasm.fitting.lineage import BegunFrom, scaled_on
from chiasm.fitting.model import FittedModel
from chiasm.targets import kind_of

Array = NDArray[np.float64]
EVERY_SUBSET = 4  # modalities up to which a score has a level for every subset of them; beyond, for those of training


@dataclass(frozen=True)
class SourceModel:
    """A fitted model that a cohort may borrow from.

    Args:
        name: what messages and pages call it.
        model: the fitted model, which needs none of its own patients.
        path: its folder, as it was given; empty of one that was handed over in Python.
    """

    name: str
    model: FittedModel
    path: str = ""

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the model's content."""
        return content_of(self.model)

    @cached_property
    def expected(self) -> dict[str, Expected]:
        """What the model reads of each modality of columns."""
        return expected_of(self.model.predictor, self.model.modalities)

    @cached_property
    def coefficients(self) -> Coefficients | None:
        """Its coefficients by modality and column; None of a model that is not linear on columns."""
        return coefficients_of(self.model.predictor)

    def shared(self, cohort: Cohort) -> Shared:
        """Find what the model reads of a cohort: modalities of one name, one kind and one encoding, and their columns.

        A column is shared that is a number, or a category, in both.
        """
        found: Shared = {}
        for name in sorted(self.model.kinds):
            if name not in cohort.modalities or kind_in(cohort, name) != self.model.kinds[name]:
                continue
            if name in self.expected and has_form(kind_in(cohort, name), TABLE):
                columns = self._columns(cohort, name)
                if columns:
                    found[name] = columns
            elif self.encoded_alike(cohort, name):
                found[name] = ()
        return found

    def encoded_alike(self, cohort: Cohort, modality: str) -> bool:
        """True if a modality is encoded as at the model's fit, or would be."""
        then, now = self.model.encodings.get(modality), cohort.encodings.get(modality)
        if then is None:
            return now is None
        try:
            identity = now.identity if now else choose(then.kind, cohort.encoders.get(modality)).identity
        except (Unsupported, ValueError):  # the encoding of the cohort says what is wrong
            return False
        return same_identity(then.kind, identity, then.identity)

    def is_linear_on(self, shared: Shared) -> bool:
        """True if the model lends coefficients: it is linear, and what is shared has columns of one meaning in both."""
        own = self.coefficients
        return own is not None and all(
            name in own and (bool(columns) or "|" in self._identity(name)) for name, columns in shared.items()
        )

    def lent(self, shared: Shared, names: tuple[str, ...]) -> Coefficients:
        """Return the coefficients of what is shared, classes or labels in the order of `names`."""
        assert self.coefficients is not None  # `is_linear_on`
        order = order_of(self.model, names)
        return {name: (own[0], own[1][:, order]) for name, own in self.coefficients.items() if name in shared}

    def learned_from(self, cohort: Cohort) -> bool:
        """True if the scaling of a shared table is that of this very cohort: the model was fitted on its patients.

        So it is of a source that it borrowed from, or whose weights it began with. Quantiles and number of patients are
        compared, on every finely measured column. A model of a part of the cohort, or of other columns of it, is not
        found out.
        """
        if any(SourceModel(self.name, own).learned_from(cohort) for own in held_whole(self.model.predictor)):
            return True
        if any(own.learned_from(cohort) for own in inherited(self.model.predictor)):
            return True
        if cohort.outcome is None:
            return False
        shared = self.shared(cohort).items()
        return any(bool(own) and scaled_on(cohort, name, self.expected[name].scaler, own) for name, own in shared)

    def lineage(self) -> tuple[BegunFrom, ...]:
        """Return what a model that learns from it keeps of it, and of those that it learned from itself."""
        own = BegunFrom.of(self.name, ((name, expected.scaler) for name, expected in self.expected.items()))
        return (own, *inherited(self.model.predictor))

    def _columns(self, cohort: Cohort, name: str) -> tuple[str, ...]:
        own, kinds = self.expected[name], cohort.column_kinds(name)
        there = set(map(str, cohort.sources[name].columns or cohort.raw(name).columns))
        number, category = READ_ALIKE
        return tuple(
            column
            for column in sorted(own.columns)
            if column in there and kinds.get(column, "") in ("", category if column in own.levels else number)
        )

    def _identity(self, modality: str) -> str:
        own = self.model.encodings.get(modality)
        return "" if own is None else own.identity


def held_whole(part: Any) -> Iterator[FittedModel]:
    """Yield the source models that a stored part holds whole, because it borrowed their score."""
    return (own.model for own in parts_within(part, SourceScore) if isinstance(own, SourceScore))


def inherited(part: Any) -> Iterator[BegunFrom]:
    """Yield whose weights the networks of a stored part began with, and whose coefficients were borrowed."""
    return (own for own in parts_within(part, BegunFrom) if isinstance(own, BegunFrom))


def order_of(model: FittedModel, names: tuple[str, ...]) -> list[int]:
    """Return the places of these classes or labels among the outputs of a model's link."""
    own = model.response.classes
    return [own.index(name) for name in names] if names else [0]


@storable("source-score")
@dataclass(frozen=True)
class SourceScore:
    """The score of a source model, standardised on the training patients of a cohort.

    Args:
        model: the fitted model.
        shared: modality to the columns that it reads of the cohort; empty for a modality without columns. Whatever
            else it would read counts as missing.
        order: places of the cohort's classes or labels among the outputs of the model.
        levels: pattern of modalities (`a+b`) to the mean link `(k,)` of the training patients who have these, asked
            with these alone.
        scale: standard deviation of the score over the training patients who have one.
    """

    model: FittedModel
    shared: dict[str, tuple[str, ...]]
    order: tuple[int, ...]
    levels: dict[str, np.ndarray]
    scale: float

    @classmethod
    def fit(cls, source: SourceModel, cohort: Cohort, shared: Shared, names: tuple[str, ...]) -> SourceScore:
        """Standardise the score of a model on training patients; `names` are the classes or labels of their target."""
        bare = cls(source.model, {**shared}, tuple(order_of(source.model, names)), {}, 1.0)
        levels = {"+".join(pattern): bare.raw(cohort, pattern) for pattern in _patterns(cohort, sorted(shared))}
        known = {key: own.mean(0) for key, own in levels.items() if len(own) >= LEAST_PATIENTS}
        made = cls(source.model, {**shared}, bare.order, known, 1.0)
        said = made.columns(cohort)[made.known(cohort)]
        spread = float(np.sqrt((said**2).mean())) if len(said) else 0.0
        return cls(made.model, made.shared, made.order, known, spread if spread > 1e-9 else 1.0)

    def columns(self, cohort: Cohort) -> Array:
        """Return the score `(B, k)`: k is one for two classes; zeros for who has nothing of what the model reads."""
        width = 1 if len(self.order) == 2 and self._of_classes else len(self.order)
        out = np.zeros((len(cohort), width))
        names = [name for name in sorted(self.shared) if name in cohort.modalities]
        own = cohort.with_modalities(names)
        for pattern in np.unique(own.present, axis=0) if names else ():
            here = [name for name, given in zip(own.modalities, pattern, strict=True) if given]
            level = self.levels.get("+".join(here))
            if level is not None:
                rows = np.flatnonzero((own.present == pattern).all(1))
                out[rows] = (self._link(own.subset(rows).with_modalities(here)) - level) / self.scale
        return out

    def known(self, cohort: Cohort) -> NDArray[np.bool_]:
        """Return who has a score, `(B,)`: a pattern of what the model reads that has a level."""
        read = cohort.with_modalities([name for name in cohort.modalities if name in self.shared])
        return np.isin(read.pattern(), [*self.levels])

    def raw(self, cohort: Cohort, pattern: tuple[str, ...]) -> Array:
        """Return the link `(n, k)` of the patients who have all of a pattern, asked with these modalities alone."""
        own = cohort.with_modalities(list(pattern))
        return self._link(own.subset(np.flatnonzero(own.present.all(1))))

    @property
    def _of_classes(self) -> bool:
        return kind_of(self.model.response.kind).has_classes

    def _link(self, cohort: Cohort) -> Array:
        if not len(cohort):
            return np.zeros((0, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FindingWarning)
            link = self.model.predictor.link(self._read(cohort))[:, list(self.order)]
        return reduced(link) if self._of_classes else link

    def _read(self, cohort: Cohort) -> Cohort:
        """Return the cohort with the columns that the model knows: those shared, and the others as missing."""
        expected = expected_of(self.model.predictor, self.model.modalities)
        for name in cohort.modalities:
            if columns := self.shared[name]:
                raw = cohort.raw(name).reindex(columns=list(columns)).reindex(columns=list(expected[name].columns))
                cohort = cohort.with_values(name, cohort.kinds[name], raw, np.ones(len(raw), bool), None)
        return cohort


def _patterns(cohort: Cohort, names: list[str]) -> list[tuple[str, ...]]:
    """Patterns of these modalities that have a level: all of a few, of many those of the patients and each alone."""
    if len(names) <= EVERY_SUBSET:
        return [own for size in range(1, len(names) + 1) for own in combinations(names, size)]
    present = np.unique(cohort.with_modalities(names).present, axis=0)
    seen = {tuple(name for name, given in zip(names, row, strict=True) if given) for row in present}
    return sorted((seen | {(name,) for name in names} | {tuple(names)}) - {()})
