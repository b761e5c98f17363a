"""Columns that stand in another cohort under another name: in another case, with a prefix, another version or spelling.

`difflib` alone misleads among genes: `ENSG00000141511` is more like `ENSG00000141510` than `ENSG00000141510.16` is.
Names that differ only in how they are written are therefore found first, and only where there is one such name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from chiasm.errors import nearest

COMPARED = 200_000  # pairs of names that are compared letter by letter
VERSION = re.compile(r"(ENS[A-Z]{0,4}[GTPE]\d{11})\.\d+", re.IGNORECASE)
ENSEMBL = re.compile(r"ENS[A-Z]{0,4}[GTPE]\d{11}(\.\d+)?", re.IGNORECASE)
MARKS = re.compile(r"[^0-9a-z]+")
BETWEEN = re.compile(r"[\s:|/_.]+")
SAME_NAME = "the same name in another Unicode form"
FORM = f"under {SAME_NAME}"


@dataclass(frozen=True)
class Near:
    """Name that a column has elsewhere, and `how` it differs in words; `how` is empty where it is merely similar."""

    name: str
    how: str


def near_names(missing: Sequence[str], spare: Collection[str]) -> dict[str, Near]:
    """Find for missing columns the name that each has among the spare ones; those without any are left out.

    Args:
        missing: names that are looked for.
        spare: names of columns that nobody asked for.
    """
    found: dict[str, Near] = {}
    left, free = list(missing), sorted(spare)
    for how, of_missing, of_spare in WAYS:
        there, asked = _by_key(free, of_spare), _by_key(left, of_missing)
        for key, names in asked.items():
            if len(names) == 1 and len(there.get(key, ())) == 1:
                found.setdefault(names[0], Near(there[key][0], how))
        taken = {near.name for near in found.values()}
        left, free = [name for name in left if name not in found], [name for name in free if name not in taken]
    for name in left[: COMPARED // max(len(free), 1)]:
        if like := nearest(name, free):
            found[name] = Near(like, "")
    return found


def meant(near: Near) -> str:
    """The name as a question; of names that look alike only words tell the difference."""
    return f"{SAME_NAME}: write them alike" if near.how == FORM else f"is it '{near.name}'?"


def written_otherwise(missing: Sequence[str], spare: Collection[str]) -> str:
    """How these names stand among the spare ones, with an example; empty where a quarter or fewer of either does.

    Names that are merely similar do not count.
    """
    near = near_names(missing, spare) if missing else {}
    for how, *_ in WAYS:
        own = [name for name in missing if name in near and near[name].how == how]
        if len(own) > min(len(missing), len(spare)) / 4:
            return f"{how}, as '{near[own[0]].name}' for '{own[0]}'"
    if (ours := ensembl_share(missing)) + (theirs := ensembl_share(spare)) > 0.9 and abs(ours - theirs) > 0.9:
        return "as Ensembl identifiers" if theirs > ours else "by other names than Ensembl identifiers"
    return ""


def ensembl_share(names: Collection[str]) -> float:
    """Share of names that are Ensembl identifiers."""
    return sum(bool(ENSEMBL.fullmatch(name)) for name in names) / max(len(names), 1)


def _by_key(names: Sequence[str], keys: Callable[[str], Collection[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        for key in keys(name):
            found.setdefault(key, []).append(name)
    return found


def _form(name: str) -> set[str]:
    return {unicodedata.normalize("NFKC", name)}


def _without_version(name: str) -> set[str]:
    return {VERSION.sub(r"\1", name).casefold()} if ENSEMBL.search(name) else set()


def _letters(name: str) -> set[str]:
    found = MARKS.sub("", name.casefold())
    return {found} if found else set()


def _parts(name: str) -> tuple[str, str, str]:
    """Letters of a name, of what is left without its first word, and without its last; identifiers unversioned."""
    plain = VERSION.sub(r"\1", name)
    marks = list(BETWEEN.finditer(plain))
    tail, head = (plain[marks[0].end() :], plain[: marks[-1].start()]) if marks else ("", "")
    whole, tail, head = (MARKS.sub("", own.casefold()) for own in (plain, tail, head))
    return whole, tail, head


def _parts_missing(name: str) -> set[str]:
    whole, tail, head = _parts(name)
    return {
        f"part {whole}",
        *(f"{role} {tail}" for role in ("whole", "tail") if tail),
        *([f"whole {head}"] if head else []),
    }


def _parts_spare(name: str) -> set[str]:
    """As `_parts_missing`: a whole name meets a part, and a last part another; two first ones are no sign at all."""
    whole, tail, head = _parts(name)
    return {
        f"whole {whole}",
        *(f"{role} {tail}" for role in ("part", "tail") if tail),
        *([f"part {head}"] if head else []),
    }


Keys = Callable[[str], Collection[str]]
WAYS: tuple[tuple[str, Keys, Keys], ...] = (
    (FORM, _form, _form),
    ("in another version of the Ensembl identifier", _without_version, _without_version),
    ("in other upper and lower case", lambda name: {name.casefold()}, lambda name: {name.casefold()}),
    ("with other marks between the words", _letters, _letters),
    ("with another beginning or end", _parts_missing, _parts_spare),
)
