"""The Gaussian copula: known answers, what it keeps of columns, and conditioning against the textbook's formula."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_patients import N, patients

from chiasm.cohort import Unsupported
from chiasm.cohort.frames import cohort_from_frames
from chiasm.generation.copula import GaussianCopula
from chiasm.generation.gaussian import FactorGaussian
from chiasm.generation.margins import Margins
from chiasm.generation.rows import OUTCOME, Rows, outcome_columns, rows_of, target_keys
from chiasm.targets import KINDS, Survival
from chiasm.testing.cohorts import synthetic_parts


@pytest.fixture(scope="module")
def real() -> Rows:
    return patients()


@pytest.fixture(scope="module")
def drawn(real: Rows) -> Rows:
    return GaussianCopula().fit(real).sample(N, seed=1)


def test_columns_keep_their_distributions_words_and_decimals(real: Rows, drawn: Rows) -> None:
    table, made = real.blocks["clinical"], drawn.blocks["clinical"]
    assert abs(made["age"].mean() - table["age"].mean()) < 1.5 and abs(made["age"].std() / table["age"].std() - 1) < 0.1
    np.testing.assert_allclose(made["age"], made["age"].round(1))
    shares = made["stage"].value_counts(normalize=True) - table["stage"].value_counts(normalize=True)
    assert shares.abs().max() < 0.06 and set(made["marker"].dropna()) == {0.0, 1.0}
    assert abs(made["marker"].isna().mean() - 0.15) < 0.05 and abs(drawn.present["rna"].mean() - 0.7) < 0.06
    assert (drawn.blocks[OUTCOME]["months"] > 0).all() and set(drawn.blocks[OUTCOME]["died"]) == {0.0, 1.0}
    assert drawn.blocks["rna"][~drawn.present["rna"]].isna().all(axis=None)


def test_what_columns_say_of_each_other_is_kept(real: Rows, drawn: Rows) -> None:
    for rows in (real, drawn):
        table, wide = rows.blocks["clinical"], rows.blocks["rna"].mean(axis=1)
        rank = table["stage"].map({"I": 0, "II": 1, "III": 2})
        assert 0.4 < table["age"].corr(rank, method="spearman") < 0.62
        assert 0.65 < table["age"].corr(wide, method="spearman") < 0.85
        assert -0.55 < rows.blocks[OUTCOME]["months"].corr(wide, method="spearman") < -0.3


def test_conditioning_is_that_of_the_whole_gaussian() -> None:
    """Two narrow variables and 40 in a block upon three factors; the reference is one covariance of all 42."""
    rng = np.random.default_rng(0)
    loads = rng.normal(size=(40, 3)) * 0.5
    mixed = rng.normal(size=(5, 8))
    correlation = np.corrcoef(mixed)
    made = FactorGaussian(correlation, {"b": loads}, {"b": np.full(40, 0.4)}, {"b": 2}, 2)
    narrow, wide = rng.normal(size=(4, 2)), rng.normal(size=(4, 40))
    narrow[0, 1] = narrow[2, 0] = np.nan
    wide[1] = np.nan
    wide[2, :30] = np.nan
    whole = np.zeros((42, 5))
    whole[:2, :2] = np.eye(2)
    whole[2:, 2:] = loads
    joint = whole @ correlation @ whole.T + np.diag([0.0] * 2 + [0.4] * 40)
    seen = 0
    for found in made.given(narrow, {"b": wide}):
        for place, row in enumerate(found.rows.tolist()):
            values = np.concatenate([narrow[row], wide[row]])
            known = np.flatnonzero(~np.isnan(values))
            gain = correlation @ whole[known].T @ np.linalg.inv(joint[np.ix_(known, known)])
            np.testing.assert_allclose(found.mean[place], gain @ values[known], atol=1e-8)
            np.testing.assert_allclose(found.covariance, correlation - gain @ whole[known] @ correlation, atol=1e-8)
            seen += 1
    assert seen == 4


def test_what_is_given_stays_and_the_rest_follows_it(real: Rows) -> None:
    fitted = GaussianCopula().fit(real.only(["clinical", "rna"]))
    some = real.only(["clinical", "rna"]).take(np.arange(60))
    drawn, again, expected = fitted.sample(60, 3, some), fitted.sample(60, 3, some), fitted.expected(some)
    for made in (drawn, expected):
        pd.testing.assert_series_equal(made.blocks["clinical"]["age"], some.blocks["clinical"]["age"])
        kept = made.blocks["rna"].where(some.blocks["rna"].notna())
        pd.testing.assert_frame_equal(kept, some.blocks["rna"])
        assert not any(own.isna().any(axis=None) for own in made.blocks.values()) and made.present["rna"].all()
    pd.testing.assert_frame_equal(drawn.blocks["rna"], again.blocks["rna"])
    lacking = ~some.present["rna"]
    made = expected.blocks["rna"][lacking].mean(axis=1)
    assert made.corr(some.blocks["clinical"]["age"][lacking]) > 0.7
    alone = fitted.expected(some.take(np.flatnonzero(lacking)[:1])).blocks["rna"]
    np.testing.assert_allclose(alone.to_numpy()[0], expected.blocks["rna"][lacking].to_numpy()[0], atol=1e-9)


def test_more_columns_than_patients_stand_on_factors() -> None:
    few = patients(1, 60, width=150)
    fitted = GaussianCopula().fit(few)
    assert set(fitted.gaussian.loadings) == {"rna"} and fitted.gaussian.loadings["rna"].shape[1] < 12
    made = fitted.sample(200, 0).blocks["rna"]
    own = [
        block.iloc[:, :40].mean(axis=1).corr(block.iloc[:, 40:80].mean(axis=1)) for block in (few.blocks["rna"], made)
    ]
    assert own[1] > 0.6 * own[0] > 0.4


def test_no_extreme_of_one_patient_is_kept() -> None:
    values = pd.DataFrame({"weight": [*np.linspace(50.0, 90.0, 99), 312.7]})
    made = Margins.fit(values)
    assert made.knots.max() < 150
    assert made.values(np.array([[8.0], [-8.0]]))["weight"].between(50, 150).all()


def test_no_quantile_is_the_value_of_one_patient() -> None:
    values = np.random.default_rng(0).normal(size=101)
    made = Margins.fit(pd.DataFrame({"marker": values}))
    assert not np.isin(made.knots, values).any() and (np.diff(made.knots[:, 0]) >= 0).all()
    assert abs(made.knots.mean() - values.mean()) < 0.05 and abs(made.knots[50, 0] - np.median(values)) < 0.05
    tied = Margins.fit(pd.DataFrame({"count": [0.0] * 300 + list(range(1, 51))}))
    assert (tied.knots[:80, 0] == 0).all()


def test_every_outcome_of_a_table_is_written_and_read_again() -> None:
    for kind in ("classification", "regression", "survival", "multilabel", "competing"):
        cohort = synthetic_parts(kind, 60, 0).cohort()
        assert cohort.target is not None and cohort.outcome is not None
        written = outcome_columns(cohort.target, cohort.outcome)
        keys = {
            **dict.fromkeys(KINDS[kind].keys),
            "unit": "",
            "times": [],
            "main": "",
            **target_keys(cohort.target),
        }
        cells = written.set_index(pd.Index(cohort.ids))
        again = cohort_from_frames(cells, {"m": pd.DataFrame({"a": np.arange(60.0)}, index=cells.index)},
                                   KINDS[kind].from_keys(keys))  # fmt: skip
        assert again.outcome is not None
        np.testing.assert_array_equal(again.outcome.value, cohort.outcome.value)
        if cohort.outcome.event is not None:
            np.testing.assert_array_equal(again.outcome.event, cohort.outcome.event)


def test_what_cannot_be_drawn_is_refused_in_one_sentence() -> None:
    with pytest.raises(Unsupported, match=r"'m3' is of kind 'bag', and only tables, omics blocks, images"):
        rows_of(synthetic_parts("classification", 60, 0).cohort())
    ids = [f"p{k}" for k in range(60)]
    patients = pd.DataFrame({"died": [0, 1] * 30, "days": np.arange(1.0, 61.0)}, index=ids)
    table = pd.DataFrame({"name": [f"Mr {k}" for k in range(60)], "age": np.arange(60) % 17}, index=ids)
    with pytest.raises(Unsupported, match=r"column 'name' of modality 'clinical' holds identifiers") as said:
        rows_of(cohort_from_frames(patients, {"clinical": table}, Survival("days", "died")))
    assert "Mr" not in str(said.value)
