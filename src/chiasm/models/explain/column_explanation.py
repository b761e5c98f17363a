"""The columns and sets of columns of a model, explained in the way that suits each, with what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, Unsupported
from chiasm.errors import count
from chiasm.fitting.model import FittedModel
from chiasm.fitting.source_model import SourceModel
from chiasm.models.explain.column_table import FAMILY, PERMUTATION, TABLE, linear_rows, matched, ranked, shuffled_rows
from chiasm.models.explain.columns import Scoring, Worth, screened, worth_of
from chiasm.models.explain.linear_columns import linear_columns
from chiasm.models.explain.pieces import (
    MOST_PIECES,
    Piece,
    column_pieces,
    columns_read,
    named_columns,
    set_pieces,
)
from chiasm.models.explain.shuffling import FEWEST_OF_A_PATTERN, MOST_PATIENTS, predicts
from chiasm.models.explain.soundness import (
    FEWEST_RANKED,
    HIGH_LIKENESS,
    LOW_AGREEMENT,
    model_of_nothing,
    rank_agreement,
)
from chiasm.models.same_target import FittedFor, require_same_target
from chiasm.protocols import Model
from chiasm.targets import kind_of

HALVES, NOTHING = "halves", "nothing"
FITTED_ON_THESE = "The model was fitted on these very patients: what a column is worth to the metric is told too high."
CHECKS = ("check", "modality", "what", "way", "things", "correlation", "low", "high")


@dataclass(frozen=True)
class Asked:
    """What is asked of the columns: see `chiasm.explain_columns`."""

    sets: Path | str | None = None
    only: tuple[str, ...] = ()
    most: int = 64
    permutations: int = 5
    checks: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.permutations < 2:
            raise ValueError(f"permutations={self.permutations} have no interval: give 2 or more")
        if not 1 <= self.most <= MOST_PIECES:
            raise ValueError(f"most={self.most} columns: give a number between 1 and {MOST_PIECES:,}")


def columns_explained(
    model: Model,
    cohort: Cohort,
    whole: pd.DataFrame,
    asked: Asked,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Explain the columns that a model reads: the table, the checks of it, and what a reader is to know.

    Args:
        cohort: encoded patients, each with something that the model reads, and nothing else.
        whole: the model's prediction of them, in the cohort's row order.
    """
    columns = columns_read(model, cohort)
    sets = set_pieces(cohort, columns, asked.sets)
    linear = linear_columns(model, cohort)
    answers = answers_of(model, whole)
    sorted_whole = whole.loc[list(cohort.ids)].drop(columns="pattern").reset_index(drop=True)
    said: list[str] = []
    pieces = [*sets, *_columns_shuffled(cohort, columns, linear, sorted_whole, answers, asked, said)]
    scoring, why = scoring_of(model, cohort)
    if why:
        said.append(f"No loss of the metric is told: {why}.")
    elif isinstance(model, FittedModel) and SourceModel(cohort.name, model).learned_from(cohort):
        said.append(
            "The model was fitted on these very patients: what a column is worth to the metric is told too high."
        )
    followed = None if progress is None else lambda done, of: progress("permutations", done, of)
    found = worth_of(
        predicts(model), cohort, pieces, answers, permutations=asked.permutations, seed=asked.seed, scoring=scoring,
        progress=followed,
    )  # fmt: skip
    said += _of_patients(found)
    outputs = [str(name) for name in sorted_whole]
    rows = [shuffled_rows(found, outputs), *linear_rows(linear, answers, columns, asked.only)]
    table = ranked(pd.concat([own for own in rows if len(own)], ignore_index=True), answers)
    checks = list(_halves(found, asked.seed))
    if asked.checks:
        nothing, how = model_of_nothing(model, cohort, asked.seed)
        if nothing is None:
            said.append(f"No model of nothing to compare with: {how}.")
        else:
            told = _of_nothing(nothing, cohort, found, answers, asked, progress)
            table = table.assign(nothing=matched(table, told))
            checks += _likeness(table, answers, asked.seed)
            said += [f"The model of nothing has {how}."]
    frame = pd.DataFrame(checks, columns=list(CHECKS))
    return table[list(TABLE)], frame, [*said, *_judged(frame)]


def answers_of(model: Model, whole: pd.DataFrame) -> list[str]:
    """Return the outputs that answer the target; all outputs of a model that does not say what it answers."""
    if not isinstance(model, FittedModel):
        return [name for name in whole.columns if name != "pattern"]
    return kind_of(model.response.kind).answers(model.response.classes)


def scoring_of(model: Model, cohort: Cohort) -> tuple[Scoring | None, str]:
    """Return the outcomes that tell the loss, or why there are none."""
    if not isinstance(model, FittedFor):
        return None, "the model does not say what it was fitted for"
    try:
        target, outcome = require_same_target(model, cohort)
    except Unsupported as fault:
        return None, str(fault)
    if not outcome.known.any():
        return None, "nobody's outcome is known"
    return Scoring(target.kind, outcome, tuple(target.names)), ""


