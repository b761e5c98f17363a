"""What is said of a label in a contrast, as numbers: hashed pieces of words, or what an encoder of text makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.fitting.label_sentences import read_sentences

HASHED, LEARNT, NONE = "hashed", "learnt", "none"
NUMBERS = 512


def sentence(contrast: str, label: str) -> str:
    """What is said of a label in a contrast, as 'A ct of kidney'; without a contrast 'An image of kidney'."""
    said = f"A {contrast} of {label}" if contrast else f"An image of {label}"
    return said.replace("_", " ")


def words_of(contrasts: Sequence[str], labels: Sequence[str], encoder: str) -> np.ndarray:
    """Numbers `(M, K, E)`, float32, of what is said of each label in each contrast; nothing in them is trained.

    Args:
        encoder: `hashed`, pieces of two to four letters hashed to 512 numbers; `learnt`, the same, from where a table
            is learnt; `none`, hashed without the contrast; else a frozen encoder of text as a manifest names it, whose
            tokens are averaged.

    Raises:
        Unsupported: the encoder reads no text, or is fitted on a cohort.
    """
    texts = [sentence("" if encoder == NONE else contrast, label) for contrast in contrasts for label in labels]
    if encoder in (HASHED, LEARNT, NONE):
        from sklearn.feature_extraction.text import HashingVectorizer  # type: ignore[import-untyped]

        pieces = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=NUMBERS)
        numbers = np.asarray(pieces.transform(texts).toarray()) * np.sqrt(NUMBERS)  # each of a mean square of one
    else:
        tokens = read_sentences(texts, encoder)
        real = tokens.mask[..., None]
        numbers = ((tokens.values * real).sum(1) / real.sum(1).clamp_min(1)).double().numpy()
    told: np.ndarray = numbers.reshape(len(contrasts), len(labels), -1).astype(np.float32)
    return told
