"""Words of a text as answers are compared: lower case, without punctuation and English articles, with single spaces.

After SQuAD (Rajpurkar and others 2016, arXiv 1606.05250). We deviate where SQuAD takes answers for the same that a
reader does not: marks within a number, its minus and its percent sign stay, as do symbols (`<`, `+`, `=`, `$`, `^`),
and an `a` that no word follows, or that is a capital within a sentence, is no article (`vitamin A`). Letters are
those of Unicode form NFKC; superscripts and fractions stay as they are. In scripts that put no spaces between words,
as Chinese and Thai, each character is a word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import groupby

DASHES = re.compile(r"[\u2010-\u2015\u2212]")
ARTICLES = re.compile(r"(?<![^\s\"'(\[“‘«])(?:the|an|a(?! (?:and|or)\b))\s+(?=[\"'(\[“‘«]?\w)", re.IGNORECASE)
CAPITAL = re.compile(r"[^\s.:!?\"'(\[“‘«]\W*\s$")  # before an A that stands within a sentence
BEFORE = 64  # signs in which that is looked for
OF_A_NUMBER = re.compile(r"(?<=\d)[^\w\s](?=\d)|(?<![\w.])\.(?=\d)|(?<![\w-])-(?=\.?\d)|[%‰]")
APART = re.compile(r"(?<=\d)\s+(?=[%‰])")
UNSPACED = re.compile(
    "([\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])"
)
"""A character of Chinese, Japanese, Thai, Lao, Burmese or Khmer."""
KEPT = re.compile(r"<(?:super|sub|fraction|circle)>")


@lru_cache(maxsize=100_000)
def normalised(text: str, between: str = "") -> str:
    """The text as answers are compared: `The left lung, 1.5 cm.` is `left lung 1.5 cm`.

    Args:
        between: what stands in the place of a mark that is taken out; a space makes two words of `left-sided`.
    """
    folded = DASHES.sub("-", _one_form(text))
    loud = folded.upper() == folded  # its capitals tell nothing

    def without(found: re.Match[str]) -> str:
        named = (
            found[0].startswith("A ")
            and not loud
            and CAPITAL.search(folded, max(0, found.start() - BEFORE), found.start())
        )
        return found[0] if named else " "

    folded = APART.sub("", ARTICLES.sub(without, folded).lower())
    stays = {place for found in OF_A_NUMBER.finditer(folded) for place in range(*found.span())}
    marks = {k for k, sign in enumerate(folded) if unicodedata.category(sign)[0] == "P" or sign in "`|"} - stays
    kept = [between if k in marks else sign for k, sign in enumerate(folded)]
    return " ".join(spaced_words("".join(kept)))


def _one_form(text: str) -> str:
    """Unicode form NFKC but of superscripts, subscripts and fractions, whose digits would join others."""
    return "".join(
        "".join(own) if kept else unicodedata.normalize("NFKC", "".join(own))
        for kept, own in groupby(text, lambda sign: bool(KEPT.match(unicodedata.decomposition(sign))))
    )


def spaced_words(text: str) -> list[str]:
    """What stands between spaces, and each character of a script that has none."""
    return UNSPACED.sub(r" \1 ", text).split()
