"""Build a cohort from data frames in memory, as in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.accepted import unfit
from chiasm.cohort.annotated_block import block_of, is_annotated
from chiasm.cohort.bags import given_bags
from chiasm.cohort.cells import as_text, index_hours, tidy
from chiasm.cohort.coded_outcomes import with_arrays
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.costs import unfit_prices
from chiasm.cohort.genesets import columns_of, read_gene_sets
from chiasm.cohort.given import misunderstood
from chiasm.cohort.identifiers import places_of, repeats
from chiasm.cohort.kinds import CELL, FILES, has_form, kind_named, known_kinds
from chiasm.cohort.knowledge import knowledge_of
from chiasm.cohort.knowledge_table import tells_people_apart
from chiasm.cohort.label_table import given_label_texts
from chiasm.cohort.meeting import advice_on_strangers, columns_as_text, meets_nobody
from chiasm.cohort.near_names import written_otherwise
from chiasm.cohort.schema import MODALITY_NAME
from chiasm.cohort.sources import ColumnSource, EventSource, FileSource, Source
from chiasm.cohort.subgroups import given_subgroups, subgroup_of, unfit_edges
from chiasm.cohort.unused import in_use
from chiasm.errors import CohortError, Problem, count, error, first_rows, nearest, warning
from chiasm.targets import Target, read_outcome
from chiasm.targets.cells import same_labels, written

TRIPLE = ("head", "relation", "tail")


def cohort_from_frames(
    patients: pd.DataFrame,
    modalities: Mapping[str, Any],
    target: Target | None = None,
    *,
    group: str | None = None,
    site: str | None = None,
    folds: str | None = None,
    kinds: Mapping[str, str] | None = None,
    groups: Mapping[str, Mapping[str, list[str]] | Path | str] | None = None,
    accept: Mapping[str, str] | None = None,
    index: Mapping[str, str | float] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    knowledge: tuple[pd.DataFrame, str] | None = None,
    prompts: Mapping[str, str | Sequence[str]] | None = None,
    lineages: Mapping[str, Mapping[str, str]] | None = None,
    cost: Mapping[str, float] | None = None,
    subgroups: Sequence[str] | Mapping[str, Sequence[float]] = (),
    name: str = "cohort",
) -> Cohort:
    """Build a cohort from frames indexed by patient, one per modality; a patient without a row lacks the modality.

    `patients` is indexed by patient and holds the target's columns and those named by `group`, `site` and `folds`.
    A mapping id -> (T, D) array is a bag, id -> path a modality of files; events are a frame of many rows per patient;
    text, molecules and sequences are a frame of one column, or a series; an AnnData is an omics block. `kinds` gives
    the kind of a modality, by default `table` (`bag` for a mapping); `groups` the feature groups of a modality, name ->
    columns or the path of a GMT file; `accept` the accepted findings of the check, `finding` or `finding:modality` ->
    reason; `index` the time of prediction in a record of events, in hours of that record, as a number or a column of
    `patients`; `categories` the columns of a table that are words although they look like numbers. A column is one of
    numbers in any dtype. `knowledge` is a frame of triples, with the columns `head`, `relation` and `tail`, and the
    column of `patients` that names an entity. `prompts` are what experts wrote of each label, one sentence or several;
    `lineages` the ranks of each label that is a species, `kingdom` to `species`, and its `common` name. `cost` is what
    a modality costs a patient, in any one currency. `subgroups` are columns of `patients` by whose levels a model is
    looked at, and which no model reads; as a mapping column -> the edges at which its numbers are cut, () for its own
    levels or tertiles.
    Rows in messages count as if each frame had been written to a file with a header: the first is row 2. Raises
    CohortError.
    """
    problems: list[Problem] = [*unfit(accept or {}, None), *misunderstood(patients, modalities, target)]
    if problems:
        raise CohortError(problems)
    target = None if target is None else target.among(list(map(str, patients.columns)))
    annotated = [name for name, own in modalities.items() if is_annotated(own)]
    kinds = {**dict.fromkeys(annotated, "omics"), **(kinds or {})}
    modalities = {name: block_of(own, name) if name in annotated else own for name, own in modalities.items()}
    modalities = {name: own.to_frame() if isinstance(own, pd.Series) else own for name, own in modalities.items()}
    findings: list[Problem] = []
    texts = _unique(patients.index, None, problems)
    problems += _repeated(patients, None)
    wanted = [column for column in (group, site, folds) if column] + list(target.columns if target else ())
    divisions, edges, wrong = given_subgroups(subgroups)
    problems += wrong
    wanted += divisions
    wanted += [moment for moment in (index or {}).values() if isinstance(moment, str)]
    if knowledge is not None:
        wanted.append(knowledge[1])
        if lacking := [own for own in TRIPLE if own not in knowledge[0].columns]:
            what = f"no such column '{lacking[0]}'"
            problems.append(error(what, "triples have head, relation and tail", finding="missing-column"))
        if target is not None and knowledge[1] in target.columns:
            what, fix = f"column '{knowledge[1]}' is the target's", "name a column that is known before the outcome"
            problems.append(error(what, fix, path="patients", finding="target-as-input"))
        if (of_people := tells_people_apart(knowledge[1], (group, site), "patients")) is not None:
            problems.append(of_people)
        if knowledge[0] is patients:
            what, fix = "the triples are the patients' own frame", "give a frame of what is known of things"
            problems.append(error(what, fix, path="patients", finding="patients-as-triples"))
    for column in wanted:
        if column not in patients.columns:
            like = nearest(str(column), map(str, patients.columns))
            fix = f"did you mean '{like}'?" if like else "add the column"
            problems.append(error(f"no such column '{column}'", fix, path="patients", finding="missing-column"))
    targets = () if target is None else target.columns
    problems += unfit_edges(divisions, edges, targets, "patients")
    if problems:
        raise CohortError(problems)
    positions = np.argsort(texts, kind="stable")
    ids = texts[positions]
    del texts
    sources: dict[str, Source] = {}
    rows: dict[str, NDArray[np.int_]] = {}
    kind_of: dict[str, str] = {}
    feature_groups: dict[str, dict[str, list[str]]] = {}
    for modality, values in modalities.items():
        is_frame = isinstance(values, pd.DataFrame)
        kind = kinds.get(modality, "table" if is_frame else "bag")
        wrong = [*_unfit(modality, kind, values), *_of_the_target(modality, kind, values, target, patients)]
        if wrong:
            problems += wrong
            continue
        if isinstance(values, pd.DataFrame):
            frame = values.reset_index(drop=True).set_axis(list(map(str, values.columns)), axis=1)
            frame = tidy(frame) if kind == "events" else frame
            if kind == "events":  # many rows per patient: the first one stands for all
                texts_of = as_text(values.index)
                sources[modality] = EventSource(modality, kind, frame, list(frame.columns), texts_of)
                keys, starts = np.unique(texts_of, return_index=True)
                some = np.ones(len(keys), dtype=bool)
            else:
                keys = _unique(values.index, modality, problems)
                starts = np.arange(len(keys))
                declared = list((categories or {}).get(modality, ()))
                source = ColumnSource(modality, kind, frame, list(frame.columns), declared)
                try:
                    own = tidy(frame) if has_form(kind, CELL) else source.frame
                except CohortError as fault:
                    problems += fault.problems
                    continue
                some = np.asarray(own.notna().to_numpy().any(axis=1), dtype=bool)
                sources[modality] = source
        else:
            keys = _unique(pd.Index([written(key) for key in values], dtype=object), modality, problems)
            given: Mapping[str, Any] = values  # `_unfit` refuses what is no mapping
            files = (
                [Path(str(own)) for own in given.values()] if kind != "bag" else given_bags(given, modality, problems)
            )
            sources[modality] = FileSource(modality, kind, None, files)
            starts, some = np.arange(len(keys)), np.ones(len(keys), dtype=bool)
        kind_of[modality] = kind
        first = places_of(ids, keys)
        unknown = np.ones(len(keys), dtype=bool)
        unknown[first[first >= 0]] = False
        strange = np.flatnonzero(unknown) + 2
        if strange.size == len(keys) and strange.size:
            columns = columns_as_text(values) if isinstance(values, pd.DataFrame) else {}
            nobody = meets_nobody(ids, keys, modality, None, columns)
            problems += [nobody] if nobody is not None else []
        if strange.size:
            where = first_rows(strange.tolist())
            what = f"{count(len(strange), 'row')} of identifiers that are not among the patients ({where})"
            fix = "they are left out; add them to the patients to use them"
            fix += advice_on_strangers(ids, first >= 0, keys[unknown].tolist())
            findings.append(warning(what, fix, row=int(strange[0]), modality=modality, finding="unknown-identifiers"))
        here = (first >= 0) & some[first] if len(some) else np.zeros(len(ids), dtype=bool)
        rows[modality] = np.where(here, starts[first] if len(starts) else -1, -1)
        named = (groups or {}).get(modality)
        if named is not None:
            known = sources[modality].columns
            if isinstance(named, str | Path):
                try:
                    found_sets = read_gene_sets(Path(named).resolve().parent, Path(named).name, known, modality)
                except CohortError as fault:
                    problems += fault.problems
                    continue
                feature_groups[modality] = found_sets
                continue
            members_of = {g: set(map(str, members)) for g, members in named.items()}
            feature_groups[modality] = columns_of(members_of.items(), known)
            if not feature_groups[modality]:
                what = "no group has a column of the modality"
                how = written_otherwise(known, set().union(*members_of.values()))
                what, fix = (f"{what}: the groups have them {how}" if how else what), "name columns as they are written"
                problems.append(error(what, fix, modality=modality, finding="empty-gene-sets"))
    for stray in sorted(set(kinds) | set(groups or {}) | set(index or {}) | set(categories or {})):
        if stray not in modalities:
            problems.append(
                error(
                    "there is no such modality",
                    "correct the name in kinds, groups, index or categories",
                    modality=stray,
                    finding="unknown-modality",
                )
            )
    problems += unfit_prices(cost or {}, modalities)
    if problems:
        raise CohortError(problems)
    outcome = None
    if target is not None:
        sorted_patients = patients.iloc[positions]
        read = with_arrays(sorted_patients, target, None)
        target, outcome, found = read_outcome(target, read, positions + 2, "patients")
        findings += found

    def labels(column: str | None) -> NDArray[np.str_] | None:
        return None if column is None else as_text(patients[column])[positions]

    fold = labels(folds)
    if fold is not None and (fold == "").any():
        missing = np.sort(positions[fold == ""]) + 2
        what = f"{count(len(missing), 'patient')} without a fold ({first_rows(missing.tolist())})"
        findings.append(
            error(
                what,
                "give each a fold, or 'train' to never test it",
                path="patients",
                row=int(missing[0]),
                finding="without-fold",
            )
        )
        fold = np.where(fold == "", "train", fold)
    divided = []
    for column in divisions:
        own_subgroup, said_of_it = subgroup_of(
            column, patients[column].iloc[positions], edges.get(column, ()), "patients"
        )
        divided.append(own_subgroup)
        findings += said_of_it
    facts = None
    if knowledge is not None and (cells := labels(knowledge[1])) is not None:
        facts, said = knowledge_of(
            [as_text(knowledge[0][own]) for own in TRIPLE], knowledge[1], cells, "knowledge", ids
        )
        findings += said
    written_of, said = given_label_texts(prompts, lineages, target)
    findings += said
    whole = Cohort(
        name=name,
        ids=ids,
        file_rows=positions + 2,
        target=target,
        outcome=outcome,
        kinds=kind_of,
        sources=sources,
        source_rows=rows,
        group=labels(group),
        site=labels(site),
        fold=fold,
        feature_groups=feature_groups,
        findings=tuple(findings),
        accepted=dict(accept or {}),
        costs=dict(cost or {}),
        index_hours={
            modality: index_hours(patients[hour].iloc[positions]) if isinstance(hour, str) else np.full(len(ids), hour)
            for modality, hour in (index or {}).items()
        },
        path="patients",
        knowledge=facts,
        label_texts=written_of,
        subgroups=tuple(divided),
        options=None if outcome is None else outcome.options,
    )
    return in_use(whole)


def _unfit(modality: str, kind: str, values: Any) -> list[Problem]:
    """List the reasons why these values cannot be a modality of this kind."""
    fix = "a frame is a table, omics, events or one column of text; files and bags are a mapping id -> path or array"
    if not isinstance(modality, str) or not MODALITY_NAME.fullmatch(modality):
        what = f"{modality!r} cannot name a modality"
        return [error(what, "use text of letters, digits, _ . and -", path="modalities", finding="modality-name")]
    if kind_named(kind) is None:
        like = nearest(str(kind), known_kinds())
        known = f"did you mean '{like}'?" if like else f"known are {', '.join(known_kinds())}"
        return [error(f"unknown kind '{kind}'", known, modality=modality, finding="unknown-kind")]
    is_frame = isinstance(values, pd.DataFrame)
    if has_form(kind, FILES) == is_frame or not (is_frame or isinstance(values, Mapping)):
        return [error(f"kind '{kind}' does not fit what was given", fix, modality=modality, finding="unfit-kind")]
    if has_form(kind, CELL) and values.shape[1] != 1:
        return [
            error(
                f"kind '{kind}' is one column, and there are {values.shape[1]}",
                fix,
                modality=modality,
                finding="unfit-kind",
            )
        ]
    return _repeated(values, modality) if is_frame else []


def _of_the_target(
    modality: str, kind: str, values: Any, target: Target | None, patients: pd.DataFrame
) -> list[Problem]:
    """Refuse the target's own columns in a modality; one of the same name with other values is none."""
    if not isinstance(values, pd.DataFrame) or target is None or kind == "events":
        return []
    fix = "leave it out of the modality's frame"
    here, everybody = (own.set_axis(as_text(own.index)) for own in (values, patients))  # meet as text
    if not here.index.is_unique or not everybody.index.is_unique:
        return []
    shared = here.index.intersection(everybody.index)
    return [
        error(f"column '{name}' is the target's", fix, modality=modality, finding="target-as-input")
        for position, name in enumerate(map(str, here.columns))
        if name in target.columns and same_labels(here.iloc[:, position].loc[shared], everybody[name].loc[shared])
    ]


