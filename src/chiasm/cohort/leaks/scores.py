"""Report scores that are too good to be true as a finding."""

from __future__ import annotations

from chiasm.errors import Problem, warning

TOO_GOOD = 0.98  # of AUROC, Harrell's C or R2, out of fold, of one modality alone


def too_good(modality: str, metric: str, value: float) -> Problem:
    """Build the finding that one modality alone reaches .98 or more out of fold: a leak unless it is accepted.

    Args:
        metric: name as shown on the page, such as "AUROC", "Harrell's C" or "R2".
        value: mean of the metric over test folds.
    """
    what = f"the modality alone predicts the target out of fold with {metric} {value:.3f}"
    fix = "look for what is known only after the outcome; if there is none, accept it with the reason"
    return warning(what, fix, modality=modality, finding="too-good", leak=True)
