"""Public functions to explain a model's predictions: by modality, by column and by token."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.api.encoding import encode_for
from chiasm.api.external import read_by, told_by
from chiasm.api.token_pictures import draw_tokens
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.encode import Encoded
from chiasm.errors import hush_findings
from chiasm.models.explain.column_explanation import Asked, columns_explained
from chiasm.models.explain.column_loss import answers_of
from chiasm.models.explain.column_table import shown_first
from chiasm.models.explain.shares import mean_shares, modality_shares
from chiasm.models.explain.token_explanation import tokens_explained
from chiasm.models.numbers_only import require_numbers
from chiasm.protocols import Model


@dataclass(frozen=True, repr=False)
class Explanation:
    """What each modality brings to the predictions of a model.

    Attributes:
        shares: one row a patient, output and modality: `patient, pattern, output, prediction, base, modality, share`.
        summary: one row an output and modality: `output, modality, patients, mean, size, low, high`, where `size` is
            the mean absolute share of those who have the modality, with the 95 % interval of drawing patients.
        problems: what could not be read and counts as absent.
        notes: what the model warned of: values far outside of training, levels that it does not know.
        left_out: number of patients who have no modality that the model reads.
    """

    shares: pd.DataFrame
    summary: pd.DataFrame
    problems: tuple[Any, ...]
    notes: tuple[str, ...]
    left_out: int

    def __repr__(self) -> str:
        return f"Explanation of {self.shares['patient'].nunique():,} patients"


def explain(
    model: Model, cohort: Given, *, progress: Callable[[str, int, int], None] | None = None, seed: int = 0
) -> Explanation:
    """Split each patient's prediction among the modalities, exactly: see `chiasm.models.explain.shares`.

    Args:
        model: a fitted model.
        cohort: patients, whose outcome is not read; or the path of a manifest, which is encoded first.
        progress: called with ("subsets", finished, all), and before with (modality, finished, all) sources.
        seed: of the draws of patients for the intervals.

    Raises:
        Unsupported: fewer than two patients, more than eight modalities, nothing that the model reads, or a patient
            that it does not predict.
    """
    known, names, found, left_out = _read(model, cohort, progress)
    whole, notes = told_by(model, known)
    step = None if progress is None else lambda done, of: progress("subsets", done, of)
    with warnings.catch_warnings():
        hush_findings()  # the subsets would say again what all have said
        shares = modality_shares(model, known, names, whole=whole, progress=step)
    return Explanation(shares, mean_shares(shares, seed=seed), tuple(found.problems), tuple(notes), left_out)


@dataclass(frozen=True, repr=False)
class ColumnExplanation:
    """What columns, and sets of them, are worth to a model.

    Attributes:
        table: one row a column or set, way and output: `modality, what, name, columns, way, output, rank, patients,
            size, low, high, loss, loss_low, loss_high, effect, nothing, note`. `size` is the mean absolute change of
            the output when it is shuffled, or the absolute change of the link by one standard deviation where the way
            is "coefficient", whose sign is that of `effect`; `loss` is what the primary metric loses; `nothing` is the
            size by a model that has learned nothing. NaN where it is not estimable.
        checks: how the order of columns agrees between halves of the patients, and is that of a model of nothing;
            `note` says why there is no correlation.
        answers: the outputs that answer the target.
        said: what a reader is to know, in sentences.
        problems: what could not be read and counts as absent.
        notes: what the model warned of.
        left_out: number of patients who have no modality that the model reads.
    """

    table: pd.DataFrame
    checks: pd.DataFrame
    answers: tuple[str, ...]
    said: tuple[str, ...]
    problems: tuple[Any, ...]
    notes: tuple[str, ...]
    left_out: int

    def __repr__(self) -> str:
        own = self.table.drop_duplicates(["modality", "what", "name"])
        return f"ColumnExplanation of {len(own):,} columns and sets"

    def top(self, most: int = 10) -> pd.DataFrame:
        """Return the first of each modality and way, in order, of each the answer that it moves most."""
        return shown_first(self.table, self.answers, most)


def explain_columns(
    model: Model,
    cohort: Given,
    *,
    sets: Path | str | None = None,
    only: Sequence[str] = (),
    most: int = 64,
    permutations: int = 5,
    checks: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
    seed: int = 0,
) -> ColumnExplanation:
    """Tell what each column of tables and omics, and each set of columns, is worth to a model.

    A column is shuffled among patients of the same modalities (`chiasm.models.explain.columns`); of a linear model its
    coefficient is told too (`chiasm.models.explain.linear_columns`). A modality of more than `most` columns is told by
    sets, and by coefficients; where the model is not linear, by the `most` columns whose ranks go most with its
    prediction.

    Args:
        model: a fitted model.
        cohort: patients; where their outcome is known, what the primary metric loses is told.
        sets: a GMT file of sets of columns; None takes the `groups` of the manifest.
        only: the only columns to explain, `TP53` or `rna:TP53`, up to 2,000; of sets then only those of `sets`.
        most: number of columns up to which all are shuffled.
        permutations: how often each is shuffled.
        checks: also explain a model that has learned nothing: a network of fresh weights, or else the recipe fitted
            again to shuffled outcomes of these patients.
        progress: called with (what, finished, all).
        seed: of permutations and draws.

    Raises:
        Unsupported: the model reads no columns, or none of a name that is asked for; or nobody has what it reads.
        CohortError: the file of sets cannot be read, or names no column of the model.
    """
    asked = Asked(sets, tuple(only), most, permutations, checks, seed)
    known, _, found, left_out = _read(model, cohort, progress)
    whole, notes = told_by(model, known)
    with warnings.catch_warnings():
        hush_findings()
        table, told, said = columns_explained(model, known, whole, asked, progress)
    answers = tuple(answers_of(model, whole, known))
    return ColumnExplanation(table, told, answers, tuple(said), tuple(found.problems), tuple(notes), left_out)


@dataclass(frozen=True, repr=False)
class TokenExplanation:
    """What each token of each patient brings to a network's link.

    Attributes:
        table: one row a patient, output, modality and token: `patient, output, modality, token, name, hours, share,
            rank`, the tokens of a modality counted from 1, `rank` among all of a patient.
        summary: one row an output, modality and named token, with mean share, mean absolute share and its 95 % interval
            of drawing patients; of a bag the sum of its tokens, and its foremost one.
        checks: how the order of tokens agrees between halves of the patients, and is that of random weights.
        said: what a reader is to know, in sentences.
        drawn: pictures that were written.
        problems: what could not be read and counts as absent.
        notes: what the model warned of.
        left_out: number of patients who have no modality that the model reads.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    checks: pd.DataFrame
    said: tuple[str, ...]
    drawn: tuple[Path, ...]
    problems: tuple[Any, ...]
    notes: tuple[str, ...]
    left_out: int

    def __repr__(self) -> str:
        return f"TokenExplanation of {self.table['patient'].nunique():,} patients"