def _repeated(frame: pd.DataFrame, modality: str | None) -> list[Problem]:
    """Report the first column name that a frame holds twice, since which of the two counts is ambiguous."""
    texts = [str(name) for name in frame.columns]
    if len(set(texts)) == len(texts):
        return []
    names = pd.Series(texts, dtype=object)
    twice = names[names.duplicated()].unique().tolist()
    path = "patients" if modality is None else None
    return [
        error(f"column '{name}' stands twice", "rename one", path=path, modality=modality, finding="repeated-column")
        for name in twice[:1]
    ]


def _unique(index: pd.Index, modality: str | None, problems: list[Problem]) -> NDArray[np.str_]:
    """Convert an index to text; missing and repeated identifiers are added to `problems`."""
    texts = as_text(index)
    path = "patients" if modality is None else None
    empty = np.flatnonzero(texts == "") + 2
    if empty.size:
        what = f"the identifier is missing in {count(len(empty), 'row')} ({first_rows(empty.tolist())})"
        problems.append(
            error(
                what, "fill in the index", path=path, row=int(empty[0]), modality=modality, finding="missing-identifier"
            )
        )
    repeated = np.flatnonzero(repeats(texts) & (texts != "")) + 2
    if repeated.size:
        where = first_rows(repeated.tolist())
        what = f"the identifier stands in an earlier row too, in {count(len(repeated), 'row')} ({where})"
        problems.append(
            error(
                what,
                "keep one row a patient",
                path=path,
                row=int(repeated[0]),
                modality=modality,
                finding="repeated-identifier",
            )
        )
    return texts
