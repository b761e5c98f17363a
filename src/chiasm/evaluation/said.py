"""What is said of the tested patients: how many different texts, how long, and the best that one could do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from chiasm.evaluation.decisions import folds_of_first_repeat
from chiasm.evaluation.trial import Trial
from chiasm.targets import Outcome
from chiasm.targets.texts import ENTITIES, Texts, named_in, names_of, said_of
from chiasm.targets.words import normalised

FEWEST = 10
"""Tested patients, below which nothing is told of what is said."""


def said_document(trial: Trial, recipes: Sequence[str]) -> dict[str, Any] | None:
    """Describe what is said in the first repeat, by counts alone; None for other kinds of target and too few patients.

    `ceiling` is the mean over tested patients of the best likeness of any text that a model of the training patients
    may say (of entities, over those whose text names one: of others a text that names none is not scored), and
    `word_for_word` the share of patients whose own text is among these: no model that says again what a training
    patient's text said does better. For each recipe: `different` texts, the share of patients who get the one
    that is said most often (`most`), and the quantiles .05, .5 and .95 of the number of `words`; `expected` are those
    of the references.
    """
    if not trial.target.has_texts:
        return None
    keys = folds_of_first_repeat(trial)
    folds = [trial.folds[key] for key in keys]
    tested = sum(len(fold.outcome.known) for fold in folds)
    if tested < FEWEST:
        return None
    ceilings = [_ceiling(fold.outcome, fold.train) for fold in folds]
    best, same = (np.concatenate(own) for own in zip(*ceilings, strict=True))
    rows = []
    for recipe in recipes:
        texts = np.concatenate(
            [trial.frames[recipe][key][trial.target.answers(())[0]].to_numpy(object) for key in keys]
        )
        counts = Counter(map(normalised, texts.tolist()))
        words = [len(normalised(text).split()) for text in texts.tolist()]
        rows.append(
            {
                "recipe": recipe,
                "different": len(counts),
                "most": counts.most_common(1)[0][1] / len(texts),
                "words": _spread(words),
            }
        )
    value = np.concatenate([fold.outcome.value for fold in folds])
    return {
        "tested": tested,
        "ceiling": float(best.mean()) if len(best) else float("nan"),
        "word_for_word": float(same.mean()) if len(same) else float("nan"),
        "expected": _spread(value[np.isfinite(value)].tolist()),
        "recipes": rows,
    }


def _ceiling(tested: Outcome, train: Outcome | None) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the best likeness of any text of the training patients, and whether it is the patient's own."""
    assert tested.texts is not None  # a text target has them
    if train is None or train.texts is None:
        return np.zeros(0), np.zeros(0)
    said, _ = said_of(train.texts)
    found = _best(tested.texts, said)
    own = {normalised(text) for text in said}
    word = [any(normalised(text) in own for text in several) for several in tested.texts.references.tolist()]
    return found, np.array(word, dtype=float)


def _best(texts: Texts, said: Sequence[str]) -> np.ndarray:
    every = sorted({text for several in texts.references.tolist() for text in several})
    place = {text: k for k, text in enumerate(every)}
    most = texts.likeness(every, said).max(axis=1) if every else np.zeros(0)
    named = [[text for text in several if _counts(text, texts)] for several in texts.references.tolist()]
    return np.array([max(most[place[text]] for text in several) for several in named if several], dtype=float)


def _counts(text: str, texts: Texts) -> bool:
    """True unless the score is of entities and the text names none: who says none then is not scored."""
    return texts.scorer != ENTITIES or bool(named_in(text, names_of(texts.entities)))


def _spread(words: Sequence[float]) -> list[float]:
    return [float(own) for own in np.quantile(np.asarray(words, np.float64), (0.05, 0.5, 0.95))] if len(words) else []
