"""What a column, or a set of columns, is worth to a fitted model: by shuffling it among patients of one pattern.

    size = mean over patients i and permutations r of |f(x_i) - f(x_i with the columns of donor_r(i))|
    loss = M(f) - mean over r of M(f with these columns shuffled)

`donor_r(i)` has the same modalities as i, so that absent stays absent and who has what stays as it was; M is the
primary metric on the patients of known outcome who have the modality. Columns of a set are shuffled together, which
keeps how they go with each other. Columns that say the same share what they are worth: shuffling one leaves the other.

Intervals are of drawing patients (groups, where there are some) again, given the fitted model. A size is a mean over
pairs, and both of a pair are drawn: with w_i how often patient i is, pair (i, d) counts w_i w_d,

    size* = sum over pairs of w_i w_d |f(x_i) - f(x_i with d's columns)| / sum over pairs of w_i w_d

and so in the loss M is weighted, with and without the shuffling alike. What the few pairs of R permutations leave to
chance is counted about three times, so that an interval is rather wide where R is 2 and right where it is 20. That of
a size is of percentiles; that of a loss, for which draws are dear, is 1.96 standard deviations of 100 draws to a side.
Source: Breiman, Random Forests, Machine Learning 45, 2001; Fisher, Rudin and Dominici, JMLR 20(177), 2019; of drawing
both of a pair Arcones and Gine, Annals of Statistics 20, 1992. Here a permutation stays within a pattern of present
modalities, and nobody keeps his own values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from chiasm.cohort import Cohort, Outcome
from chiasm.compute.isolation import seeded
from chiasm.evaluation.estimates import MAX_MISSING, percentile_interval
from chiasm.evaluation.intervals import bootstrap_weights
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
        told = _Told(predict(cohort.subset(shuffles.rows)), shuffles, answers, scoring, seed)
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
        self, whole: pd.DataFrame, shuffles: Shuffles, answers: Sequence[str], scoring: Scoring | None, seed: int
    ) -> None:
        self.shuffles, self.scoring = shuffles, scoring
        self.whole = whole.to_numpy(np.float64)
        self.answering = [list(whole.columns).index(name) for name in answers]
        rng = np.random.default_rng(seeded(seed, "draws"))
        n, often = len(shuffles.rows), shuffles.permutations
        self.drawn = bootstrap_weights(n, DRAWS, rng, shuffles.unit).astype(np.float64)  # (D, n)
        self.pairs = self._over_pairs(np.ones((often, n)))
        self.changes = np.zeros((often, *self.whole.shape))
        self.losses = np.full((often, 1 + DRAWS_OF_LOSS), np.nan)
        if scoring is not None:
            self.outcome = scoring.outcome.take(shuffles.rows)
            own = self.drawn[:DRAWS_OF_LOSS]
            self.weights = [np.concatenate([np.ones((1, n)), own * own[:, donors]]) for donors in shuffles.donors]
            self.scores = [self._scored(whole, k) for k in range(often)]

    def add(self, k: int, shuffled: pd.DataFrame) -> None:
        """Note what permutation k changes."""
        self.changes[k] = np.abs(shuffled.to_numpy(np.float64) - self.whole)
        if self.scoring is not None:
            self.losses[k] = self.scores[k] - self._scored(shuffled, k)

    def worth(self, piece: Piece) -> Worth:
        """Sum up the permutations of a piece."""
        often, _, outputs = self.changes.shape
        size = np.full((outputs, 3), np.nan)
        for place in range(outputs):
            own = self.changes[:, :, place]
            drawn = self._over_pairs(own) / np.where(self.pairs > 0, self.pairs, np.nan)
            size[place] = own.mean(), *percentile_interval(drawn)
        answered = self.changes[:, :, self.answering].mean(axis=2)  # (R, n)
        halves = [[answered[k, self.shuffles.half[k] == side].mean() for side in (False, True)] for k in range(often)]
        return Worth(piece, size, self._loss(), np.array(halves), self.shuffles)

    def _over_pairs(self, values: Array) -> Array:
        """Sum `(R, n)` values of pairs of a patient and a donor, each as often as both are drawn, `(D,)`."""
        often, n = values.shape
        places = np.tile(np.arange(n), often), self.shuffles.donors.reshape(-1)
        matrix = csr_array((values.reshape(-1), places), shape=(n, n))  # entries of one place are summed
        return np.asarray((self.drawn * (matrix @ self.drawn.T).T).sum(axis=1), np.float64)

    def _loss(self) -> Array:
        point, drawn = self.losses[:, 0], self.losses[:, 1:]
        if self.scoring is None or not np.isfinite(point).all():
            return np.full(3, np.nan)
        means = drawn.mean(axis=0)
        known, mean = means[np.isfinite(means)], float(point.mean())
        if len(known) < (1 - MAX_MISSING) * len(means):
            return np.array([mean, np.nan, np.nan])
        beside = 1.96 * float(known.std(ddof=1))
        return np.array([mean, mean - beside, mean + beside])

    def _scored(self, predicted: pd.DataFrame, k: int) -> Array:
        assert self.scoring is not None
        kind, metric = self.scoring.kind, self.scoring.metric
        frame = predicted.reset_index(drop=True)
        return score(kind, frame, self.outcome, self.scoring.names, self.weights[k], metrics=[metric])[metric]
