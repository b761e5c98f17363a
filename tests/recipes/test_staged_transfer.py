"""`staged-transfer`: a declared column first, then the target; what is kept, what is dropped, whether it helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import chiasm
from adapted_cohorts import network_of, stopped_after
from chiasm.cohort import Unsupported
from chiasm.fitting.base import trainable
from chiasm.recipes.adaptation.staged_transfer import first_examples
from chiasm.recipes.registry import make_recipe
from chiasm.testing.adaptation import check_adaptation

NETWORK = "raster:network=conv,size=16,patch=4,dim=16,depth=2"
QUICK = "first=shape,first_epochs=2,epochs=2,latent_width=4"


def pictures(
    folder: Path,
    n: int = 48,
    *,
    labelled: float = 1.0,
    target: Any = None,
    seed: int = 5,
    declared: tuple[str, ...] = ("shape",),
) -> chiasm.Cohort:
    """Grey images of noise with a bar, down or across (`shape`), in one of two halves: with it the class of four.

    A share of the patients has an outcome; one in eight has no picture but a table of noise; `shape` lacks for one in
    nine.
    """
    rng, ids = np.random.default_rng(seed), [f"p{seed:03d}{row:04d}" for row in range(n)]
    codes = np.arange(n) % 4
    files, values = {}, rng.integers(0, 120, (n, 16, 16))
    for row, code in enumerate(codes):
        place = int(rng.integers(1, 6)) + 8 * (code // 2)
        if code % 2:
            values[row, 2:14, place : place + 2] += 120
        else:
            values[row, place : place + 2, 2:14] += 120
        if row % 8 != 5:
            files[ids[row]] = folder / f"{ids[row]}.png"
            Image.fromarray(values[row].astype(np.uint8)).save(files[ids[row]])
    names = np.array([f"class {code}" for code in codes], object)
    names[rng.random(n) > labelled] = None
    patients = pd.DataFrame({"y": names, "quality": codes + rng.normal(size=n) / 4}, index=ids)
    patients["shape"] = np.where(np.arange(n) % 9 == 4, "", np.where(codes % 2, "down", "across"))
    patients["one"], patients["group"] = "same", [f"g{row // 2}" for row in range(n)]
    table = pd.DataFrame(rng.normal(size=(n, 2)), index=ids, columns=["a", "b"])
    cohort = chiasm.cohort_from_frames(
        patients, {"clinical": table[np.arange(n) % 8 != 1], "scan": files}, target or chiasm.Classification("y"),
        kinds={"scan": "image"}, subgroups=declared, group="group",
    )  # fmt: skip
    return chiasm.encode(cohort, {"scan": NETWORK}, store=folder / "store", inputs=True).cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    return pictures(tmp_path_factory.mktemp("pictures"))


def test_the_laws_of_adapted_recipes_hold(cohort: chiasm.Cohort) -> None:
    model = check_adaptation(make_recipe(f"staged-transfer:{QUICK},balanced=true"), cohort)
    notes = network_of(model).notes
    rows = np.arange(len(cohort)) % 4 != 0
    known = cohort.subgroups[0].level[rows] != ""
    assert notes == {"patients of the first phase": float(known.sum()), "classes of the first phase": 2.0}


def test_the_first_phase_is_what_the_target_begins_with(cohort: chiasm.Cohort) -> None:
    """Without an epoch on the target, the network is that of the column, and the head is new."""
    start = network_of(make_recipe("full-tuning:epochs=0,latent_width=4").fit(cohort, seed=0)).state
    first = network_of(
        make_recipe("staged-transfer:first=shape,first_epochs=2,epochs=0,latent_width=4").fit(cohort, seed=0)
    )
    other = network_of(
        make_recipe("staged-transfer:first=shape,first_epochs=0,epochs=0,latent_width=4").fit(cohort, seed=0)
    )
    assert first.outputs == 4
    moved = {name for name in start if not np.array_equal(first.state[name], start[name])}
    for part in ("fusion.trained", "fusion.fusion"):
        assert any(name.startswith(part) for name in moved)
    assert {name for name in start if name.startswith("head.")}.isdisjoint(moved)
    assert all(np.array_equal(other.state[name], start[name]) for name in start)


def test_patients_who_are_tested_are_seen_in_neither_phase(cohort: chiasm.Cohort) -> None:
    """What the held-out patients' column says changes nothing; what a training patient's says does."""
    rows = np.arange(len(cohort))
    recipe = make_recipe(f"staged-transfer:{QUICK}")

    def fitted(changed: np.ndarray) -> dict[str, np.ndarray]:
        shape, *rest = cohort.subgroups
        level = np.where(changed & (shape.level != ""), np.where(shape.level == "down", "across", "down"), shape.level)
        other = replace(cohort, subgroups=(replace(shape, level=level), *rest))
        return network_of(recipe.fit(other.subset(rows % 3 != 0), seed=0)).state

    plain = fitted(rows < 0)
    assert all(np.array_equal(plain[name], own) for name, own in fitted(rows % 3 == 0).items())
    assert any(not np.array_equal(plain[name], own) for name, own in fitted(rows == 1).items())


def test_another_kind_of_target_follows(tmp_path: Path) -> None:
    """From a shape to the quality of a picture."""
    cohort = pictures(tmp_path, target=chiasm.Regression("quality"))
    model = make_recipe(f"staged-transfer:{QUICK}").fit(cohort, seed=0)
    assert network_of(model).outputs == 1 and network_of(model).notes["classes of the first phase"] == 2
    assert model.predict(cohort)["prediction"].notna().all()
    with pytest.raises(Unsupported, match="no classes to balance"):
        make_recipe("staged-transfer:first=shape,balanced=true").supports(cohort)


def test_resumed_equals_uninterrupted(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    recipe = make_recipe(f"staged-transfer:{QUICK}")
    whole = network_of(recipe.fit(cohort, seed=0)).state
    for checkpoints in (1, 3):
        with stopped_after(checkpoints):
            recipe.fit(cohort, seed=0, checkpoint=tmp_path / f"after{checkpoints}")
        again = network_of(recipe.fit(cohort, seed=0, checkpoint=tmp_path / f"after{checkpoints}")).state
        assert all(np.array_equal(again[name], own) for name, own in whole.items())


def test_a_column_that_is_not_there_or_has_one_level_is_refused(tmp_path: Path) -> None:
    cohort = pictures(tmp_path, declared=("shape", "one"))
    for name, words in (("shap", "did you mean 'shape'"), ("", "declared are: one, shape"), ("one", "one level alone")):
        with pytest.raises(Unsupported, match=words):
            make_recipe(f"staged-transfer:first={name}").supports(cohort)


def test_patients_without_an_outcome_learn_the_column_and_held_out_ones_do_not(tmp_path: Path) -> None:
    cohort = pictures(tmp_path, labelled=0.5)
    training = trainable(cohort, 0, None, "cpu")
    recipe = make_recipe(f"staged-transfer:{QUICK}")
    data, _, _ = recipe.prepared(training)
    examples, classes = first_examples(training, data, "shape")
    assert classes == 2 and len(examples.present) == int((cohort.subgroups[0].level != "").sum())
    known = cohort.subgroups[0].level != ""
    groups = np.asarray(cohort.group)[known]
    assert (~examples.held_out).sum() > (~data.held_out).sum()
    assert not set(groups[examples.held_out]) & set(groups[~examples.held_out])
    assert not set(np.asarray(data.cohort.group)[data.held_out]) & set(groups[~examples.held_out])


@pytest.mark.nightly
def test_reuse_helps_where_few_have_an_outcome(tmp_path: Path) -> None:
    """Many patients have a shape of two, few an outcome of four: the first phase raises the score on new patients."""
    gains = []
    for seed in range(5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        cohort = pictures(folder, n=480, labelled=0.15, seed=seed)
        new = pictures(folder, n=200, seed=100 + seed)
        score = {
            name: accuracy(make_recipe(f"{name}epochs=20,learning_rate=0.003").fit(cohort, seed=seed), new)
            for name in ("staged-transfer:first=shape,first_epochs=20,", "full-tuning:")
        }
        gains.append(np.subtract(*score.values()))
    assert np.mean(gains) > 0 and np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(len(gains)), gains


def accuracy(model: Any, cohort: chiasm.Cohort) -> float:
    """The share of patients whose likeliest class is theirs."""
    frame = model.predict(cohort).filter(like="p_")
    assert cohort.outcome is not None
    return float((frame.to_numpy().argmax(1) == cohort.outcome.value).mean())
