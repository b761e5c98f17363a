"""`ensemble`: the mean link of several baselines, those that inner folds like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import Training
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.target_units import TargetUnits
from chiasm.protocols import Predictor
from chiasm.recipes.baselines import ROWS, baseline

DEFAULT = "early-fusion+late-fusion+multi-ridge+stacked-fusion"
LIKED = 2.0  # units of log likelihood behind the best that a member may be: e^-2, a likelihood ratio of a seventh
MARGIN = 1.0  # that counting a member once more must gain
MOST_COUNTED = 12


@storable("ensemble-member")
@dataclass(frozen=True)
class Member:
    """A fitted baseline: its predictor, and the response that calibrates its link."""

    predictor: Predictor
    response: Response

    @property
    def trained_parameters(self) -> int:
        return int(self.predictor.trained_parameters)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the calibrated link `(B, K)`, float64."""
        return np.asarray(self.response.calibrated(self.predictor.link(cohort)))


@storable("ensemble")
@dataclass(frozen=True)
class EnsemblePredictor:
    """Weighted mean of the calibrated links of `members`, whose `weights` sum to one."""

    members: dict[str, Member]
    weights: dict[str, float]

    @property
    def trained_parameters(self) -> int:
        return sum(member.trained_parameters for member in self.members.values())

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        parts = [weight * self.members[name].link(cohort) for name, weight in self.weights.items()]
        return np.asarray(sum(parts[1:], parts[0]))


@dataclass(frozen=True)
class Ensemble(CrossFittedRecipe):
    """Mean of the calibrated links of baselines; inner folds decide which are counted, and how often.

    Args:
        members: names of recipes that hand out out-of-fold links, with default options, joined by "+".
    """

    members: str = DEFAULT

    row: ClassVar[Row] = ROWS["ensemble"]

    def __post_init__(self) -> None:
        if len(self.named) < 2 or len(set(self.named)) < len(self.named):
            raise ValueError(f"members={self.members} must name two recipes or more, each once")
        list(self._recipes())  # raises

    @property
    def named(self) -> tuple[str, ...]:
        """Names of the members."""
        return tuple(sorted(filter(None, (name.strip() for name in self.members.split("+")))))

    def _recipes(self) -> Iterator[tuple[str, CrossFittedRecipe]]:
        """Yield the members with default options.

        Raises:
            ValueError: a name that is no baseline, or one without out-of-fold links.
        """
        for name in self.named:
            cls = baseline(name) if name in ROWS else None
            if cls is None or not issubclass(cls, CrossFittedRecipe) or name in (self.id, "single"):
                raise ValueError(f"members={self.members}: '{name}' hands out no out-of-fold links to select by")
            yield name, cls()

    @property
    def settings(self) -> int:
        """Number of settings that the members try together."""
        return sum(recipe.settings for _, recipe in self._recipes())

    @property
    def reads_presence(self) -> bool:
        """True if a member reads it."""
        return any(recipe.reads_presence for _, recipe in self._recipes())

    def multiplications(self, cohort: Cohort) -> float:
        """Estimate those of the dearest member."""
        return max(recipe.multiplications(cohort) for _, recipe in self._recipes())

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if a member does not support the cohort."""
        super().supports(cohort)
        for name, recipe in self._recipes():
            try:
                recipe.supports(cohort)
            except Unsupported as lacking:
                raise Unsupported(f"its member {name}: {lacking}") from None

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Fit every member, and weigh them by their out-of-fold links."""
        found = {name: recipe.cross_fitted(training) for name, recipe in self._recipes()}
        links = {name: own.calibrated for name, own in found.items()}
        folds = next(iter(found.values())).folds
        units = TargetUnits.of(training.target.kind, training.outcome)
        likelihood = FoldLikelihood(training.target.kind, units.inside(training.outcome), folds)
        weights = weights_of({name: units.number(own) for name, own in links.items()}, likelihood)
        members = {name: Member(found[name].predictor, found[name].response) for name in weights}
        out_of_fold = sum(weight * links[name] for name, weight in weights.items())
        return CrossFitted.of(training, EnsemblePredictor(members, weights), np.asarray(out_of_fold), calibrate=True)


def weights_of(links: Mapping[str, np.ndarray], likelihood: FoldLikelihood) -> dict[str, float]:
    """Return the weight of each member that counts, summing to one, sorted by name.

    Members within `LIKED` units of log likelihood of the best count once. Then the one whose counting once more lowers
    the loss of the mean the most is counted, for as long as that gains `MARGIN` (Caruana et al. 2004).

    Args:
        links: member to its calibrated out-of-fold links `(n, K)`.
        likelihood: the negative log likelihood of such links.
    """
    alone = {name: likelihood(own) for name, own in links.items()}
    counts = {name: int(loss <= min(alone.values()) + LIKED) for name, loss in alone.items()}
    total = np.asarray(sum(counts[name] * links[name] for name in links))
    now = likelihood(total / sum(counts.values()))
    while sum(counts.values()) < MOST_COUNTED:
        number = sum(counts.values()) + 1
        losses = {name: likelihood((total + own) / number) for name, own in links.items()}
        name = min(losses, key=lambda own: (losses[own], own))
        if losses[name] > now - MARGIN:
            break
        counts[name], total, now = counts[name] + 1, total + links[name], losses[name]
    whole = sum(counts.values())
    return {name: count / whole for name, count in sorted(counts.items()) if count}
