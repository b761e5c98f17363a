"""The table of the protocol, each embedding beside the raw input at each share, and what that says in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from chiasm.evaluation.contrasts import UNKNOWN, Contrast, contrast
from chiasm.evaluation.embeddings.protocol import WHOLE, Curve, Key
from chiasm.evaluation.estimates import NOT_KNOWN, Estimate, estimate, estimate_of_labels
from chiasm.evaluation.folded import Folded
from chiasm.evaluation.sentences import contrast_sentence
from chiasm.fitting.embedded.learned import METHODS, PROBE
from chiasm.metrics.table import primary_label
from chiasm.targets import kind_of

COLUMNS = (
    "embedding", "width", "method", "share", "patients", "metric", "low", "high", "setting",
    "against", "difference", "difference_low", "difference_high", "outcome", "why",
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """The table, one row an embedding, method and share, and a sentence for each comparison, the smallest share first.

    `outcome` of a row is that of its comparison, "" where there is none; `difference` is NaN there.
    """

    table: pd.DataFrame
    sentences: tuple[str, ...]


def judged(
    known: Folded, found: Sequence[Curve], widths: dict[str, int], pairs: Sequence[tuple[str, str]], margin: float
) -> Judged:
    """Estimate every curve, and compare the named pairs of embeddings at each share and by each method.

    Args:
        widths: of each embedding, 0 where only the training patients decide it.
        pairs: (embedding, against); a row has the comparison of the first pair that its embedding begins.
        margin: smallest difference in the primary metric that is worth having.
    """
    kind = known.target.kind
    sizes = [(len(split.test), len(split.train)) for split in known.splits]
    n_test, n_train = (float(own) for own in np.mean(sizes, axis=0))
    by = {curve.key: curve for curve in found}
    metric, sentences, rows = primary_label(kind), [], []
    compared: dict[Key, tuple[str, Contrast, str]] = {}
    for ours, theirs, how in _compared(by, pairs):
        if ours.why or theirs.why:
            continue
        apart = contrast(ours.values, theirs.values, n_test=n_test, n_train=n_train)
        one, other = (ours.key[0], theirs.key[0]) if how else (_called(own.key) for own in (ours, theirs))
        outcome, said = contrast_sentence(one, other, apart, metric, margin)
        compared.setdefault(ours.key, (other, apart, outcome))
        learned = learned_from(ours.key[2], ours.patients)
        sentences.append(f"{how}{learned}: {said}" if how else f"{learned[:1].upper()}{learned[1:]}: {said}")
    for key, curve in by.items():
        name, method, share = key
        told = _estimated(kind, curve)
        against, apart, outcome = compared.get(key, ("", UNKNOWN, ""))
        shown = (0.0, np.nan, np.nan) if apart.same else apart.numbers
        rows.append(
            (name, widths.get(name, 0), method, share, curve.patients, told.mean, told.low, told.high, curve.setting,
             against, *shown, outcome, curve.why)
        )  # fmt: skip
    return Judged(pd.DataFrame(rows, columns=list(COLUMNS)), (*sentences, *_too_few(found)))


def _compared(by: dict[Key, Curve], pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[Curve, Curve, str]]:
    """Pairs of embeddings by each method that both are learned by, then adapted networks beside their frozen probe."""
    for method in dict.fromkeys(key[1] for key in by):
        for share in dict.fromkeys(key[2] for key in by):
            for one, other in pairs:
                if (one, method, share) in by and (other, method, share) in by:
                    yield by[one, method, share], by[other, method, share], f"By {method}, "
    for (name, method, share), curve in by.items():
        if method not in METHODS and (name, PROBE, share) in by:
            yield curve, by[name, PROBE, share], ""


def _called(key: Key) -> str:
    return f"{key[0]} by {key[1]}"


def learned_from(share: float, patients: float) -> str:
    """`learned from 1 % of the training patients (27)`."""
    if share >= WHOLE:
        return f"learned from all training patients ({patients:,.0f})"
    return f"learned from {share:g} % of the training patients ({patients:,.0f})"


def _estimated(kind: str, curve: Curve) -> Estimate:
    if curve.why:
        return NOT_KNOWN
    return estimate_of_labels(curve.values) if kind_of(kind).has_labels else estimate(*curve.values[0])


def _too_few(found: Sequence[Curve]) -> list[str]:
    """A sentence for each share of which nothing is told."""
    whys: dict[Any, str] = {curve.key[2]: curve.why for curve in found if curve.why}
    return [f"At {share:g} % of the training patients there are too few to say: {why}." for share, why in whys.items()]
