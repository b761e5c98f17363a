"""Cohort data structure: patients, the modalities each of them has, and their known outcomes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.digests import DIGEST, Digests
from chiasm.cohort.generated import Generated
from chiasm.cohort.identifiers import places_of
from chiasm.cohort.items import Encoding, Values, ValueSource
from chiasm.cohort.knowledge import Knowledge
from chiasm.cohort.label_texts import LabelTexts
from chiasm.cohort.lent_model import LentModel
from chiasm.cohort.seal import Sealed
from chiasm.cohort.sources import ColumnSource, Source
from chiasm.cohort.subgroups import Subgroup
from chiasm.errors import CohortError, Problem, nearest
from chiasm.shown import html_page, html_table, visible
from chiasm.targets import Options, Outcome, Target

FED_AT_ONCE = 4_096  # rows hashed at a time for the fingerprint


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """Immutable cohort of B patients, sorted by id, with M modalities, sorted by name; a subset shares the sources.

    Created by `open_cohort` and `cohort_from_frames`. Shapes: `ids`, `file_rows`, `group`, `site`, `fold` (B,);
    `group`, `site` and `fold` are text or None, "" where a patient has none; a patient whose fold is "train" is
    never tested. `source_rows[m]` (B,) is the row of each patient in the source of modality m, -1 where absent.
    `file_rows` counts as a spreadsheet does: the first patient of the user's file is row 2. `findings` are problems
    noted on opening (outcomes, folds, unknown identifiers). `encoders` are those named by the manifest, `encodings`
    record how the already decoded modalities were encoded. `accepted` are the findings of the check that the owner
    accepts, `finding` or `finding:modality` -> reason. `index_hours[m]` (B,) is the time of prediction on the clock of
    the events m, NaN where unknown. `headers_read` are the bags whose files were opened, so that the unreadable ones
    are absent already. `sealed` says how many patients of the manifest are held apart and not among these. None of
    these four is part of the fingerprint. `lenders` are source cohorts: they are learned from and never scored, no fold
    divides them, and a subset keeps them whole; `lent_models` are fitted models that are borrowed from. `lender_paths`
    are the manifests and model folders that the cohort's own manifest names as sources, which are opened when something
    is fitted. `manifest` is the path by which the cohort was opened, as it was given; empty of one of frames.
    `knowledge` are triples, with the entity that each patient has. `costs` is what a modality costs a patient, where
    it is said; `subgroups` are the columns by whose levels a model is looked at, and which no model reads; neither is
    part of the fingerprint. `label_texts` are what experts wrote of each label. `options` are what each
    patient may be answered with; they stay when the target is taken away. `generated` says what of it a generator drew.
    """

    name: str
    ids: NDArray[np.str_]
    file_rows: NDArray[np.int_]
    target: Target | None
    outcome: Outcome | None
    kinds: dict[str, str]
    sources: Mapping[str, Source]
    source_rows: Mapping[str, NDArray[np.int_]]
    group: NDArray[np.str_] | None = None
    site: NDArray[np.str_] | None = None
    fold: NDArray[np.str_] | None = None
    feature_groups: Mapping[str, dict[str, list[str]]] = field(default_factory=dict)
    encoders: Mapping[str, str] = field(default_factory=dict)
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    findings: tuple[Problem, ...] = ()
    accepted: Mapping[str, str] = field(default_factory=dict)
    index_hours: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    path: str | None = None
    headers_read: frozenset[str] = frozenset()
    sealed: Sealed | None = None
    lenders: tuple[Cohort, ...] = ()
    lender_paths: tuple[str, ...] = ()
    lent_models: tuple[LentModel, ...] = ()
    manifest: str = ""
    knowledge: Knowledge | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    subgroups: tuple[Subgroup, ...] = ()
    options: Options | None = None
    label_texts: LabelTexts | None = None
    generated: Generated | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        have = ", ".join(f"{name} {int(self.present[:, m].sum()):,}" for m, name in enumerate(self.modalities))
        kind = "no target" if self.target is None else self.target.kind
        sealed = "" if self.sealed is None else f"; {self.sealed}"
        return visible(f"Cohort '{self.name}': {len(self):,} patients; {have}; {kind}{sealed}")

    def _repr_html_(self) -> str:
        """What a notebook shows: counts of patients, of known outcomes and of each modality."""
        kind = "no target" if self.target is None else self.target.kind
        known = "" if self.outcome is None else f", {int(self.outcome.known.sum()):,} with a known outcome"
        counts = self.present.sum(axis=0)
        rows = [(name, self.kinds[name], f"{int(counts[m]):,}") for m, name in enumerate(self.modalities)]
        return html_page(
            f"Cohort '{self.name}'",
            f"{len(self):,} patients, {kind}{known}" + ("" if self.sealed is None else f"; {self.sealed}"),
            html_table(("modality", "kind", "patients"), rows),
        )

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """(M,) modality names, sorted."""
        return tuple(sorted(self.kinds))

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(B, M) True where the patient has the modality."""
        columns = [self.source_rows[name] >= 0 for name in self.modalities]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self), 0), dtype=bool)  # (B, M)

    @cached_property
    def order(self) -> NDArray[np.int_]:
        """(B,) permutation that sorts patients into the row order of the user's own file, as `ids[order]`."""
        return np.argsort(self.file_rows, kind="stable")

    def rows_of(self, modality: str) -> NDArray[np.int_]:
        """Cohort rows of the patients who have the modality, as in `raw(modality)`."""
        return np.flatnonzero(self.present[:, self._position(modality)])

    def raw(self, modality: str, rows: NDArray[np.int_] | None = None) -> Any:
        """Values of the patients who have the modality, in row order, or only of those in `rows` if given.

        Returns a frame indexed by id for kinds `table` (float64, text with NaN where missing) and `omics` (float32),
        `Bags` for kind `bag`, and for the others undecoded `Items` or, once decoded, the values that replace them.
        """
        rows = self.rows_of(modality) if rows is None else rows
        values = self.sources[modality].values(self.source_rows[modality][rows], self.file_rows[rows])
        return (
            values.set_axis(pd.Index(self.ids[rows], dtype=object), axis=0)
            if isinstance(values, pd.DataFrame)
            else values
        )

    def inputs(self, modality: str) -> Any:
        """Inputs to the encoder's network for the patients who have the modality, in row order; None if unknown."""
        rows = self.source_rows[modality][self.rows_of(modality)]
        source = self.sources[modality]
        return source.inputs(rows) if isinstance(source, ValueSource) else None

    def written(self, modality: str) -> Values | None:
        """The texts, undecoded, of the patients who have a modality that was encoded from text; None of others."""
        source = self.sources[modality]
        rows = self.source_rows[modality][self.rows_of(modality)]
        return source.written(rows) if isinstance(source, ValueSource) else None

    def column_kinds(self, modality: str) -> dict[str, str]:
        """Return what each column of a table was read as, name to number, category, date, text, identifier or constant.

        Empty for other kinds of modality, and for a table that cannot be read.
        """
        source = self.sources[modality]
        try:
            return {own.name: own.kind for own in source.described} if isinstance(source, ColumnSource) else {}
        except CohortError:  # a problem of the check, which names it
            return {}

    def labelled_columns(self, modality: str) -> list[str]:
        """Columns that hold the words of labels, in a file of a statistics program, and not its codes."""
        source = self.sources[modality]
        return source.labelled if isinstance(source, ColumnSource) else []

    def declared_words(self, modality: str) -> tuple[str, ...]:
        """Columns of a table that are words by declaration, sorted: named in `categories`, or codes with labels."""
        source = self.sources[modality]
        return tuple(sorted({*source.declared} & {*source.columns})) if isinstance(source, ColumnSource) else ()

    def groups_of(self, modality: str) -> dict[str, list[str]] | None:
        """Feature groups of a modality, name -> columns in file order; None if it has none."""
        self._position(modality)
        return self.feature_groups.get(modality)

    def pattern(self) -> NDArray[np.str_]:
        """(B,) modality pattern of each patient, such as `clinical+rna`; "" for none."""
        texts, number = self.patterns()
        return texts[number]

    def patterns(self) -> tuple[NDArray[np.str_], NDArray[np.int_]]:
        """Distinct modality patterns as text, and (B,) the index of each patient's pattern."""
        packed = np.packbits(self.present, axis=1)  # (B, bytes of M bits)
        size = packed.shape[1]
        keys = packed.view(f"S{size}").reshape(-1) if size else np.zeros(len(self), dtype="S1")
        _, first, number = np.unique(keys, return_index=True, return_inverse=True)
        names = np.array(self.modalities, dtype=object)
        texts = ["+".join(names[row]) for row in self.present[first]]
        return np.array(texts or [""], dtype=str), number

    def subset(self, rows: NDArray[np.int_] | NDArray[np.bool_] | Sequence[int] | Sequence[str]) -> Cohort:
        """Select patients, kept in the order of their ids; `rows` are distinct integers, a mask (B,) or identifiers."""
        chosen = np.asarray(rows)
        if chosen.size and chosen.dtype.kind in "OUST":
            chosen = self._rows_named([str(name) for name in np.asarray(chosen, dtype=object).ravel()])
        elif chosen.size and chosen.dtype.kind not in "biu":
            raise ValueError("patients are chosen by row numbers, by a mask or by identifiers as text")
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise ValueError(f"the mask has shape {chosen.shape}, the cohort {len(self)} patients")
            chosen = np.flatnonzero(chosen)
        chosen = np.sort(chosen.astype(int))
        if chosen.size and (chosen[0] < 0 or chosen[-1] >= len(self)):
            raise IndexError(f"a row lies outside the cohort of {len(self)} patients")
        if np.any(chosen[1:] == chosen[:-1]):
            raise ValueError("a patient stands twice in the rows of a subset: resample weights, not patients")
        kept = set(self.file_rows[chosen].tolist())
        return replace(
            self,
            ids=self.ids[chosen],
            file_rows=self.file_rows[chosen],
            outcome=None if self.outcome is None else self.outcome.take(chosen),
            source_rows={name: found[chosen] for name, found in self.source_rows.items()},
            group=None if self.group is None else self.group[chosen],
            site=None if self.site is None else self.site[chosen],
            fold=None if self.fold is None else self.fold[chosen],
            index_hours={name: hours[chosen] for name, hours in self.index_hours.items()},
            knowledge=None if self.knowledge is None else self.knowledge.take(chosen),
            subgroups=tuple(own.take(chosen) for own in self.subgroups),
            options=None if self.options is None else self.options.take(chosen),
            findings=tuple(problem for problem in self.findings if problem.row is None or problem.row in kept),
        )

    def with_modalities(self, names: Sequence[str]) -> Cohort:
        """Return the same patients with only the named modalities."""
        for name in names:
            self._position(name)
        return replace(
            self,
            encodings={name: own for name, own in self.encodings.items() if name in names},
            kinds={name: self.kinds[name] for name in names},
            sources={name: self.sources[name] for name in names},
            source_rows={name: self.source_rows[name] for name in names},
            feature_groups={name: groups for name, groups in self.feature_groups.items() if name in names},
            index_hours={name: hours for name, hours in self.index_hours.items() if name in names},
            costs={name: cost for name, cost in self.costs.items() if name in names},
        )

    def with_values(
        self,
        modality: str,
        kind: str,
        values: Any,
        kept: NDArray[np.bool_],
        encoding: Encoding | None,
        digests: Digests | None = None,
        inputs: Any = None,
        written: Values | None = None,
    ) -> Cohort:
        """Return the same patients with decoded values, or tokens, in place of a modality's files or cells.

        Args:
            kind: kind of the values, `tokens` for tokens.
            values: sequence with a `take` method, one item per kept patient.
            kept: (n,) mask over the patients who have the modality, True where the source could be read; the others
                lack the modality from now on.
            digests: source digests of the kept patients, if already known.
            inputs: inputs to the encoder's network for the kept patients, in the form of `values`.
            written: the undecoded texts of the kept patients, where the values were made from text.
        """
        rows = self.rows_of(modality)[kept]
        source = self.sources[modality]
        if digests is None:
            digests = source.digests(self.source_rows[modality][rows])
        new_rows = np.full(len(self), -1)
        new_rows[rows] = np.arange(len(rows))
        made = ValueSource(values, digests, source.path, inputs, written)
        return replace(
            self,
            kinds={**self.kinds, modality: kind},
            sources={**self.sources, modality: made},
            source_rows={**self.source_rows, modality: new_rows},
            encodings=self.encodings if encoding is None else {**self.encodings, modality: encoding},
        )

    def without(self, modality: str, rows: NDArray[np.int_]) -> Cohort:
        """Return the same patients, with the modality removed for those in `rows`."""
        if not len(rows):
            return self
        found = self.source_rows[modality].copy()
        found[rows] = -1
        return replace(self, source_rows={**self.source_rows, modality: found})

    def merged(self, decoded: Cohort) -> Cohort:
        """Return the same patients with the modalities of `decoded` in place of their own."""
        return replace(
            self,
            kinds={**self.kinds, **decoded.kinds},
            sources={**self.sources, **decoded.sources},
            source_rows={**self.source_rows, **decoded.source_rows},
            encodings={**self.encodings, **decoded.encodings},
            headers_read=self.headers_read | decoded.headers_read,
        )

    def with_target(self, target: Target | None, outcome: Outcome | None) -> Cohort:
        """Return the same patients with another target (shuffled labels, fixed horizons); `outcome` is in row order.

        Options come with the outcome whose places they have.
        """
        if outcome is not None and len(outcome.value) != len(self):
            raise ValueError(f"the outcome has {len(outcome.value)} rows, the cohort {len(self)} patients")
        options = self.options if outcome is None or outcome.options is None else outcome.options
        return replace(self, target=target, outcome=outcome, options=options)

    def with_lenders(self, lenders: Sequence[Cohort]) -> Cohort:
        """Return the same patients with these source cohorts, in the order of their content, and no others."""
        return replace(self, lenders=tuple(sorted(lenders, key=lambda own: own.fingerprint)))

    def with_lent_models(self, models: Sequence[LentModel]) -> Cohort:
        """Return the same patients with these fitted models to borrow from, in the order of their content."""
        return replace(self, lent_models=tuple(sorted(models, key=lambda own: own.identity)))

    @property
    def digests(self) -> Digests:
        """(B, M) 16-byte hash of each patient's content in each modality, empty where absent.

        Files are read unless they were read before and have not changed since; the sources cache all other digests.
        """
        found = np.zeros(self.present.shape, dtype=DIGEST)
        for m, name in enumerate(self.modalities):
            rows = self.rows_of(name)
            found[rows, m] = self.sources[name].digests(self.source_rows[name][rows])
        return found

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content: ids, modalities, their values and declared words, target, groups, sites and folds.

        It does not depend on the order of the rows, on unrelated columns or on where the files lie. Source cohorts
        and source models, where there are any, are part of it.
        """
        digest = hashlib.sha256()

        def feed(part: object) -> None:
            text = repr(part).encode()
            digest.update(len(text).to_bytes(8, "little") + text)

        def feed_rows(rows: NDArray[Any] | None) -> None:
            feed(None if rows is None else len(rows))
            if rows is not None:
                for start in range(0, len(rows), FED_AT_ONCE):  # as text they are many times larger
                    feed(rows[start : start + FED_AT_ONCE].tolist())

        feed_rows(self.ids)
        feed([(name, self.kinds[name], self.sources[name].columns) for name in self.modalities])
        feed(sorted(self.encodings.items()))
        digest.update(self.digests.tobytes())
        feed(self.target)
        if self.outcome is not None:
            feed_rows(self.outcome.value)
            feed_rows(self.outcome.event)
            if self.outcome.cause is not None:
                feed_rows(self.outcome.cause)
            if self.outcome.texts is not None:
                feed_rows(self.outcome.texts.references)
            if self.outcome.boxes is not None:
                feed_rows(np.array(self.outcome.boxes.texts, dtype=object))
            if self.outcome.maps is not None:
                feed_rows(self.outcome.maps.texts)
        for labels in (self.group, self.site, self.fold):
            feed_rows(labels)
        feed(sorted(self.feature_groups.items()))
        declared = [(name, words) for name in self.modalities if (words := self.declared_words(name))]
        if declared:  # a cohort without any is the same as in releases that did not ask
            feed(declared)
        if self.lenders:
            feed([lender.fingerprint for lender in self.lenders])
        if self.lent_models:
            feed(["models", *(own.identity for own in self.lent_models)])
        if self.options is not None:
            feed("options")
            feed_rows(self.options.texts)
        if self.knowledge is not None:
            feed("knowledge")
            for rows in self.knowledge.content:
                feed_rows(rows)
        if self.label_texts is not None:
            feed(["label texts", self.label_texts.digest])
        return digest.hexdigest()

    def _rows_named(self, names: Sequence[str]) -> NDArray[np.int_]:
        """Rows of patients by identifier; raises ValueError if one is not a patient's."""
        found = places_of(np.array(names, dtype=str), self.ids)
        unknown = int((found < 0).sum())
        if unknown:
            raise ValueError(f"{unknown:,} of {len(names):,} identifiers are not among the patients of '{self.name}'")
        return found

    def _position(self, modality: str) -> int:
        if modality not in self.kinds:
            like = nearest(modality, self.modalities)
            hint = f"did you mean '{like}'?" if like else f"there are {', '.join(self.modalities)}"
            raise ValueError(f"the cohort '{self.name}' has no modality '{modality}': {hint}")
        return self.modalities.index(modality)
