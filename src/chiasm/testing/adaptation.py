"""Conformance check of recipes that adapt a frozen encoder: the base is unchanged, and every patient is predicted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.api import load_model
from chiasm.cohort import Cohort
from chiasm.encoders.choice import choose
from chiasm.encoders.frozen import hash_state
from chiasm.recipes.adaptation.trunks import adapted_modalities
from chiasm.testing.absent import batches_that_lack_a_modality
from chiasm.testing.laws import TOLERANCE, differing, distance, folder_bytes, globals_unchanged, require


def check_adaptation(recipe: Any, cohort: Cohort, *, seed: int = 0) -> Any:
    """Check a recipe of family "adaptation" on a cohort that was encoded with `inputs=True`.

    It is fitted twice on three quarters of the patients, so choose options and a network that make it fast.

    Args:
        recipe: the recipe, with options.
        cohort: a cohort with a target and two or more modalities, of which one has a network to adapt; some patients
            should lack a modality.

    Returns:
        The fitted model.

    Raises:
        AssertionError: a law does not hold; the message names it and the observation.
    """
    rows = np.arange(len(cohort))
    train, new = cohort.subset(rows % 4 != 0), cohort.subset(rows % 4 == 0)
    bases = _bases(train)
    with globals_unchanged("fit"), batches_that_lack_a_modality():
        model = recipe.fit(train, seed=seed)
    with globals_unchanged("predict"):
        frame = model.predict(new)
    require(_bases(train) == bases, "frozen means byte-identical", "the network of an encoder has changed")
    require(model.trained_parameters > 0, "something is trained", "trained_parameters is 0")
    numbers = frame.select_dtypes("number").to_numpy()
    require(bool(np.isfinite(numbers).all()), "predictions are finite", "one is not")
    state = folder_bytes(model.save)
    odd = differing(state, folder_bytes(recipe.fit(train, seed=seed).save))
    require(not odd, "the same seed gives the same model", f"{', '.join(odd)} differ")
    with tempfile.TemporaryDirectory() as place:
        model.save(Path(place) / "model")
        gap = distance(frame, load_model(Path(place) / "model").predict(new))
    require(gap == 0.0, "a model that is saved and loaded predicts the same", f"predictions differ by {gap:.1e}")
    for row in range(len(new)):
        one = new.subset([row])
        gap = distance(frame.loc[list(one.ids)], model.predict(one))
        require(gap <= TOLERANCE, "predict(batch)[i] == predict([i])", f"patient {row} differs by {gap:.1e}")
    for name in cohort.modalities:
        alone = new.with_modalities([name])
        alone = alone.subset(alone.rows_of(name))
        answers = model.predict(alone).select_dtypes("number").to_numpy()
        require(bool(np.isfinite(answers).all()), "every pattern is predicted", f"'{name}' alone gives no number")
    return model


def _bases(cohort: Cohort) -> dict[str, str]:
    """Hash each encoder's network, as the next encoding would use it."""
    found = {}
    for name, own in adapted_modalities(cohort).items():
        found[name] = hash_state(choose(own.kind, own.spec).encoder.trunk().state_dict())
    return found
