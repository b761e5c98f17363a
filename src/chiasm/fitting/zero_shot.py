"""Retrieval and classification without labels, in the space that a fitted model's modalities were aligned in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import CELL, has_form
from chiasm.fitting.label_sentences import read_sentences
from chiasm.fitting.language import is_text
from chiasm.fitting.space import Array, ReadsSentences, Space, space_of
from chiasm.retrieval.neighbours import Neighbours

Prompts = Mapping[str, str | Sequence[str]]


def required_space(predictor: object, recipe: str) -> Space:
    """Return the space of a model's modalities.

    Raises:
        Unsupported: they were not aligned, or trained on the target afterwards.
    """
    space = space_of(predictor)
    if space is None:
        raise Unsupported(
            f"the modalities of a model of '{recipe}' were not brought into one space without labels: fit clip-pairs, "
            "symile or mirror on patients of whom some have two modalities, without tune=True, which trains the space "
            "on the target"
        )
    return space


def asking(space: Space, query: str | Sequence[str], among: str) -> list[str]:
    """Return the modalities that ask, checked.

    Raises:
        ValueError: one is not of the model, none is named, or the one that is asked for asks.
        Unsupported: no training patients connect one with `among`, or the model needs all modalities to ask.
    """
    names = [query] if isinstance(query, str) else list(query)
    strange = [name for name in (*names, among) if name not in space.names]
    if strange:
        raise ValueError(f"the model has no modality '{strange[0]}': it has {', '.join(space.names)}")
    if not names or among in names:
        raise ValueError(f"name one modality or more that ask, and not '{among}', which is asked for")
    apart = [name for name in names if name not in space.comparable(among)]
    if apart:
        raise Unsupported(
            f"no pairs of training patients connect '{apart[0]}' with '{among}': their vectors cannot be compared"
        )
    lacking = [name for name in space.names if name != among and name not in names]
    if space.fusion.needs_all and lacking:
        raise Unsupported(
            f"the model was aligned on complete patients alone, and asks with all others at once: name "
            f"{', '.join(lacking)} in `query` too"
        )
    return names


def retrieve(
    space: Space, cohort: Cohort, collection: Cohort, query: str | Sequence[str], among: str, k: int
) -> pd.DataFrame:
    """Find for each patient who has all of `query` the k best vectors of `among` in the collection.

    Returns:
        One row per find: `patient`, `rank` from 1, `found`, `score`; patients in the order of their file.

    Raises:
        Unsupported: nobody has what asks or what is asked for.
        ValueError: k is below 1, or as in `asking`.
    """
    names = asking(space, query, among)
    if k < 1:
        raise ValueError(f"k is {k}, and must be 1 or more")
    places, vectors = space.vectors(collection, among)
    columns = [cohort.modalities.index(name) for name in names if name in cohort.modalities]
    has = len(columns) == len(names)
    some = np.asarray(cohort.present[:, columns].all(1) & has, dtype=bool)
    if not len(places) or not some.any():
        lacking = f"'{among}'" if not len(places) else f"'{' and '.join(names)}'"
        raise Unsupported(f"nobody has {lacking}: there is nothing to {'find' if not len(places) else 'ask with'}")
    asked = [row for row in cohort.order if some[row]]
    questions = space.questions(cohort, names, among)[asked]
    found, _ = Neighbours(vectors).nearest(questions, min(k, len(places)))
    lines = [
        (cohort.ids[row], rank, collection.ids[places[place]], float(vectors[place] @ question))
        for row, question, own in zip(asked, questions, found, strict=True)
        for rank, place in enumerate(own, start=1)
    ]
    return pd.DataFrame(lines, columns=["patient", "rank", "found", "score"])


def prompted(space: Space, kinds: Mapping[str, str], by: str) -> str:
    """Return the modality that prompts are written in: the named one, or the only one that is text.

    A named one may be cells of another kind: a class is then described by a molecule or a sequence.

    Raises:
        Unsupported: none is text, or several are, and none is named.
        ValueError: the named one is not of the model, or is not read from cells.
    """
    cells = [name for name in space.names if has_form(kinds[name], CELL)]
    if by and by not in cells:
        raise ValueError(
            f"prompts cannot be read as '{by}': of the model's modalities {', '.join(cells) or 'none'} can"
        )
    texts = [name for name in cells if is_text(kinds[name])]
    if not by and len(texts) != 1:
        which = f"name one of {', '.join(texts or cells)} in `by`" if cells else "align one of text with the others"
        number = "none" if not texts else f"{len(texts)}"
        raise Unsupported(f"{number} of the model's modalities {'are' if texts else 'is'} text: {which}")
    return by or texts[0]


def prompt_lines(prompts: Prompts) -> tuple[list[str], list[int]]:
    """Return all prompts, and which class each is of.

    Raises:
        ValueError: fewer than two classes, or a class without a text.
    """
    given = [[own] if isinstance(own, str) else list(own) for own in prompts.values()]
    if len(given) < 2 or not all(given) or not all(text.strip() for own in given for text in own):
        raise ValueError('prompts name two classes or more, each with a text or several: {"class": "text"}')
    return [text for own in given for text in own], [number for number, own in enumerate(given) for _ in own]


def classify(space: Space, cohort: Cohort, written: Cohort, by: str, prompts: Prompts) -> pd.DataFrame:
    """Compute the probabilities of the classes, `softmax_c of scale <question, vector of c>`, without any label.

    Args:
        written: the prompts as patients who have `by` alone, named "0", "1" and so on in the order of `prompt_lines`.

    Returns:
        One row per patient, in the order of their file: `pattern`, of the modalities that ask, and `p_<class>`.
        A class with several prompts has the mean of their vectors, at unit length.

    Raises:
        Unsupported: a patient has nothing to ask with, or lacks what a model of complete patients asks with; no
            training patients connect another modality with `by`; or a prompt could not be read.
    """
    _, owners = prompt_lines(prompts)
    others = space.comparable(by)
    if not others:
        raise Unsupported(f"no pairs of training patients connect another modality with '{by}': nothing can be asked")
    rows, vectors = space.vectors(written, by)
    if len(rows) < len(owners):
        raise Unsupported(f"{len(owners) - len(rows)} of the prompts cannot be read as '{by}': write them otherwise")
    own = np.array([owners[int(written.ids[row])] for row in rows])
    return _compared(space, cohort, class_vectors(vectors, own, len(prompts)), others, by, prompts)


def classify_by_sentences(space: Space, cohort: Cohort, prompts: Prompts) -> pd.DataFrame:
    """Compute the probabilities of the classes, as `classify` does, where no modality reads what is written of them.

    Raises:
        Unsupported: a patient has nothing to ask with, or the encoder's weights are not those of the fit.
        ValueError: as for `prompt_lines`.
    """
    texts, owners = prompt_lines(prompts)
    fusion = space.fusion
    assert isinstance(fusion, ReadsSentences)  # asked for where it is
    with torch.inference_mode():
        vectors = fusion.sentences(read_sentences(texts, *fusion.encoder)).numpy()
    return _compared(space, cohort, class_vectors(vectors, np.array(owners), len(prompts)), space.told, "", prompts)


def class_vectors(vectors: Array, owners: NDArray[np.int_], classes: int) -> Array:
    """Return the mean vector of the texts of each class `(K, D)`, at unit length."""
    found = np.stack([vectors[owners == number].mean(0) for number in range(classes)])
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return found


def _compared(
    space: Space, cohort: Cohort, classes: Array, others: list[str], by: str, prompts: Prompts
) -> pd.DataFrame:
    """Compare what patients have of `others` with the vectors of the classes."""
    known = cohort.with_modalities([name for name in cohort.modalities if name in others])
    needed = len(others) if space.fusion.needs_all else 1
    lacking = int((known.present.sum(1) < needed).sum()) if known.modalities else len(known)
    if lacking:
        which = "lack one of" if needed > 1 else "have none of"
        raise Unsupported(f"{lacking} of {len(known)} patients {which} {', '.join(others)}: leave them out")
    asked = space.questions(known, others, by) if by else space.sums(known, others)
    logits = space.scale * (asked.astype(float) @ classes.T)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    frame = pd.DataFrame(shares / shares.sum(1, keepdims=True), columns=[f"p_{name}" for name in prompts])
    frame.insert(0, "pattern", known.pattern())
    frame.index = pd.Index(known.ids, name="patient", dtype=object)
    ordered: pd.DataFrame = frame.iloc[known.order]
    return ordered
