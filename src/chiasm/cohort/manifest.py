"""Open a cohort from its TOML manifest: presence and outcome are read now, the values when they are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cells import index_hours
from chiasm.cohort.coded_outcomes import outcome_cells, with_arrays
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.dialect import Form, unfit_form
from chiasm.cohort.encoder_places import encoders_beside
from chiasm.cohort.generated import marked
from chiasm.cohort.genesets import read_gene_sets
from chiasm.cohort.identifiers import places_of, repeats
from chiasm.cohort.label_table import read_known
from chiasm.cohort.meeting import advice_on_strangers, meets_nobody, names_in
from chiasm.cohort.places import find_files, inside, manifest_file
from chiasm.cohort.schema import ManifestKeys, ModalityKeys, TargetKeys, read_keys, read_toml
from chiasm.cohort.seal import Seal
from chiasm.cohort.seal_file import found_seal, unlike
from chiasm.cohort.sources import ColumnSource, EventSource, FileSource, Source
from chiasm.cohort.subgroup_columns import read_subgroups
from chiasm.cohort.tables import Table
from chiasm.cohort.unused import in_use
from chiasm.errors import CohortError, Problem, count, error, first_rows, nearest, warning
from chiasm.targets import Target, kind_of, read_outcome
from chiasm.targets.cells import same_labels

FOLD_COLUMN = "fold"
Whom = Literal["outside", "sealed", "everyone"]


def open_cohort(path: str | os.PathLike[str]) -> Cohort:
    """Open the cohort that a manifest describes.

    Presence and the outcome are read now, the values of a modality when they are needed. `path` is the manifest or
    the folder that holds it as `cohort.toml`. Of a sealed cohort the patients outside the seal are opened, and nothing
    is taken from the rows and files of the others. Raises CohortError with every reason why the manifest cannot be
    understood; wrong values are reported by `check_values`.
    """
    cohort, problems = read_manifest(path)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors or cohort is None:
        raise CohortError(errors)
    return cohort


def read_manifest(
    path: str | os.PathLike[str], whom: Whom = "outside", seal: Seal | None = None
) -> tuple[Cohort | None, list[Problem]]:
    """Open what can be opened of a manifest, and list its structural problems; the cohort is None without patients.

    Args:
        whom: the patients outside the seal, those under it, or everyone whether there is a seal or not.
        seal: the seal to go by; None: that of the manifest, if it has one.
    """
    file = manifest_file(path)
    content, problems = read_toml(file)
    if content is None:
        return None, problems
    asked = "seal" in content
    keys, problems = read_keys(content, file.name)
    if keys is None or (asked and keys.seal is None):
        return None, problems
    if whom != "everyone" and seal is None:
        try:
            seal = found_seal(file, keys.seal)
        except CohortError as fault:
            return None, [*problems, *fault.problems]
    cohort = (reader := _Reader(file, problems, None if whom == "everyone" else seal, whom)).read(keys)
    return (None if cohort is None else in_use(marked(cohort, keys.generated, path))), reader.problems


class _Reader:
    """Reader that opens the parts of a manifest one after another and collects their problems."""

    def __init__(self, manifest: Path, problems: list[Problem], seal: Seal | None, whom: Whom) -> None:
        self.folder, self.named = manifest.parent.resolve(), manifest.parent
        self.problems = problems
        self.seal, self.whom = seal, whom
        self.forms: dict[tuple[str, str | None], Form] = {}
        self.findings: list[Problem] = []
        self._tables: dict[tuple[str, str | None], Table | None] = {}
        self._texts: dict[tuple[str, str], NDArray[np.str_]] = {}
        self._read: dict[str, NDArray[np.bool_]] = {}
        self._held: dict[str, NDArray[np.bool_]] = {}

    def read(self, keys: ManifestKeys) -> Cohort | None:
        said = [(table, form) for _, table, form in keys.forms() if table and unfit_form(form) is None]
        self.forms = {(table, form.sheet): form for table, form in said}
        patients = self.table(keys.patients.table, keys.patients.sheet, None)
        if patients is None:
            return None
        self.id = keys.patients.id
        key = patients.key(self.id)
        if not self.has_columns(patients, [key] if key == self.id else [], None):
            return None
        also = (keys.patients.group, keys.patients.site, *(own.on for own in keys.modalities.values()))
        try:
            patients.require_few()
            texts, *_ = self.texts_of(patients, [key, *(name for name in patients.columns if name in also)])
            positions = self.unique_ids(patients, key, None)
        except CohortError as fault:
            self.problems += fault.problems
            return None
        if not len(positions):
            self.problems.append(
                error("the table has no patients", "write a row a patient", path=patients.name, finding="no-patients")
            )
            return None
        self.positions = positions[np.argsort(texts[positions], kind="stable")]  # rows of the patients' table, by id
        self.ids = self.everyone = texts[self.positions].astype(str)
        self.patients = patients
        self.held_positions = self.positions[:0]
        if self.seal is not None and not self.hold_back(self.seal, keys.target):
            return None
        target = self.target(keys.target)
        self.outcomes = set(target.columns if target is not None else ())
        outcome = None
        if target is not None:
            frame = with_arrays(outcome_cells(patients, target).iloc[self.positions], target, self.folder)
            target, outcome, findings = read_outcome(target, frame, self.positions + 2, patients.name)
            self.findings += findings
            if target.has_classes or target.has_options or target.has_texts:
                self.findings += self.levels_of_the_target(target)
        kinds, sources, rows, groups, index = {}, {}, {}, {}, {}
        for name, modality in keys.modalities.items():
            try:
                source, found = self.modality(name, modality)
                if modality.groups is not None and source is not None:
                    groups[name] = read_gene_sets(self.folder, modality.groups, source.columns, name)
            except CohortError as fault:
                self.problems += fault.problems
                continue
            if source is not None:
                kinds[name], sources[name], rows[name] = modality.kind, source, found
                if (hours := self.index(name, modality.index)) is not None:
                    index[name] = hours
        knowledge, written = read_known(self, keys.knowledge, keys.patients, target)
        return Cohort(
            name=keys.name or self.folder.name,
            ids=self.ids,
            file_rows=self.positions + 2,
            target=target,
            outcome=outcome,
            kinds=kinds,
            sources=sources,
            source_rows=rows,
            group=self.labels(keys.patients.group),
            site=self.labels(keys.patients.site),
            fold=self.folds(keys.folds.table, keys.folds.sheet) if keys.folds else None,
            feature_groups=groups,
            encoders=encoders_beside({name: keys.modalities[name].encoder for name in kinds}, self.named),
            findings=tuple(self.findings),
            accepted=keys.accept,
            index_hours=index,
            path=patients.name,
            sealed=self.seal.summary if self.seal is not None and self.whom == "outside" else None,
            knowledge=knowledge,
            label_texts=written,
            costs={name: own.cost for name, own in keys.modalities.items() if own.cost is not None and name in kinds},
            lender_paths=tuple(os.path.normpath(self.folder / place) for place in keys.sources),
            subgroups=read_subgroups(self, keys.patients),
            options=None if outcome is None else outcome.options,
        )

    def hold_back(self, seal: Seal, target: TargetKeys | None) -> bool:
        """Leave out the sealed patients, or all others, before an outcome is read; False if the seal does not fit."""
        sealed = seal.holds(self.ids)
        self.problems += (wrong := unlike(seal, int(sealed.sum()), target, self.patients.name, self.patients.columns))
        held = sealed if self.whom == "outside" else ~sealed
        self.held_positions = self.positions[held]
        self.ids, self.positions = self.ids[~held], self.positions[~held]
        numbers = np.arange(len(self.patients))
        self.hide(self.patients, np.isin(numbers, self.positions), np.isin(numbers, self.held_positions))
        return not wrong

    def hide(self, table: Table, read: NDArray[np.bool_], held: NDArray[np.bool_]) -> None:
        """Have the rows of patients who are held back read as empty, but for those that another patient shares."""
        if not len(self.held_positions):
            return
        self._read[table.name] = read | self._read.get(table.name, False)
        self._held[table.name] = held | self._held.get(table.name, False)
        table.hide(np.flatnonzero(self._held[table.name] & ~self._read[table.name]))

    def table(self, name: str, sheet: str | None, modality: str | None) -> Table | None:
        """Open a table of the cohort's folder, once; None, with its problem noted, if that fails."""
        key = (name, sheet)
        if key not in self._tables:
            self._tables[key] = None
            try:
                table = Table(inside(self.folder, name, modality), name, self.forms.get(key))
                table.inspect()
                if not table.is_parquet:
                    table.frame()
                self._tables[key] = table
                self.findings += [replace(own, modality=modality) for own in table.findings]
            except CohortError as fault:
                self.problems += [replace(p, modality=p.modality or modality) for p in fault.problems]
        return self._tables[key]

    def texts(self, table: Table, column: str) -> NDArray[np.str_]:
        return self.texts_of(table, [column])[0]

    def texts_of(self, table: Table, columns: Sequence[str]) -> list[NDArray[np.str_]]:
        """Columns as text, each read once, and those that are not yet known in one go."""
        if fresh := [column for column in columns if (table.name, column) not in self._texts]:
            self._texts |= {(table.name, column): texts for column, texts in table.texts_of(fresh).items()}
        return [self._texts[table.name, column] for column in columns]

    def has_columns(self, table: Table, names: list[str], modality: str | None) -> bool:
        known = set(table.columns)
        for name in names:
            if name not in known:
                like = nearest(name, table.columns)
                fix = f"did you mean '{like}'?" if like else "correct the manifest or add the column"
                if len(known) == 1 and {";", "\t", "|", " ", ":"} & set(table.columns[0]):
                    fix = 'the columns cannot be told apart: name what separates them, as in separator = ";"'
                elif table.unnamed_counts:
                    fix = "the column without a name only counts the rows: name the one that holds the identifiers"
                self.problems.append(
                    error(f"no such column '{name}'", fix, path=table.name, modality=modality, finding="missing-column")
                )
        return known.issuperset(names)

    def unique_ids(self, table: Table, column: str, modality: str | None) -> NDArray[np.int_]:
        """Rows with the first occurrence of each identifier; missing and repeated ones are noted as problems."""
        texts = self.texts(table, column)
        empty = texts == ""
        if empty.any():
            rows = np.flatnonzero(empty) + 2
            what = f"the identifier is missing in {count(len(rows), 'row')} ({first_rows(rows.tolist())})"
            fix = f"fill in column '{column}'"
            self.problems.append(
                error(what, fix, path=table.name, row=int(rows[0]), modality=modality, finding="missing-identifier")
            )
        repeated = repeats(texts) & ~empty
        if repeated.any():
            rows = np.flatnonzero(repeated) + 2
            where = first_rows(rows.tolist())
            what = f"the identifier stands in an earlier row too, in {count(len(rows), 'row')} ({where})"
            fix = "keep one row a patient; for several records of a person give each its own id and name `group`"
            self.problems.append(
                error(what, fix, path=table.name, row=int(rows[0]), modality=modality, finding="repeated-identifier")
            )
        return np.flatnonzero(~empty & ~repeated)

    def target(self, keys: TargetKeys | None) -> Target | None:
        if keys is None:
            return None
        target = kind_of(keys.kind).from_keys(keys.model_dump()).among(list(self.patients.columns))
        return target if self.has_columns(self.patients, list(target.columns), None) else None

    def levels_of_the_target(self, target: Target) -> list[Problem]:
        """Warn of labels, options or texts such as `NA` that were read as missing."""
        if not (found := self.patients.spelt_missing(list(target.columns), not_a_number=not target.has_classes)):
            return []
        what = f"column '{found[0]}' holds words such as NA or None, which are read as missing"
        noun = "a class" if target.has_classes else "an option" if target.has_options else "a text"
        fix = f"if such a word is {noun}, write missing = [] in [patients]"
        return [warning(what, fix, path=self.patients.name, finding="spelt-missing")]

    def labels(self, column: str | None) -> NDArray[np.str_] | None:
        if column is None or not self.has_columns(self.patients, [column], None):
            return None
        return self.texts(self.patients, column)[self.positions]

    def folds(self, name: str, sheet: str | None) -> NDArray[np.str_] | None:
        table = self.table(name, sheet, None)
        if table is None:
            return None
        key = table.key(self.id)
        if not self.has_columns(table, [*([key] if key == self.id else []), FOLD_COLUMN], None):
            return None
        texts, names = self.texts_of(table, [key, FOLD_COLUMN])
        if FOLD_COLUMN in table.labelled and "train" in (words := table.cells(FOLD_COLUMN)):
            names = words.astype(str)
        pairs = pd.DataFrame({"id": texts, "fold": names})
        twice = pairs.duplicated("id").to_numpy() & ~pairs.duplicated().to_numpy()
        if twice.any():
            rows = np.flatnonzero(twice) + 2
            what = f"{count(int(pairs['id'][twice].nunique()), 'patient')} in two folds ({first_rows(rows.tolist())})"
            self.findings.append(
                error(what, "keep one row a patient", path=name, row=int(rows[0]), finding="two-folds")
            )
        self.strangers(table, ~np.isin(texts, self.everyone), None)
        first = pairs[names != ""].drop_duplicates("id").set_index("id")["fold"]
        fold = first.reindex(self.ids).fillna("").to_numpy(dtype=str)
        if (fold == "").any():
            rows = np.sort(self.positions[fold == ""]) + 2
            what = f"{count(len(rows), 'patient')} without a fold ({first_rows(rows.tolist())} of the patients' table)"
            fix = "give each a fold, or 'train' to never test it"
            self.findings.append(error(what, fix, path=name, row=int(rows[0]), finding="without-fold"))
        return np.where(fold == "", "train", fold)

    def elsewhere(self, table: Table, key: str, columns: list[str]) -> dict[str, list[str]]:
        """Other columns of a table, as text, in which its identifiers may stand."""
        seen = ~self._held.get(table.name, np.zeros(len(table), dtype=bool))
        others = [name for name in columns[:10] if name != key]
        return {name: texts[seen].tolist() for name, texts in zip(others, self.texts_of(table, others), strict=True)}

    def strangers(
        self, table: Table, strange: NDArray[np.bool_], modality: str | None, met: NDArray[np.bool_] | None = None
    ) -> None:
        if strange.any():
            rows = np.flatnonzero(strange) + 2
            where = first_rows(rows.tolist())
            what = f"{count(len(rows), 'row')} of identifiers that are not among the patients ({where})"
            fix = "they are left out; add them to the patients' table to use them"
            if met is not None:
                fix += advice_on_strangers(self.ids, met, self.texts(table, table.key(self.id))[strange].tolist())
            self.findings.append(
                warning(what, fix, path=table.name, row=int(rows[0]), modality=modality, finding="unknown-identifiers")
            )

    def modality(self, name: str, keys: ModalityKeys) -> tuple[Source | None, NDArray[np.int_]]:
        """Open the source of a modality; return it with each patient's row in it, -1 where absent."""
        nowhere = np.full(len(self.ids), -1)
        if keys.path is not None:
            paths, rows, problems = find_files(self.folder, keys.path, self.ids, self.positions + 2, name, keys.kind)
            self.problems += [own for own in problems if own.severity == "error"]
            self.findings += [own for own in problems if own.severity == "warning"]
            if not paths and not problems:
                nobody = meets_nobody(self.ids, np.array(names_in(self.folder, keys.path), str), name, keys.path)
                self.problems += [nobody] if nobody is not None else []
            return FileSource(name, keys.kind, keys.path, paths), rows
        columns = [keys.column] if keys.column is not None else keys.columns
        table = self.patients if keys.table is None else self.table(keys.table, keys.sheet, name)
        if table is None:
            return None, nowhere
        if columns and not self.has_columns(table, columns, name):
            columns = [column for column in columns if column in table.columns]  # check the others all the same
            if not columns:
                return None, nowhere
        if keys.table is None:
            columns = columns or []
            self.refuse_outcomes(table, columns, name, self.positions)
            self.has_columns(table, keys.categories or [], name)
            source = ColumnSource(name, keys.kind, table, columns, keys.categories or [])
            return source, self._with_values(table, columns, self.positions)
        key = keys.on or table.key(self.id)
        if key == (keys.on or self.id) and not self.has_columns(table, [key], name):
            return None, nowhere
        if keys.on is not None and not self.has_columns(self.patients, [keys.on], name):
            return None, nowhere
        columns = columns if columns is not None else table.columns_of(keys.kind, key)
        self.has_columns(table, keys.categories or [], name)
        texts = self.texts(table, key)
        if keys.kind == "events":  # many rows per patient: the first one stands for all
            unique = np.flatnonzero(~repeats(texts) & (texts != ""))
        else:
            unique = self.unique_ids(table, key, name)
        theirs = self.texts(self.patients, self.patients.key(self.id) if keys.on is None else keys.on)
        wanted, held = theirs[self.positions], theirs[self.held_positions]
        self.hide(table, np.isin(texts, wanted), np.isin(texts, held) & (texts != ""))
        found = places_of(wanted, texts[unique])
        if not (found >= 0).any():
            nobody = meets_nobody(wanted, texts[unique], name, table.name, self.elsewhere(table, key, columns))
            self.problems += [nobody] if nobody is not None else []
        if keys.on is None:
            self.strangers(table, ~np.isin(texts, self.everyone) & (texts != ""), name, found >= 0)
        rows = np.where(found >= 0, unique[found] if len(unique) else -1, -1)
        if keys.kind == "events":
            return EventSource(name, keys.kind, table, columns, texts), rows
        self.refuse_outcomes(table, columns, name, rows)
        source = ColumnSource(name, keys.kind, table, columns, keys.categories or [])
        return source, self._with_values(table, columns, rows)

    def index(self, name: str, given: str | float | None) -> NDArray[np.float64] | None:
        """(B,) time of prediction, in hours on the record's clock: one number for all, or a column of the patients."""
        if given is None or (isinstance(given, str) and not self.has_columns(self.patients, [given], name)):
            return None
        if not isinstance(given, str):
            return np.full(len(self.ids), float(given))
        return index_hours(self.patients.frame([given])[given].iloc[self.positions])

    def refuse_outcomes(self, table: Table, columns: list[str], modality: str, rows: NDArray[np.int_]) -> None:
        """Report modality columns that are the target's own, which cannot be used to predict it.

        A column of another table is the target's where it has the name and, in every patient's row, the value.
        """
        for name in [column for column in columns if column in self.outcomes]:
            if table is not self.patients:
                own = table.frame([name])[name].iloc[rows[rows >= 0]]
                if not same_labels(own, self.patients.frame([name])[name].iloc[self.positions[rows >= 0]]):
                    continue
            what, fix = f"column '{name}' is the target's", "leave it out of the modality, by `columns`"
            self.problems.append(error(what, fix, path=table.name, modality=modality, finding="target-as-input"))

    def _with_values(self, table: Table, columns: list[str], rows: NDArray[np.int_]) -> NDArray[np.int_]:
        return np.where(np.append(table.has_values(columns), False)[rows], rows, -1)  # the last: of those without a row
