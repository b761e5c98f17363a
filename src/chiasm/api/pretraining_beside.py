"""What stands beside the items of a pretraining: embeddings of a modality of text, and labels of the target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.api.encoding import encode
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.taxonomy import captions_of
from chiasm.fitting.label_sentences import read_sentences
from chiasm.store.stored_tokens import StoredTokens

Floats = NDArray[np.float32]
READ_AT_ONCE = 256
WRITTEN, READER = ("names", "prompts", "lineages"), "minilm"


def beside_of(
    cohort: Cohort, rows: NDArray[np.int_], text: str | None, labels: bool, jobs: int | None
) -> dict[str, Floats]:
    """Return what stands beside the patients `rows`, by name.

    Args:
        text: a modality whose encoder is frozen: "text" is the mean of a patient's tokens, `(n, E)`, NaN where the
            patient has none. Where there is no such modality, `names`, `prompts` or `lineages`: what is written of the
            patient's labels, in the mean of its sentences, as `minilm` reads them.
        labels: "labels" are the target's, `(n, L)`: one column a class or label, NaN where the outcome is not known.

    Raises:
        Unsupported: no such modality, one that no frozen encoder reads, or a target without labels.
    """
    found: dict[str, Floats] = {}
    if text is not None:
        of_labels = text in WRITTEN and text not in cohort.modalities
        found["text"] = _written(cohort, rows, text) if of_labels else _texts(cohort, rows, text, jobs)
    if labels:
        found["labels"] = _labels(cohort, rows)
    return found


def require_beside(cohort: Cohort, text: str | None, labels: bool) -> None:
    """Refuse what cannot stand beside the items before any of them is read.

    Raises:
        Unsupported: no such modality, a label of which nothing is written, or a target without labels.
    """
    nobody = np.zeros(0, np.int64)
    if text is not None and text in WRITTEN and text not in cohort.modalities:
        _labels(cohort, nobody)
        _sentences(cohort, text)
    elif text is not None and text not in cohort.modalities:
        raise Unsupported(f"no modality '{text}' for text: there are {', '.join(cohort.modalities)}")
    if labels:
        _labels(cohort, nobody)


def _sentences(cohort: Cohort, which: str) -> list[tuple[str, ...]]:
    names, known = (cohort.target.names if cohort.target is not None else ()), cohort.label_texts
    written: list[tuple[str, ...]] = [(name,) for name in names]
    if which == "prompts":
        written = [() if known is None else known.sentences.get(name, ()) for name in names]
    elif which == "lineages":
        own = {} if known is None else known.lineages
        written = [captions_of(own[name], "drawn") if name in own else () for name in names]
    lacking = sum(not texts for texts in written)
    if lacking:
        raise Unsupported(f"{lacking} of the {len(names)} labels have no {which}: name them in [knowledge]")
    return written


def _written(cohort: Cohort, rows: NDArray[np.int_], which: str) -> Floats:
    labels, written = np.nan_to_num(_labels(cohort, rows)), _sentences(cohort, which)
    tokens = read_sentences([text for own in written for text in own], READER)
    each = (tokens.values.sum(1) / tokens.mask.sum(1, keepdim=True)).numpy()
    owners = np.array([place for place, own in enumerate(written) for _ in own])
    means = np.stack([each[owners == place].mean(0) for place in range(len(written))])  # (L, E)
    counts = labels.sum(1, keepdims=True)
    return np.where(counts > 0, labels @ means / np.maximum(counts, 1), np.nan).astype(np.float32)


def _texts(cohort: Cohort, rows: NDArray[np.int_], name: str, jobs: int | None) -> Floats:
    require_beside(cohort, name, False)
    encoded = encode(cohort.with_modalities([name]), jobs=jobs).cohort
    raw = encoded.raw(name)
    if not isinstance(raw, StoredTokens):
        raise Unsupported(f"modality '{name}' has no frozen encoder: name one, as encoder = \"minilm\"")
    place = np.full(len(cohort), -1)
    place[encoded.rows_of(name)] = np.arange(len(raw))
    found = np.full((len(rows), raw.width), np.nan, np.float32)
    here = np.flatnonzero(place[rows] >= 0)
    for start in range(0, len(here), READ_AT_ONCE):
        own = here[start : start + READ_AT_ONCE]
        values, mask = raw.batch(place[rows[own]])
        found[own] = values.sum(1) / mask.sum(1, keepdims=True)
    if not len(here):
        raise Unsupported(f"no patient who has the items has the text '{name}': bring texts, or another method")
    return found


def _labels(cohort: Cohort, rows: NDArray[np.int_]) -> Floats:
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None:
        raise Unsupported("the cohort has no target whose labels could be read: declare one, or another method")
    if not (target.has_classes or target.has_labels):
        raise Unsupported(f"a target of kind '{target.kind}' has no labels: take another method")
    value = np.asarray(outcome.value, np.float64)
    if target.has_classes:
        value = np.where(outcome.known[:, None], value[:, None] == np.arange(len(target.names)), np.nan)
    return np.asarray(value[rows], np.float32)
