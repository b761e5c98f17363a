"""Which modality of a cohort is language: named by an option, or the only one that is read from cells of text."""

from __future__ import annotations

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import CELL, has_form


def language_of(cohort: Cohort, named: str, option: str, otherwise: str) -> str:
    """Return the modality of language: the named one, or the only one that is cells, or encoded from them.

    Args:
        named: its name; empty: the only one.
        option: the option that names it, for the message.
        otherwise: which recipe would work without, as the end of the message.

    Raises:
        Unsupported: the named one is not there, or none is named and not exactly one is cells.
    """
    kinds = {
        name: cohort.encodings[name].kind if name in cohort.encodings else cohort.kinds[name]
        for name in cohort.modalities
    }
    words = [name for name, kind in kinds.items() if has_form(kind, CELL)]
    if named in kinds or (not named and len(words) == 1):
        return named or words[0]
    has = f"'{named}'" if named else "a modality of language, or has several"
    raise Unsupported(f"the cohort lacks {has}: name one of {', '.join(kinds)} as `{option}`, or use {otherwise}")
