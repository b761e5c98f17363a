"""A scikit-learn pipeline as a recipe: it predicts as it does by itself, on the same folds as every other recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

import chiasm
from chiasm.fitting.possible import ImpossiblePrediction
from chiasm.recipes import registry
from fake_trials import run

QUICK = chiasm.Protocol(folds=3, repeats=1, draws=100)


def filled(estimator: Any) -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler(), estimator)


def seen(cohort: chiasm.Cohort) -> pd.DataFrame:
    """What a pipeline is given: both blocks beside each other, whose columns have equal names."""
    blocks = [cohort.raw(name).reindex(cohort.ids).add_prefix(f"{name}:") for name in cohort.modalities]
    return pd.concat(blocks, axis=1)


def answers(cohort: chiasm.Cohort) -> np.ndarray:
    assert cohort.outcome is not None
    return cohort.outcome.value


def test_a_classifier_predicts_what_it_does_by_itself() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 120, missing=0.2)
    pipeline = filled(LogisticRegression())
    model = chiasm.fit(cohort, chiasm.from_sklearn(pipeline))
    alone = filled(LogisticRegression()).fit(seen(cohort), answers(cohort).astype(int))
    assert cohort.target is not None
    found = model.predict(cohort).loc[list(cohort.ids), [f"p_{name}" for name in cohort.target.names]]
    np.testing.assert_allclose(found, alone.predict_proba(seen(cohort)), atol=1e-12)
    assert not hasattr(pipeline[-1], "coef_")  # the user's own was not fitted
    assert model.trained_parameters >= alone[-1].coef_.size


def test_a_regression_keeps_the_rows_order_and_the_pattern() -> None:
    cohort = chiasm.synthetic_cohort("unique", 90, target="regression", missing=0.3)
    model = chiasm.fit(cohort, chiasm.from_sklearn(filled(Ridge())))
    found, alone = model.predict(cohort), filled(Ridge()).fit(seen(cohort), answers(cohort))
    np.testing.assert_allclose(found.loc[list(cohort.ids), "prediction"], alone.predict(seen(cohort)), atol=1e-9)
    assert list(found["pattern"]) == list(cohort.pattern()[cohort.order])


def test_labels_are_predicted_from_a_list_or_an_array_of_probabilities() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 120, target="multilabel")
    both = [MultiOutputClassifier(LogisticRegression()), KNeighborsClassifier(30)]
    for estimator in both:
        found = chiasm.fit(cohort, chiasm.from_sklearn(filled(estimator))).predict(cohort)
        assert {"p_label", "p_rarer"} <= set(found)
        truth = answers(cohort)[:, list(cohort.target.names).index("rarer")]  # type: ignore[union-attr]
        assert np.corrcoef(found.loc[list(cohort.ids), "p_rarer"], truth)[0, 1] > 0.3


def test_a_model_of_scikit_survival_gives_risks_and_survival_at_the_horizons() -> None:
    sksurv = pytest.importorskip("sksurv.linear_model")
    cohort = chiasm.synthetic_cohort("complementary", 150, target="survival")
    recipe = chiasm.from_sklearn(filled(sksurv.CoxPHSurvivalAnalysis(alpha=1.0)))
    model = chiasm.fit(cohort, recipe)
    found = model.predict(cohort).loc[list(cohort.ids)]
    horizons = [name for name in found if str(name).startswith("survival_")]
    assert len(horizons) == 3
    assert (found[horizons].diff(axis=1).iloc[:, 1:] <= 1e-12).all().all()
    outcome = cohort.outcome
    assert outcome is not None and outcome.event is not None
    metrics = pytest.importorskip("sksurv.metrics")
    assert metrics.concordance_index_censored(outcome.event, outcome.value, found["risk"])[0] > 0.6
    times = chiasm.fit(cohort, chiasm.from_sklearn(filled(sksurv.IPCRidge(alpha=1.0)))).predict(cohort)
    assert (
        np.corrcoef(times.loc[list(cohort.ids), "risk"], found["risk"])[0, 1] > 0.5
    )  # it predicts times: turned round


def test_a_trial_takes_its_one_modality_forms_and_judges_it() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 120, missing=0.2)
    recipe = chiasm.from_sklearn(filled(LogisticRegression()), name="ours")
    _, forms = registry.for_trial([recipe], cohort)
    assert [form.name for form in forms] == ["ours:modality=m1", "ours:modality=m2"]
    trial = run(cohort, [recipe, *forms], QUICK)
    assert trial.verdict is not None and trial.verdict.best_fused == "ours"
    assert trial.table().set_index("recipe").loc["ours", "mean"] > 0.6


def test_every_open_random_state_becomes_the_seed() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 80)
    recipe = chiasm.from_sklearn(RandomForestClassifier(5))
    one, two, other = (chiasm.fit(cohort, recipe, seed=seed).predict(cohort) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(other)


def test_words_and_columns_by_name_and_one_modality() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{k}" for k in range(80)]
    table = pd.DataFrame({"age": rng.normal(60, 9, 80), "stage": rng.choice(["I", "II", None], 80)}, index=ids)
    blocks = {"clinical": table, "rna": pd.DataFrame(rng.normal(size=(80, 3)), index=ids, columns=["a", "b", "c"])}
    patients = pd.DataFrame({"y": rng.choice(["no", "yes"], 80)}, index=ids)
    cohort = chiasm.cohort_from_frames(patients, blocks, chiasm.Classification("y"))

    def pipeline(column: str) -> Any:
        words = make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder())
        return make_pipeline(
            make_column_transformer((words, ["stage"]), ("passthrough", [column])), LogisticRegression()
        )

    found = chiasm.fit(cohort, chiasm.from_sklearn(pipeline("age"), modalities=["clinical"])).predict(cohort)
    assert set(found["pattern"]) == {"clinical"}
    with pytest.raises(
        chiasm.Unsupported, match="asks for a column 'ages' that its modalities lack: did you mean 'age'"
    ):
        chiasm.fit(cohort, chiasm.from_sklearn(pipeline("ages")))
    with pytest.raises(chiasm.Unsupported, match="the frame has missing values in 1 column") as told:
        chiasm.fit(cohort, chiasm.from_sklearn(LogisticRegression(), modalities=["clinical"]))
    assert "words, as in 'stage'" in str(told.value)
    assert "II" not in str(told.value).replace("'stage'", "")  # scikit-learn quotes a value of a patient


def test_a_patient_without_its_modalities_gets_the_prior() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 120, missing=0.3)
    model = chiasm.fit(cohort, chiasm.from_sklearn(filled(LogisticRegression()), modalities=["m1"]))
    found = model.predict(cohort).loc[list(cohort.ids)]
    without = ~cohort.present[:, cohort.modalities.index("m1")]
    assert without.any() and found.loc[without].iloc[:, 1:].nunique().max() == 1
    share = answers(cohort)[~without].mean()
    np.testing.assert_allclose(found.loc[without].iloc[0, 2], share)


def test_one_label_is_not_turned_round() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{k}" for k in range(80)]
    x = pd.DataFrame(rng.normal(size=(80, 2)), index=ids, columns=["a", "b"])
    patients = pd.DataFrame({"stroke": (x["a"] + 0.6 * rng.normal(size=80) > 0).astype(int)}, index=ids)
    cohort = chiasm.cohort_from_frames(patients, {"m": x}, chiasm.Multilabel(("stroke",)))
    several = [KNeighborsClassifier(5), RandomForestClassifier(5), MultiOutputClassifier(LogisticRegression())]
    for estimator in several:
        found = chiasm.fit(cohort, chiasm.from_sklearn(estimator)).predict(cohort)["p_stroke"]
        assert found[patients["stroke"] == 1].mean() > found[patients["stroke"] == 0].mean() + 0.3


def test_a_search_for_a_model_of_times_gives_risks() -> None:
    sksurv = pytest.importorskip("sksurv.linear_model")
    cohort = chiasm.synthetic_cohort("complementary", 150, target="survival")
    search = GridSearchCV(filled(sksurv.IPCRidge()), {"ipcridge__alpha": [1.0, 10.0]}, cv=2)
    found = chiasm.fit(cohort, chiasm.from_sklearn(search)).predict(cohort).loc[list(cohort.ids), "risk"]
    outcome = cohort.outcome
    assert outcome is not None and outcome.event is not None
    metrics = pytest.importorskip("sksurv.metrics")
    assert metrics.concordance_index_censored(outcome.event, outcome.value, found)[0] > 0.6


def test_who_lacks_its_modality_has_the_usual_risk_and_not_the_lowest() -> None:
    sksurv = pytest.importorskip("sksurv.linear_model")
    cohort = chiasm.synthetic_cohort("complementary", 150, target="survival", missing=0.3)
    recipe = chiasm.from_sklearn(filled(sksurv.IPCRidge(alpha=1.0)), modalities=["m1"])
    risk = chiasm.fit(cohort, recipe).predict(cohort).loc[list(cohort.ids), "risk"]
    without = ~cohort.present[:, cohort.modalities.index("m1")]
    assert risk[without].nunique() == 1
    assert risk[~without].min() < risk[without].iloc[0] < risk[~without].max()
    np.testing.assert_allclose(risk[without].iloc[0], risk[~without].mean())


def test_forms_are_made_of_a_pipeline_that_names_its_modalities() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 80)
    recipe = chiasm.from_sklearn(filled(LogisticRegression()), modalities=["m1", "m2"], name="ours")
    _, forms = registry.for_trial([recipe], cohort)
    assert [form.name for form in forms] == ["ours:modality=m1", "ours:modality=m2"]
    assert "p_" in "".join(map(str, forms[0].fit(cohort, seed=0).predict(cohort).columns))


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")  # few patients have m2
def test_a_fold_with_few_of_a_modality_names_columns_as_the_cohort_does() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 60)
    assert cohort.target is not None
    few = np.flatnonzero(np.arange(60) % 10 == 0)  # six patients have m2: too few to be fitted on
    both = {name: cohort.raw(name).set_axis([f"c{k}" for k in range(16)], axis=1) for name in ("m1", "m2")}
    blocks = {"m1": both["m1"], "m2": both["m2"].iloc[few]}
    patients = pd.DataFrame({"y": answers(cohort).astype(int)}, index=cohort.ids)
    lacks = chiasm.cohort_from_frames(patients, blocks, chiasm.Classification("y"))
    chosen = make_column_transformer((SimpleImputer(), ["m1:c0"]))
    model = chiasm.fit(lacks, chiasm.from_sklearn(make_pipeline(chosen, LogisticRegression())))
    assert len(model.predict(lacks)) == 60


def test_a_search_that_shuffles_is_the_same_again_and_moves_no_global_generator() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 80)
    search = GridSearchCV(
        filled(LogisticRegression()), {"logisticregression__C": [0.01, 1.0]}, cv=KFold(3, shuffle=True)
    )
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two = (chiasm.fit(cohort, chiasm.from_sklearn(search), seed=4).predict(cohort) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_survival_has_its_columns_where_nobody_has_the_modality() -> None:
    sksurv = pytest.importorskip("sksurv.linear_model")
    cohort = chiasm.synthetic_cohort("complementary", 150, target="survival", missing=0.3)
    recipe = chiasm.from_sklearn(filled(sksurv.CoxPHSurvivalAnalysis(alpha=1.0)), modalities=["m1"])
    model = chiasm.fit(cohort, recipe)
    without = ~cohort.present[:, cohort.modalities.index("m1")]
    assert list(model.predict(cohort.subset(without))) == list(model.predict(cohort))


def test_a_level_not_seen_is_refused_without_quoting_it() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{k}" for k in range(40)]
    table = pd.DataFrame({"stage": ["I", "II"] * 20, "age": rng.normal(size=40)}, index=ids)
    y = pd.DataFrame({"y": rng.normal(size=40)}, index=ids)
    cohort = chiasm.cohort_from_frames(y, {"clinical": table}, chiasm.Regression("y"))
    encoded = make_column_transformer((OneHotEncoder(), ["stage"]), ("passthrough", ["age"]))
    model = chiasm.fit(cohort, chiasm.from_sklearn(make_pipeline(encoded, Ridge())))
    other = pd.DataFrame({"stage": ["IVb"], "age": [0.5]}, index=["n"])
    with pytest.raises(chiasm.Unsupported, match="handle_unknown") as told:
        model.predict(chiasm.cohort_from_frames(pd.DataFrame(index=["n"]), {"clinical": other}))
    assert "IVb" not in str(told.value)


def test_the_parameters_of_a_forest_in_a_pipeline_are_counted() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 60)
    small, large = (
        chiasm.fit(cohort, chiasm.from_sklearn(filled(RandomForestClassifier(trees)))).trained_parameters
        for trees in (2, 20)
    )
    assert large > 5 * small > 100


def test_a_trial_knows_a_pipeline_by_all_its_parameters_in_every_process() -> None:
    columns = [f"g{k}" for k in range(40)]
    other = [*columns[:35], "h", *columns[36:]]
    made = [make_column_transformer(("passthrough", own)) for own in (columns, columns, other)]
    texts = [chiasm.from_sklearn(make_pipeline(own, Ridge())).described for own in made]
    assert texts[0] == texts[1] != texts[2]
    text = chiasm.from_sklearn(make_pipeline(FunctionTransformer(np.log1p), Ridge())).described
    assert "log1p" in text and " at 0x" not in text


class Broken(LinearRegression):
    def predict(self, X: Any) -> np.ndarray:
        return np.full(len(X), np.nan)


def test_what_cannot_be_is_refused(tmp_path: Any) -> None:
    cohort = chiasm.synthetic_cohort("complementary", 60, target="regression")
    with pytest.raises(ImpossiblePrediction, match="60 patients"):
        chiasm.fit(cohort, chiasm.from_sklearn(Broken())).predict(cohort)
    model = chiasm.fit(cohort, chiasm.from_sklearn(HistGradientBoostingRegressor(max_iter=5)))
    with pytest.raises(chiasm.Unsupported, match="pickle"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(chiasm.Unsupported, match="LinearSVC has no predict_proba"):
        chiasm.fit(chiasm.synthetic_cohort("unique", 60), chiasm.from_sklearn(LinearSVC()))
    with pytest.raises(TypeError, match="is a class: give an object"):
        chiasm.from_sklearn(LinearSVC)
    with pytest.raises(TypeError, match="is no estimator"):
        chiasm.from_sklearn("late-fusion")
    with pytest.raises(ValueError, match="cannot name a recipe"):
        chiasm.from_sklearn(Ridge(), name="a:b=c")
    with pytest.raises(chiasm.Unsupported, match="no modality 'm3'"):
        chiasm.fit(cohort, chiasm.from_sklearn(Ridge(), modalities=["m3"]))
