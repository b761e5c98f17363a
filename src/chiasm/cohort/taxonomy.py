"""Lineages of species: seven ranks and a common name, the captions made of them, and answers at each rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from chiasm.errors import Problem, error

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
MODES = ("common", "scientific", "taxonomic", "scientific+common", "taxonomic+common")
SCIENTIFIC, TAXONOMIC, COMMON = "scientific", "taxonomic", "common"


@dataclass(frozen=True)
class Lineage:
    """Seven ranks of a species, kingdom first, a rank that is not known empty, and its common name, or none.

    Raises:
        ValueError: there are not seven ranks.
    """

    ranks: tuple[str, ...]
    common: str = ""

    def __post_init__(self) -> None:
        if len(self.ranks) != len(RANKS):
            raise ValueError(f"a lineage has {len(RANKS)} ranks, {', '.join(RANKS)}, and {len(self.ranks)} are given")

    @property
    def scientific(self) -> str:
        """Genus and species; the genus stands once where the species is written with it."""
        genus, species = self.ranks[-2:]
        return species if species.casefold().startswith(f"{genus.casefold()} ") else f"{genus} {species}".strip()

    def at(self, rank: str) -> str:
        """Return the value of a rank; at that of species the scientific name, since epithets repeat between genera."""
        return self.scientific if rank == RANKS[-1] else self.ranks[RANKS.index(rank)]


def taxonomy_caption(lineage: Lineage | Mapping[str, str], mode: str) -> str:
    """Return the caption of a species, as BioCLIP writes it: "a photo of Animalia Chordata ... with common name ...".

    - `common`: the common name; `scientific`: genus and species; `taxonomic`: the known ranks, kingdom first.
    - `scientific+common` and `taxonomic+common`: with the common name after them.
    Of a species without a common name a mode with one says the rest, and `common` the scientific name.

    Args:
        lineage: a `Lineage`, or a mapping of ranks and `common` to names.
        mode: one of `MODES`.

    Raises:
        ValueError: the mode is unknown, or nothing is known of the species.

    Source: Stevens et al., CVPR 2024 (arXiv 2311.18803), section 4; which of the modes is read is drawn in training.
    """
    own = lineage if isinstance(lineage, Lineage) else lineage_of(lineage)
    if mode not in MODES:
        raise ValueError(f"mode={mode!r} is not known: choose one of {', '.join(MODES)}")
    main, _, with_common = mode.partition("+")
    if main == COMMON:
        said = own.common or own.scientific
    else:
        said = own.scientific if main == SCIENTIFIC else " ".join(filter(None, (*own.ranks[:-2], own.scientific)))
        if with_common and own.common:
            said = f"{said} with common name {own.common}".strip()
    if not said:
        raise ValueError("nothing is known of the species: give it a genus and a species, or a common name")
    return f"a photo of {said}."


def lineage_of(given: Mapping[str, str]) -> Lineage:
    """Return the lineage that a mapping of ranks, and `common`, describes; a rank that is not named is not known.

    Raises:
        ValueError: a key is no rank.
    """
    strange = sorted(set(given) - {*RANKS, COMMON})
    if strange:
        raise ValueError(f"'{strange[0]}' is no rank: there are {', '.join((*RANKS, COMMON))}")
    return Lineage(tuple(str(given.get(rank, "")) for rank in RANKS), str(given.get(COMMON, "")))


def captions_of(lineage: Lineage, mode: str) -> tuple[str, ...]:
    """Return the different captions of a species in one mode, or in all where the mode is "drawn"."""
    modes = MODES if mode == "drawn" else (mode,)
    return tuple(dict.fromkeys(taxonomy_caption(lineage, own) for own in modes))


def contradictions(
    labels: Sequence[str], lineages: Sequence[Lineage], rows: Sequence[int], path: str | None
) -> list[Problem]:
    """List what is wrong with a table of lineages: a label twice, no genus or species, a name in two places.

    Below a genus, a family and so on there is one place above at each rank that is known: a genus in two families is a
    contradiction. A species is its genus and epithet together. Of each row what is wrong at its highest rank is told.
    """
    found: list[Problem] = []

    def problem(what: str, fix: str, row: int, finding: str) -> None:
        found.append(error(what, fix, path=path, row=row, finding=finding))

    seen: set[str] = set()
    above: dict[tuple[tuple[str, str], str], str] = {}
    for label, own, row in zip(labels, lineages, rows, strict=True):
        if label in seen:
            problem("a label stands in two rows", "keep one lineage a label", row, "repeated-lineage")
        seen.add(label)
        lacking = [rank for rank in RANKS[-2:] if not own.ranks[RANKS.index(rank)]]
        if lacking:
            problem(f"the {lacking[0]} is missing", "a lineage has a genus and a species", row, "missing-rank")
            continue
        first, *rest = own.ranks[-1].split()
        if rest and first.casefold() != own.ranks[-2].casefold():
            problem("a species is written with another genus", "correct one of the two", row, "contradicting-ranks")
        names = [(rank, own.at(rank)) for rank in RANKS if own.at(rank)]
        apart = [
            (lower[0], rank)
            for k, lower in enumerate(names)
            for rank, name in reversed(names[:k])
            if above.setdefault((lower, rank), name) != name
        ]
        if apart:
            what = f"one {apart[0][0]} lies in two of rank {apart[0][1]}"
            problem(what, "correct one of the rows", row, "contradicting-ranks")
    return found


def answers_by_rank(probabilities: pd.DataFrame, lineages: Mapping[str, Lineage | Mapping[str, str]]) -> pd.DataFrame:
    """Return the answer at each rank: what the species' probabilities add up to most of, and how much.

    The sum over the species of a genus, a family and so on; so the answer at one rank need not lie within that at the
    rank above, as where one likely species is alone in its family. A species whose rank is not known counts at that
    rank for nothing.

    Args:
        probabilities: `p_<label>`, a row a patient, as `FittedModel.classify` and `predict` give them.
        lineages: label to lineage, or to a mapping of its ranks.

    Returns:
        For each rank `<rank>`, the name, "" where none is known, and `p_<rank>`, its probability; rows as given.

    Raises:
        ValueError: a label has no lineage.
    """
    columns = [name for name in probabilities.columns if str(name).startswith("p_")]
    labels = [str(name)[2:] for name in columns]
    lacking = [label for label in labels if label not in lineages]
    if not labels or lacking:
        what = (
            f"{len(lacking)} of the {len(labels)} labels have no lineage" if labels else "there is no column p_<label>"
        )
        raise ValueError(f"{what}: give one for each column of the probabilities")
    known = {label: own if isinstance(own, Lineage) else lineage_of(own) for label, own in lineages.items()}
    values = probabilities[columns].to_numpy(float)
    found: dict[str, np.ndarray | list[str]] = {}
    for rank in RANKS:
        own = [known[label].at(rank) for label in labels]
        names = sorted({name for name in own if name})
        places = {name: k for k, name in enumerate(names)}
        sums = np.zeros((len(values), max(len(names), 1)))
        for place, name in enumerate(own):
            if name:
                sums[:, places[name]] += values[:, place]
        best = sums.argmax(1)
        found[rank] = [names[k] for k in best] if names else [""] * len(values)
        found[f"p_{rank}"] = sums.max(1)
    return pd.DataFrame(found, index=probabilities.index)
