"""What may be done with a figure, as an article states it: a short name such as `CC-BY-4.0`, and the words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from chiasm.pretraining.articles.plain import plain

UNSTATED, UNREAD = "none stated", "not recognised"
OPEN = ("CC0", "CC-BY", "CC-BY-SA", "public-domain")  # what may be used, changed and passed on
_DEED = re.compile(r"creativecommons\.org/licen[sc]es/(by(?:-nc)?(?:-nd|-sa)?)/(\d\.\d)?", re.IGNORECASE)
_ZERO = re.compile(r"creativecommons\.org/publicdomain/zero/(\d\.\d)?", re.IGNORECASE)
_MARK = re.compile(r"creativecommons\.org/publicdomain/mark", re.IGNORECASE)
_WORDS = re.compile(r"creative commons attribution\b(.{0,60}?)\blicen[sc]e", re.IGNORECASE | re.DOTALL)
_NO_TRADE = re.compile(r"\bnon-?commercial", re.IGNORECASE)
_SHORT = re.compile(r"\bCC[ -](BY(?:-NC)?(?:-ND|-SA)?)(?:[ -](\d\.\d))?\b")


@dataclass(frozen=True)
class Licence:
    """The licence of an article or of one figure.

    Attributes:
        name: as SPDX writes it, `CC-BY-2.0`, without the number where none is stated; `public-domain`; `none stated`;
            `not recognised`, where words stand there that name none of these.
        words: what the article says, with the link.
    """

    name: str
    words: str

    @property
    def family(self) -> str:
        """The name without its version: `CC-BY` of `CC-BY-2.0`."""
        return re.sub(r"-\d\.\d$", "", self.name)


def licence_of(permissions: Element | None) -> Licence:
    """Read the `<permissions>` of an article or a figure: the links first, then the words."""
    said = [] if permissions is None else permissions.findall("license")
    refs = [] if permissions is None else permissions.findall(".//license_ref")
    links = [part.get("href", "") for own in said for part in own.iter()] + [plain(own) for own in refs]
    words = " ".join(filter(None, [*map(plain, said), *(link for link in dict.fromkeys(links))]))
    if not words:
        return Licence(UNSTATED, "")
    named = " ".join(links)
    found = _name(named) or _name(words)
    if found is None and any(own.get("license-type", "").lower() == "public-domain" for own in said):
        found = "public-domain"
    return Licence(found or UNREAD, words)


def _name(text: str) -> str | None:
    if deeds := _DEED.findall(text):
        kind, version = max(deeds, key=lambda deed: len(deed[0]))  # of several, what forbids most
        return _numbered(f"CC-{kind.upper()}", version)
    if zero := _ZERO.search(text):
        return _numbered("CC0", zero[1])
    if _MARK.search(text):
        return "public-domain"
    if short := _SHORT.search(text):
        return _numbered(f"CC-{short[1]}", short[2])
    if stated := _WORDS.search(text):
        rest = re.sub(r"[^a-z]", "", stated[1].lower())
        parts = ["BY"]
        parts += ["NC"] if "noncommercial" in rest or _NO_TRADE.search(text) else []
        parts += ["ND"] if "noderiv" in rest else ["SA"] if "sharealike" in rest else []
        version = re.search(r"(\d\.\d)", stated[1])
        return _numbered("CC-" + "-".join(parts), version[1] if version else None)
    return None


def _numbered(name: str, version: str | None) -> str:
    return f"{name}-{version}" if version else name


def allows(wanted: str, licence: Licence) -> bool:
    """Tell whether a licence is the wanted one: by its whole name, or by its family where no version is asked for."""
    return wanted.lower() in (licence.name.lower(), licence.family.lower())
