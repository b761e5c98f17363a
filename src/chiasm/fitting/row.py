"""Catalogue entry of a recipe, available before the recipe's module is imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chiasm.citation import Citation


@dataclass(frozen=True)
class Row:
    """One recipe of the catalogue.

    Args:
        name: the recipe's name as a user writes it.
        where: location as `module:class`, the module within the package `chiasm.recipes`.
        family: group under which the recipe is listed.
        needs: what a cohort must have, in words.
        paper: the publication that the recipe follows.
        tried: recipe names with options that a trial without an explicit list runs for this row; empty if the recipe
            runs only on request.
        leads: the option whose value may follow the colon without a key, such as the modality in `single:rna`.
        always: part of every trial, whatever is listed; once for each modality where `leads` names one.
        since: the release that brought it; the archive of stored models holds every recipe of its release and before.
    """

    name: str
    where: str
    family: str
    needs: str
    paper: Citation
    tried: tuple[str, ...] = ()
    leads: str = ""
    since: str = "0.1.0"
    always: bool = False

    @property
    def by_default(self) -> bool:
        """True if a trial without an explicit recipe list runs this recipe."""
        return bool(self.tried)


def by_name(rows: Iterable[Row]) -> dict[str, Row]:
    """Index rows by name."""
    return {row.name: row for row in rows}
