"""What a column, or a set of columns, is worth to a fitted model: by shuffling it among patients of one pattern.

    size = mean over patients i and permutations r of |f(x_i) - f(x_i with the columns of donor_r(i))|
    loss = M(f) - mean over r of M(f with these columns shuffled)

`donor_r(i)` has the same modalities as i, so that absent stays absent and who has what stays as it was; M is the
primary metric on the patients of known outcome who have the modality. Columns of a set are shuffled together, which
keeps how they go with each other. Intervals are of drawing patients (groups, where there are some) and permutations
again, given the fitted model. Columns that say the same share what they are worth: shuffling one leaves the other.
Source: Breiman, Random Forests, Machine Learning 45, 2001; Fisher, Rudin and Dominici, JMLR 20(177), 2019. Here a
permutation stays within a pattern of present modalities, and nobody keeps his own values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]

from chiasm.cohort import Cohort, Outcome
from chiasm.compute.isolation import seeded
from chiasm.metrics.scores import METRICS, score
from chiasm.models.explain.pieces import Piece
from chiasm.models.explain.shuffling import Predicts, Shuffles, shuffled_predictions, shuffles_of

Array = NDArray[np.float64]
DRAWS, DRAWS_OF_LOSS = 1000, 100


@dataclass(frozen=True)
class Scoring:
    """The outcomes by which the loss is told: kind of target, outcome of all B patients, names of classes or labels."""

    kind: str
    outcome: Outcome
    names: tuple[str, ...]

    @property
    def metric(self) -> str:
        """The primary metric."""
        return METRICS[self.kind][0].id


@dataclass(frozen=True)
class Worth:
    """What a piece is worth.

    Args:
        piece: what was shuffled.
        size: of each output the mean absolute change with its interval, `(O, 3)`; NaN where not estimable.
        loss: what the primary metric loses, with its interval, `(3,)`; NaN where not estimable.
        halves: `(R, 2)` the mean absolute change in either half, over the outputs that answer.
        shuffles: who was shuffled.
    """

    piece: Piece
    size: Array
    loss: Array
    halves: Array
    shuffles: Shuffles


def worth_of(
    predict: Predicts,
    cohort: Cohort,
    pieces: Sequence[Piece],
    answers: Sequence[str],
    *,
    permutations: int,
    seed: int,
    scoring: Scoring | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Worth]:
    """Shuffle each piece and tell what changes, in the order of `pieces`.

    Args:
        predict: from patients to outputs, in the order of their ids.
        cohort: encoded patients, with nothing but the modalities that the model reads.
        answers: the outputs that answer the target, without those at horizons.
        permutations: how often each piece is shuffled, R.
        scoring: None tells no loss.
        progress: called with (finished, all) permutations of pieces.
    """
    found: dict[Piece, Worth] = {}
    done, everything = 0, len(pieces) * permutations
    for modality in dict.fromkeys(piece.modality for piece in pieces):
        own = [piece for piece in pieces if piece.modality == modality]
        shuffles = shuffles_of(cohort, modality, permutations, seed)
        if not len(shuffles.rows):
            done += len(own) * permutations
            nothing = np.full((0, 3), np.nan), np.full(3, np.nan), np.full((permutations, 2), np.nan)
            found |= {piece: Worth(piece, *nothing, shuffles) for piece in own}
            continue
        told = _Told(cohort, predict(cohort.subset(shuffles.rows)), shuffles, answers, scoring, seed)
        for place, k, shuffled in shuffled_predictions(predict, cohort, own, shuffles):
            told.add(k, shuffled)
            if k == permutations - 1:
                found[own[place]] = told.worth(own[place])
            done += 1
            if progress is not None:
                progress(done, everything)
    return [found[piece] for piece in pieces]


class _Told:
    """Collects the permutations of one piece after another, and sums each up."""

    def __init__(
        self,
        cohort: Cohort,
        whole: pd.DataFrame,
        shuffles: Shuffles,
        answers: Sequence[str],
        scoring: Scoring | None,
        seed: int,
    ) -> None:
        self.shuffles, self.scoring = shuffles, scoring
        self.whole = whole.to_numpy(np.float64)
        self.answering = [list(whole.columns).index(name) for name in answers]
        rng = np.random.default_rng(seeded(seed, "draws"))
        groups = None if cohort.group is None else cohort.group[shuffles.rows]
        n, often = len(shuffles.rows), shuffles.permutations
        self.patients = _drawn(rng, n, groups, DRAWS) / n
        self.times = rng.multinomial(often, np.full(often, 1 / often), size=DRAWS) / often  # (D, R)
        self.changes = np.zeros((often, *self.whole.shape))
        self.losses = np.full((often, 1 + DRAWS_OF_LOSS), np.nan)
        if scoring is not None:
            self.outcome = scoring.outcome.take(shuffles.rows)
            self.weights = np.concatenate([np.ones((1, n)), self.patients[:DRAWS_OF_LOSS] * n])
            self.score = self._scored(whole)

    def add(self, k: int, shuffled: pd.DataFrame) -> None:
        """Note what permutation k changes."""
        self.changes[k] = np.abs(shuffled.to_numpy(np.float64) - self.whole)
        if self.scoring is not None:
            self.losses[k] = self.score - self._scored(shuffled)

    def worth(self, piece: Piece) -> Worth:
        """Sum up the permutations of a piece."""
        often, _, outputs = self.changes.shape
        size = np.full((outputs, 3), np.nan)
        for place in range(outputs):
            own = self.changes[:, :, place]
            drawn = ((self.patients @ own.T) * self.times).sum(axis=1)
            size[place] = own.mean(), *np.quantile(drawn, [0.025, 0.975])
        answered = self.changes[:, :, self.answering].mean(axis=2)  # (R, n)
        halves = [[answered[k, self.shuffles.half[k] == side].mean() for side in (False, True)] for k in range(often)]
        return Worth(piece, size, self._loss(), np.array(halves), self.shuffles)

    def _loss(self) -> Array:
        point, drawn = self.losses[:, 0], self.losses[:, 1:]
        if self.scoring is None or not np.isfinite(point).all():
            return np.full(3, np.nan)
        means = (self.times[:DRAWS_OF_LOSS] * drawn.T).sum(axis=1)
        known = means[np.isfinite(means)]
        if len(known) < 0.8 * len(means):
            return np.array([point.mean(), np.nan, np.nan])
        return np.array([point.mean(), *np.quantile(known, [0.025, 0.975])])

    def _scored(self, predicted: pd.DataFrame) -> Array:
        assert self.scoring is not None
        kind, metric = self.scoring.kind, self.scoring.metric
        frame = predicted.reset_index(drop=True)
        return score(kind, frame, self.outcome, self.scoring.names, self.weights, metrics=[metric])[metric]


def _drawn(rng: np.random.Generator, n: int, groups: NDArray[np.str_] | None, draws: int) -> Array:
    """Draw n patients with replacement, `(draws, n)` how often each; groups as a whole, and who has none alone."""
    if groups is None:
        return np.asarray(rng.multinomial(n, np.full(n, 1 / n), size=draws), np.float64)
    alone = np.array([f"\0{row}" if group == "" else group for row, group in enumerate(groups)])
    _, own = np.unique(alone, return_inverse=True)
    units = int(own.max()) + 1
    taken = rng.multinomial(units, np.full(units, 1 / units), size=draws)[:, own].astype(np.float64)
    return np.asarray(taken * (n / np.maximum(taken.sum(axis=1, keepdims=True), 1)))


def screened(
    cohort: Cohort, modality: str, columns: Sequence[str], whole: pd.DataFrame, answers: Sequence[str], most: int
) -> list[str]:
    """Return the `most` columns whose ranks go most with those of a model's answers, within patterns; no outcome.

    Of several answers, that which a column goes with most counts.

    Args:
        whole: predictions of all patients of the cohort, in the order of their ids.
    """
    rows = cohort.rows_of(modality)
    _, pattern = cohort.patterns()
    frame = cohort.raw(modality, rows)
    frame.columns = frame.columns.map(str)
    values = frame[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    found = np.zeros((len(answers), len(columns)))
    wide, tall = np.zeros(len(columns)), np.zeros((len(answers), 1))
    for own in np.unique(pattern[rows]):
        here = pattern[rows] == own
        x = rankdata(np.where(np.isnan(values[here]), np.nanmedian(values[here], axis=0), values[here]), axis=0)
        y = rankdata(whole.iloc[rows[here]][list(answers)].to_numpy(np.float64), axis=0)
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        found += y.T @ x
        wide += (x**2).sum(axis=0)
        tall += (y**2).sum(axis=0)[:, None]
    scale = np.sqrt(wide * tall)
    together = np.abs(found / np.where(scale > 0, scale, np.inf)).max(axis=0)
    return [columns[place] for place in np.argsort(-together, kind="stable")[:most]]
