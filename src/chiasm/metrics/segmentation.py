"""Metrics of label maps: overlap, distance of surfaces, lesions that are found, and how much there is of each label.

Each is a number of one patient and one label, computed once, and a draw of a bootstrap changes how often it counts.
What is said on another grid than the truth's is stretched to it. Conventions are MONAI's, but for one: see `hd95`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics.scored import Scored
from chiasm.metrics.weighted import Floats, ratio
from chiasm.metrics.within import Strata
from chiasm.targets.label_maps import Codes, LabelMap, LabelMaps, of_text, stretched

MEASURES = ("dice", "surface_dice", "hd95")
COUNTS = ("lesions_found", "lesions", "regions")
"""Connected parts of the truth that are found, and all; all connected parts that were said."""
OVERLAP = 0.5
"""Intersection over union above which a part that was said is a part of the truth: no part can be two."""
LABEL_MEASURES = (*MEASURES, "lesion_f1", "volume_error", "volume_bias")
"""What `by_label` says of each label."""
PERCENTILE = 95
KEPT = 20_000

Bools = NDArray[np.bool_]


class _Kept(OrderedDict[bytes, Floats]):
    """What was measured of the latest pairs of maps, by a digest of them: every metric asks for the same pairs."""

    def add(self, key: bytes, found: Floats) -> None:
        self[key] = found
        while len(self) > KEPT:
            self.popitem(last=False)


_KEPT = _Kept()


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Distances between the surfaces of two masks.

    Args:
        to_truth: from each pixel or voxel on the edge of what was said to the nearest on the truth's, in millimetres.
        to_said: and the other way.
    """

    to_truth: Floats
    to_said: Floats


def dice(said: Bools, truth: Bools) -> float:
    """`2 |A and B| / (|A| + |B|)`; NaN where the truth is empty, as MONAI's `DiceMetric` has it."""
    many = int(truth.sum())
    return 2 * int((said & truth).sum()) / (int(said.sum()) + many) if many else np.nan


def edge(mask: Bools) -> Bools:
    """Pixels or voxels of a mask that have a neighbour, across a side, outside of it or of the image."""
    from scipy import ndimage  # type: ignore[import-untyped]

    return np.asarray(mask & ~ndimage.binary_erosion(mask), dtype=bool)


def surfaces(said: Bools, truth: Bools, spacing: Sequence[float]) -> Surfaces | None:
    """Distances between the edges of two masks; None where one of them is empty."""
    from scipy.spatial import cKDTree  # type: ignore[import-untyped]

    if not said.any() or not truth.any():
        return None
    points = [np.argwhere(edge(own)) * np.asarray(spacing) for own in (said, truth)]
    one, other = (cKDTree(own) for own in points)
    return Surfaces(other.query(points[0])[0], one.query(points[1])[0])


def surface_dice(own: Surfaces | None, tolerance: float, either: bool) -> float:
    """Share of both surfaces that lies within `tolerance` of the other; 0 where one is empty, NaN where both are."""
    if own is None:
        return 0.0 if either else np.nan
    met = int((own.to_truth <= tolerance).sum()) + int((own.to_said <= tolerance).sum())
    return met / (len(own.to_truth) + len(own.to_said))


def hd95(own: Surfaces | None, diagonal: float, either: bool) -> float:
    """The larger of the 95th percentiles of both distances; NaN where both masks are empty.

    Where one of them is, MONAI says infinity or nothing; here it is the diagonal of the image, the largest distance
    that there can be, so that to say nothing is never better than to say something.
    """
    if own is None:
        return diagonal if either else np.nan
    return float(max(np.percentile(side, PERCENTILE) for side in (own.to_truth, own.to_said)))


def lesions(said: Bools, truth: Bools) -> tuple[int, int, int]:
    """`COUNTS` of one label: parts hang together across sides, edges and corners, and one is found by `OVERLAP`."""
    from scipy import ndimage

    whole = np.ones((3,) * truth.ndim)
    drawn, lesions_ = ndimage.label(truth, whole)
    found, regions = ndimage.label(said, whole)
    both = said & truth
    pair, shared = np.unique(drawn[both].astype(np.int64) * (regions + 1) + found[both], return_counts=True)
    sizes, others = np.bincount(drawn.reshape(-1)), np.bincount(found.reshape(-1))
    union = sizes[pair // (regions + 1)] + others[pair % (regions + 1)] - shared
    return int((shared > OVERLAP * union).sum()), int(lesions_), int(regions)


def measured(said: LabelMap | None, truth: LabelMap, labels: int, tolerance: float) -> Floats:
    """`(K, 6)` of each label `MEASURES` and `COUNTS`; `said` None draws nothing."""
    codes = truth.codes
    own = np.zeros_like(codes) if said is None else stretched(_alike(said, truth), truth.shape)
    diagonal = float(np.linalg.norm(np.multiply(truth.shape, truth.spacing)))
    found = np.full((labels, len(MEASURES) + len(COUNTS)), np.nan)
    for k in range(labels):
        part = _box((codes == k + 1) | (own == k + 1))
        a, b = own[part] == k + 1, codes[part] == k + 1
        apart, either = surfaces(a, b, truth.spacing), bool(a.any() or b.any())
        found[k] = (
            dice(a, b), surface_dice(apart, tolerance, either), hd95(apart, diagonal, either), *lesions(a, b),
        )  # fmt: skip
    return found


def _alike(said: LabelMap, truth: LabelMap) -> Codes:
    """Codes of what was said, once it has the axes of the truth.

    Raises:
        ValueError: it has others.
    """
    if len(said.shape) != len(truth.shape):
        raise ValueError("a label map of two axes is held against one of three: predict in the image's own geometry")
    return said.codes


def _box(mask: Bools) -> tuple[slice, ...]:
    """Where a mask is, and nothing around it; the first place where it is empty."""
    parts = []
    for axis in range(mask.ndim):
        here = np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis)))
        parts.append(slice(int(here[0]), int(here[-1]) + 1) if len(here) else slice(0, 1))
    return tuple(parts)


