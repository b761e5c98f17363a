"""Groups of training patients that a model folder may keep: whom a new patient is like, and nobody's row.

Training patients are put into groups of `least` or more who lie close together in the model's embedding. Of a group
remain the mean of its embeddings and, of its outcomes, bands a fifth wide. A group is never of fewer than five people,
and the lowest and the highest band never say that nobody or everybody of a group had an outcome, but for larger groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort.small_cells import LEAST
from chiasm.errors import Unsupported
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import Target

Array = NDArray[np.float64]
MOST = 5_000  # training patients who are grouped; of more, as many are drawn
FAR = 0.95  # share of training patients who lie as near to their own group
SHARES = (0.2, 0.4, 0.6, 0.8)
TOO_FEW = -1
UNSAID = "too few to say"
NOT_KEPT = "the model keeps no groups of its training patients: fit it with --keep-similar 20"


@storable("similar-groups")
@dataclass(frozen=True)
class SimilarGroups:
    """What is kept of G groups of training patients.

    Args:
        least: patients that every group has at least.
        middle, spread: `(D,)` mean and standard deviation of the embedding in training, 1 where it does not vary.
        centres: `(G, D)` float32 means of the groups, scaled by these.
        outputs: names of the C columns of a prediction whose outcomes are told.
        edges: `(4,)` or fewer ends between the bands, in units of the outputs.
        bands: `(G, C)` number of the band, -1 where fewer than five of a group tell.
        far: distance beyond which fewer than one in twenty training patients lay from their group.
        unit: of the outputs; empty for shares.
        shares: True where outputs are shares of patients.
    """

    least: int
    middle: np.ndarray
    spread: np.ndarray
    centres: np.ndarray
    outputs: tuple[str, ...]
    edges: np.ndarray
    bands: np.ndarray
    far: float
    unit: str = ""
    shares: bool = True

    def __post_init__(self) -> None:
        groups, width = self.centres.shape if self.centres.ndim == 2 else (0, 0)
        if not groups or self.middle.shape != (width,) or self.spread.shape != (width,) or not (self.spread > 0).all():
            raise ValueError("groups of patients have one centre each, as wide as the embedding")
        if self.bands.shape != (groups, len(self.outputs)) or not (self.bands >= -1).all():
            raise ValueError("groups of patients have one band for each output")
        if (self.bands > len(self.edges)).any() or (np.diff(self.edges) <= 0).any() or self.least < LEAST:
            raise ValueError(f"bands ascend, and a group has {LEAST} patients or more")

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return (
            f"means of groups of {self.least:,} patients or more in the model's embedding, and the outcomes of each "
            "group in five bands"
        )

    def nearest(self, embedding: NDArray[Any]) -> list[dict[str, Any]]:
        """Find the group that each patient, `(B, D)`, is like.

        Returns:
            For each `alike` (False: farther than nineteen in twenty training patients from theirs), `patients` in
            words, and `outcome`, the band of each output in words; None where the patient is like nobody.
        """
        if embedding.ndim != 2 or embedding.shape[1] != len(self.middle):
            raise ValueError(f"the embedding is {embedding.shape}, and the groups are {len(self.middle)} wide")
        scaled = (np.asarray(embedding, np.float64) - self.middle) / self.spread
        found = []
        for own in scaled:
            away = ((self.centres.astype(np.float64) - own) ** 2).sum(1)
            place = int(np.argmin(away))
            alike = bool(np.sqrt(away[place]) <= self.far)
            told = {name: self.said(int(band)) for name, band in zip(self.outputs, self.bands[place], strict=True)}
            found.append(
                {"alike": alike, "patients": f"{self.least:,} or more", "outcome": told if alike else None},
            )
        return found

    def said(self, band: int) -> str:
        """Say a band in words."""
        if band == TOO_FEW:
            return UNSAID
        ends = [f"{100 * own:.0f}" if self.shares else f"{own:.6g}" for own in self.edges]
        unit = " %" if self.shares else f" {self.unit}" if self.unit else ""
        if not ends:
            return UNSAID
        if band == 0:
            return f"{ends[0]}{unit} or less"
        return f"{ends[-1]}{unit} or more" if band == len(ends) else f"{ends[band - 1]} to {ends[band]}{unit}"


def grouped(points: Array, least: int) -> NDArray[np.int_]:
    """(n,) Group of each point, each of `least` to 2 least - 1 points that lie close together.

    MDAV: the point farthest from the mean of those left, with its nearest ones, is a group, and so is the one farthest
    from that, until fewer than three groups are left. Domingo-Ferrer and Torra, Data Mining and Knowledge Discovery 11
    (2005), doi:10.1007/s10618-005-0007-5. Ties go to the first point.
    """
    groups = np.zeros(len(points), dtype=int)
    left = np.arange(len(points))
    number = 0

    def take(around: Array) -> None:
        nonlocal left, number
        near = np.argsort(((points[left] - around) ** 2).sum(1), kind="stable")[:least]
        groups[left[near]] = number
        left, number = np.delete(left, near), number + 1

    while len(left) >= 3 * least:
        first = points[left[np.argmax(((points[left] - points[left].mean(0)) ** 2).sum(1))]]
        second = points[left[np.argmax(((points[left] - first) ** 2).sum(1))]]
        take(first)
        take(second)
    if len(left) >= 2 * least:
        take(points[left[np.argmax(((points[left] - points[left].mean(0)) ** 2).sum(1))]])
    groups[left] = number
    return groups


def groups_of(
    embedding: NDArray[Any], outcome: Outcome, target: type[Target], names: Sequence[str], times: Sequence[float],
    least: int, unit: str = "",
) -> SimilarGroups:  # fmt: skip
    """Group training patients, one row a person, by what a model makes of them.

    Args:
        embedding: `(n, D)`.
        outcome: of these patients, all known.
        names, times: classes, labels or causes, and horizons of the model.

    Raises:
        ValueError: `least` is below five, or there are fewer than twice as many patients.
    """
    require_groups(None, len(embedding), least)
    values = np.asarray(embedding, np.float64)
    middle, spread = values.mean(0), values.std(0)
    spread = np.where(spread > 1e-9 * np.maximum(1.0, np.abs(middle)), spread, 1.0)
    points = (values - middle) / spread
    group = grouped(points, least)
    number = int(group.max()) + 1
    centres = np.stack([points[group == own].mean(0) for own in range(number)]).astype(np.float32)
    away = np.sqrt(((points - centres[group]) ** 2).sum(1))
    shares = not target.is_scaled
    edges = np.array(SHARES) if shares else coarse_edges(outcome.value)
    said = [told_of(outcome.take(group == own), target, names, times) for own in range(number)]
    outputs = tuple(said[0])
    bands = np.array([[band_of(own[name], edges) for name in outputs] for own in said], dtype=np.int64)
    far = rounded_up(float(np.quantile(away, FAR)))
    return SimilarGroups(least, middle, spread, centres, outputs, edges, bands, far, unit, shares)


def require_group_size(least: int) -> None:
    """Refuse groups of fewer than five.

    Raises:
        ValueError: `least` is below five.
    """
    if least < LEAST:
        raise ValueError(f"similar patients are kept in groups of {LEAST} or more, not {least}: 20 is a good number")


def require_groups(target: Target | None, patients: int, least: int) -> None:
    """Refuse groups that cannot be told of, or would be too small.

    Raises:
        Unsupported: outcomes of this kind of target are told in no bands.
        ValueError: `least` is below five, or there are fewer than twice as many patients.
    """
    if target is not None and not (target.has_classes or target.has_labels or target.has_times or target.is_scaled):
        raise Unsupported("outcomes of this kind of target make no bands: fit without --keep-similar")
    require_group_size(least)
    if patients < 2 * least:
        raise ValueError(
            f"{patients:,} training patients make no two groups of {least:,}: keep smaller groups, or none"
        )


def told_of(outcome: Outcome, target: type[Target], names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
    """Return what is true of a group, by columns of a prediction; NaN where fewer than five patients tell."""
    if not target.has_times:
        found = target.prior_row(outcome, names, ())
        known = ~np.isnan(np.asarray(outcome.value, np.float64))
        enough = np.broadcast_to(known.sum(0) >= LEAST, (len(found),))
        return {name: own if there else np.nan for (name, own), there in zip(found.items(), enough, strict=True)}
    told: dict[str, float] = {}
    had = outcome.event if outcome.event is not None else np.asarray(outcome.cause) > 0
    for time in times:
        followed = int((had | (outcome.value >= time)).sum())
        row = target.prior_row(outcome, names, (time,))
        for name in row.keys() - set(target.answers(names)):
            told[name] = row[name] if followed >= LEAST else np.nan
    return told


def band_of(value: float, edges: Array) -> int:
    """Number of the band of a value; an edge belongs to the outer band, so that these are the widest."""
    if not np.isfinite(value):
        return TOO_FEW
    half = len(edges) // 2
    lower = int((edges[:half] < value - 1e-9).sum())
    return lower if lower < half else half + int((edges[half:] <= value + 1e-9).sum())


def coarse_edges(values: Array) -> Array:
    """Fifths of the outcomes, rounded to two figures of their spread; fewer where some are alike."""
    known = values[np.isfinite(values)]
    spread = float(known.std())
    step = 10.0 ** (np.floor(np.log10(spread)) - 1) if spread > 0 else 1.0
    return np.unique((np.quantile(known, SHARES) / step).round() * step).round(12)


def rounded_up(value: float) -> float:
    """Round up to two figures."""
    if value <= 0:
        return 1e-6
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.ceil(value / step - 1e-9) * step)
