"""P4: the order of rows, of modalities in the manifest and of columns, and unrelated columns, change no prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.compute.memo import forget
from chiasm.testing.cohorts import Parts
from small_recipes import TWO, at_night, every_recipe, gap, on_disk, on_paths, parts, short_name

TOLERANCE = 1e-6


def halves(cohort: chiasm.Cohort) -> tuple[chiasm.Cohort, chiasm.Cohort]:
    new = np.arange(len(cohort)) % 4 == 0
    return cohort.subset(~new), cohort.subset(new)


def predicted(recipe: Any, cohort: chiasm.Cohort) -> pd.DataFrame:
    forget()
    train, new = halves(cohort)
    return recipe.fit(train, seed=5).predict(new)


# `check_recipe` turns all orders of each recipe at once, from frames; here they are turned one by one, on disk.
@pytest.fixture(scope="module", params=["classification", *at_night("survival")])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same cohort on disk in five ways, and in all of these at once."""
    made, folder = parts(request.param), tmp_path_factory.mktemp("orders")
    rng = np.random.default_rng(0)
    rows = replace(made, patients=made.patients.iloc[::-1], values={**made.values, "m2": made.values["m2"].iloc[::-1]})
    columns = {name: own.iloc[:, rng.permutation(own.shape[1])] for name, own in made.values.items() if name != "m3"}
    unrelated = replace(made, patients=made.patients.assign(diary="text", score=rng.normal(size=len(made.patients))))
    everything = replace(rows, patients=unrelated.patients.iloc[::-1], values={**rows.values, **columns})
    return {
        "as it is": on_disk(folder / "a", made),
        "rows": on_disk(folder / "b", rows),
        "modalities": on_disk(folder / "c", made, names=["m3", "m1", "m2"]),
        "columns": on_disk(folder / "d", replace(made, values={**made.values, **columns})),
        "unrelated columns": on_disk(folder / "e", unrelated),
        "all at once": on_disk(folder / "f", everything, names=["m3", "m1", "m2"]),
    }


# A linear one is tried in a whole trial, below.
@pytest.mark.parametrize("recipe", on_paths(every_recipe(), {"lego-fuse"}), ids=short_name)
def test_no_order_changes_a_prediction(recipe: Any, files: dict[str, Path]) -> None:
    reference = predicted(recipe, chiasm.open_cohort(files["as it is"]))
    for what in ("rows", "modalities", "columns", "unrelated columns"):
        found = predicted(recipe, chiasm.open_cohort(files[what]))
        assert gap(reference, found) <= TOLERANCE, what


def test_the_manifests_differ_in_what_they_say(files: dict[str, Path]) -> None:
    cohorts = {what: chiasm.open_cohort(file) for what, file in files.items()}
    plain = cohorts["as it is"]
    assert not np.array_equal(plain.ids[plain.order], cohorts["rows"].ids[cohorts["rows"].order])
    assert list(plain.kinds) != list(cohorts["modalities"].kinds)
    assert list(plain.raw("m1").columns) != list(cohorts["columns"].raw("m1").columns)
    assert plain.fingerprint == cohorts["rows"].fingerprint == cohorts["unrelated columns"].fingerprint


@pytest.mark.parametrize("recipe", on_paths(every_recipe(), TWO), ids=short_name)
def test_a_prediction_comes_in_the_order_of_the_file(recipe: Any) -> None:
    made: Parts = parts("regression")
    train, new = halves(made.cohort())
    model = recipe.fit(train, seed=0)
    frame = model.predict(new)
    assert list(frame.index) == [name for name in made.patients.index if name in set(new.ids.tolist())]
    turned = replace(made, patients=made.patients.iloc[::-1]).cohort()
    again = model.predict(halves(turned)[1])
    assert list(again.index) == list(frame.index)[::-1]
    assert gap(frame, again) <= TOLERANCE


@pytest.mark.usefixtures("ridges")
@pytest.mark.parametrize(
    "orders", [("all at once",), *at_night(("rows", "modalities", "columns"))], ids=["all", "each"]
)
def test_a_trial_is_the_same_in_another_order(files: dict[str, Path], orders: tuple[str, ...]) -> None:
    trials = []
    for what in ("as it is", *orders):
        forget()
        protocol = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
        trials.append(chiasm.evaluate(chiasm.open_cohort(files[what]), ["late-fusion", "single:m1"], protocol, jobs=1))
    figures = [trial.table()[["mean", "low", "high"]].to_numpy(float) for trial in trials]
    for one in figures[1:]:
        np.testing.assert_allclose(one, figures[0], atol=1e-6)
    assert len({trial.verdict.sentence for trial in trials}) == 1
