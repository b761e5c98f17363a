"""How alike embeddings of the same patients are, by dissimilarities and by kernels, and how layers get to the last."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.evaluation.embeddings.spread import participation_ratio, principal_components
from chiasm.metrics.similarity import cka, compare_dissimilarities, dissimilarity_matrix

Floats = NDArray[np.float64]
MOST = 1_000  # patients, whose pairs are half a million
LIKENESS = ("first", "second", "patients", "rsa", "cka", "cka_debiased")
STAGES = ("stage", "width", "participation", "first_share", "ten_share", "cka_before", "cka_last", "rsa_last")


def likeness(embeddings: Mapping[str, Floats], *, seed: int = 0) -> pd.DataFrame:
    """Compare every two embeddings (n, D) of the same patients, with the columns `LIKENESS`.

    `rsa` is Spearman's rho of the two matrices of dissimilarities (1 - Pearson's r) between patients; `cka` is linear
    CKA, near 1 for noise where columns outnumber patients, and `cka_debiased` does not have that bias. All are 1 for an
    embedding and itself, and CKA also for a rotation or a scale of it. Of more than 1,000 patients, 1,000 are drawn.
    """
    rows = _drawn(_patients(embeddings), seed)
    kept = {name: own[rows] for name, own in embeddings.items()}
    apart = {name: dissimilarity_matrix(own) if own.shape[1] > 1 else None for name, own in kept.items()}
    found = []
    for first, second in combinations(kept, 2):
        one, two = apart[first], apart[second]
        rsa = np.nan if one is None or two is None else compare_dissimilarities(one, two)
        a, b = kept[first], kept[second]
        found.append((first, second, len(rows), rsa, cka(a, b), cka(a, b, debiased=True)))
    return pd.DataFrame(found, columns=list(LIKENESS))


def stages(embeddings: Mapping[str, Floats], *, seed: int = 0) -> pd.DataFrame:
    """Describe the layers of a network, or checkpoints of one, in their order, with the columns `STAGES`.

    Of each stage the number of directions that it uses (`participation_ratio`), the share of variance in its first and
    its first ten principal components, and how alike it is to the stage before and to the last one. The analysis of
    features through training is that of SUFO (Zhang et al.), of layers that of Kornblith et al., ICML 2019.

    Args:
        embeddings: stage to vectors (n, D) of the same patients.
    """
    rows = _drawn(_patients(embeddings), seed)
    names = list(embeddings)
    last, found = embeddings[names[-1]][rows], []
    for place, name in enumerate(names):
        own = embeddings[name][rows]
        share = principal_components(own, min(10, *own.shape)).share
        before = np.nan if place == 0 else cka(embeddings[names[place - 1]][rows], own)
        rsa = (
            compare_dissimilarities(dissimilarity_matrix(own), dissimilarity_matrix(last))
            if own.shape[1] > 1
            else np.nan
        )
        found.append(
            (name, own.shape[1], participation_ratio(own), share[0], share.sum(), before, cka(own, last), rsa)
        )  # fmt: skip
    return pd.DataFrame(found, columns=list(STAGES))


def _patients(embeddings: Mapping[str, Floats]) -> int:
    """Number of patients, the same of all.

    Raises:
        ValueError: there is no embedding, or they are of different patients.
    """
    sizes = {len(own) for own in embeddings.values()}
    if len(sizes) != 1:
        raise ValueError("embeddings are compared of the same patients in the same order: give one row for each")
    return sizes.pop()


def _drawn(patients: int, seed: int) -> NDArray[np.int_]:
    rng = np.random.default_rng(seed)
    return np.sort(rng.permutation(patients)[:MOST])
