"""What the catalogue says of a recipe before its module is imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chiasm.citation import Citation


@dataclass(frozen=True)
class Row:
    """One recipe of the catalogue.

    Args:
        name: what a user writes.
        where: `module:class`, the module within the package `chiasm.recipes`.
        family: how it is grouped in lists.
        needs: what a cohort must have, in words.
        paper: the publication it follows.
        tried: the recipes, each a name with options, that a trial without a list tries for it; none where it runs only
            when it is asked for.
        leads: the option whose value may follow the colon by itself, as the modality in `single:rna`.
    """

    name: str
    where: str
    family: str
    needs: str
    paper: Citation
    tried: tuple[str, ...] = ()
    leads: str = ""

    @property
    def by_default(self) -> bool:
        """Whether a trial that names no recipe tries it."""
        return bool(self.tried)


def by_name(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by their names."""
    return {row.name: row for row in rows}
