"""What a synthetic set gives away: a generator that copies is caught, one that draws strangers is not."""

from __future__ import annotations

import numpy as np
import pytest
from made_patients import patients
from sklearn.metrics import roc_auc_score

from chiasm.generation.copula import GaussianCopula
from chiasm.generation.likeness import likeness
from chiasm.generation.privacy import Measure, Privacy, auroc, privacy_of, told
from chiasm.generation.rows import Rows
from chiasm.targets import Survival


def parted(n: int = 300) -> tuple[Rows, Rows]:
    """Patients of one distribution, four in five to fit to."""
    whole = patients(3, n, width=40)
    return whole.take(np.arange(n) < n * 4 // 5), whole.take(np.arange(n) >= n * 4 // 5)


def of(found: Privacy, name: str) -> float:
    return next(own.value for own in found.measures if own.id == name)


@pytest.fixture(scope="module")
def parts() -> tuple[Rows, Rows]:
    return parted()


def test_a_generator_that_copies_is_caught_by_every_measure_that_sees_rows(parts: tuple[Rows, Rows]) -> None:
    train, held = parts
    rng = np.random.default_rng(0)
    found = privacy_of(train, held, train.take(rng.integers(0, len(train), 300)))
    assert of(found, "copies") == 1.0 and found.counts["copies"] == 300
    assert of(found, "nearest") > 0.99 and of(found, "membership") > 0.8
    assert {own.id for own in found.measures if own.refused} >= {"copies", "nearest", "membership", "attribute"}
    assert len(found.refused) >= 4 and "above the limit of 0.6" in " ".join(found.refused)


@pytest.mark.nightly
def test_one_that_copies_and_blurs_is_caught_too(parts: tuple[Rows, Rows]) -> None:
    train, held = parts
    made = train.take(np.random.default_rng(0).integers(0, len(train), 300))
    wide = made.blocks["rna"] + 0.2 * np.random.default_rng(1).normal(size=made.blocks["rna"].shape)
    blurred = Rows({**made.blocks, "rna": wide}, made.present, {})
    found = privacy_of(train, held, blurred)
    assert of(found, "copies") < 0.5 and {"nearest", "membership"} <= {m.id for m in found.measures if m.refused}


def test_strangers_and_the_copula_are_let_through(parts: tuple[Rows, Rows]) -> None:
    train, held = parts
    strangers = privacy_of(train, held, patients(4, 300, width=40))
    assert strangers.refused == () and abs(of(strangers, "membership") - 0.5) < 0.12
    fitted = GaussianCopula().fit(train)
    found = privacy_of(train, held, fitted.sample(300, 0), fitted.log_density)
    assert found.refused == () and found.counts == {
        "training": 240, "held_out": 60, "synthetic": 300, "copies": 0,
        "near_copies": found.counts["near_copies"], "rare_combinations": found.counts["rare_combinations"],
        "rare_values": 0,
    }  # fmt: skip
    assert [own.limit for own in found.measures if own.id == "density"] == [None]
    assert all(own.low <= own.value <= own.high for own in found.measures if own.id in ("nearest", "membership"))


def test_the_auroc_is_scikit_learns_and_its_interval_covers() -> None:
    rng = np.random.default_rng(0)
    members, others = np.round(rng.normal(0.5, 1, 50), 1), np.round(rng.normal(0, 1, 40), 1)
    value, low, high = auroc(members, others)
    assert value == pytest.approx(roc_auc_score([1] * 50 + [0] * 40, np.concatenate([members, others])))
    draws = [auroc(rng.normal(0, 1, 50), rng.normal(0, 1, 40)) for _ in range(150)]
    assert 0.9 < np.mean([low <= 0.5 <= high for _, low, high in draws]) < 0.99 and low < value < high


@pytest.mark.nightly
def test_likeness_is_zero_of_the_same_and_sees_a_column_that_moved(parts: tuple[Rows, Rows]) -> None:
    train, held = parts
    same = likeness(train, train, held, target=Survival("months", "died"))
    own = same["blocks"]["clinical"]["synthetic"]
    assert own["margins"]["largest"] == 0 and own["correlations"]["largest"] == 0 and same["curves"]["synthetic"] == 0
    moved = train.blocks["clinical"].assign(age=train.blocks["clinical"]["age"] + 15)
    found = likeness(train, Rows({**train.blocks, "clinical": moved}, train.present, {}), held)
    assert found["blocks"]["clinical"]["synthetic"]["margins"]["largest"] > 0.4
    assert same["blocks"]["rna"]["held_out"]["margins"]["mean"] > 0.05  # what chance makes of sixty patients


def test_a_value_above_its_limit_that_chance_explains_is_said() -> None:
    counts = {"synthetic": 9, "training": 8, "held_out": 2, "copies": 0, "near_copies": 0}
    unsure = Measure("nearest", "the share of nearer rows", 0.304, -0.12, 0.73, 0.0, 0.3)
    said = told(Privacy((unsure,), counts))
    assert not unsure.refused and "lies nearest: a larger cohort" in said[-2] and "No other measure" in said[-1]
    below = Measure("nearest", "the share of nearer rows", 0.2, -0.12, 0.73, 0.0, 0.3)
    assert "No measure" in told(Privacy((below,), counts))[-1]