def _columns_shuffled(
    cohort: Cohort,
    columns: dict[str, tuple[str, ...]],
    linear: pd.DataFrame | None,
    whole: pd.DataFrame,
    answers: Sequence[str],
    asked: Asked,
    said: list[str],
) -> list[Piece]:
    """Choose what is shuffled: the columns that are named, or all of a narrow modality and some of a wide one."""
    if asked.only:
        return column_pieces(named_columns(columns, asked.only))
    chosen = {}
    linear_of = set() if linear is None else set(linear["modality"])
    for name, own in columns.items():
        if len(own) <= asked.most:
            chosen[name] = own
        elif name in linear_of:
            said.append(
                f"'{name}' has {len(own):,} columns: each is told by its coefficient, for one standard deviation; name "
                "those that are to be shuffled"
            )
        else:
            chosen[name] = tuple(screened(cohort, name, own, whole, answers, asked.most))
            said.append(
                f"'{name}' has {len(own):,} columns: shuffled are the {len(chosen[name]):,} whose ranks go most with "
                "the prediction, and the others are not told; name those that are to be shuffled"
            )
    return column_pieces(chosen)


def _of_patients(found: Sequence[Worth]) -> Iterator[str]:
    for modality, shuffles in {worth.piece.modality: worth.shuffles for worth in found}.items():
        if not len(shuffles.rows):
            yield (
                f"'{modality}' is not estimable: nobody who has it is in a pattern of {FEWEST_OF_A_PATTERN} patients "
                "or more, among whom it could be shuffled"
            )
        elif shuffles.few:
            yield (
                f"'{modality}' is told without {count(shuffles.few, 'patient')} whose pattern of modalities fewer than "
                f"{FEWEST_OF_A_PATTERN} have"
            )
        if shuffles.drawn_from:
            yield f"'{modality}' is told by {MOST_PATIENTS:,} of {shuffles.drawn_from:,} patients, drawn at random"


def _of_nothing(
    nothing: Model,
    cohort: Cohort,
    found: Sequence[Worth],
    answers: Sequence[str],
    asked: Asked,
    progress: Callable[[str, int, int], None] | None,
) -> pd.DataFrame:
    """Ask the model of nothing for the same pieces, with two permutations, and for its coefficients."""
    followed = None if progress is None else lambda done, of: progress("permutations of a model of nothing", done, of)
    pieces = [worth.piece for worth in found]
    predict = predicts(nothing)
    outputs = [str(name) for name in predict(cohort.subset([0]))]
    told = worth_of(predict, cohort, pieces, answers, permutations=2, seed=asked.seed, progress=followed)
    linear = linear_rows(linear_columns(nothing, cohort), answers, columns_read(nothing, cohort), asked.only)
    return pd.concat([own for own in (shuffled_rows(told, outputs), *linear) if len(own)])


def _halves(found: Sequence[Worth], seed: int) -> Iterator[tuple[object, ...]]:
    families = dict.fromkeys((worth.piece.modality, worth.piece.what) for worth in found)
    for modality, what in families:
        own = [worth for worth in found if (worth.piece.modality, worth.piece.what) == (modality, what)]
        halves = np.stack([worth.halves for worth in own], axis=1)  # (R, P, 2)
        agreed = rank_agreement(halves[..., 0], halves[..., 1], seed)
        yield HALVES, modality, what, PERMUTATION, len(own), *agreed


def _likeness(table: pd.DataFrame, answers: Sequence[str], seed: int) -> Iterator[tuple[object, ...]]:
    answered = table[table["output"].isin(answers)]
    for family, rows in answered.groupby(FAMILY, sort=False):
        sizes = rows.groupby("name", sort=False)[["size", "nothing"]].mean()
        first, second = sizes["size"].to_numpy()[None], sizes["nothing"].to_numpy()[None]
        alike = rank_agreement(first, second, seed) if np.isfinite(second).all() else (np.nan,) * 3
        yield NOTHING, *family, len(sizes), *alike


def _judged(checks: pd.DataFrame) -> Iterator[str]:
    """Say what speaks against an order of columns."""
    for row in checks.to_dict("records"):
        things = f"the {row['what']}s of '{row['modality']}' by {row['way']}"
        found = f"rank correlation {row['correlation']:.2f}, {row['low']:.2f} to {row['high']:.2f}"
        if row["things"] < FEWEST_RANKED:
            continue
        if np.isnan(row["correlation"]):
            yield f"Whether the order of {things} can be leaned on is not estimable"
        elif row["check"] == HALVES and row["correlation"] < LOW_AGREEMENT:
            yield f"The order of {things} differs between two halves of the patients ({found}): do not lean on it"
        elif row["check"] == NOTHING and row["low"] > HIGH_LIKENESS:
            yield (
                f"The order of {things} is much that of a model that has learned nothing ({found}): it tells how the "
                "columns are spread and go together, more than what was learned"
            )
