"""How good a text is beside a reference: the scorers of text targets by name, or any callable of both texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from numbers import Real

from chiasm.metrics import text as text_
from chiasm.targets.texts import BLEU, ENTITIES, EXACT, ROUGE, SCORERS, TOKEN_F1

Scorer = Callable[[str, str], float]
"""Score of a text (first) against the reference of its prompt (second), larger is better; NaN where there is none."""


def scorer_of(named: str | Scorer, entities: Sequence[str] = ()) -> Scorer:
    """Return a scorer by its name, or the callable as it is.

    Args:
        entities: names that `entity_f1` looks for.

    Raises:
        ValueError: there is no scorer of that name, or `entity_f1` has no names.
    """
    if not isinstance(named, str):
        return named
    if named not in SCORERS:
        raise ValueError(f"scorer={named} is no scorer: choose one of {', '.join(SCORERS)}, or give a callable")
    if named == ENTITIES and not entities:
        raise ValueError("entity_f1 counts the names of entities: give them as entities=[...]")
    each = {
        TOKEN_F1: lambda text, expected: float(text_.token_f1([text], [expected])[0]),
        EXACT: lambda text, expected: float(text_.exact_match([text], [expected])[0]),
        ROUGE: text_.rouge_of,
        BLEU: lambda text, expected: float(text_.bleu([text], [expected])[0]),
        ENTITIES: lambda text, expected: float(text_.entity_f1([text], [expected], entities)[0]),
    }
    return each[named]


def scored(scorer: Scorer, texts: Sequence[str], reference: str) -> list[float]:
    """Score each text against the reference, one that is the same but once.

    Raises:
        ValueError: the scorer gives what is no number.
    """
    own = lru_cache(maxsize=None)(lambda text: scorer(text, reference))
    found = [own(text) for text in texts]
    if not all(isinstance(score, Real) for score in found):
        raise ValueError("the scorer gives what is no number: it must return a float for a text and its reference")
    return [float(score) for score in found]


def known(score: float) -> bool:
    """True for a score that is a number."""
    return math.isfinite(score)
