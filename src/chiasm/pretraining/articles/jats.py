"""An article in JATS XML: its figures with caption, licence, files, and where the running text speaks of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from chiasm.pretraining.articles.licences import Licence, licence_of
from chiasm.pretraining.articles.plain import plain
from chiasm.pretraining.articles.sentences import sentence_at
from chiasm.readers.reading import ReadError
from chiasm.readers.safe_xml import tree_of

MOST_BYTES = 64 << 20
DEEPEST = 200  # formulas nest further than text
MOST_PARTS = 500_000
WITHOUT = ("ref-list", "tex-math", "sub-article", "response")  # reviews and translations have figures of their own
AGAIN = "fetch the article again"
FLOATING = frozenset({"fig", "table-wrap", "supplementary-material", "boxed-text"})
_REACH = re.compile(r"^\W*(?:[-\u2010-\u2015]|to|through)\W*$")  # stands between the ends of "Figures 2-4"
_HERE = "\ue000"  # where a reference stands in a paragraph, for as long as sentences are looked for
_MARKS = re.compile(f"{_HERE}")


@dataclass(frozen=True)
class Mention:
    """A paragraph of the running text that refers to a figure.

    Attributes:
        section: titles of the sections it stands in, outermost first, joined by " / ".
        paragraph: its text, without what floats in it.
        sentences: those that hold the reference.
    """

    section: str
    paragraph: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A figure as its article has it.

    Attributes:
        id: within the article.
        label: as "Figure 1"; title: of the caption, "" if it has none; caption: title and paragraphs.
        licence: its own where it states one, else the article's.
        graphics: names of its files, often without an ending; one of a figure of one part.
        mentions: paragraphs that refer to it, in their order.
    """

    id: str
    label: str
    title: str
    caption: str
    licence: Licence
    graphics: tuple[str, ...]
    mentions: tuple[Mention, ...]


@dataclass(frozen=True)
class Article:
    """An article: the names that it is known by, its title, its licence and its figures in their order."""

    pmc: str
    doi: str
    title: str
    licence: Licence
    figures: tuple[Figure, ...]


def read_article(data: bytes) -> Article:
    """Read the bytes of a JATS article.

    Raises:
        ReadError: no article, damaged or cut off, over a limit, or with entities of its own.
    """
    if len(data) > MOST_BYTES:
        raise ReadError(f"the article is over {MOST_BYTES >> 20} MB", "check the file")
    root, _ = tree_of(data, WITHOUT, deepest=DEEPEST, most=MOST_PARTS, again=AGAIN)
    article = root if root.tag == "article" else root.find(".//article")
    if article is None:
        raise ReadError("the XML file is no article in JATS: it has no <article>", "name articles of PubMed Central")
    meta = article.find("front/article-meta")
    meta = Element("article-meta") if meta is None else meta
    ids = {own.get("pub-id-type", ""): plain(own) for own in meta.findall("article-id")}
    title = meta.find("title-group/article-title")
    licence = licence_of(meta.find("permissions"))
    pmc = ids.get("pmcid") or ids.get("pmc") or ""
    return Article(
        f"PMC{pmc.upper().removeprefix('PMC')}" if pmc else "",
        ids.get("doi", ""),
        "" if title is None else plain(title),
        licence,
        _figures(article, licence),
    )


def _figures(article: Element, licence: Licence) -> tuple[Figure, ...]:
    found = list(_figures_within(article, ""))
    order = [own.get("id", "") for own, _ in found]
    mentions = _mentions(article, order)
    figures = []
    for number, (own, above) in enumerate(found, start=1):
        permissions = own.find("permissions")
        label, caption = own.find("label"), own.find("caption")
        title = None if caption is None else caption.find("title")
        words = "" if caption is None else plain(caption)
        figures.append(
            Figure(
                own.get("id") or f"figure-{number}",
                "" if label is None else plain(label),
                "" if title is None else plain(title),
                " ".join(filter(None, (above, words))),
                licence if permissions is None or permissions.find("license") is None else licence_of(permissions),
                tuple(dict.fromkeys(_graphics(own))),
                tuple(mentions.get(own.get("id", ""), ())),
            )
        )
    return tuple(figures)


