"""Metrics of a text target: what is said of each patient against the references, of which the best counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics import text as text_
from chiasm.metrics.patient_terms import scaled
from chiasm.metrics.scored import Scored
from chiasm.metrics.weighted import Floats, ratio
from chiasm.targets.texts import BLEU, ENTITIES, EXACT, ROUGE, TOKEN_F1, Texts, typical

Each = Callable[[str, str, Texts], float]
"""Score of a text against one reference; NaN where there is none."""


def _exact(said: str, expected: str, texts: Texts) -> float:
    return float(text_.exact_match([said], [expected])[0])


def _token_f1(said: str, expected: str, texts: Texts) -> float:
    return float(text_.token_f1([said], [expected])[0])


def _rouge(said: str, expected: str, texts: Texts) -> float:
    return text_.rouge_of(said, expected)


def _entities(said: str, expected: str, texts: Texts) -> float:
    return float(text_.entity_f1([said], [expected], texts.entities)[0]) if texts.entities else float("nan")


EACH: dict[str, Each] = {TOKEN_F1: _token_f1, EXACT: _exact, ROUGE: _rouge, ENTITIES: _entities}


def per_patient(scorer: str, s: Scored) -> Floats:
    """(n,) score of what is said of each patient, the best over the references; NaN where there is none.

    Of entities it is NaN too where neither the text nor one of its references names any: this one is met, and counts no
    entity.
    """
    texts, said = _texts(s)
    score, seen = EACH[scorer], dict[tuple[str, str], float]()
    found = np.full(len(said), np.nan)
    for row, (own, references) in enumerate(zip(said.tolist(), texts.references.tolist(), strict=True)):
        values = []
        for reference in references:
            if (own, reference) not in seen:
                seen[own, reference] = score(own, reference, texts)
            values.append(seen[own, reference])
        found[row] = np.max(values) if values else np.nan  # NaN stays
    return found


def mean_of(scorer: str, s: Scored, w: Floats) -> Floats:
    """(R,) mean score over patients; BLEU is of all texts together, with the reference of closest length."""
    if scorer == BLEU:
        texts, said = _texts(s)
        return text_.bleu_of([(own, list(more)) for own, more in zip(said, texts.references, strict=True)], w)
    each = per_patient(scorer, s)
    known = ~np.isnan(each)
    return ratio(w @ np.where(known, each, 0.0), w @ known)


def score(s: Scored, w: Floats) -> Floats:
    """(R,) mean of the scorer that the target names."""
    return mean_of(_texts(s)[0].scorer, s, w)


def score_within(s: Scored, strata: NDArray[np.intp], w: Floats) -> Floats:
    """The mean score of the patients who stand in a stratum: a mean over patients compares nobody with another."""
    rows = np.flatnonzero(strata[:, 0] >= 0)
    said = _texts(s)[1]
    return score(Scored(s.prediction[rows], s.outcome.take(rows), said=said[rows]), w[:, rows])


def losses(s: Scored) -> Floats:
    """What each patient's text misses of the full score, and what the most typical training text does, (n, 2).

    NaN without training patients. Of BLEU, which is of all texts together, token F1 stands for a patient.
    """
    texts, said = _texts(s)
    if s.train is None or s.train.texts is None or not s.train.known.any():
        return np.full((len(said), 2), np.nan)
    scorer = TOKEN_F1 if texts.scorer == BLEU else texts.scorer
    null = np.full(len(said), typical(s.train.texts), dtype=object)
    both = [per_patient(scorer, Scored(s.prediction, s.outcome, said=own)) for own in (said, null)]
    known = ~np.isnan(both).any(axis=0)
    return np.stack([np.where(known, 1 - own, 0.0) for own in both], axis=1)


beyond_typical = scaled
named: dict[str, Callable[[Scored, Floats], Floats]] = {scorer: partial(mean_of, scorer) for scorer in (*EACH, BLEU)}


def _texts(s: Scored) -> tuple[Texts, NDArray[np.object_]]:
    if s.outcome.texts is None or s.said is None:
        raise ValueError("there are no texts to score: the outcome needs references, and the prediction a text")
    return s.outcome.texts, s.said
