"""What a cohort and a source cohort share, by the names of modalities and columns; and that they share no patient."""

from __future__ import annotations

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.cohort.leaks.twins import plain_identifier, unmistakable_pairs

Shared = dict[str, tuple[str, ...]]
"""Modality to its shared columns, sorted; empty for a modality that has no columns of names."""
READ_ALIKE = ("number", "category")


def kind_in(cohort: Cohort, modality: str) -> str:
    """Return the kind of a modality as its manifest names it, encoded or not."""
    own = cohort.encodings.get(modality)
    return cohort.kinds[modality] if own is None else own.kind


def shared_parts(cohort: Cohort, lender: Cohort) -> Shared:
    """Find the modalities, and of tables the columns, that have one name, one kind and one meaning in both cohorts.

    A column of a table that is a number here and a category there is not shared. Nor is a modality of text, events or
    files whose encoder is fitted on the cohort, because its columns are those of the cohort's own vocabulary.
    """
    found: Shared = {}
    for name in cohort.modalities:
        if name not in lender.modalities or kind_in(cohort, name) != kind_in(lender, name):
            continue
        if has_form(kind_in(cohort, name), TABLE):
            columns = _shared_columns(cohort, lender, name)
            if columns:
                found[name] = columns
        elif _encoded_alike(_identity(cohort, name), _identity(lender, name)):
            found[name] = ()
    return found


def same_patients(cohort: Cohort, lender: Cohort) -> tuple[int, int]:
    """Count the lender's patients who have the identifier of one of the cohort's, and those who have its values.

    Identifiers are compared without case, spaces and leading zeros. Values are those of a shared modality, where they
    are too many to be equal by chance: three finely measured numbers, a long text or record, or a file.
    """
    known = {plain_identifier(own) for own in cohort.ids.tolist()}
    named = sum(plain_identifier(own) in known for own in lender.ids.tolist())
    alike: set[int] = set()
    for name, columns in shared_parts(cohort, lender).items():
        alike |= unmistakable_pairs(cohort, lender, name, columns)
    return named, len(alike)


def _shared_columns(cohort: Cohort, lender: Cohort, name: str) -> tuple[str, ...]:
    ours, theirs = cohort.column_kinds(name), lender.column_kinds(name)
    both = sorted(set(map(str, cohort.sources[name].columns)) & set(map(str, lender.sources[name].columns)))
    return tuple(
        column
        for column in both
        if not (ours and theirs) or (ours.get(column) == theirs.get(column) and ours.get(column) in READ_ALIKE)
    )


def _encoded_alike(ours: str, theirs: str) -> bool:
    """True for tokens of one frozen encoder, whose identity names it; and where one of the two is not encoded yet."""
    return ours == theirs if ours and theirs and "|" in ours else not ours or "|" in ours


def _identity(cohort: Cohort, name: str) -> str:
    """Return the identity of a modality's encoding, which names an encoder where that is frozen; "" if not encoded."""
    own = cohort.encodings.get(name)
    return "" if own is None else own.identity


def events_of(cohort: Cohort) -> int | None:
    """Count the events, of the main cause, among the patients of known outcome; None for an outcome without."""
    outcome = cohort.outcome
    event = None if outcome is None else outcome.main_event
    return None if outcome is None or event is None else int((event & outcome.known).sum())