def explain_tokens(
    model: Model,
    cohort: Given,
    *,
    baseline: str = "mean",
    steps: int = 32,
    checks: bool = True,
    draw: Path | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    seed: int = 0,
) -> TokenExplanation:
    """Split each patient's link among tokens, by integrated gradients of a network: `chiasm.models.explain.gradients`.

    Args:
        model: a fitted model that is one network.
        cohort: patients, whose outcome is not read; or the path of a manifest, which is encoded first.
        baseline: "mean", the mean token of these patients, or "zero".
        steps: points on the way from the baseline to a patient.
        checks: also ask a network of random weights.
        draw: a folder for pictures of the first patients who have an image, a volume, a slide or a bag with `coords`.
        progress: called with (what, finished, all).
        seed: of random weights, halves and draws.

    Raises:
        Unsupported: the model is not one network, nobody has what it reads, or captum is missing.
        ValueError: there is no such baseline, or fewer than two steps.
    """
    opened = as_cohort(cohort)
    known, _, found, left_out = _read(model, opened, progress)
    _, notes = told_by(model, known)
    with warnings.catch_warnings():
        hush_findings()
        table, summary, told, said = tokens_explained(
            model, known, baseline=baseline, steps=steps, checks=checks, seed=seed, progress=progress
        )
    drawn: list[Path] = []
    if draw is not None:
        drawn, more = draw_tokens(table, opened, known, Path(draw))
        said += more
    problems = tuple(found.problems)
    return TokenExplanation(table, summary, told, tuple(said), tuple(drawn), problems, tuple(notes), left_out)


def _read(
    model: Model, cohort: Given, progress: Callable[[str, int, int], None] | None
) -> tuple[Cohort, list[str], Encoded, int]:
    """Encode what a model reads: the patients who have some of it, its modalities, and how many have none.

    Raises:
        Unsupported: the cohort has nothing that the model reads, or nobody has; or the model says a text.
    """
    require_numbers(model, "An explanation is")
    found = encode_for(model, as_cohort(cohort), progress=progress)
    names = read_by(model, found.cohort)
    if not names:
        raise Unsupported("the cohort has no modality that the model reads: there is nothing to explain")
    known = found.cohort.with_modalities(names)
    there = np.asarray(known.present.any(axis=1))
    known = known.subset(there)
    if not len(known):
        raise Unsupported("nobody of the cohort has a modality that the model reads: there is nothing to explain")
    return known, names, found, int((~there).sum())
