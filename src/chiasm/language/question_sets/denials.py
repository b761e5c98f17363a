"""What a text says is there and what it denies, word by word, so that an answer cannot turn a caption around.

In each clause (up to a full stop, a colon, a semicolon, a line's end or "but") what follows a word as "no" or "without"
is denied, and the whole clause where it ends in a denial, as "is absent" or "was not seen". This is coarse: a clause is
no grammar. It is used to leave out what may be wrong, and never to say what is right.
"""

from __future__ import annotations

import re

from chiasm.language.asking.hearing import SMALL, stem, words_of

CLAUSE = re.compile(r"[.;:!?\n](?!\d)|\b(?:but|however|although|though)\b", re.IGNORECASE)
BEFORE = frozenset(
    ["no", "not", "without", "never", "neither", "nor", "none", "denies", "denied", "negative", "cannot", "nothing"]
)
"""Words that deny what follows them."""
BEHIND = re.compile(
    r"\b(?:absent|excluded|ruled out|resolved|(?:not|never)\s+(?:\w+\s+)?(?:seen|present|visible|identified|found|"
    r"detected|shown|demonstrated|evident|appreciated|noted|there))\b",
    re.IGNORECASE,
)
"""Ends of a clause that deny all of it."""
LONG = 3
"""Words of more letters carry what a text says."""
YES_OR_NO = re.compile(r"\s*(yes|no)\s*(?:[,.;:!]|$)", re.IGNORECASE)


def stances(text: str) -> dict[str, set[bool]]:
    """Return of each longer word of a text, without its plural, whether it is said (True), denied (False), or both."""
    found: dict[str, set[bool]] = {}
    for clause in CLAUSE.split(text.replace("n't", " not")):
        denied = bool(BEHIND.search(clause))
        for word in words_of(clause):
            if len(word) > LONG and word not in SMALL:
                found.setdefault(stem(word), set()).add(not denied)
            denied = denied or word in BEFORE
    return found


def turned_around(question: str, answer: str, caption: str) -> bool:
    """Whether an answer may say what the caption denies, or the other way round.

    Of an answer by yes or no it is the question that is held against the caption: "yes" where all that both speak of is
    said there, "no" where some of it is denied there and never said. A question that denies something has no clear
    answer by yes or no.
    """
    known, short = stances(caption), YES_OR_NO.match(answer)
    rest = answer[short.end() :] if short else answer
    if any(not own & known.get(word, own) for word, own in stances(rest).items()):
        return True
    if short is None:
        return False
    asked = stances(question)
    common = [known[word] for word in asked if word in known]
    if any(False in own for own in asked.values()):
        return True
    if short[1].casefold() == "yes":
        return not all(True in own for own in common)
    return {False} not in common
