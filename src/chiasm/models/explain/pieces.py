"""What of a table or an omics block is explained: its columns one by one, and sets of them, as of genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.genesets import read_gene_sets
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.errors import CohortError, nearest
from chiasm.fitting.model import FittedModel
from chiasm.protocols import Model

COLUMN, SET = "column", "set"
MOST_PIECES = 2_000  # each costs as many predictions of all patients as there are permutations
UNMET = "empty-gene-sets"


@dataclass(frozen=True)
class Piece:
    """Columns of a modality that are shuffled together: one, or those of a set; `name` is that of either."""

    modality: str
    what: str
    name: str
    columns: tuple[str, ...]


def columns_read(model: Model, cohort: Cohort) -> dict[str, tuple[str, ...]]:
    """Return the columns that a model reads of each table and omics block of a cohort, in the cohort's order.

    Raises:
        Unsupported: the model reads none.
    """
    read = model.columns if isinstance(model, FittedModel) else {}
    found = {}
    for name in cohort.modalities:
        if has_form(cohort.kinds[name], TABLE) and len(cohort.rows_of(name)):
            own = set(read[name]) if name in read else None
            there = map(str, cohort.raw(name, cohort.rows_of(name)[:1]).columns)
            found[name] = tuple(column for column in there if own is None or column in own)
    found = {name: columns for name, columns in found.items() if columns}
    if not found:
        listed = ", ".join(f"{name} ({cohort.kinds[name]})" for name in cohort.modalities)
        raise Unsupported(
            f"the model reads no column of the cohort '{cohort.name}', whose modalities are {listed}: columns are "
            "those of a table or an omics block, and what a network owes to tokens and tiles is told by tokens"
        )
    return found


def column_pieces(columns: Mapping[str, Sequence[str]]) -> list[Piece]:
    """Return each column by itself."""
    return [Piece(name, COLUMN, column, (column,)) for name, own in columns.items() for column in own]


def named_columns(columns: Mapping[str, Sequence[str]], only: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of these names, `TP53` in every modality that has it, or `rna:TP53` in one.

    Raises:
        Unsupported: the model reads no such column, or there are more than can be explained.
    """
    found: dict[str, list[str]] = {}
    for asked in only:
        modality, _, rest = asked.partition(":")
        places = [(name, asked) for name, own in columns.items() if asked in own]
        if rest in columns.get(modality, ()):
            places.append((modality, rest))
        if not places:
            known = [column for own in columns.values() for column in own]
            like = nearest(rest or asked, known)
            hint = f"did you mean '{like}'?" if like else f"{', '.join(columns)} have {len(known):,} columns"
            raise Unsupported(f"the model reads no column '{asked}': {hint}")
        for name, column in places:
            found.setdefault(name, []).append(column)
    kept = {name: tuple(dict.fromkeys(own)) for name, own in found.items()}
    if (many := sum(map(len, kept.values()))) > MOST_PIECES:
        raise Unsupported(
            f"{many:,} columns are named, each of which takes several predictions of all patients: name "
            f"{MOST_PIECES:,} or fewer"
        )
    return kept


def set_pieces(cohort: Cohort, columns: Mapping[str, Sequence[str]], file: Path | str | None = None) -> list[Piece]:
    """Return the sets of a GMT file that name columns which the model reads, or those that the manifest names.

    Raises:
        CohortError: the file cannot be read, or none of its sets names a column.
        Unsupported: there are more sets than can be explained.
    """
    found: dict[str, Mapping[str, Sequence[str]]] = {}
    refused: CohortError | None = None
    widest = 0
    for name, own in columns.items():
        if file is None:
            there = set(own)
            groups = cohort.groups_of(name) or {}
            kept = {group: [column for column in members if column in there] for group, members in groups.items()}
            found[name] = {group: members for group, members in kept.items() if members}
            continue
        try:
            found[name] = read_gene_sets(Path(file).absolute().parent, Path(file).name, own, name)
        except CohortError as fault:
            if fault.problems[0].finding != UNMET:
                raise
            if refused is None or len(own) > widest:  # what most columns are of is what the sets are meant for
                refused, widest = fault, len(own)
    if refused is not None and not found:
        raise refused
    made = [Piece(name, SET, key, tuple(own)) for name, groups in found.items() for key, own in groups.items()]
    if len(made) > MOST_PIECES:
        raise Unsupported(
            f"{len(made):,} sets name columns of the model, each of which takes several predictions of all patients: "
            f"give a file of {MOST_PIECES:,} or fewer"
        )
    return made
