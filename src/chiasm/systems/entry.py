"""An entry of the catalogue: a published system, what it needs, where it lives here, how it is held to its paper."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.citation import Citation
from chiasm.targets import KINDS

HELD = {
    "whole": "the method as its paper tells it, at sizes of your own, with what deviates said; no figure is claimed",
    "part": "a part of it; what is not here is said",
    "none": "not here",
    "nothing": "nothing in it can be executed",
}
"""How much of a system is here, and what that means."""
GPU = {"no": "not needed", "helps": "runs without one; at the published size one helps"}
NEEDS = {
    "labels": "an outcome to learn from",
    "unlabelled": "many records without an outcome, on which to pretrain",
    "paired": "patients who have several modalities",
    "unpaired": "no patient has to have two modalities",
    "weights": "the weights of a released network, which you bring",
    "language model": "a language model, which you bring",
    "sites": "patients of several sites",
    "source": "another cohort, or a fitted model",
    "written": "what experts or an ontology say of labels or items",
    "answers": "the released files of a benchmark",
}
"""What a system asks of who uses it, as the filter of the page names it."""
OUTCOME = tuple(
    name for name, own in KINDS.items() if not (own.is_drawn or own.has_texts or own.has_options or own.has_channels)
)
"""The kinds of target that `outcome` stands for: one outcome of a patient."""


@dataclass(frozen=True)
class System:
    """A published system.

    Args:
        key: its name in the catalogue.
        names: names by which it is found, the one it is known by first.
        paper: title, venue, year and link; the link is empty, and the year 0, where none was found.
        family: the family it is listed under.
        authors: its authors, shortened; empty where they are not known.
        recipes: recipes that follow the paper.
        here: where else it lives: `module:attribute`, `encoder:`, `suite:`, `command:`, `method:` (of pretraining),
            `merging:` or `recipe:` with a name.
        data: kinds of modality that it reads, or `any`.
        targets: kinds of target; `outcome` stands for those of one outcome.
        needs: what it asks for, of `NEEDS`.
        gpu: of `GPU`.
        licence: that of the released code, as it was stated where the code was read.
        code: the released code, as owner and name.
        held: how much of it is here, of `HELD`.
        deviates: what is not here, or otherwise; of a recipe its section says it.
        tests: files below `tests/` that hold it to its paper.
        docs: the page that explains it, below `docs/`, with its section.
        unsure: what is not certain of this entry.
    """

    key: str
    names: tuple[str, ...]
    paper: Citation
    family: str
    authors: str = ""
    recipes: tuple[str, ...] = ()
    here: tuple[str, ...] = ()
    data: tuple[str, ...] = ("any",)
    targets: tuple[str, ...] = ("outcome",)
    needs: tuple[str, ...] = ()
    gpu: str = "no"
    licence: str = ""
    code: str = ""
    held: str = "whole"
    deviates: str = ""
    tests: tuple[str, ...] = ()
    docs: str = ""
    unsure: str = ""

    @property
    def places(self) -> tuple[str, ...]:
        """Where it lives, recipes first."""
        return (*(f"recipe:{name}" for name in self.recipes), *self.here)


@dataclass(frozen=True)
class Division:
    """A class of a review's taxonomy, with the families and the single systems that fall into it."""

    name: str
    says: str
    families: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    but: tuple[str, ...] = ()


@dataclass(frozen=True)
class Review:
    """A review of the field: nothing of it is executed, and its taxonomy orders what is here."""

    key: str
    names: tuple[str, ...]
    authors: str
    paper: Citation
    taxonomy: tuple[Division, ...]
    unsure: str = ""


@dataclass(frozen=True)
class Family:
    """A family of systems: what its members have in common."""

    key: str
    title: str
    about: str
