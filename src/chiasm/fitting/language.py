"""Which modality of a cohort is language: named by an option, or the only one that is text."""

from __future__ import annotations

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import as_read, kind_of_source

TEXT = "text"


def languages(cohort: Cohort) -> list[str]:
    """Return the modalities that are text, or encoded from it: molecules, proteins and DNA are no language."""
    kinds = _kinds(cohort)
    return [name for name, kind in kinds.items() if is_text(kind)]


def is_text(kind: str) -> bool:
    """True of the kind of modality that is text, and of one whose reader says that it gives the same."""
    return as_read(kind) == TEXT


def language_of(cohort: Cohort, named: str, option: str, otherwise: str) -> str:
    """Return the modality of language: the named one, or the only one that is text, or encoded from it.

    Args:
        named: its name; empty: the only one.
        option: the option that names it, for the message.
        otherwise: which recipe would work without, as the end of the message.

    Raises:
        Unsupported: the named one is not there, or none is named and not exactly one is text.
    """
    names, words = list(_kinds(cohort)), languages(cohort)
    if named in names or (not named and len(words) == 1):
        return named or words[0]
    has = f"'{named}'" if named else "a modality of language, or has several"
    raise Unsupported(f"the cohort lacks {has}: name one of {', '.join(names)} as `{option}`, or use {otherwise}")


def _kinds(cohort: Cohort) -> dict[str, str]:
    return {name: kind_of_source(cohort, name) for name in cohort.modalities}
