"""Metrics of boxes: average precision as COCO defines it, and how many there are of each label.

A box that is found is right where it has the label of one that was drawn and enough of an overlap with it, each of the
latter being found once. Values are those of all draws of a bootstrap at once: what is found in an image is held against
that image alone, so that a draw changes how often each image counts, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics.scored import Scored
from chiasm.metrics.weighted import Floats, ratio
from chiasm.metrics.within import Strata
from chiasm.targets.marked import BoxesOfOne, Marked, of_text, overlaps

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Least overlap (intersection over union) at which a box is right: COCO's ten."""
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_FOUND = 100
"""Boxes of one label that count in an image, the surest; COCO's."""
LABEL_MEASURES = ("ap", "ap_50", "count_error", "count_bias")
"""What `by_label` says of each label."""
AT_ONCE = 4_000_000  # draws x boxes

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Held:
    """The D boxes of one label that were found in n images, the surest first, held against those that were drawn.

    Args:
        image: (D,) place of the image.
        score: (D,) how sure the model is.
        right: (D, 10) True where it meets a box at each of `THRESHOLDS`.
        drawn: (n,) how many were drawn in each image.
    """

    image: NDArray[np.intp]
    score: Floats
    right: Bools
    drawn: Floats


def matched(found: BoxesOfOne, drawn: BoxesOfOne, label: int) -> tuple[Floats, Bools]:
    """Scores `(d,)` of the boxes found of a label in one image, the surest first, and which are right `(d, 10)`.

    Each, the surest first, takes the box of most overlap that none took before, if there is enough of it: COCO's way.
    """
    rows = np.flatnonzero(found.label == label)
    rows = rows[np.argsort(-found.score[rows], kind="stable")][:MOST_FOUND]
    shared = overlaps(found.corners[rows], drawn.corners[drawn.label == label])
    right = np.zeros((len(rows), len(THRESHOLDS)), dtype=bool)
    for place, least in enumerate(THRESHOLDS):
        free = np.ones(shared.shape[1], dtype=bool)
        for row in range(len(rows)) if len(free) else ():
            own = np.where(free, shared[row], -1.0)
            best = len(own) - 1 - int(own[::-1].argmax())  # of equal overlaps the last, as COCO takes it
            if own[best] >= min(least, 1 - 1e-10):
                right[row, place], free[best] = True, False
    return found.score[rows], right


def held(scored: Scored) -> list[Held]:
    """What was found, held against what was drawn, label by label."""
    marked, found = marks_of(scored)
    parts, counts = [], marked.counts
    for label in range(len(marked.labels)):
        each = [matched(own, drawn, label) for own, drawn in zip(found, marked.each.tolist(), strict=True)]
        image = np.repeat(np.arange(len(each)), [len(score) for score, _ in each])
        score = np.concatenate([own for own, _ in each])
        right = np.concatenate([own for _, own in each])
        order = np.argsort(-score, kind="stable")
        parts.append(Held(image[order], score[order], right[order], counts[:, label]))
    return parts


def marks_of(scored: Scored) -> tuple[Marked, list[BoxesOfOne]]:
    """The boxes that were drawn, and those that were found.

    Raises:
        ValueError: there are none to score, or the text of a prediction is none of boxes.
    """
    if scored.outcome.boxes is None or scored.said is None:
        raise ValueError("there are no boxes to score: the outcome needs those drawn, and the prediction those found")
    marked = scored.outcome.boxes
    return marked, [of_text(text, marked.labels) for text in scored.said.tolist()]


def average_precision(own: Held, weights: Floats) -> Floats:
    """Average precision `(10, R)` of a label at each of `THRESHOLDS`; NaN in a draw without a box of it.

        AP = mean over 101 recalls r of max { precision at recall r' : r' >= r }

    Boxes of equal score enter together, so that no order of the images decides; `pycocotools` takes them in the order
    of the images. Without ties the two are equal. Source: Lin and others, Microsoft COCO (arXiv 1405.0312).

    Args:
        weights: (R, n) how often each image occurs.
    """
    parts = max(1, AT_ONCE // max(1, len(own.score)))
    blocks = [_precision(own, weights[start : start + parts]) for start in range(0, len(weights), parts)]
    return np.concatenate(blocks, axis=1)


def _precision(own: Held, w: Floats) -> Floats:
    total = w @ own.drawn
    if not len(own.score):
        return np.tile(np.where(total > 0, 0.0, np.nan), (len(THRESHOLDS), 1))
    ends = np.flatnonzero(np.r_[own.score[1:] != own.score[:-1], True])
    drawn = w[:, own.image]
    said = np.cumsum(drawn, axis=1)[:, ends]
    out = np.full((len(THRESHOLDS), len(w)), np.nan)
    for place in range(len(THRESHOLDS)):
        met = np.cumsum(drawn * own.right[:, place], axis=1)[:, ends]
        precision = np.nan_to_num(ratio(met, said))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = ratio(met, total[:, None])
        for row in np.flatnonzero(total > 0):
            at = np.searchsorted(recall[row], RECALLS, side="left")
            reached = at < len(ends)
            out[place, row] = best[row, at[reached]].sum() / len(RECALLS)
    return out


def of_labels(scored: Scored, weights: Floats) -> Floats:
    """Average precision `(K, 10, R)` of each label at each of `THRESHOLDS`; NaN without a box of it."""
    return np.stack([average_precision(own, weights) for own in held(scored)])


def means(scored: Scored, weights: Floats) -> Floats:
    """`(3, R)`: average precision, the mean over labels of its mean over `THRESHOLDS`, and that at .5 and at .75.

    Labels of which a draw has no box are left out of its mean.
    """
    each = of_labels(scored, weights)
    return np.stack([_over_labels(own) for own in (each.mean(axis=1), each[:, 0], each[:, 5])])


def map_within(scored: Scored, strata: Strata, w: Floats) -> Floats:
    """Mean average precision of each stratum, and of these the mean, weighed by the images drawn of each."""
    above, below = np.zeros(len(w)), np.zeros(len(w))
    own = strata[:, 0]
    for stratum in np.unique(own[own >= 0]):
        rows = np.flatnonzero(own == stratum)
        part = Scored(
            scored.prediction[rows], scored.outcome.take(rows), said=None if scored.said is None else scored.said[rows]
        )
        found, many = means(part, w[:, rows])[0], w[:, rows].sum(axis=1)
        told = np.isfinite(found)
        above += np.where(told, found, 0.0) * many
        below += np.where(told, many, 0.0)
    return ratio(above, below)


def count_errors(scored: Scored, weights: Floats) -> Floats:
    """`(2, K, R)` for each label: mean of |said - true| number, and of said - true, over images."""
    apart = scored.prediction - scored.outcome.value
    total = weights.sum(axis=1)[:, None]
    return np.stack([ratio(weights @ own, total).T for own in (np.abs(apart), apart)])


def count_means(scored: Scored, weights: Floats) -> Floats:
    """`(2, R)`: the means over labels of `count_errors`."""
    return np.asarray(count_errors(scored, weights).mean(axis=1))


def _over_labels(values: Floats) -> Floats:
    told = np.isfinite(values)
    return ratio(np.where(told, values, 0.0).sum(axis=0), told.sum(axis=0))


def by_label(scored: Scored, weights: Floats) -> Floats:
    """`(4, K, R)` of each label what `LABEL_MEASURES` names: average precision, that at .5, the two of the number."""
    each = of_labels(scored, weights)
    return np.concatenate([np.stack([each.mean(axis=1), each[:, 0]]), count_errors(scored, weights)])
