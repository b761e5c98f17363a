"""`--identifiers` of `check` and `evaluate`: the screen for what may name a patient, as a table by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chiasm import screen

if TYPE_CHECKING:
    from chiasm.api import Cohort, IdentifierScreen

Identifiers = Annotated[
    bool, typer.Option("--identifiers", help="Screen for what may name a patient: 18 kinds, about a minute at most.")
]
COLUMNS = ("kind (letter of the rule)", "where", "found in", "rows", "by")


def screened_for_identifiers(cohort: Cohort | None) -> IdentifierScreen | None:
    """Screen a cohort, with progress; None where it could not be opened."""
    from chiasm import api

    if cohort is None:
        return None
    with screen.Progressing("looked at", at_once=False) as progress:
        return api.screen_identifiers(cohort, progress=progress.named)


def show_identifiers(found: IdentifierScreen | None) -> None:
    """Print the findings by kind, what to do, what was looked at, and what was not."""
    from chiasm import api

    if found is None:
        screen.show("\nIdentifiers: not looked for, since the cohort cannot be opened")
        return
    screen.show(f"\nIdentifiers, the kinds of 45 CFR 164.514(b)(2). {api.SCREEN_SENTENCE}\n")
    if found.findings:
        screen.show_table(COLUMNS, found.rows())
        screen.show("\nWhat to do:")
        for fix in dict.fromkeys(own.fix for own in found.findings):
            screen.show(f"  {fix}")
    else:
        screen.show("Nothing was found.")
    screen.show(f"\n{api.sampled(found.looked)}; {screen.duration(found.seconds)}.")
    for reason in found.not_looked:
        screen.show(f"Not looked at: {reason}")
