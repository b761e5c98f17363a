"""What few patients have alone is not kept, and few who are copied, or a word of few that is told, is caught."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.generation import distances
from chiasm.generation.copula import GaussianCopula
from chiasm.generation.distances import Space, nearest
from chiasm.generation.margins import OTHER, without_few
from chiasm.generation.privacy import Measure, Privacy, privacy_of, told
from chiasm.generation.rows import Rows


def rows(frame: pd.DataFrame) -> Rows:
    return Rows({"t": frame.reset_index(drop=True)}, {"t": np.ones(len(frame), bool)}, {"t": ()})


def numbers(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return pd.DataFrame(rng.normal(size=(n, 8))).add_prefix("c")


def villages(rng: np.random.Generator, n: int) -> pd.DataFrame:
    made = {"place": [f"village {own}" for own in rng.integers(0, 600, n)]}
    made |= {name: rng.integers(0, 8, n).astype(str).astype(object) for name in "abcd"}
    return pd.DataFrame({**made, "age": rng.integers(20, 90, n).astype(float)})


def of(found: Privacy, name: str) -> Measure:
    return next(own for own in found.measures if own.id == name)


@pytest.mark.parametrize(
    ("cohort", "many", "copies"),
    [(100, 100, 12), (400, 500, 6), pytest.param(1000, 1000, 10, marks=pytest.mark.nightly)],
)
def test_a_few_verbatim_copies_are_caught(cohort: int, many: int, copies: int) -> None:
    rng = np.random.default_rng(0)
    train, held = numbers(rng, cohort * 4 // 5), numbers(rng, cohort // 5)
    found = privacy_of(rows(train), rows(held), rows(pd.concat([train.iloc[:copies], numbers(rng, many - copies)])))
    assert of(found, "copies").refused and found.counts["copies"] == copies


def test_few_patients_told_to_six_decimals_are_caught_and_strangers_are_not() -> None:
    rng = np.random.default_rng(0)
    train, held, strangers = numbers(rng, 320), numbers(rng, 80), numbers(rng, 500)
    made = pd.concat([*[train.iloc[:20] + 1e-6] * 2, strangers.iloc[40:]])
    found = privacy_of(rows(train), rows(held), rows(made))
    assert of(found, "near_copies").refused and found.counts["near_copies"] >= 40 and not of(found, "copies").refused
    assert privacy_of(rows(train), rows(held), rows(strangers)).refused == ()


@pytest.mark.parametrize("columns", [4, 5])
def test_tables_in_which_many_are_alike_are_not_refused(columns: int) -> None:
    rng = np.random.default_rng(0)
    train, held, strangers = (
        rows(pd.DataFrame(rng.integers(0, 2, (n, columns)).astype(float)).add_prefix("c")) for n in (320, 80, 500)
    )
    found = privacy_of(train, held, strangers)
    assert found.refused == () and abs(of(found, "nearest").value) < 0.3


def test_no_word_of_one_patient_is_drawn_and_a_set_that_tells_them_is_caught() -> None:
    rng = np.random.default_rng(0)
    train, held = villages(rng, 320), villages(rng, 80)
    made = GaussianCopula().fit(rows(train)).sample(300, 0)
    sizes = train["place"].value_counts()
    assert set(made.blocks["t"]["place"]) <= {OTHER, *sizes.index[sizes >= 5]}
    assert privacy_of(rows(train), rows(held), made).refused == ()
    told = made.blocks["t"].assign(place=rng.choice(sizes.index[sizes < 5].to_numpy(), 300))
    assert of(privacy_of(rows(train), rows(held), rows(told)), "rare_value").refused


def test_a_word_that_nobody_of_the_fit_has_is_as_far_as_any_other() -> None:
    one, two, three = (rows(pd.DataFrame({"w": pd.Series([own] * 3, dtype=object)})) for own in ("a", "b", "c"))
    space = Space.fit(one, two, three)
    for first, other in ((one, two), (one, three), (two, three)):
        assert nearest(space.features(first), space.features(other))[0] == pytest.approx([1.0] * 3)


def test_levels_of_few_patients_are_merged() -> None:
    words = ["much"] * 20 + ["rare", "rarer"] * 4 + ["x"] * 12
    frame = pd.DataFrame({"word": pd.Series(words, dtype=object), "grade": [0.0] * 20 + [3.0] * 17 + [4.0] * 3})
    frame["flag"] = [1.0] * 2 + [0.0] * 38
    frame["single"] = pd.Series(["only"] + ["all"] * 39, dtype=object)
    made = without_few(frame, list(frame.columns))
    assert made["word"].value_counts().to_dict() == {"much": 20, "x": 12, OTHER: 8}
    assert made["grade"].value_counts().to_dict() == {0.0: 20, 3.0: 20} and (made["flag"] == 0).all()
    assert made["single"].isna().sum() == 1 and set(made["single"].dropna()) == {"all"}


def test_columns_of_a_wide_table_are_asked_for_and_one_column_alone_is_said_not_to_be() -> None:
    rng = np.random.default_rng(0)
    train, held = (pd.DataFrame(rng.normal(size=(n, 13))).add_prefix("c") for n in (120, 40))
    assert of(privacy_of(rows(train), rows(held), rows(train)), "attribute").refused
    found = privacy_of(rows(train[["c0"]]), rows(held[["c0"]]), rows(held[["c0"]]))
    assert "attribute" not in {own.id for own in found.measures}
    assert "not measured" in " ".join(told(found))


def test_a_small_set_whose_every_row_is_a_patient_is_caught() -> None:
    rng = np.random.default_rng(0)
    train, held = numbers(rng, 320), numbers(rng, 80)
    for many in (3, 8):
        assert of(privacy_of(rows(train), rows(held), rows(train.iloc[:many] + 1e-6)), "near_copies").refused


def test_distances_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 3, (30, 2)).astype(float), rng.integers(0, 3, (20, 2)) + rng.normal(size=(20, 2))
    one[7], other[3] = other[5] + 1e-7, other[4] + 1e-4
    whole = (*nearest(one, other), distances.shared(one, other), *distances.too_near(one, other))
    assert whole[3][7] and whole[2].sum() == pytest.approx(30)
    monkeypatch.setattr(distances, "MOST_DISTANCES", 70)
    for own, pieces in zip(whole, (*nearest(one, other), distances.shared(one, other),
                                   *distances.too_near(one, other)), strict=True):  # fmt: skip
        np.testing.assert_allclose(own, pieces)
