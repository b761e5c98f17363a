"""`stacked-fusion`: non-negative weights on inner out-of-fold predictions, shrunk to the best single modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Outcome
from chiasm.fitting.base import Training
from chiasm.fitting.bent import SETTINGS
from chiasm.fitting.coefficients import Coefficients, joined
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.inner_choice import LINEAR_SETTINGS
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import Unimodal, fit_unimodal, held_out_priors, inner_folds
from chiasm.heads.response import level_of
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.target_units import TargetUnits
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.late import present_in, prior_of
from chiasm.recipes.baselines.patterns import learnable_patterns


@storable("stacked-fusion")
@dataclass(frozen=True)
class StackedFusionPredictor:
    """Unimodal models and, for each pattern of present modalities, the weights of their calibrated links.

    Args:
        models: modality to its model, sorted by name.
        weights: pattern (`a+b`) to weights `(M,)` >= 0, zero for absent modalities.
    """

    models: dict[str, Unimodal]
    weights: dict[str, np.ndarray]

    @property
    def trained_parameters(self) -> int:
        return sum(model.trained_parameters for model in self.models.values()) + sum(
            w.size for w in self.weights.values()
        )

    def coefficients(self) -> Coefficients | None:
        """Return the coefficients of the link of a patient with every modality; None where a model is not linear."""
        names = list(self.models)
        weights = weights_for(self.weights, names, np.ones(len(names), bool)).tolist()
        return joined([model.coefficients() for model in self.models.values()], dict(zip(names, weights, strict=True)))

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        names = list(self.models)
        links = np.stack([model.link(cohort) for model in self.models.values()])  # (M, B, K)
        present = present_in(cohort, names)
        return weighted(links, present, prior_of(self.models), self.weights, names)


def weighted(
    links: np.ndarray, present: np.ndarray, prior: np.ndarray, weights: dict[str, np.ndarray], names: list[str]
) -> np.ndarray:
    """Compute `prior + sum_m w_m (link_m - prior)` with the weights of each patient's pattern; ignore absent links.

    Args:
        links: `(M, B, K)`.
        present: `(M, B)` bool.
        prior: `(K,)`, or `(B, K)` where each patient has one of his own.
    """
    prior = np.broadcast_to(prior, links.shape[1:])
    out = prior.copy()
    for pattern in np.unique(present, axis=1).T:
        rows = (present == pattern[:, None]).all(0)
        own = weights_for(weights, names, pattern)[pattern]
        out[rows] += np.einsum("m,mbk->bk", own, links[pattern][:, rows] - prior[rows])
    return out


def weights_for(weights: dict[str, np.ndarray], names: list[str], pattern: np.ndarray) -> np.ndarray:
    """Return the weights `(M,)` of a pattern; one without fitted weights takes the present part of the full pattern's.

    The weights are rescaled to the full pattern's total, so that a patient with fewer modalities is not pulled to the
    prior.
    """
    key = "+".join(name for name, here in zip(names, pattern, strict=True) if here)
    if key in weights:
        return np.asarray(weights[key])
    if not pattern.any():  # the prior alone
        return np.zeros(len(pattern))
    everything = weights["+".join(names)]
    kept = np.where(pattern, everything, 0.0)
    if kept.sum() <= 0:
        kept = pattern / max(1, pattern.sum())
    return np.asarray(kept * everything.sum() / kept.sum())


def stack(
    kind: str, links: np.ndarray, prior: np.ndarray, outcome: Outcome, folds: np.ndarray, strength: float
) -> np.ndarray:
    """Fit stacking weights `(M,)`, shrunk to the best single modality.

        argmin_{w >= 0} nll(prior + sum_m w_m z_m) + strength / 2 sum_m s_m^2 (w_m - e_best,m)^2

    `z_m` are the calibrated out-of-fold links less the prior, `s_m` their root mean square, and `e_best` is one for the
    single modality of smallest nll and zero for the others. `nll` is summed within inner folds, so a strength of ten
    counts as much as ten events. During the fit the links are shifted to the outcome level of these patients, so that
    the weights do not absorb an association of the pattern itself with the outcome.

    Args:
        links: out-of-fold links `(M, n, K)`.
        prior: of each patient as held out, `(n, K)`.
        folds: inner fold that each link comes from, `(n,)`.
    """
    units = TargetUnits.of(kind, outcome)
    outcome, links, prior = units.inside(outcome), units.number(links), units.number(prior)
    likelihood = FoldLikelihood(kind, outcome, folds)
    alone = [likelihood(own + level_of(kind, own, outcome)) for own in links]
    best = np.zeros(len(links))
    best[int(np.argmin(alone))] = 1.0
    if len(links) == 1:
        return best
    z = links - prior
    level = level_of(kind, prior + z[int(best.argmax())], outcome)
    size = np.maximum((z**2).mean((1, 2)), 1e-12)

    def objective(w: np.ndarray) -> float:
        fused = prior + level + np.einsum("m,mnk->nk", w, z)
        return likelihood(fused) + strength / 2 * float((size * (w - best) ** 2).sum())

    found = minimize(objective, best, bounds=[(0.0, 20.0)] * len(links), method="L-BFGS-B")
    return np.asarray(np.maximum(found.x, 0.0))


@dataclass(frozen=True)
class StackedFusion(CrossFittedRecipe):
    """Stacking after Wolpert and Breiman, with weights for each pattern of present modalities.

    Args:
        shrinkage: how strongly the weights are held to the best single modality, in events (or patients).
    """

    shrinkage: float = 10.0

    row: ClassVar[Row] = ROWS["stacked-fusion"]

    @property
    def settings(self) -> int:
        """Number of settings tried for each modality alone."""
        return LINEAR_SETTINGS + SETTINGS

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Fit every modality alone, then each pattern's weights on out-of-fold links of patients who have all of it."""
        cohort, kind = training.cohort, training.target.kind
        names = list(cohort.modalities)
        fitted = {name: fit_unimodal(training, name) for name in names}
        links = np.stack([out_of_fold for _, out_of_fold in fitted.values()])  # (M, B, K), NaN where absent
        models = {name: model for name, (model, _) in fitted.items()}
        priors, folds = held_out_priors(training, prior_of(models)), inner_folds(cohort, training.seed)
        weights: dict[str, np.ndarray] = {}
        for pattern, rows, known in learnable_patterns(training):
            own = np.zeros(len(names))
            own[pattern] = stack(kind, links[pattern][:, rows], priors[rows], known, folds[rows], self.shrinkage)
            weights["+".join(names[m] for m in pattern)] = own
        weights.setdefault("+".join(names), np.full(len(names), 1 / len(names)))
        predictor = StackedFusionPredictor(models, weights)
        out_of_fold = weighted(links, cohort.present.T, priors, weights, names)
        return CrossFitted.of(training, predictor, out_of_fold, calibrate=True)
