"""A modality added to a model: nothing else is changed to the bit, noise adds nothing, and it says whether it paid."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import chiasm
from chiasm.api import ExtendedModel
from chiasm.cohort import Cohort, cohort_from_frames
from chiasm.errors import Unsupported
from chiasm.fitting.gate import MARGIN
from chiasm.fitting.unimodal import inner_folds
from chiasm.heads.response import Response
from chiasm.models.export.obstacles import require_exportable
from chiasm.models.extending import held_out_gain, held_out_links, learn_block, neutral_level, predictions_of
from chiasm.models.updating import calibrated_links
from chiasm.protocols import Model
from lighter_trials import ridges_by_day
from small_recipes import at_night

pytestmark = pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")  # some labels are unknown
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
    assert found.is_extended
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
    assert noise.gain.low <= 0 <= noise.gain.high


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["survival", "classification", "regression"])
def test_noise_is_kept_no_more_often_than_once_in_forty(kind: str) -> None:
    """Of the margin of the gate; the bound is what forty draws at that level exceed once in a thousand."""
    model, new = fitted((kind, "late-fusion"))
    old = new.with_modalities(["m1", "m2"])
    assert old.outcome is not None and old.target is not None
    old = old.subset(old.present.any(1) & old.outcome.known)
    assert old.outcome is not None and old.target is not None
    ids = list(old.ids)
    eta = calibrated_links(model, model.predict(old.with_target(None, None)).loc[ids])
    patients, target = old.target.written(old.outcome, old.ids)
    patients = patients.set_axis(pd.Index(ids, dtype=object), axis=0)
    kept = 0
    for seed in range(40):
        values = np.random.default_rng(seed).normal(size=(len(ids), 7))
        junk = pd.DataFrame(values, ids, [f"j{k}" for k in range(7)])
        cohort = cohort_from_frames(patients, {"junk": junk}, target=target, name="junk")
        assert list(cohort.ids) == ids
        if learn_block(model.response, cohort, "junk", eta, seed=0).block is not None:
            links = held_out_links(model.response, cohort, "junk", eta, inner_folds(cohort, 1), seed=0)
            kept += held_out_gain(model.response, cohort, eta, links) > MARGIN
    assert kept <= binom.ppf(0.999, 40, 1 / 40)


@pytest.mark.parametrize("kind", ["survival", "classification", "multilabel", "regression"])
def test_the_mean_prediction_stays_where_it_was(kind: str) -> None:
    rng = np.random.default_rng(0)
    names = ("a", "b", "c") if kind in ("classification", "multilabel") else ()
    response = Response(kind, names, (), 1.0, 0.0, np.zeros(0), np.zeros(0))
    eta, added = rng.normal(size=(60, len(names) or 1)), rng.normal(0.4, 1.0, (60, len(names) or 1))
    moved = eta + added - neutral_level(response, eta, added)
    if kind == "survival":  # as many events are expected at the start, whoever they are
        assert np.exp(moved - eta).mean() == pytest.approx(1)
        return
    before, after = (predictions_of(response, links, pd.RangeIndex(60)) for links in (eta, moved))
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after.mean(), before.mean(), atol=1e-9)


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
