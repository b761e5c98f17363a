"""From articles to pairs: one row a graphic of a figure, kept or left out with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from chiasm.pretraining.articles.concepts import Balance, Concepts
from chiasm.pretraining.articles.jats import Article, Figure
from chiasm.pretraining.articles.licences import OPEN, UNREAD, UNSTATED, allows
from chiasm.pretraining.articles.pictures import Picture, picture_of
from chiasm.pretraining.articles.sources import Found, file_of
from chiasm.readers.reading import ReadError

NO_FILE, NO_CAPTION, NO_CONCEPT = "its picture is not there", "it has no caption", "names no concept of the list"
FULL, AGAIN = "its concept has enough pairs", "the same picture is there already"
ANY = "any"
KEY = 80  # letters, so that a name within a shard is short enough for tar
_PERMIT = re.compile(r"\b(?:with|by)\s+(?:the\s+)?(?:kind\s+)?permission\b|\ball rights reserved\b", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """Which pairs are kept.

    Args:
        licences: names or families of licences, as `CC-BY`; `any` keeps all, also what states none.
        concepts: a caption has to name one of them; None asks for none.
        most: pairs at most under each concept.
        words: the fewest of a caption.
    """

    licences: tuple[str, ...] = OPEN
    concepts: Concepts | None = None
    most: int | None = None
    words: int = 1


@dataclass(frozen=True)
class Pair:
    """A graphic of a figure: what is known of it as `row`, and its picture where it is kept; `why` it is not."""

    row: dict[str, Any]
    picture: Picture | None
    why: str


@dataclass
class Funnel:
    """What has been seen on the way: articles, those without figures, faults, marks of pictures, keys."""

    articles: int = 0
    empty: int = 0
    repeated: int = 0
    faults: list[tuple[int, str, ReadError]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    marks: dict[str, str] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    balance: Balance = field(default_factory=Balance)


def pairs_of(found: Iterable[Found], wanted: Wanted, funnel: Funnel) -> Iterator[Pair]:
    """Yield a pair for each graphic of each figure; an article that was there before gives none."""
    funnel.balance.most = wanted.most
    for own in found:
        if own.article is None:
            if own.fault is not None:
                funnel.faults.append((own.source, own.name, own.fault))
            continue
        name = _name(own)
        if name in funnel.known:
            funnel.repeated += 1
            continue
        funnel.known.add(name)
        funnel.articles += 1
        funnel.empty += not own.article.figures
        for figure in own.article.figures:
            graphics = figure.graphics or ("",)
            for number, graphic in enumerate(graphics, start=1):
                part = f"{figure.id}-{number}" if len(graphics) > 1 else figure.id
                yield _pair(own, own.article, figure, graphic, _key(f"{name}_{part}", funnel.keys), wanted, funnel)


def _pair(
    found: Found, article: Article, figure: Figure, graphic: str, key: str, wanted: Wanted, funnel: Funnel
) -> Pair:
    file = file_of(graphic, found.pictures) if graphic else None
    concepts = () if wanted.concepts is None else wanted.concepts.named_in(figure.caption)
    row: dict[str, Any] = {
        "key": key,
        "article": article.pmc or article.doi or found.name,
        "doi": article.doi,
        "article_title": article.title,
        "figure": figure.id,
        "label": figure.label,
        "title": figure.title,
        "caption": figure.caption,
        "licence": figure.licence.name,
        "licence_words": figure.licence.words,
        "mentions": [
            {"section": own.section, "paragraph": own.paragraph, "sentences": list(own.sentences)}
            for own in figure.mentions
        ],
        "graphic": graphic,
        "file": file or "",
        "concepts": list(concepts),
    }
    why = _unwanted(figure, file, concepts, wanted)
    if why:
        return Pair(row, None, why)
    try:
        picture = picture_of(found.picture(str(file)))
    except ReadError as fault:
        return Pair(row, None, f"its picture is not read: {fault.what}")
    if picture.mark in funnel.marks:
        return Pair(row, None, AGAIN)
    if concepts:
        own = funnel.balance.file(concepts)
        if own is None:
            return Pair(row, None, FULL)
        row["concept"] = own
    funnel.marks[picture.mark] = key
    row |= {"width": picture.width, "height": picture.height}
    return Pair(row, picture, "")


def _unwanted(figure: Figure, file: str | None, concepts: tuple[str, ...], wanted: Wanted) -> str:
    licence = figure.licence
    if ANY not in wanted.licences:
        if licence.name in (UNSTATED, UNREAD):
            return f"licence {licence.name}"
        if not any(allows(own, licence) for own in wanted.licences):
            return f"licence {licence.family}"
        if _PERMIT.search(figure.caption):
            return "its caption names a permission of others"
    if len(figure.caption.split()) < wanted.words:
        return NO_CAPTION if not figure.caption else f"its caption has fewer than {wanted.words} words"
    if wanted.concepts is not None and not concepts:
        return NO_CONCEPT
    return NO_FILE if file is None else ""


def _name(found: Found) -> str:
    """Return the name that an article has in keys: its number in PubMed Central, else its DOI, else its file's."""
    article = found.article
    given = "" if article is None else article.pmc or article.doi
    return _plain(given or found.name.rpartition(":")[2].rpartition(".")[0] or found.name)


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "x"


def _key(text: str, known: dict[str, int]) -> str:
    """Return a key of letters, digits, `-` and one `_`, of at most eighty, that no other pair has.

    `known` has each key with the number that the next pair of the same name begins at.
    """
    article, _, figure = text.partition("_")
    own = f"{article}_{_plain(figure)}"
    if len(own) > KEY:
        own = f"{own[: KEY - 17]}-{sha256(text.encode()).hexdigest()[:16]}"
    key, number = own, known.get(own, 2)
    while key in known:
        key, number = f"{own[: KEY - 8]}-{number}", number + 1
    known[own] = number
    known.setdefault(key, 2)
    return key
