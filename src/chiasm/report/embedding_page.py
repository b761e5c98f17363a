"""The page of embeddings: curves of learning, every figure, comparisons, and what the vectors look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from chiasm.report.embedding import draw_curves
from chiasm.report.page import filled
from chiasm.report.wording import interval, number, percent
from chiasm.shown import NOT_ESTIMABLE

TEMPLATE = "embedding.html.j2"


@dataclass(frozen=True)
class Line:
    """Row of a table: the names it is about, and its values as text."""

    names: list[str]
    texts: list[str]


def render_embedded(
    table: pd.DataFrame,
    spread: pd.DataFrame,
    likeness: pd.DataFrame,
    layers: pd.DataFrame,
    metric: str,
    chance: float,
    *,
    cohort: str,
    patients: int,
    folds: int,
    draws: int,
    sentences: Sequence[str],
    notes: Sequence[str],
    leaks: Sequence[str],
) -> str:
    """Render the page as text; no patient's value or identifier is on it.

    Args:
        table: of `evaluation.embeddings.judged`; spread, likeness, layers: of `api.embedding.Embedded`.
        metric: label of the primary metric, and its value by chance.
        cohort, patients, folds, draws: what was compared, and on how many test folds and draws of each part.
        sentences, notes, leaks: what the comparisons say, what a reader must know, and findings of the check.
    """
    rows = table.to_dict("records")
    return filled(
        TEMPLATE,
        title="What embeddings are worth",
        cohort=cohort,
        patients=patients,
        folds=folds,
        draws=draws,
        metric=metric,
        picture=draw_curves(table, metric, chance) if table["metric"].notna().any() else None,
        figures=[_figure(row) for row in rows],
        spread=[_spread(row) for row in spread.to_dict("records")],
        likeness=[_alike(row) for row in likeness.to_dict("records")],
        layers=[_layer(row) for row in layers.to_dict("records")],
        sentences=list(sentences),
        notes=list(notes),
        leaks=list(leaks),
    )


def _figure(row: Mapping[Any, Any]) -> Line:
    names = [row["embedding"], row["method"]]
    learned = f"{row['share']:g} %", f"{row['patients']:,.0f}"
    if row["why"]:
        return Line(names, [*learned, "too few to say", "", "", ""])
    apart = "" if not row["against"] else interval(*(row[f"difference{end}"] for end in ("", "_low", "_high")))
    against = row["against"] or ""
    return Line(names, [*learned, interval(row["metric"], row["low"], row["high"]), apart, against, row["outcome"]])


def _spread(row: Mapping[Any, Any]) -> Line:
    outliers = NOT_ESTIMABLE
    if row["outliers"] == row["outliers"]:
        outliers = f"{row['outliers']:,.0f} (by chance {row['outliers_expected']:.1f})"
    texts = [f"{row['width']:,}", f"{row['constant']:,}", percent(row["zeros"]), number(row["participation"], 1)]
    return Line([row["embedding"]], [*texts, f"{row['half']:,}", outliers])


def _alike(row: Mapping[Any, Any]) -> Line:
    texts = [f"{row['patients']:,}", number(row["rsa"]), number(row["cka"]), number(row["cka_debiased"])]
    return Line([row["first"], row["second"]], texts)


def _layer(row: Mapping[Any, Any]) -> Line:
    texts = [f"{row['width']:,}", interval(row["metric"], row["low"], row["high"]), number(row["participation"], 1)]
    texts += [percent(row["first_share"]), "" if row["cka_before"] != row["cka_before"] else number(row["cka_before"])]
    return Line([row["stage"]], [*texts, number(row["cka_last"]), number(row["rsa_last"])])
