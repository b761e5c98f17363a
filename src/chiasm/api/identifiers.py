"""Public function to screen a cohort for what may name its patients."""

from __future__ import annotations

from collections.abc import Callable

from chiasm.cohort.opened import Given, as_cohort
from chiasm.identifiers.findings import IdentifierScreen
from chiasm.identifiers.screen import SECONDS, screen
from chiasm.progress import followed


def screen_identifiers(
    cohort: Given, *, seconds: float = SECONDS, progress: Callable[[str, int, int], None] | None = None
) -> IdentifierScreen:
    """Screen a cohort for the 18 kinds of identifier that Safe Harbor removes: a screen by rules, and no claim.

    It looks at every column of the tables, at texts, at the identifiers themselves, at names of files and folders, at
    the headers of a sample of the files (DICOM by PS3.15 E.1, EXIF, EDF, WFDB, NIfTI, H5AD, workbooks, FHIR and others)
    and, where packages for that are installed, for names by a language model and for text in pixels. No value comes
    back: a finding has its kind, its place, how often it was found, and the first rows.

    Args:
        cohort: a cohort, or the path of a manifest. Of a sealed one the patients outside the seal are looked at.
        seconds: about how long it may take; what was not looked at within them is said in `not_looked`.
        progress: called with (what, done, all); None draws a bar in a terminal or notebook.

    Returns:
        `findings`; `problems`, the same as warnings of the check; `looked`, how much of what; `not_looked`, what
        not and why.

    Raises:
        CohortError: the cohort cannot be opened.
        ValueError: `seconds` is not above zero.

    Source: 45 CFR 164.514(b)(2)(i), the kinds A to R. Expert determination, (b)(1), and the absence of actual
    knowledge, (b)(2)(ii), are no matter of a screen.
    """
    if not seconds > 0:
        raise ValueError("seconds is how long the screen may take: give a number above zero")
    opened = as_cohort(cohort)
    with followed("places", progress) as told:
        return screen(opened, seconds=seconds, progress=told)
