"""What is learned of vectors is what scikit-learn learns, and files of embeddings are read or refused whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge  # type: ignore[import-untyped]
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

import chiasm
from chiasm.fitting.embedded.files import read_vectors
from chiasm.fitting.embedded.learned import KNN, METHODS, PROBE, Pupils, TooFew, best_of, require_methods
from chiasm.fitting.embedded.neighbours import nearest_links
from chiasm.fitting.embedded.pooling import POOLS, require_pool
from chiasm.fitting.embedded.vectors import RandomFeatures, Vectors
from chiasm.linear.linear import information
from chiasm.metrics.survival import harrell_c
from chiasm.targets import Outcome


def known(value: np.ndarray, event: np.ndarray | None = None) -> Outcome:
    return Outcome(np.asarray(value, float), event, np.ones(len(value), bool))


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(90, 6)), rng.normal(size=(40, 6))


@pytest.mark.parametrize("k", [1, 5])
def test_votes_of_classes_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray], k: int) -> None:
    x, asked = drawn
    codes = (x[:, :3].argmax(1)).astype(float)
    link = nearest_links("classification", x, known(codes), asked, [k], 3)[0]
    own = np.exp(link) / np.exp(link).sum(1, keepdims=True)
    reference = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(x, codes).predict_proba(asked)
    np.testing.assert_allclose(own, reference, atol=2e-6)


def test_votes_of_numbers_are_those_of_scikit_learn_in_any_unit(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    x, asked = drawn
    for unit in (1.0, 1e-6):
        value = unit * (x[:, 0] + 3)
        own = nearest_links("regression", x, known(value), asked, [7], None)[0][:, 0]
        reference = KNeighborsRegressor(7, metric="cosine", algorithm="brute").fit(x, value).predict(asked)
        np.testing.assert_allclose(own / unit, reference / unit, atol=1e-4)


def test_votes_of_times_are_observed_over_expected_events(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    x, asked = drawn
    rng = np.random.default_rng(1)
    time, event = rng.exponential(np.exp(-2 * x[:, 0])), rng.random(90) < 0.8
    outcome = known(time, event)
    own = nearest_links("survival", x, outcome, asked, [90], None)[0]
    assert np.ptp(own) < 1e-9 and abs(own[0, 0]) < 1e-6  # of all patients as many are observed as are expected
    nearest = nearest_links("survival", x, outcome, asked, [10], None)[0][:, 0]
    later = rng.exponential(np.exp(-2 * asked[:, 0]))
    assert float(harrell_c(nearest, later, np.ones(40, bool), np.ones((1, 40)))[0]) > 0.6


def pupils(kind: str, value: np.ndarray) -> Pupils:
    ids = [f"p{k:03d}" for k in range(len(value))]
    target: chiasm.Classification | chiasm.Regression
    target = chiasm.Classification("y") if kind == "classification" else chiasm.Regression("y")
    table = pd.DataFrame({"y": value}, index=ids)
    return Pupils.of(chiasm.cohort_from_frames(table, {}, target=target), 0)


def test_the_probe_is_a_logistic_regression_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    x, asked = drawn
    codes = (x[:, 0] + 0.5 * x[:, 1] + np.random.default_rng(2).normal(size=90) > 0).astype(int)
    own = pupils("classification", codes)
    learned = METHODS[PROBE](own, x, asked)
    scaler = StandardScaler().fit(x)
    # The grid is in units of the first component's variance and of the information of a patient.
    first = np.linalg.svd(scaler.transform(x), full_matrices=False)[1][0] ** 2 / len(x)
    penalty = learned.setting * information("classification", own.outcome) * first
    reference = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=5000).fit(scaler.transform(x), codes)
    np.testing.assert_allclose(learned.frame["p_1"], reference.predict_proba(scaler.transform(asked))[:, 1], atol=1e-4)


def test_the_probe_of_a_number_is_a_ridge_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    x, asked = drawn
    value = 40 + 7 * x[:, 0] + np.random.default_rng(3).normal(size=90)
    own = pupils("regression", value)
    learned = METHODS[PROBE](own, x, asked)
    scaler = StandardScaler().fit(x)
    first = np.linalg.svd(scaler.transform(x), full_matrices=False)[1][0] ** 2 / len(x)
    reference = Ridge(learned.setting * information("regression", own.outcome) * first).fit(scaler.transform(x), value)
    np.testing.assert_allclose(learned.frame["prediction"], reference.predict(scaler.transform(asked)), rtol=1e-6)


def test_k_is_the_best_on_inner_folds_and_fits_into_them() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(12, 2))
    learned = METHODS[KNN](pupils("classification", (x[:, 0] > 0).astype(int)), x, x[:3])
    assert learned.setting in (1, 3, 5)  # eight are left of twelve, of whom ten do not vote
    assert best_of(np.array([[0.5, 0.8, 0.8], [np.nan, 0.8, 0.8]])) == 2
    assert best_of(np.full((2, 3), np.nan)) == 1


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_the_unit_of_vectors_changes_nothing(drawn: tuple[np.ndarray, np.ndarray], unit: float) -> None:
    x, asked = drawn
    own = pupils("classification", (x[:, 0] > 0).astype(int))
    for method in (KNN, PROBE):
        plain, scaled = METHODS[method](own, x, asked), METHODS[method](own, x * unit, asked * unit)
        np.testing.assert_allclose(scaled.frame["p_1"], plain.frame["p_1"], atol=1e-5)


def test_too_few_to_learn_from_are_told() -> None:
    with pytest.raises(TooFew, match="fewer than the 10"):
        pupils("classification", np.arange(9) % 2)
    with pytest.raises(TooFew, match="class '1' has 1 patient"):
        pupils("classification", np.eye(1, 20)[0].astype(int))
    with pytest.raises(ValueError, match="no way to learn"):
        require_methods("knn,forest")
    with pytest.raises(ValueError, match="pooled by"):
        require_pool("median")


def test_pools_read_no_padding_and_attention_prefers_the_many() -> None:
    values = np.array([[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [9.0, 9.0]]], np.float32)
    mask = np.array([[True, True, True, False]])
    np.testing.assert_allclose(POOLS["mean"](values, mask)[0], [2 / 3, 1.1 / 3], rtol=1e-6)
    np.testing.assert_allclose(POOLS["max"](values, mask)[0], [1.0, 1.0])
    attended = POOLS["attention"](values, mask)[0]
    assert attended[0] > 0.9 and attended[1] < 0.2  # the third token is unlike the others, and hardly counts
    np.testing.assert_allclose(POOLS["flat"](values, mask)[0], [1, 0, 1, 0.1, 0, 1, 0, 0], rtol=1e-6)


def test_random_features_are_scaled_by_training_patients_alone() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(30, 4)).astype(np.float32)
    train, rows = np.arange(20), np.arange(20, 25)
    before = RandomFeatures("random", Vectors("raw", values), 8, 0).of(rows, train)
    values[25:] = 1e6
    np.testing.assert_array_equal(RandomFeatures("random", Vectors("raw", values), 8, 0).of(rows, train), before)


@pytest.fixture(scope="module")
def cohort() -> chiasm.Cohort:
    rng = np.random.default_rng(6)
    ids = ["007", "Ü-1", "a", "b"]
    table = pd.DataFrame({"y": [0, 1, 0, 1]}, index=ids)
    return chiasm.cohort_from_frames(
        table, {"m": pd.DataFrame(rng.normal(size=(4, 2)), index=ids)}, target=chiasm.Classification("y")
    )


def test_files_are_matched_by_identifier_or_by_order(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    given = np.arange(8.0).reshape(4, 2)
    ids = ["b", "Ü-1", "007", "nobody"]
    pd.DataFrame(given, columns=["x", "y"]).assign(who=ids)[["who", "x", "y"]].to_csv(tmp_path / "v.csv", index=False)
    pd.DataFrame(given, index=pd.Index(ids, name="id"), columns=["x", "y"]).to_parquet(tmp_path / "v.parquet")
    np.savez(tmp_path / "v.npz", ids=np.array(ids), embeddings=given)
    for name in ("v.csv", "v.parquet", "v.npz"):
        read = read_vectors(tmp_path / name, cohort)
        assert (read.strangers, read.without, read.vectors.name) == (1, 1, "v")
        own = dict(zip(cohort.ids.tolist(), read.vectors.values, strict=True))
        np.testing.assert_allclose([own["007"], own["Ü-1"], own["b"]], given[[2, 1, 0]])
        assert np.isnan(own["a"]).all() and read.vectors.has.sum() == 3
    np.save(tmp_path / "o.npy", given)
    own = dict(zip(cohort.ids.tolist(), read_vectors(tmp_path / "o.npy", cohort, "mine").vectors.values, strict=True))
    np.testing.assert_allclose([own[name] for name in ("007", "Ü-1", "a", "b")], given)


@pytest.mark.parametrize(
    ("ids", "values", "said"),
    [
        (["007", "007"], np.ones((2, 2)), "repeat an identifier"),
        (["x", "y"], np.ones((2, 2)), "no identifier is that"),
        (["007", "a"], np.array([[1, np.nan], [1, 1]]), "1 row of 2 hold a number that is not finite"),
        (["007", "a"], np.ones(2), "no matrix"),
        (["007"], np.ones((2, 2)), "no list of identifiers"),
        ([], np.ones((0, 2)), "no row"),
        (["007", "a"], np.array([["x", "y"], ["z", "w"]]), "no matrix of numbers"),
    ],
)
def test_a_file_that_cannot_be_matched_is_refused_without_a_name(
    cohort: chiasm.Cohort, tmp_path: Path, ids: list[str], values: np.ndarray, said: str
) -> None:
    np.savez(tmp_path / "v.npz", ids=np.array(ids, dtype=str), embeddings=values)
    with pytest.raises(chiasm.CohortError, match=said) as refused:
        read_vectors(tmp_path / "v.npz", cohort)
    assert "007" not in str(refused.value)


def test_other_files_are_refused(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    for name, content, said in [
        ("v.pkl", b"x", "is no file of embeddings"),
        ("v.npy", b"", "no array of numbers"),
        ("v.npz", b"PK", "no archive"),
        ("v.csv", b"", "empty"),
        ("v.csv", b"id,x\n007,low\na,high\n", "holds no numbers"),
        ("v.csv", b"id,x\nzz,1\n", "no identifier in 'id'"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(chiasm.CohortError, match=said):
            read_vectors(tmp_path / name, cohort)
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(chiasm.CohortError, match="no array of numbers"):
        read_vectors(tmp_path / "objects.npy", cohort)
    np.save(tmp_path / "short.npy", np.ones((3, 2)))
    with pytest.raises(chiasm.CohortError, match="holds 3 rows, and the cohort 4 patients"):
        read_vectors(tmp_path / "short.npy", cohort)
    with pytest.raises(chiasm.CohortError, match="no such file"):
        read_vectors(tmp_path / "gone.csv", cohort)
