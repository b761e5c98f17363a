"""Conformance check of recipes: what a fitted model may depend on, and the form of its predictions."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from chiasm.api import load_model
from chiasm.citation import Citation
from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.isolation import own_randomness
from chiasm.compute.memo import forget
from chiasm.protocols import HasPrior
from chiasm.readers.reading import Events
from chiasm.targets import KINDS as TARGETS
from chiasm.testing.absent import batches_that_lack_a_modality
from chiasm.testing.cohorts import Parts, restricted, synthetic_parts
from chiasm.testing.laws import TOLERANCE, differing, distance, finite, folder_bytes, globals_unchanged, require

KINDS = tuple(TARGETS)
MODALITIES = (("m1", "m2", "m3"), ("m1", "m2"))


def check_recipe(
    recipe: Any,
    *,
    kinds: Sequence[str] = KINDS,
    n: int = 112,
    seed: int = 0,
    parts: Callable[[str, int, int], Parts] | None = None,
) -> None:
    """Check a recipe on small synthetic cohorts in which every pattern of modalities occurs.

    The modalities are `m1`, a table, `m2`, an omics block, and `m3`, ragged bags, which a recipe need not support. One
    that borrows is given a source cohort. The recipe is fitted three times for each kind of target that it supports, so
    choose options that make it fast.

    Args:
        recipe: the recipe, with options.
        kinds: kinds of target to check, from `KINDS`.
        n: number of patients, of whom a quarter is predicted and not used in the fit.
        seed: seed of the cohorts and the fits.
        parts: makes the cohorts of a recipe that needs other modalities, of a kind of target, `n` and `seed`; each
            pattern of them should occur, and every patient have one.

    Raises:
        AssertionError: a law does not hold; the message names it and the observation.
    """
    _describes_itself(recipe)
    found: dict[str, Parts | None] = {}
    for kind in kinds:
        if parts is None:
            made = _supported(recipe, synthetic_parts(kind, n, seed), synthetic_parts(kind, n, seed + 1))
        else:
            made = parts(kind, n, seed)
            recipe.supports(made.cohort())
        found[kind] = made
    law = "a recipe supports some cohort"
    require(any(found.values()), law, f"supports() refuses a table, an omics block and bags for {', '.join(kinds)}")
    with own_randomness(seed):
        for own in found.values():
            if own is not None:
                _check(recipe, own, seed)


def _describes_itself(recipe: Any) -> None:
    law = "a recipe has a name, a family and the paper it is from"
    for field, kind in (("name", str), ("family", str), ("paper", Citation)):
        value = getattr(recipe, field, None)
        law_broken = "its paper is not a chiasm.Citation" if kind is Citation else f"its {field} is {value!r}"
        require(isinstance(value, kind) and bool(value), law, law_broken)


def _supported(recipe: Any, parts: Parts, other: Parts) -> Parts | None:
    for names in MODALITIES:
        own = parts.only(names)
        for offered in (own, own.borrowing(other)):
            try:
                recipe.supports(offered.cohort())
            except Unsupported:
                continue
            return offered
    return None


def _check(recipe: Any, parts: Parts, seed: int) -> None:
    cohort = parts.cohort()
    train, new = _halves(cohort)
    _refuses_no_target(recipe, train)
    with batches_that_lack_a_modality():
        model = _fit(recipe, train, seed)
    count = model.trained_parameters
    law = "trained_parameters is a whole number, zero or more"
    require(isinstance(count, int) and not isinstance(count, bool) and count >= 0, law, f"it is {count!r}")
    with globals_unchanged("predict"):
        frame = model.predict(new.with_target(None, None))
    _columns(frame, new)
    apart = distance(frame, model.predict(new))
    require(apart == 0.0, "predict does not read the target", f"predictions with and without it differ by {apart:.1e}")
    _every_pattern(model, _used(frame, new))
    _none_at_all(model, new)
    _one_by_one(model, new, frame)
    _same_seed(recipe, train, new, model, frame, seed)
    _orders(recipe, parts, frame, seed)


def _halves(cohort: Cohort) -> tuple[Cohort, Cohort]:
    """Split a cohort into three quarters for fitting and a quarter for prediction, with every pattern in both."""
    new = np.arange(len(cohort)) % 4 == 0
    return cohort.subset(~new), cohort.subset(new)


def _fit(recipe: Any, cohort: Cohort, seed: int) -> Any:
    forget()  # parts cached by an earlier fit would hide a difference
    before = _content(cohort)
    with globals_unchanged("fit"):
        model = recipe.fit(cohort, seed=seed)
    require(_content(cohort) == before, "fit leaves its cohort as it was", "a value or a row of it has changed")
    return model


def _bytes(item: Any) -> bytes:
    if isinstance(item, Events):
        return b"".join(part.tobytes() for part in (item.hours, item.codes, item.values))
    return bytes(np.asarray(item).tobytes())


def _content(cohort: Cohort) -> str:
    digest = hashlib.sha256(repr((cohort.ids.tolist(), cohort.present.tolist(), cohort.order.tolist())).encode())
    if cohort.outcome is not None:
        digest.update(cohort.outcome.value.tobytes())
    for name in cohort.modalities:
        raw = cohort.raw(name)
        digest.update(raw.to_csv().encode() if isinstance(raw, pd.DataFrame) else b"".join(map(_bytes, raw)))
    return digest.hexdigest()


def _refuses_no_target(recipe: Any, cohort: Cohort) -> None:
    try:
        recipe.supports(cohort.with_target(None, None))
    except Unsupported:
        return
    raise AssertionError("supports() raises Unsupported for a cohort without a target: it did not")


def _columns(frame: pd.DataFrame, cohort: Cohort) -> None:
    law = "predict answers one row a patient, in the user's row order"
    expected = cohort.ids[cohort.order].tolist()
    require(list(frame.index) == expected, law, f"{len(frame)} rows, not the {len(expected)} patients in their order")
    patterns = _used(frame, cohort).pattern()[cohort.order].tolist()
    require(list(frame["pattern"]) == patterns, "pattern names the modalities used", "for one patient it does not")
    law = "predict gives the columns of its kind of target"
    require(list(frame.columns)[:1] == ["pattern"], law, f"they are {list(frame.columns)}")
    values = frame.drop(columns="pattern")
    require(finite(values), "every prediction is a finite number", "one is NaN or infinite")
    if cohort.target is not None:
        cohort.target.check_prediction(values, cohort.target.names, require)


def _used(frame: pd.DataFrame, cohort: Cohort) -> Cohort:
    """Restrict the cohort to the modalities named in the predicted patterns; a model may use fewer than all."""
    law = "pattern names the modalities used"
    require("pattern" in frame, law, f"there is no such column among {list(frame.columns)}")
    named = {name for pattern in frame["pattern"] for name in str(pattern).split("+") if name}
    require(bool(named) and named <= set(cohort.modalities), law, f"it names {sorted(named)}")
    return cohort.with_modalities(sorted(named))


def _every_pattern(model: Any, cohort: Cohort) -> None:
    names = cohort.modalities
    for size in range(1, len(names) + 1):
        for pattern in combinations(names, size):
            own, law = restricted(cohort, pattern), "every subset of the modalities predicts"
            shown = "+".join(pattern)
            try:
                frame = model.predict(own)
            except Exception as error:
                raise AssertionError(f"{law}: {shown} raises {type(error).__name__}: {error}") from error
            require(set(frame["pattern"]) == {shown}, "pattern names the modalities used", f"not for {shown}")
            require(finite(frame), law, f"{shown} predicts a NaN or an infinity")
            gone = distance(frame, model.predict(own.with_modalities(pattern)))
            law = "a modality that nobody has and one that the cohort does not know are both absent"
            require(gone <= TOLERANCE, law, f"predictions for {shown} differ by {gone:.1e}")


def _none_at_all(model: Any, cohort: Cohort) -> None:
    nobody = restricted(cohort, ())
    try:
        frame = model.predict(nobody)
    except Unsupported:
        return
    law = "no modality at all raises Unsupported, unless the model declares a prior by has_prior"
    require(isinstance(model, HasPrior) and bool(model.has_prior), law, "it predicted")
    require(finite(frame), "a prior is a number", "it is not")


def _one_by_one(model: Any, cohort: Cohort, frame: pd.DataFrame) -> None:
    for row, name in enumerate(cohort.ids):
        gap = distance(frame.loc[[name]], model.predict(cohort.subset([row])), frame)
        law = "a prediction does not depend on who else is in the batch"
        require(gap <= TOLERANCE, law, f"a patient with {frame.loc[name, 'pattern']} alone differs by {gap:.1e}")


def _same_seed(recipe: Any, train: Cohort, new: Cohort, model: Any, frame: pd.DataFrame, seed: int) -> None:
    # Advance the global generators, which a fit must not use.
    torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    again = _fit(recipe, train, seed)
    law = "the same seed on the same machine gives the same model"
    require(distance(frame, again.predict(new)) == 0.0, law, "predictions differ")
    odd = differing(folder_bytes(model.save), folder_bytes(again.save))
    require(not odd, law, f"{', '.join(odd)} in the saved folder differ")
    with TemporaryDirectory() as place:
        model.save(Path(place) / "model")
        loaded = load_model(Path(place) / "model")
    gap = distance(frame, loaded.predict(new))
    require(gap == 0.0, "a model that is saved and loaded predicts the same", f"predictions differ by {gap:.1e}")
    odd = differing(folder_bytes(model.save), folder_bytes(loaded.save))
    require(not odd, "a model that is loaded is the one that was saved", f"saved again, {', '.join(odd)} differ")


def _orders(recipe: Any, parts: Parts, frame: pd.DataFrame, seed: int) -> None:
    train, new = _halves(parts.shuffled(seed + 1).cohort())
    found = _fit(recipe, train, seed).predict(new)
    gap = distance(frame.sort_index(), found.sort_index())
    law = "the order of rows, columns and modalities and unrelated columns change nothing"
    require(gap <= TOLERANCE, law, f"predictions differ by {gap:.1e}")
