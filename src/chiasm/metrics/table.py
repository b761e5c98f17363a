"""Registry of the metrics of each kind of target.

A metric is computed within each test fold and averaged over the folds, each fold counting the same; a pooled one is
computed over all patients tested in a repeat together and averaged over the repeats. Both may be NaN: not estimable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.metrics import calibration as calibration_
from chiasm.metrics import choice as choice_
from chiasm.metrics import classification as classes_
from chiasm.metrics import competing as competing_
from chiasm.metrics import detection as boxes_
from chiasm.metrics import multilabel as labels_
from chiasm.metrics import patient_terms as terms_
from chiasm.metrics import regression as numbers_
from chiasm.metrics import response as responses_
from chiasm.metrics import said as said_
from chiasm.metrics import segmentation as maps_
from chiasm.metrics import spikes as spikes_
from chiasm.metrics import survival as survival_
from chiasm.metrics import survival_calibration as horizon_
from chiasm.metrics import time_dependent as dependent_
from chiasm.metrics import within as within_
from chiasm.metrics.scored import Scored, uno_tau
from chiasm.metrics.weighted import Floats

PERFORMANCE, HORIZONS, CALIBRATION = "performance", "horizons", "calibration"


@dataclass(frozen=True)
class Metric:
    """One metric of a kind of target.

    Args:
        id, label: its name in `trial.json` and on the page.
        higher_is_better: None where it is best at `ideal`.
        function: `(scored, weights (R, n)) -> (R,)`; for a pooled metric `(terms (n, ...), weights (R, n)) -> (R,)`.
        of_patients: for a pooled metric, computes the terms of each patient of a fold, (n, ...).
        table: "performance", "horizons" or "calibration": the table that it belongs to.
        ideal: see `higher_is_better`.
        row: row of the output of `function` that is this metric, where several share it; the output is (rows, R) then.
        within: the metric within strata of patients, for the primary one; None where it has no such form.
        chance: value of the primary one where nothing is known.
    """

    id: str
    label: str
    higher_is_better: bool | None
    function: Callable[[Any, Floats], Floats]
    of_patients: Callable[[Scored], Floats] | None = None
    table: str = PERFORMANCE
    ideal: float = 1.0
    row: int | None = None
    within: within_.Within | None = None
    chance: float = 0.0

    @property
    def pooled(self) -> bool:
        """True if it is computed over all patients tested in a repeat, instead of within each fold."""
        return self.of_patients is not None

    @property
    def is_slope(self) -> bool:
        """True if it needs predictions that differ within a fold."""
        return self.id.startswith("calibration_slope")

    def prepared(self, parts: Sequence[Scored]) -> Any:
        """Build the first argument of `function` from the folds of one repeat, or from one fold if not pooled."""
        if self.of_patients is not None:
            terms = [self.of_patients(part) for part in parts]
            return without_constants(terms) if self.is_slope else np.concatenate(terms)
        if len(parts) != 1:
            raise ValueError(f"{self.id} is computed within a fold and cannot be pooled over {len(parts)}")
        return parts[0]


def without_constants(terms: Sequence[Floats]) -> Floats:
    """Stack the terms (n, ..., m) of several folds, the first of the m NaN where it is constant within every fold.

    Constants that differ between folds, as priors of the training patients do, would have a slope, and a negative one:
    the more events are tested, the fewer were trained on.
    """
    whole = np.concatenate(terms)
    spread = np.max([np.ptp(part[..., 0], axis=0) for part in terms], axis=0)
    whole[..., 0] = np.where(spread <= 1e-9, np.nan, whole[..., 0])
    return whole


def _survival_arrays(s: Scored) -> tuple[Floats, NDArray[np.bool_]]:
    if s.outcome.event is None:
        raise ValueError("the outcome has no events: survival metrics need time and event")
    return s.outcome.value, s.outcome.event


def _harrell_c(s: Scored, w: Floats) -> Floats:
    return survival_.harrell_c(s.prediction, *_survival_arrays(s), w)


def _uno_c(s: Scored, w: Floats) -> Floats:
    if s.train is None or s.train.event is None:
        return np.full(len(w), np.nan)
    train = (s.train.value, s.train.event)
    return survival_.uno_c(s.prediction, *_survival_arrays(s), *train, w, tau=uno_tau(s.train))


def _integrated_brier(s: Scored, w: Floats) -> Floats:
    if s.train is None or s.train.event is None or s.survival is None or s.times is None:
        return np.full(len(w), np.nan)
    arrays = _survival_arrays(s)
    return survival_.integrated_brier(s.survival, s.times, *arrays, s.train.value, s.train.event, w)


def _integrated_brier_of_main(s: Scored, w: Floats) -> Floats:
    return terms_.integrated(terms_.survival_losses(s), w)


def _of_classes(
    function: Callable[[ArrayLike, ArrayLike, ArrayLike | None], Floats],
) -> Callable[[Scored, Floats], Floats]:
    return lambda s, w: function(s.prediction, s.outcome.value, w)


_Row = tuple[str, str, bool | None, float, calibration_.Measure, int | None]
_MEASURES: tuple[_Row, ...] = (
    ("calibration_intercept", "calibration intercept", None, 0.0, calibration_.calibration_intercept, None),
    ("calibration_slope", "calibration slope", None, 1.0, calibration_.calibration_slope, None),
    ("observed_expected", "observed to expected", None, 1.0, calibration_.observed_expected, None),
    ("ici", "integrated calibration index", False, 0.0, calibration_.distances, 0),
    ("e90", "E90", False, 0.0, calibration_.distances, 1),
)


def _calibration(of: str = "", of_patients: Callable[[Scored], Floats] = terms_.probabilities) -> tuple[Metric, ...]:
    """Build the calibration metrics of classes, or of labels, whose names start with "mean" (`of`)."""
    over = {measure: partial(terms_.calibration, measure, skip=bool(of)) for *_, measure, _ in _MEASURES}
    return tuple(
        Metric(name, of + label, better, over[measure], of_patients, CALIBRATION, ideal, row)
        for name, label, better, ideal, measure, row in _MEASURES
    )


def _at_place(function: Callable[[Floats, Floats], Floats], place: int) -> Callable[[Floats, Floats], Floats]:
    return lambda terms, w: function(terms[:, place], w)


def _at_horizons() -> tuple[Metric, ...]:
    """Build the metrics at each place among the horizons: AUC and scaled Brier score, then calibration."""
    performance, calibration = [], []
    for place, name in enumerate(("first", "second", "third")[: dependent_.PLACES]):
        end, at = f"_t{place + 1}", f" at the {name} horizon"
        auc = partial(dependent_.fold_auc, place=place)
        performance.append(Metric(f"auc{end}", f"AUC{at}", True, auc, table=HORIZONS))
        ipa = _at_place(horizon_.ipa_at, place)
        performance.append(
            Metric(f"ipa{end}", f"scaled Brier score{at}", True, ipa, dependent_.horizon_terms, HORIZONS)
        )
        over: dict[calibration_.Measure, calibration_.Terms] = {
            measure: partial(horizon_.at_horizon, measure) for *_, measure, _ in _MEASURES
        }
        over[calibration_.observed_expected] = horizon_.observed_expected_at
        placed = {measure: _at_place(function, place) for measure, function in over.items()}
        for key, label, better, ideal, measure, row in _MEASURES:
            terms = dependent_.horizon_terms
            calibration.append(Metric(key + end, label + at, better, placed[measure], terms, CALIBRATION, ideal, row))
    return *performance, *calibration


# Of each kind of target, the primary metric first.
METRICS: dict[str, tuple[Metric, ...]] = {
    "boxes": (
        Metric("map", "mAP at IoU .50:.95", True, boxes_.means, row=0, within=boxes_.map_within),
        Metric("map_50", "mAP at IoU .50", True, boxes_.means, row=1),
        Metric("map_75", "mAP at IoU .75", True, boxes_.means, row=2),
        Metric("count_error", "mean absolute error of the number", False, boxes_.count_means, row=0),
        Metric("count_bias", "mean of said less true number", None, boxes_.count_means, row=1, ideal=0.0),
        Metric("r2", "mean R² of the number of each label", True, _of_classes(responses_.r2)),
        Metric("r2_null", "R² of numbers against the training mean", True, terms_.scaled, responses_.losses),
    ),
    "choice": (
        Metric("accuracy", "accuracy", True, _of_classes(choice_.accuracy), within=within_.accuracy),
        Metric("beyond_guessing", "accuracy beyond guessing", True, _of_classes(choice_.beyond_guessing)),
        Metric("log_loss", "log loss", False, _of_classes(choice_.log_loss)),
        Metric("brier", "Brier score", False, _of_classes(choice_.brier)),
        Metric("macro_f1", "macro F1 over the places", True, _of_classes(classes_.macro_f1)),
        Metric("ipa", "scaled Brier score", True, terms_.scaled, choice_.losses),
        *_calibration(of_patients=choice_.confidence_terms),
    ),
    "classification": (
        Metric("auroc", "AUROC", True, _of_classes(classes_.auroc), within=within_.auroc_of_classes, chance=0.5),
        Metric("auprc", "average precision", True, _of_classes(classes_.auprc)),
        Metric("balanced_accuracy", "balanced accuracy", True, _of_classes(classes_.balanced_accuracy)),
        Metric("macro_f1", "macro F1", True, _of_classes(classes_.macro_f1)),
        Metric("brier", "Brier score", False, _of_classes(classes_.brier)),
        Metric("ipa", "scaled Brier score", True, terms_.scaled, terms_.class_losses),
        *_calibration(),
    ),
    "competing": (
        Metric("wolbers_c", "Wolbers' C", True, competing_.of_scored, within=within_.wolbers_c, chance=0.5),
        Metric("integrated_brier", "integrated Brier score", False, _integrated_brier_of_main),
        Metric("ipa", "scaled integrated Brier score", True, terms_.scaled, terms_.survival_losses),
        *_at_horizons(),
    ),
    "mask": (
        Metric("dice", "dice", True, maps_.means, row=0, within=maps_.dice_within),
        Metric("surface_dice", "surface dice", True, maps_.means, row=1),
        Metric("hd95", "HD95", False, maps_.means, row=2),
        Metric("lesion_f1", "F1 of lesions", True, maps_.means, row=3),
        Metric("volume_error", "mean absolute error of the volume", False, maps_.volume_means, row=0),
        Metric("volume_bias", "mean of said less true volume", None, maps_.volume_means, row=1, ideal=0.0),
        Metric("r2", "mean R² of the volume of each label", True, _of_classes(responses_.r2)),
        Metric("r2_null", "R² of volumes against the training mean", True, terms_.scaled, responses_.losses),
    ),
    "multilabel": (
        Metric("auroc", "macro AUROC", True, _of_classes(labels_.auroc), within=within_.auroc_of_label, chance=0.5),
        Metric("auprc", "macro average precision", True, _of_classes(labels_.auprc)),
        Metric("brier", "mean Brier score", False, _of_classes(labels_.brier)),
        Metric("ipa", "mean scaled Brier score", True, terms_.scaled_labels, terms_.label_losses),
        *_calibration("mean "),
    ),
    "regression": (
        Metric("r2", "R²", True, _of_classes(numbers_.r2), within=within_.r2),
        Metric("rmse", "RMSE", False, _of_classes(numbers_.rmse)),
        Metric("spearman", "Spearman's ρ", True, _of_classes(numbers_.spearman)),
        Metric("c_index", "concordance index", True, _of_classes(numbers_.c_index)),
        Metric("r2_null", "R² against the training mean", True, terms_.scaled, terms_.number_losses),
        Metric(
            "calibration_intercept", "mean of observed less predicted", None,
            terms_.number_intercept, terms_.pairs_of_numbers, CALIBRATION, 0.0,
        ),
        Metric(
            "calibration_slope", "calibration slope", None,
            terms_.number_slope, terms_.pairs_of_numbers, CALIBRATION, 1.0,
        ),
    ),
    "response": (
        Metric("r2", "mean R² of channels", True, _of_classes(responses_.r2), within=responses_.r2_within),
        Metric("pearson", "mean Pearson's r of channels", True, _of_classes(responses_.pearson)),
        Metric("two_versus_two", "2V2 accuracy", True, responses_.two_v_two, chance=0.5),
        Metric("r2_explainable", "explained of what can be", True, responses_.explained_of_explainable),
        Metric("r2_null", "R² against the training mean", True, terms_.scaled, responses_.losses),
        Metric("bits_per_spike", "bits a spike", True, spikes_.bits_per_spike, spikes_.terms),
    ),
    "survival": (
        Metric("harrell_c", "Harrell's C", True, _harrell_c, within=within_.harrell_c, chance=0.5),
        Metric("uno_c", "Uno's C", True, _uno_c),
        Metric("integrated_brier", "integrated Brier score", False, _integrated_brier),
        Metric("ipa", "scaled integrated Brier score", True, terms_.scaled, terms_.survival_losses),
        *_at_horizons(),
    ),
    "text": (
        Metric("text_score", "text score", True, said_.score, within=said_.score_within),
        Metric("token_f1", "token F1", True, said_.named["token_f1"]),
        Metric("exact_match", "exact match", True, said_.named["exact_match"]),
        Metric("rouge_l", "ROUGE-L", True, said_.named["rouge_l"]),
        Metric("bleu", "BLEU", True, said_.named["bleu"]),
        Metric("entity_f1", "entity F1", True, said_.named["entity_f1"]),
        Metric("beyond_typical", "text score beyond the typical text", True, said_.beyond_typical, said_.losses),
    ),
}  # fmt: skip

EXPLAINED: dict[str, str] = {
    kind: metric.id
    for kind, metrics in METRICS.items()
    for metric in metrics
    if metric.id in ("ipa", "r2_null", "beyond_typical")
}
"""Metric of each kind that says how much of the outcome is explained: 0 as good as the training prior, 1 perfect."""

PRIMARY: dict[str, str] = {kind: metrics[0].id for kind, metrics in METRICS.items()}


def primary_label(kind: str) -> str:
    """Label of the primary metric of a kind of target."""
    return next(metric.label for metric in METRICS[kind] if metric.id == PRIMARY[kind])