def maps_and_said(scored: Scored) -> tuple[LabelMaps, list[str]]:
    """The label maps of the truth, and the texts of those that were said.

    Raises:
        ValueError: there are none to score.
    """
    if scored.outcome.maps is None or scored.said is None:
        raise ValueError("there are no label maps to score: the outcome needs the true ones, and a prediction its own")
    return scored.outcome.maps, scored.said.tolist()


def of_patients(scored: Scored) -> Floats:
    """`(n, K, 6)` of each patient and label `MEASURES` and `COUNTS`.

    Raises:
        ValueError: the text of a prediction is no label map.
    """
    maps, texts = maps_and_said(scored)
    labels, found = len(maps.labels), np.zeros((len(texts), len(maps.labels), len(MEASURES) + len(COUNTS)))
    for row, (text, truth) in enumerate(zip(texts, maps.texts.tolist(), strict=True)):
        told = repr((maps.labels, maps.tolerance)).encode()
        key = blake2b(text.encode(), key=blake2b(truth.encode() + told).digest()).digest()
        if key not in _KEPT:
            said = of_text(text, maps.labels) if text else None
            _KEPT.add(key, measured(said, of_text(truth, maps.labels), labels, maps.tolerance))
        found[row] = _KEPT[key]
    return found


def means(scored: Scored, weights: Floats) -> Floats:
    """`(4, R)`: dice, surface dice and HD95, means over patients of the mean over labels, and F1 of lesions.

    Labels without a value in a patient are left out of that patient's mean, and patients without any of the mean. F1 is
    of the parts of all patients and labels together.
    """
    each = of_patients(scored)
    patients = [_of_told(each[..., place]) for place in range(len(MEASURES))]
    return np.stack([*(_weighed(own, weights) for own in patients), _f1(each.sum(axis=1)[:, len(MEASURES) :], weights)])


def dice_within(scored: Scored, strata: Strata, w: Floats) -> Floats:
    """Mean dice of the patients who stand in a stratum: a mean over patients compares nobody with another."""
    rows = np.flatnonzero(strata[:, 0] >= 0)
    said = None if scored.said is None else scored.said[rows]
    part = Scored(scored.prediction[rows], scored.outcome.take(rows), said=said)
    return _weighed(_of_told(of_patients(part)[..., 0]), w[:, rows])


def volume_errors(scored: Scored, weights: Floats) -> Floats:
    """`(2, K, R)` for each label: mean of |said - true| volume, and of said - true, over patients."""
    apart = scored.prediction - scored.outcome.value
    total = weights.sum(axis=1)[:, None]
    return np.stack([ratio(weights @ own, total).T for own in (np.abs(apart), apart)])


def volume_means(scored: Scored, weights: Floats) -> Floats:
    """`(2, R)`: the means over labels of `volume_errors`."""
    return np.asarray(volume_errors(scored, weights).mean(axis=1))


def by_label(scored: Scored, weights: Floats) -> Floats:
    """`(6, K, R)` of each label what `LABEL_MEASURES` names, means over the patients in whom it has a value."""
    each, labels = of_patients(scored), range(scored.outcome.value.shape[1])
    parts = [np.stack([_weighed(each[:, k, place], weights) for k in labels]) for place in range(len(MEASURES))]
    f1 = np.stack([_f1(each[:, k, len(MEASURES) :], weights) for k in labels])
    return np.concatenate([np.stack([*parts, f1]), volume_errors(scored, weights)])


def _of_told(values: Floats) -> Floats:
    """(n,) mean over the labels that have a value; NaN without any."""
    told = np.isfinite(values)
    return ratio(np.where(told, values, 0.0).sum(axis=1), told.sum(axis=1))


def _weighed(values: Floats, weights: Floats) -> Floats:
    """(R,) mean over the patients who have a value, each as often as it was drawn."""
    told = np.isfinite(values)
    return ratio(weights[:, told] @ values[told], weights[:, told].sum(axis=1))


def _f1(counts: Floats, weights: Floats) -> Floats:
    """(R,) `2 found / (lesions + regions)` of `COUNTS` (n, 3); NaN in a draw without a part of the truth."""
    met, lesions_, regions = (weights @ counts).T
    return np.where(lesions_ > 0, ratio(2 * met, lesions_ + regions), np.nan)
