"""Find pairs of columns that give the outcome away together but not alone: u and u + y, a sum, a ratio."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.leaks.columns import knowing
from chiasm.cohort.leaks.questions import FEWEST, happened
from chiasm.cohort.sources import ColumnSource
from chiasm.errors import CohortError
from chiasm.targets import Outcome, Target
from chiasm.targets.reach import is_extreme

MOST_COLUMNS = 600
MOST_PATIENTS = 2_000
MOST_CONTRASTS = 20  # classes or labels that are screened
FEWEST_PATIENTS = 30
EXPLAINED = 0.7  # share of variance that makes a pair worth fitting; two classes with an AUROC of .99 have .73
GAINED = 0.1  # beyond the better column of the two
BY_CHANCE = 0.001
MOST_FITTED = 50

Array = NDArray[np.float64]
Pair = tuple[tuple[str, str], tuple[str, str]]  # (modality, column) twice


def knowing_pairs(cohort: Cohort, leaking: dict[str, list[str]]) -> list[Pair]:
    """List pairs of numeric columns of tables and omics blocks whose best linear combination gives the outcome away.

    All pairs within and across modalities are regressed on at once, by linear algebra on the sums of products, over the
    patients who have both; columns as they are, and the logarithms of positive ones (for a ratio or a product). A pair
    that explains much more than either column is fitted, and judged as a single column is (`knowing`). Columns that
    leak alone, `leaking`, are left out.

    Beyond 600 columns the widest modalities are left out whole, and beyond 2,000 patients as many are drawn: time
    grows with patients x columns squared. A single modality of more than 600 columns is not screened.
    """
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None:
        return []
    rows = np.flatnonzero(outcome.known)
    if len(rows) > MOST_PATIENTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_PATIENTS, replace=False))
    if len(rows) < FEWEST_PATIENTS:
        return []
    values, names = _columns(cohort, rows, leaking)
    if len(names) < 2:
        return []
    known = outcome.take(rows)
    found: dict[Pair, None] = {}
    for block, own in ((values, names), _logarithms(values, names)):
        for label in _labels(target, known):
            for i, j in _candidates(block, label):
                if knowing(_fitted(block[:, [i, j]], label)[:, None], target, known)[0]:
                    found[own[i], own[j]] = None
    return list(found)


def _columns(
    cohort: Cohort, rows: NDArray[np.int_], leaking: dict[str, list[str]]
) -> tuple[Array, list[tuple[str, str]]]:
    """(n, P) numeric columns of the narrowest modalities, NaN where a patient lacks one, and (P,) their names."""
    blocks: list[tuple[str, Array, list[str]]] = []
    for modality in cohort.modalities:
        source = cohort.sources[modality]
        if not isinstance(source, ColumnSource) or source.kind not in ("table", "omics"):
            continue
        if len(source.columns) > 4 * MOST_COLUMNS:
            continue
        try:
            numbers = source.frame.select_dtypes(exclude="object")
        except CohortError:
            continue
        numbers = numbers[[name for name in numbers.columns if name not in leaking.get(modality, ())]]
        places = cohort.source_rows[modality][rows]
        block = np.full((len(rows), numbers.shape[1]), np.nan)
        block[places >= 0] = numbers.to_numpy(dtype=np.float64)[places[places >= 0]]
        block[~np.isfinite(block) | is_extreme(block)] = np.nan  # each is an error of the check by itself
        varying = np.array([np.ptp(own[~np.isnan(own)]) > 0 if (~np.isnan(own)).any() else False for own in block.T])
        kept = [name for name, varies in zip(numbers.columns, varying, strict=True) if varies]
        if kept:
            blocks.append((modality, block[:, varying], [str(name) for name in kept]))
    blocks.sort(key=lambda found: len(found[2]))
    used, width = [], 0
    for found in blocks:
        width += len(found[2])
        if width <= MOST_COLUMNS:
            used.append(found)
    values = np.concatenate([block for _, block, _ in used], axis=1) if used else np.zeros((len(rows), 0))
    return values, [(modality, name) for modality, _, columns in used for name in columns]


def _logarithms(values: Array, names: list[tuple[str, str]]) -> tuple[Array, list[tuple[str, str]]]:
    positive = np.array([bool((own[~np.isnan(own)] > 0).all()) for own in values.T], dtype=bool)
    return np.log(values[:, positive]), [name for name, is_positive in zip(names, positive, strict=True) if is_positive]


def _labels(target: Target, outcome: Outcome) -> Iterator[Array]:
    """Yield each (n,) response: membership of a class or a label, the number, the time, its logarithm, the event."""
    value = outcome.value
    if target.has_classes:
        codes, sizes = np.unique(value, return_counts=True)
        chosen = codes[sizes >= FEWEST]
        for code in chosen[1:] if len(codes) == 2 else chosen[:MOST_CONTRASTS]:
            yield (value == code).astype(float)
    elif target.has_labels:
        for column in value.T[:MOST_CONTRASTS]:
            if min((column == 1).sum(), (column == 0).sum()) >= FEWEST:
                yield column
    elif target.has_channels:
        yield from value.T[:MOST_CONTRASTS]
    else:
        yield value
        if target.has_times:
            yield np.log(value)
            event = happened(target, outcome)
            if min(event.sum(), (~event).sum()) >= FEWEST:
                yield event.astype(float)


def _candidates(values: Array, label: Array) -> list[tuple[int, int]]:
    """List pairs whose regression explains 70 % or more, 10 % more than either column, and more than chance would.

    With r the correlations over the patients who have both: R2 = (r1^2 + r2^2 - 2 r1 r2 r12) / (1 - r12^2).
    """
    known = ~np.isnan(label)
    x, y = values[known], label[known]
    filled = (~np.isnan(x)).astype(np.float64)
    spread = np.nanstd(x, axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    x = np.where(filled > 0, (np.where(filled > 0, x, 0.0) - np.nanmean(x, axis=0)) / scale, 0.0)
    y = (y - y.mean()) / (y.std() or 1.0)
    n = filled.T @ filled  # (P, P) patients who have both
    sums = x.T @ filled  # of column i over those
    squares, products = (x**2).T @ filled, x.T @ x
    of_label, label_squares = (filled * y[:, None]).T @ filled, (filled * (y**2)[:, None]).T @ filled
    crossed = (x * y[:, None]).T @ filled  # column i times the label
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares - sums**2 / n
        of_y = label_squares - of_label**2 / n
        r12 = (products - sums * sums.T / n) / np.sqrt(variance * variance.T)
        r = (crossed - sums * of_label / n) / np.sqrt(variance * of_y)  # r[i, j]: of column i with the label
        explained = (r**2 + r.T**2 - 2 * r * r.T * r12) / (1 - r12**2)
        chance = np.exp((n - 3) / 2 * np.log(np.clip(1 - explained, 1e-300, 1)))
    explained = np.where(np.isfinite(explained) & (explained <= 1 + 1e-6) & (1 - r12**2 > 1e-10), explained, 0.0)
    alone = np.maximum(r**2, r.T**2)
    good = (n >= FEWEST_PATIENTS) & (explained >= EXPLAINED) & (explained - alone >= GAINED)
    good &= chance * len(n) ** 2 / 2 < BY_CHANCE
    first, second = np.nonzero(np.triu(good, 1))
    order = np.argsort(-explained[first, second], kind="stable")[:MOST_FITTED]
    return [(int(first[k]), int(second[k])) for k in order]


def _fitted(pair: Array, label: Array) -> Array:
    """(n,) fitted values of the regression of a label on two columns, NaN for a patient who lacks one of them."""
    filled = ~np.isnan(pair).any(axis=1)
    rows = filled & ~np.isnan(label)
    centre, scale = pair[rows].mean(axis=0), pair[rows].std(axis=0)
    design = np.column_stack([np.ones(len(pair)), (pair - centre) / scale])
    weights = np.linalg.lstsq(design[rows], label[rows], rcond=None)[0]
    found = np.full(len(pair), np.nan)
    found[filled] = np.round(design[filled] @ weights, 9)  # so that rounding errors do not break ties
    return found
