"""One modality alone, by a ridge whose strength inner folds choose: the part that all linear baselines share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, CohortError, Outcome, fold_ids
from chiasm.encoders import encoder_for
from chiasm.heads.linear import Linear, deviance, fit_path
from chiasm.heads.response import calibration
from chiasm.protocols import Encoder
from chiasm.training.memo import remember

FOLDS = 5
# Ridge strengths in units of the number of features, each component scaled by the first one's spread.
PENALTIES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


@storable("unimodal")
@dataclass(frozen=True)
class Unimodal:
    """A fitted linear predictor of one modality.

    Args:
        modality: its name.
        encoder: fitted on the training patients who have it.
        linear: on the encoder's features.
        slope, centre: calibration of the link, from inner out-of-fold links.
        prior: `(K,)` link of a patient who lacks the modality: what is known of anybody.
    """

    modality: str
    encoder: Encoder
    linear: Linear
    slope: float
    centre: float
    prior: np.ndarray

    @property
    def trained_parameters(self) -> int:
        return int(self.linear.coef.size + self.linear.intercept.size)

    def link(self, cohort: Cohort) -> np.ndarray:
        """`(B, K)` calibrated; the prior where the modality is absent."""
        out = np.tile(self.prior, (len(cohort), 1))
        if self.modality in cohort.modalities:
            rows = cohort.rows_of(self.modality)
            if len(rows):
                raw = self.linear.linear_predictor(features_of(self.encoder, cohort.raw(self.modality)))
                out[rows] = self.centre + self.slope * (raw - self.centre)
        return out


def fit_unimodal(cohort: Cohort, modality: str, *, seed: int) -> tuple[Unimodal, np.ndarray]:
    """The fitted modality, and its calibrated links on inner folds, `(B, K)`, NaN where it is absent.

    The penalty is the one with the smallest deviance on inner folds; encoder, penalty and calibration see the patients
    given and no others.
    """
    return remember(cohort.fingerprint, ("unimodal", modality, seed), lambda: _fit(cohort, modality, seed))


def _fit(cohort: Cohort, modality: str, seed: int) -> tuple[Unimodal, np.ndarray]:
    outcome, target = cohort.outcome, cohort.target
    assert outcome is not None and target is not None  # recipes fit `trainable` cohorts only
    classes = len(target.classes) if target.kind == "classification" else None
    rows = cohort.rows_of(modality)
    own = cohort.subset(rows).with_modalities([modality])
    known = outcome.take(rows)
    folds = inner_folds(cohort, seed)[rows]
    encoder = encoder_for(cohort.kinds[modality], cohort.groups_of(modality))
    paths = None
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        fitted = encoder.fit(own.subset(train).raw(modality), [])
        x = features_of(fitted, own.raw(modality))
        path = fit_path(target.kind, x[train], known.take(train), [p * x.shape[1] for p in PENALTIES], classes=classes)
        links = np.stack([linear.linear_predictor(x[test]) for linear in path])  # (P, n, K)
        if paths is None:
            paths = np.zeros((len(PENALTIES), len(rows), links.shape[2]))
        paths[:, test] = links
    assert paths is not None
    best = int(np.argmin([deviance(target.kind, links, known) for links in paths]))
    slope, centre = calibration(target.kind, paths[best], known)
    fitted = encoder.fit(own.raw(modality), [])
    x = features_of(fitted, own.raw(modality))
    (linear,) = fit_path(target.kind, x, known, [PENALTIES[best] * x.shape[1]], classes=classes)
    out_of_fold = np.full((len(cohort), paths.shape[2]), np.nan)
    out_of_fold[rows] = centre + slope * (paths[best] - centre)
    model = Unimodal(modality, fitted, linear, slope, centre, prior_link(target.kind, outcome, classes))
    return model, out_of_fold


def inner_folds(cohort: Cohort, seed: int) -> np.ndarray:
    """`(B,)` inner folds of a training cohort, the same for every modality: five, or as many as its events allow."""
    for folds in range(FOLDS, 1, -1):
        try:
            return fold_ids(cohort, folds, seed=seed)
        except CohortError:
            if folds == 2:
                raise
    raise AssertionError("unreachable")


def prior_link(kind: str, outcome: Outcome, classes: int | None) -> np.ndarray:
    """`(K,)`: log class frequencies, the mean, or the mean log hazard, which is zero."""
    if kind == "classification":
        counts = np.bincount(outcome.value.astype(int), minlength=classes or 0) + 0.5
        return np.log(counts / counts.sum())
    return np.array([float(outcome.value.mean()) if kind == "regression" else 0.0])


def features_of(encoder: Encoder, raw: object) -> np.ndarray:
    """`(n, F)` float64: the encoder's own features where it has them, else its tokens side by side or their mean."""
    if hasattr(encoder, "features"):
        return np.asarray(encoder.features(raw), np.float64)
    tokens = encoder.encode(raw)
    values = tokens.values.double().numpy()
    if encoder.slots:
        return values.reshape(len(values), -1)
    mask = tokens.mask.numpy()[..., None]
    return np.where(mask, values, 0.0).sum(1) / np.maximum(mask.sum(1), 1)
