"""Read what experts wrote of labels: the tables that a manifest names, or what is given beside frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chiasm.cohort.knowledge import Knowledge
from chiasm.cohort.knowledge_table import Opens, is_of_patients, read_knowledge
from chiasm.cohort.label_texts import LabelTexts, Texts, given_sentences, lineages_of, sentences_of
from chiasm.cohort.schema import KnowledgeKeys, PatientsKeys
from chiasm.cohort.taxonomy import COMMON, RANKS, Lineage, lineage_of
from chiasm.errors import CohortError, Problem, error
from chiasm.targets import Target


def read_known(
    reader: Opens, keys: KnowledgeKeys | None, patients: PatientsKeys, target: Target | None
) -> tuple[Knowledge | None, LabelTexts | None]:
    """Return what a manifest's `[knowledge]` names: triples, and what is written of labels; None for the rest."""
    if keys is None:
        return None, None
    return read_knowledge(reader, keys, patients), read_label_texts(reader, keys, patients, target)


def read_label_texts(
    reader: Opens, keys: KnowledgeKeys, patients: PatientsKeys, target: Target | None
) -> LabelTexts | None:
    """Return what is written of the labels; None, with its problems noted, if it cannot be read or there is none."""
    if keys.prompts is None and keys.lineages is None:
        return None
    sentences: dict[str, tuple[str, ...]] = {}
    lineages: dict[str, Lineage] = {}
    asked = {
        "prompts": (keys.prompts, [keys.label, keys.sentence]),
        "lineages": (keys.lineages, [keys.label, *RANKS[-2:]]),
    }
    for what_of, (place, needed) in asked.items():
        if place is None:
            continue
        sheet = keys.sheet if place == keys.named else None
        if is_of_patients(place, sheet, patients):
            what, fix = "what is written of labels is the patients' own table", "name a table with a row a label"
            reader.problems.append(error(what, fix, path=place, finding="patients-as-prompts"))
            return None
        table = reader.table(place, sheet, None)
        if table is None or not reader.has_columns(table, needed, None):
            return None
        try:
            if what_of == "prompts":
                labels, texts = reader.texts_of(table, needed)
                sentences, problems = sentences_of(labels, texts, target, table.name)
            else:
                known = [name for name in (*RANKS, COMMON) if name in table.columns]
                labels, *cells = reader.texts_of(table, [keys.label, *known])
                lineages, problems = lineages_of(labels, _whole(known, cells, len(labels)), target, table.name)
        except CohortError as fault:
            reader.problems += fault.problems
            return None
        reader.findings += problems
    return LabelTexts(sentences, lineages)


def given_label_texts(
    prompts: Mapping[str, str | Sequence[str]] | None,
    lineages: Mapping[str, Mapping[str, str]] | None,
    target: Target | None,
) -> tuple[LabelTexts | None, list[Problem]]:
    """Return what is written of the labels of a cohort of frames, and what is to be said of it; None without any.

    Raises:
        CohortError: as for `sentences_of` and `lineages_of`.
        ValueError: a key of a lineage is no rank.
    """
    if prompts is None and lineages is None:
        return None, []
    sentences: dict[str, tuple[str, ...]] = {}
    found: dict[str, Lineage] = {}
    said: list[Problem] = []
    if prompts is not None:
        sentences, said = sentences_of(*given_sentences(prompts), target, "prompts")
    if lineages is not None:
        made = [lineage_of(own) for own in lineages.values()]
        cells = [np.array([*(own.ranks[k] for own in made)], dtype=str) for k in range(len(RANKS))]
        cells.append(np.array([own.common for own in made], dtype=str))
        labels = np.array(list(lineages), dtype=str)
        found, more = lineages_of(labels, _whole([*RANKS, COMMON], cells, len(labels)), target, "lineages")
        said = [*said, *more]
    return LabelTexts(sentences, found), said


def _whole(known: Sequence[str], cells: Sequence[Texts], rows: int) -> dict[str, Texts]:
    """Return a column for each rank and the common name; one that the table lacks is empty."""
    given = dict(zip(known, cells, strict=True))
    return {name: given.get(name, np.full(rows, "", dtype="<U1")) for name in (*RANKS, COMMON)}
