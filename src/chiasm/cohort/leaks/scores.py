"""Scores that are too good to be true, as a finding."""

from __future__ import annotations

from chiasm.errors import Problem, warning

TOO_GOOD = 0.98  # of AUROC, Harrell's C or R2, out of fold, of one modality alone


def too_good(modality: str, metric: str, value: float) -> Problem:
    """The finding that one modality alone reaches .98 and more out of fold: a leak unless it is accepted.

    Args:
        metric: in the words of the page, as "AUROC", "Harrell's C" or "R2".
        value: the mean of the metric over test folds.
    """
    what = f"the modality alone predicts the target out of fold with {metric} {value:.3f}"
    fix = "look for what is known only after the outcome; if there is none, accept it with the reason"
    return warning(what, fix, modality=modality, finding="too-good", leak=True)
