"""`ensemble`: the mean link of several baselines, or of several settings of them, those that inner folds like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import Training, choice
from chiasm.fitting.chosen import prior_link
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.row import Row
from chiasm.fitting.tuning.space import read_space
from chiasm.fitting.unimodal import held_out_priors
from chiasm.heads.response import Response
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.target_units import TargetUnits
from chiasm.protocols import Predictor
from chiasm.recipes.baselines import ROWS, baseline
from chiasm.recipes.baselines.greedy_selection import greedy_weights
from chiasm.recipes.baselines.stacked import stack
from chiasm.specs import bracketed, read_options

DEFAULT = "early-fusion+late-fusion+multi-ridge+stacked-fusion"
LIKING, GREEDY, STACKED = "liked", "greedy", "stacked"
SHRINKAGE = 10.0  # events, or patients, that hold stacked weights to the best member
MOST_BAGS, MOST_MEMBERS = 100, 50
SEMICOLON = re.compile(r";(?![^\[\]]*\])")  # one that stands in no brackets
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
    """Weighted mean of the calibrated links of `members`.

    Args:
        members: name to the fitted member.
        weights: name to its weight; they sum to one unless there is a prior.
        prior: `(K,)` link that the weights act about, where these were stacked; None: zero.
    """

    members: dict[str, Member]
    weights: dict[str, float]
    prior: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.prior is not None and self.prior.ndim != 1:
            raise ValueError("the prior of an ensemble is one number for each output")

    @property
    def trained_parameters(self) -> int:
        return sum(member.trained_parameters for member in self.members.values())

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        return weighted({name: self.members[name].link(cohort) for name in self.weights}, self.weights, self.prior)


def weighted(
    links: Mapping[str, np.ndarray], weights: Mapping[str, float], prior: np.ndarray | None = None
) -> np.ndarray:
    """Return `prior + sum_m w_m (link_m - prior)`, `(B, K)`; None is a prior of zero."""
    origin = 0.0 if prior is None else prior
    return np.asarray(origin + sum(weight * (links[name] - origin) for name, weight in weights.items()))


@dataclass(frozen=True)
class Ensemble(CrossFittedRecipe):
    """Mean of the calibrated links of baselines; inner folds decide which are counted, and how often.

    Args:
        members: names of recipes that hand out out-of-fold links, joined by "+"; each may have options after ";", and
            an option several values, each of which is a member: `early-fusion;l1_ratio=[0.1;0.5;1]+late-fusion`.
        select: "liked" counts those near the best, and the ones that gain by being counted again; "greedy" begins with
            the best alone and counts, again and again, the one that gains most (Caruana et al. 2004); "stacked" fits
            weights, not negative, that are held to the best alone (Breiman 1996), as `stacked-fusion` does.
        bags: with "greedy", the number of random halves of the members among which is selected, whose weights are
            averaged; 0: all members at once.
    """

    members: str = DEFAULT
    select: str = LIKING
    bags: int = 0

    row: ClassVar[Row] = ROWS["ensemble"]

    def __post_init__(self) -> None:
        choice("select", self.select, (LIKING, GREEDY, STACKED))
        if not 0 <= self.bags <= MOST_BAGS:
            raise ValueError(f"bags={self.bags} must lie between 0 and {MOST_BAGS}")
        if self.bags and self.select != GREEDY:
            raise ValueError(f"bags={self.bags} are of select={GREEDY}, and select={self.select} has none")
        made = [name for name, _ in self._recipes()]  # raises
        if len(made) > MOST_MEMBERS:
            raise ValueError(f"members={self.members} are {len(made):,}: an ensemble has {MOST_MEMBERS} at most")
        if len(made) < 2 or len(set(made)) < len(made):
            raise ValueError(f"members={self.members} must name two recipes or more, each once")

    @property
    def named(self) -> tuple[str, ...]:
        """Names of the members."""
        return tuple(sorted(filter(None, (name.strip() for name in self.members.split("+")))))

    def _recipes(self) -> Iterator[tuple[str, CrossFittedRecipe]]:
        """Yield the members, one for each setting.

        Raises:
            ValueError: a name that is no baseline, one without out-of-fold links, or an option that it does not have.
        """
        for text in self.named:
            name, *options = SEMICOLON.split(text)
            cls = baseline(name) if name in ROWS else None
            if cls is None or not issubclass(cls, CrossFittedRecipe) or name in (self.id, "single"):
                raise ValueError(f"members={self.members}: '{name}' hands out no out-of-fold links to select by")
            what, known = f"member '{name}'", {field.name: field.default for field in fields(cls)}
            plain, several = bracketed(",".join(options), known, what)
            given = read_options(plain, known, what)
            space = read_space(several, known, what) if several else None
            if space is not None and (space.size or 0) > MOST_MEMBERS:
                raise ValueError(f"{what} has {space.size:,} settings: an ensemble has {MOST_MEMBERS} members in all")
            settings = [{}] if space is None else list(space.settings())
            for setting in settings:
                own = cls(**given, **setting)
                yield own.name, own

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
        inside = {name: units.number(own) for name, own in links.items()}
        prior: np.ndarray | None = None
        priors: np.ndarray | None = None
        if self.select == STACKED:
            prior = prior_link(training.target, training.outcome, training.classes)
            priors = held_out_priors(training, prior)
            stacked = stack(
                training.target.kind, np.stack(list(links.values())), priors, training.outcome, folds, SHRINKAGE
            )
            every = {name: float(weight) for name, weight in zip(links, stacked, strict=True)}
            weights = {name: weight for name, weight in every.items() if weight > 0} or every
        elif self.select == GREEDY:
            weights = greedy_weights(inside, likelihood, self.bags, training.seed)
        else:
            weights = weights_of(inside, likelihood)
        members = {name: Member(found[name].predictor, found[name].response) for name in weights}
        predictor = EnsemblePredictor(members, weights, prior)
        return CrossFitted.of(training, predictor, weighted(links, weights, priors), calibrate=True)


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
