"""Citation record for the paper behind a method, and its entry in a bibliography."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CITED = re.compile(r"(?P<title>.+) \((?P<venue>.+?),? (?P<year>\d{4})\)", re.DOTALL)
_COMMON = {"a", "an", "the", "on", "of", "in", "for", "and", "to", "with", "by", "via", "from", "is", "are", "towards"}


@dataclass(frozen=True)
class Citation:
    """A paper: title, venue, year and a permanent link (DOI or arXiv)."""

    title: str
    venue: str
    year: int
    link: str = ""

    def __str__(self) -> str:
        return f"{self.title} ({self.venue} {self.year})"


def citation_of(text: str, link: str = "") -> Citation | None:
    """Read a citation back from its text, `title (venue year)`; None where the text is not of that form."""
    found = _CITED.fullmatch(text.strip())
    return None if found is None else Citation(found["title"], found["venue"], int(found["year"]), link)


def keys_of(citations: Iterable[Citation]) -> dict[Citation, str]:
    """Give each paper a key, its first telling word and its year, with a letter where two would have the same."""
    keys: dict[Citation, str] = {}
    for own in citations:
        if own in keys:
            continue
        words = [word for word in re.findall(r"[a-z0-9]+", own.title.lower()) if word not in _COMMON]
        stem = f"{words[0] if words else 'paper'}{own.year}"
        taken = set(keys.values())
        keys[own] = next(
            key for key in (stem + end for end in ("", *map(_letters, range(len(taken) + 1)))) if key not in taken
        )
    return keys


def bibtex(citation: Citation, key: str, authors: str = "") -> str:
    """Write the entry of a paper in BibTeX; a DOI and an arXiv number have fields of their own.

    Authors are not kept with a method: a reference manager fills them in from the DOI or arXiv number.

    Args:
        citation: the paper.
        key: what it is cited by.
        authors: family names as `A, B and C` or `A et al.`, where they are known.
    """
    fields = {"author": _people(authors)} if authors else {}
    fields |= {
        "title": "{" + _plain(citation.title) + "}",
        "howpublished": _plain(citation.venue),
        "year": str(citation.year),
    }
    if (doi := re.search(r"10\.\d{4,9}/\S+", citation.link)) is not None:
        fields["doi"] = doi[0]
    elif (
        number := re.search(r"arxiv\.org/(?:abs|pdf)/([\w./-]+?)(?:v\d+)?$|^arxiv:\s?(\S+)$", citation.link, re.I)
    ) is not None:
        fields |= {"eprint": number[1] or number[2], "archiveprefix": "arXiv"}
    if citation.link.startswith("http") and "doi" not in fields:
        fields["url"] = citation.link
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{key},\n{lines}}}\n"


def _people(authors: str) -> str:
    """Names joined by `and`, as BibTeX reads them, `others` for `et al.`; several words are one family name."""
    names = re.split(r", | and ", authors.removesuffix(" et al."))
    told = ["{" + _plain(name) + "}" if " " in name else _plain(name) for name in names]
    return " and ".join([*told, "others"] if authors.endswith(" et al.") else told)


def _letters(number: int) -> str:
    return chr(ord("a") + number % 26) * (1 + number // 26)


def _plain(text: str) -> str:
    """Text without what BibTeX or LaTeX would act on."""
    bare = re.sub(r"[{}\\]", "", text)
    return re.sub(r"([&%$#_])", r"\\\1", bare)