def _figures_within(part: Element, above: str) -> Iterator[tuple[Element, str]]:
    """Yield each figure with the caption of the group that it is in."""
    for own in part:
        if own.tag == "fig":
            yield own, above
        elif own.tag == "fig-group":
            caption = own.find("caption")
            yield from _figures_within(own, "" if caption is None else plain(caption))
        else:
            yield from _figures_within(own, above)


def _graphics(figure: Element) -> Iterator[str]:
    """Yield the name of each graphic; of alternatives the first alone, since they show the same."""
    for own in figure:
        if own.tag == "graphic" and own.get("href"):
            yield own.get("href", "").strip()
        elif own.tag == "alternatives":
            yield from list(_graphics(own))[:1]
        elif own.tag not in ("fig", "caption"):
            yield from _graphics(own)


def _mentions(article: Element, order: list[str]) -> dict[str, list[Mention]]:
    found: dict[str, list[Mention]] = {}
    first = {own: place for place, own in reversed(list(enumerate(order)))}
    for paragraph, section in _paragraphs(article, ()):
        named = _named(paragraph, order, first)
        if not named:
            continue
        marked = plain(_without_paragraphs(paragraph))
        text = _MARKS.sub("", marked)
        places = [match.start() - number for number, match in enumerate(_MARKS.finditer(marked))]
        for own, at in named.items():
            sentences = tuple(dict.fromkeys(sentence_at(text, places[place]) for place in at if place < len(places)))
            found.setdefault(own, []).append(Mention(" / ".join(section), text, sentences))
    return found


def _paragraphs(part: Element, section: tuple[str, ...]) -> Iterator[tuple[Element, tuple[str, ...]]]:
    """Yield the paragraphs of the running text, an abstract's too, with the titles above each."""
    title = part.find("title") if part.tag in ("sec", "abstract", "app", "ack") else None
    section = section if title is None or not plain(title) else (*section, plain(title))
    for own in part:
        if own.tag in FLOATING:
            continue
        if own.tag == "p":
            yield own, section
        yield from _paragraphs(own, section)


def _named(paragraph: Element, order: list[str], places: dict[str, int]) -> dict[str, list[int]]:
    """Return the figures that a paragraph refers to, with the numbers of the references among its own.

    Args:
        order: of all figures; places: of the first of each name in it.
    """
    refs = list(_references(paragraph))
    found: dict[str, list[int]] = {}
    for number, (ids, between) in enumerate(refs):
        named = [own for own in ids if own in places]
        if number and _REACH.match(between) and len(ids) == 1 == len(refs[number - 1][0]):
            first, last = refs[number - 1][0][0], ids[0]
            if first in places and last in places:
                named = [*order[places[first] + 1 : places[last]], *named]
        for own in named:
            found.setdefault(own, []).append(number)
    return found


def _references(paragraph: Element) -> Iterator[tuple[list[str], str]]:
    """Yield what each reference to a figure names, and the text since the one before; each is marked on the way."""
    between = ""
    for own, text in _inline(paragraph):
        if own is not None and own.tag == "xref" and own.get("ref-type") == "fig":
            yield own.get("rid", "").split(), between
            own.text = f"{_HERE}{(own.text or '').replace(_HERE, '')}"
            between = ""
        else:
            between += text


def _inline(part: Element) -> Iterator[tuple[Element | None, str]]:
    """Yield the elements and texts of a paragraph in their order, without floats and paragraphs of their own."""
    yield None, part.text or ""
    for own in part:
        if own.tag == "xref":
            yield own, ""
        elif own.tag != "p" and own.tag not in FLOATING:
            yield from _inline(own)
        yield None, own.tail or ""


def _without_paragraphs(paragraph: Element) -> Element:
    """Return the paragraph with the floats and paragraphs within it emptied."""
    held = Element(paragraph.tag)
    held.text, held.tail = paragraph.text, paragraph.tail
    for own in paragraph:
        if own.tag == "p" or own.tag in FLOATING:
            empty = Element(own.tag)
            empty.tail = own.tail
            held.append(empty)
        else:
            held.append(_without_paragraphs(own))
    return held
