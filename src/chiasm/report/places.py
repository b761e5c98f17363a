"""Places part of the report: whether the choice among a patient's options depends on where an option stands."""

from __future__ import annotations

from chiasm.evaluation import Trial
from chiasm.report.tables import Heading, Table, ToldTable
from chiasm.report.wording import number, percent
from chiasm.shown import NOT_ESTIMABLE


def places_part(trial: Trial) -> ToldTable | None:
    """Build the part from the trial's document; None for other kinds of target."""
    rows = trial.document.get("places", [])
    if not rows:
        return None
    of = {name: sum(row["right"] for row in rows if row["recipe"] == name) for name in {row["recipe"] for row in rows}}
    headings = [
        Heading("recipe", number=False), Heading("place of the option"), Heading("have one there"),
        Heading("right one there"), Heading("answered there"), Heading("right among those whose right one is there"),
    ]  # fmt: skip
    told = [
        [
            str(row["recipe"]), str(row["place"]), f"{row['offered']:,}", share(row["right"], of[row["recipe"]]),
            share(row["answered"], of[row["recipe"]]),
            NOT_ESTIMABLE if row["accuracy"] is None else number(row["accuracy"]),
        ]
        for row in rows
    ]  # fmt: skip
    said = (
        "No recipe reads the order of the options: permuting a patient's options permutes their probabilities. So each "
        "place is answered about as often as the right option stands there, by chance; a place that is answered more "
        "often, with more right answers where it is the right one, is a preference for the place. 'null' is such a "
        "preference and nothing else: it answers the place where most right options of its training patients stand."
    )
    return ToldTable(said, Table("place-table", headings, told, fixed=True))


def share(n: float, of: int) -> str:
    """Format a number of patients with its share of all."""
    return f"{n:,.0f} ({percent(n / of)})" if of else "0"
