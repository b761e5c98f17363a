"""Read the feature groups of a modality from a GMT file of gene sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from chiasm.cohort.near_names import written_otherwise
from chiasm.cohort.places import inside
from chiasm.errors import CohortError, count, error
from chiasm.limits import GENE_SET_BYTES, LimitError, require_regular


def read_gene_sets(folder: Path, name: str, columns: Sequence[str], modality: str) -> dict[str, list[str]]:
    """Read gene sets, name -> columns in table order; members that are not columns of the modality are left out.

    A line of a GMT file is a name, a description and the members, separated by tabs. Raises CohortError if the file
    is missing or not text, or if no group has a column.
    """
    path = inside(folder, name, modality)
    try:
        require_regular(path, GENE_SET_BYTES)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        fix = "correct the path, which is relative to the manifest"
        raise CohortError(
            [error("there is no such file", fix, path=name, modality=modality, finding="missing-file")]
        ) from None
    except LimitError as fault:
        raise CohortError([error(fault.what, fault.fix, path=name, modality=modality, finding="broken-file")]) from None
    except (UnicodeDecodeError, OSError):
        raise CohortError(
            [error("is not text", "a GMT file is UTF-8 text", path=name, modality=modality, finding="broken-file")]
        ) from None
    apart = [line.split("\t") for line in lines]
    groups = columns_of(((parts[0], parts[2:]) for parts in apart if parts[0]), columns)
    if not groups:
        named = sorted({member for parts in apart for member in parts[2:]})
        what = f"none of the {count(len(named), 'member')} of its groups is a column of the modality"
        fix = (
            "a line is name, description, members, apart by tabs; names are those of the columns, symbols or Ensembl's"
        )
        if how := written_otherwise(columns, named):
            what, fix = f"{what}: the file has them {how}", "write both alike"
        raise CohortError([error(what, fix, path=name, modality=modality, finding="empty-gene-sets")])
    return groups


def columns_of(groups: Iterable[tuple[str, Iterable[str]]], columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns of each named group in their own order; a group without one is left out."""
    place = {column: number for number, column in enumerate(columns)}
    found = ((name, sorted({place[own] for own in members if own in place})) for name, members in groups)
    return {name: [columns[number] for number in own] for name, own in found if own}
