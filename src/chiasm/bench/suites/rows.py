"""Rows of a release, whatever it is written in, and the fields that suites have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from chiasm.bench.item import LETTERS, Attachment, Item
from chiasm.language.released import needed as needed
from chiasm.language.released import rows_of as rows_of
from chiasm.language.released import stays_inside as stays_inside
from chiasm.language.released import words as words

YES_NO = ("Yes", "No")


def picture(folder: Path, name: str, inside: str = "images", kind: str = "image") -> tuple[Attachment, ...]:
    """Where a picture should lie: in the folder named or beside; of a path that leaves the folder its last part there.

    Raises:
        ValueError: the path leaves the folder and names no file.
    """
    if not name:
        return ()
    own = name.lstrip("/")
    own = own if stays_inside(own) else PureWindowsPath(own).name
    if not stays_inside(own):
        raise ValueError("the path of a file leaves the folder, or is none")
    places = [folder / inside / own, folder / own]
    return (Attachment(kind, next((place for place in places if place.is_file()), places[0])),)


def place_of(answer: str, options: Sequence[str]) -> int:
    """Return the position of the option whose text the answer is.

    Raises:
        ValueError: it is the text of none, or of several.
    """
    places = [k for k, option in enumerate(options) if option == answer]
    if len(places) != 1:
        raise ValueError("the answer is the text of no option" if not places else "two options are the answer's text")
    return places[0]


def lettered(options: Sequence[Any]) -> tuple[str, ...]:
    """Return the texts of options written as `A) text`.

    Raises:
        ValueError: one does not have its letter.
    """
    found = []
    for letter, option in zip(LETTERS, options, strict=False):
        text = str(option).strip()
        if text[:1].upper() != letter or text[1:2] not in (")", ".", ":"):
            raise ValueError("the options are not written as A) and B) and so on")
        found.append(text[2:].strip())
    return tuple(found)


def once(item: Item, seen: set[str]) -> Item:
    """Return an item whose id has not been seen, and remember it.

    Raises:
        ValueError: an item of this id stands before.
    """
    if item.id in seen:
        raise ValueError("an item with the same 'id' stands before")
    seen.add(item.id)
    return item


def stated_item(folder: Path, row: Mapping[str, Any], tags: Sequence[str], group: str = "group") -> Item:
    """Make an item of the fields that a suite without a public schema expects.

    `id`, `question`, `answer`; `options`, a list of texts one of which is the answer's, where there are any; `image`, a
    path under `images/`; `context`; `group`; and the tags.

    Raises:
        KeyError, ValueError: a field lacks, is empty, or is of another kind.
    """
    options = row.get("options") or ()
    if isinstance(options, str) or not isinstance(options, list | tuple):
        raise ValueError("'options' is no list of texts")
    texts = tuple(str(own).strip() for own in options)
    answer = needed(row, "answer")
    return Item(
        needed(row, "id"),
        needed(row, "question"),
        texts,
        (place_of(answer, texts),) if texts else (answer,),
        group=words(row, group, "image"),
        tags={name: words(row, name) for name in tags if words(row, name)},
        context=words(row, "context"),
        attachments=picture(folder, words(row, "image")),
    )
