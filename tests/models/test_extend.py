"""A modality added to a model: nothing else is changed to the bit, noise adds nothing, and it says whether it paid."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.api import ExtendedModel
from chiasm.cohort import Cohort
from chiasm.errors import Unsupported
from chiasm.models.export.obstacles import require_exportable
from chiasm.models.extending import neutral_level, predictions_of
from chiasm.models.updating import calibrated_links
from chiasm.protocols import Model
from lighter_trials import ridges_by_day
from small_recipes import at_night

CASES = [
    ("survival", "late-fusion"),
    *at_night(
        ("classification", "late-fusion"), ("regression", "late-fusion"), ("multilabel", "late-fusion"),
        ("competing", "late-fusion"), ("classification", "stacked-fusion"), ("survival", "early-fusion"),
        ("survival", "boosted-trees"), ("classification", "lego-merge:epochs=2"), ("survival", "healnet:epochs=2"),
        ("regression", "lego-fuse:epochs=2"),
    ),
]  # fmt: skip


def parted(kind: str, seed: int = 3) -> tuple[Cohort, Cohort]:
    """Patients to fit on with two modalities, and later ones with a third, which two thirds of them have.

    `lab` holds the columns of the first modality that say something, which the model of before does not see.
    """
    whole = chiasm.synthetic_cohort("complementary", 420, target=kind, missing=0.2, seed=seed)
    frame = whole.raw("m1")
    columns = list(frame)
    frames = {"m1": frame[columns[8:10]], "m2": whole.raw("m2").iloc[:, [0, 1, 2, 8]]}
    rng = np.random.default_rng(5)
    lab = frame[columns[:7]].iloc[: len(frame) * 3 // 4]
    frames |= {"lab": lab, "junk": pd.DataFrame(rng.normal(size=lab.shape), lab.index, [f"j{k}" for k in range(7)])}
    assert whole.target is not None and whole.outcome is not None
    table, target = whole.target.written(whole.outcome, whole.ids)
    patients = table.set_axis(pd.Index(whole.ids, dtype=object), axis=0)
    cohort = chiasm.cohort_from_frames(patients, frames, target=target, name="whole")
    order = np.random.default_rng(1).permutation(420)
    new = order[120:]
    old = cohort.subset(order[:120]).with_modalities(["m1", "m2"])
    return old.subset(old.present.any(1)), cohort.subset(new)


@cache
def fitted(case: tuple[str, str]) -> tuple[Model, Cohort]:
    """A model of two modalities, and later patients."""
    old, new = parted(case[0])
    with ridges_by_day():
        return chiasm.fit(old, case[1]), new


@cache
def extended(case: tuple[str, str]) -> ExtendedModel:
    """The same with the third."""
    return chiasm.extend(*fitted(case), "lab", draws=100)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case))
def test_patients_without_it_are_predicted_to_the_bit(case: tuple[str, str], tmp_path) -> None:
    model, new = fitted(case)
    found = extended(case)
    assert found.is_extended and found.gate > 0.3
    bare = new.with_target(None, None)
    known = bare.with_modalities(["m1", "m2"]).present.any(1)
    both = bare.subset(known)
    before, after = model.predict(both), found.model.predict(both)
    without = ~np.isin(before.index, bare.ids[bare.rows_of("lab")])
    assert 20 < without.sum() < len(before)
    pd.testing.assert_frame_equal(before[without], after[without], check_exact=True)
    moved = (before[~without].drop(columns="pattern") != after[~without].drop(columns="pattern")).any(axis=1)
    assert moved.all(), "and every other one is moved"
    assert set(after.loc[~without, "pattern"]) <= {"lab+m1", "lab+m2", "lab+m1+m2"}
    found.model.save(tmp_path / "newer")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "newer").predict(both), after, check_exact=True)
    pd.testing.assert_frame_equal(chiasm.undo(found.model).predict(both), before, check_exact=True)
    assert np.isfinite(found.model.predict(bare.with_modalities(["lab"]).subset(bare.rows_of("lab"))).iloc[:, 1]).all()


def test_it_pays_or_adds_nothing() -> None:
    (model, new), found = fitted(CASES[0]), extended(CASES[0])
    assert found.pays == "pays" and found.gain.low > 0 and "'lab' pays" in found.sentence
    noise = chiasm.extend(model, new, "junk", draws=100)
    assert noise.model is model and noise.gate == 0 and noise.pays == "does not pay"
    assert noise.gain.mean == pytest.approx(0, abs=0.05)


def test_the_mean_prediction_stays_where_it_was() -> None:
    rng = np.random.default_rng(0)
    model, new = fitted(CASES[0])
    eta = calibrated_links(model, model.predict(new.with_target(None, None).subset(new.present.any(1))))
    added = rng.normal(0.4, 1.0, eta.shape)
    level = neutral_level(model.response, eta, added)
    assert np.exp(added - level).mean() == pytest.approx(1)
    frame = predictions_of(model.response, eta + added - level, pd.RangeIndex(len(eta)))
    assert np.isfinite(frame.to_numpy()).all()


def test_what_is_refused() -> None:
    model, new = fitted(CASES[0])
    with pytest.raises(ValueError, match="reads 'm1' already"):
        chiasm.extend(model, new, "m1")
    with pytest.raises(ValueError, match="did you mean 'lab'"):
        chiasm.extend(model, new, "labs")
    with pytest.raises(Unsupported, match="too few to say"):
        chiasm.extend(model, new.subset(new.rows_of("lab")[:20]), "lab")
    with pytest.raises(Unsupported, match=r"extended by a modality cannot be exported.*--undo"):
        require_exportable(extended(CASES[0]).model, with_training_rows=True)
    with pytest.raises(Unsupported, match="no target"):
        chiasm.extend(model, new.with_target(None, None), "lab")
