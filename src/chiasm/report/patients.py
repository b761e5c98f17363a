"""Patients part of the report: their flow into the folds, table one, and what of each modality is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.cohort.characteristics import DESCRIBED
from chiasm.cohort.small_cells import LEAST
from chiasm.evaluation import Trial
from chiasm.report.drawing import Picture
from chiasm.report.flow import draw_flow
from chiasm.report.tables import MASKED, Heading, Table, count_of
from chiasm.report.wording import count, listing, percent, rounded

TOO_FEW = "too few to say"
OTHER_SITES = "other sites, or none known"


@dataclass(frozen=True)
class PatientsPart:
    """Table one with what it says and leaves out, the inventory of the modalities, by site too, and the flow."""

    flow: Picture
    characteristics: Table
    said: str
    inventory: Table
    sites: Table


def patients_part(trial: Trial) -> PatientsPart | None:
    """Build the part from the trial's document; None of a trial that was run before it was described."""
    found = trial.document.get("description")
    if found is None:
        return None
    return PatientsPart(
        draw_flow(trial),
        characteristics_table(found["characteristics"]),
        characteristics_told(found["characteristics"]),
        inventory_table(found["inventory"], found["flow"]["used"]),
        site_table(found["inventory"]),
    )


def characteristics_table(found: Mapping[str, Any]) -> Table:
    """Table one: a row for each number, for each level of a category, and for what is missing of either."""
    groups = found["groups"]
    headings = [Heading("characteristic", number=False)]
    headings += [Heading(str(own["name"]), f"n = {own['patients']:,}") for own in groups]
    rows = []
    for own in found["columns"]:
        where = f" ({own['modality']})"
        if own["kind"] == "number":
            rows.append([f"{own['column']}{where}, median (quartiles)", *map(quartiles_told, own["quartiles"])])
        for level in own.get("levels", ()):
            cells = [share_told(n, of) for n, of in zip(level["patients"], own["known"], strict=True)]
            rows.append([f"{own['column']}{where}: {level['name']}", *cells])
        if any(n != 0 for n in own["missing"]):
            rows.append([f"{own['column']}{where}, missing", *map(count_of, own["missing"])])
    return Table("characteristics-table", headings, rows, fixed=True)


def quartiles_told(quartiles: Sequence[float] | None) -> str:
    """Format `median (lower quartile to upper quartile)`."""
    if quartiles is None:
        return TOO_FEW
    low, middle, high = map(rounded, quartiles)
    return f"{middle} ({low} to {high})"


def share_told(n: int | None, of: int | None) -> str:
    """Format a count with its share of the patients whose value is known."""
    return count_of(n) if n is None or not of else f"{n:,} ({percent(n / of)})"


def characteristics_told(found: Mapping[str, Any]) -> str:
    """Say how table one is read, what it masks and which columns it leaves out."""
    said = (
        f"Of tables alone. Numbers: median and quartiles, rounded, in groups of {DESCRIBED} patients or more; "
        "categories: patients and their share among those whose value is known. Counts of "
        f"1 to {LEAST - 1} are masked, and others from which one of them would follow; rarer levels are pooled."
    )
    aside = [
        f"{name}: {listing([count(n, f'{kind} column') for kind, n in kinds.items()])}"
        for name, kinds in found["not_described"].items()
    ]
    return f"{said} Not described: {'; '.join(aside)}." if aside else said


def inventory_table(found: Sequence[Mapping[str, Any]], patients: int) -> Table:
    """What of each modality is there: its columns, who has it, and the values that these patients lack."""
    headings = [
        Heading("modality", number=False),
        Heading("kind", number=False),
        Heading("patients with it", "share of all"),
        Heading("columns"),
        Heading("columns with a missing value"),
        Heading("values missing", "of those who have it"),
        Heading("patients without a missing value", "of those who have it"),
    ]
    rows = [
        [
            str(own["modality"]),
            str(own["kind"]),
            share_told(own["present"], patients),
            *(["", "", "", ""] if own["columns"] is None else _values(own)),
        ]
        for own in found
    ]
    return Table("inventory-table", headings, rows)


def _values(own: Mapping[str, Any]) -> list[str]:
    missing = MASKED if own["missing"] is None else percent(own["missing"])
    return [f"{own['columns']:,}", f"{own['incomplete']:,}", missing, share_told(own["complete"], own["present"])]


def site_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Who has what at each site, the largest site first; no site is named."""
    first = found[0]["sites"] if found else []
    headings = [Heading("site", number=False), Heading("patients"), *(Heading(str(own["modality"])) for own in found)]
    rows = [
        [
            OTHER_SITES if site["site"] is None else f"site {site['site']}",
            f"{site['patients']:,}",
            *(share_told(own["sites"][place]["present"], site["patients"]) for own in found),
        ]
        for place, site in enumerate(first)
    ]
    return Table("site-presence-table", headings, rows)
