"""Public function that makes a recipe of a scikit-learn pipeline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chiasm.recipes.baselines.pipeline import Pipeline

WHOLE = 10**6  # characters of a parameter's text


def from_sklearn(estimator: Any, *, name: str | None = None, modalities: Iterable[str] = ()) -> Pipeline:
    """Make a recipe of an estimator or pipeline of scikit-learn, or an estimator of scikit-survival.

    `chiasm.evaluate(cohort, ["late-fusion", chiasm.from_sklearn(pipeline)])` fits it on the same folds as every other
    recipe, and its one-modality forms with it. It sees one frame with the columns of all its modalities, NaN where a
    patient lacks one; how it fills them is its own affair. The fitted model predicts, and cannot be saved.

    Args:
        estimator: not fitted, with `predict_proba` for a classification or labels; it is cloned for each fit.
        name: name in the trial; by default that of the last step's class, as in `LogisticRegression`.
        modalities: the tables and omics blocks that it reads; all of the cohort's by default.

    Raises:
        TypeError: this is no estimator.
        ValueError: the name cannot name a recipe.
    """
    steps = getattr(estimator, "steps", None)
    last = steps[-1][1] if steps else estimator
    told = not isinstance(estimator, type) and hasattr(estimator, "get_params")
    text = estimator.__repr__(N_CHAR_MAX=WHOLE) if told else ""
    return Pipeline(estimator, type(last).__name__ if name is None else name, tuple(modalities), text)
