"""The columns and sets of columns of a model, explained in the way that suits each, with what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chiasm.cohort import Cohort
from chiasm.errors import count
from chiasm.models.explain.column_checks import CHECKS, halves, judged, likeness
from chiasm.models.explain.column_loss import answers_of, said_of_loss, scoring_of, without_loss
from chiasm.models.explain.column_table import TABLE, linear_rows, matched, ranked, shuffled_rows, together
from chiasm.models.explain.columns import Worth, worth_of
from chiasm.models.explain.half_fits import agreement_of_fits, half_fits
from chiasm.models.explain.linear_columns import linear_columns, scale_of
from chiasm.models.explain.pieces import (
    MOST_PIECES,
    Piece,
    column_pieces,
    columns_read,
    named_columns,
    set_pieces,
)
from chiasm.models.explain.screening import screened, words_of
from chiasm.models.explain.shuffling import FEWEST_OF_A_PATTERN, MOST_PATIENTS, predicts
from chiasm.models.explain.soundness import WEIGHTS, model_of_nothing
from chiasm.protocols import Model


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
    sets = set_pieces(cohort, columns, asked.sets) if asked.sets is not None or not asked.only else []
    linear = linear_columns(model, cohort)
    answers = answers_of(model, whole, cohort)
    sorted_whole = whole.loc[list(cohort.ids)].drop(columns="pattern").reset_index(drop=True)
    chosen, said = _columns_shuffled(cohort, columns, linear, sorted_whole, answers, asked)
    pieces = [*sets, *chosen]
    scoring, why = scoring_of(model, cohort)
    if pieces:
        said.append(said_of_loss(model, cohort, scoring, why))
    nothing, how = model_of_nothing(model, cohort, asked.seed, progress) if asked.checks else (None, "")
    followed = None if progress is None else lambda done, of: progress("permutations", done, of)
    found = worth_of(
        predicts(model), cohort, pieces, answers, permutations=asked.permutations, seed=asked.seed, scoring=scoring,
        progress=followed,
    )  # fmt: skip
    said += [*_of_patients(found, grouped=cohort.group is not None), *without_loss(found, scoring)]
    outputs = [str(name) for name in sorted_whole]
    rows = together(shuffled_rows(found, outputs), linear_rows(linear, answers, columns, asked.only))
    table = ranked(rows, answers)
    if linear is not None:
        said.append(f"A coefficient is the change of {scale_of(model)} by one standard deviation of the column")
    checks = list(halves(found, asked.seed))
    if linear is not None and asked.checks:
        fits, why = half_fits(model, cohort, asked.seed, progress)
        if fits is not None:
            checks += agreement_of_fits(fits, cohort, answers, columns, asked.only, asked.seed)
        else:
            said.append(f"Whether models of two halves of the patients agree on coefficients is not known: {why}")
    if nothing is not None:
        told = _of_nothing(nothing, cohort, found, answers, asked, progress)
        table = table.assign(nothing=matched(table, told))
        checks += likeness(table, answers, asked.seed)
        whose = "" if how == WEIGHTS else " of the patients who are explained"
        said.append(f"The model of nothing has {how}{whose}")
    elif how:
        said.append(f"No model of nothing to compare with: {how}")
    frame = pd.DataFrame(checks, columns=list(CHECKS))
    return table[list(TABLE)], frame, [f"{own.removesuffix('.')}." for own in (*said, *judged(frame))]


def _columns_shuffled(
    cohort: Cohort,
    columns: dict[str, tuple[str, ...]],
    linear: pd.DataFrame | None,
    whole: pd.DataFrame,
    answers: Sequence[str],
    asked: Asked,
) -> tuple[list[Piece], list[str]]:
    """Choose what is shuffled: the columns that are named, or all of a narrow modality and some of a wide one.

    Returns:
        The columns, and sentences on those that are not shuffled.
    """
    if asked.only:
        return column_pieces(named_columns(columns, asked.only)), []
    chosen: dict[str, tuple[str, ...]] = {}
    said = []
    linear_of = set() if linear is None else set(linear["modality"])
    for name, own in columns.items():
        if len(own) <= asked.most:
            chosen[name] = own
        elif name in linear_of:
            said.append(
                f"'{name}' has {len(own):,} columns: each is told by its coefficient alone, without a loss or an "
                "interval; name those that are to be shuffled"
            )
        else:
            words = words_of(cohort, name, own)
            numbers = [column for column in own if column not in set(words)]
            first = screened(cohort, name, numbers, whole, answers, asked.most) if numbers else []
            chosen[name] = (*first, *words)
            also = f" and the {count(len(words), 'column')} of words, which have no rank" if words else ""
            said.append(
                f"'{name}' has {len(own):,} columns: shuffled are the {len(first):,} whose ranks go most with the "
                f"prediction{also}; the others are not told; name those that are to be shuffled"
            )
    return column_pieces(chosen), said


def _of_patients(found: Sequence[Worth], *, grouped: bool) -> Iterator[str]:
    groups = ", or too few groups, or one group in more than half of them" if grouped else ""
    for modality, shuffles in {worth.piece.modality: worth.shuffles for worth in found}.items():
        if not len(shuffles.rows):
            yield (
                f"'{modality}' is not estimable: nobody who has it is in a pattern of {FEWEST_OF_A_PATTERN} patients "
                f"or more, among whom it could be shuffled{', or too few groups are' if grouped else ''}"
            )
        elif shuffles.few:
            yield (
                f"'{modality}' is told without {count(shuffles.few, 'patient')} whose pattern of modalities fewer than "
                f"{FEWEST_OF_A_PATTERN} have{groups}"
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
    return together(shuffled_rows(told, outputs), linear)
