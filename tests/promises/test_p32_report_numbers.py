"""P32: every number in the tables of the page, computed again from the run folder with other libraries.

The folder is written, read back with pandas and json alone, and scored with scikit-learn, scikit-survival and
lifelines. Also: what the trial cannot know says NEEDS INPUT, and items of TRIPOD+AI and PROBAST+AI have numbers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from scipy import stats
from sklearn import metrics as sk
from sklearn.linear_model import LinearRegression, LogisticRegression
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw, integrated_brier_score
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

from chiasm.cohort import Outcome, synthetic_cohort
from chiasm.evaluation import Protocol, load_trial
from chiasm.report import write_report
from fake_trials import FUSED, SINGLES, run
from html_page import Page

RECIPES = (*SINGLES, FUSED[0])
ROUNDING = 5.1e-4
Scores = dict[str, float]


class Folder:
    """A run folder without chiasm: its document and tables, the page, and the bootstrap drawn anew."""

    def __init__(self, path: Path) -> None:
        self.document: dict[str, Any] = json.loads((path / "trial.json").read_text())
        self.predictions = pd.read_parquet(path / "predictions.parquet")
        self.outcomes = pd.read_parquet(path / "outcomes.parquet").set_index("patient")
        self.page = Page(path / "report.html")
        self.kind = str(self.document["cohort"]["target"]["kind"])
        one = self.predictions[self.predictions["recipe"] == RECIPES[0].name]
        self.folds = {key: sorted(part["patient"]) for key, part in one.groupby(["repeat", "fold"])}
        protocol = self.document["protocol"]
        rng, counts = np.random.default_rng(protocol["seed"]), dict[str, np.ndarray]()
        for _, ids in sorted(self.folds.items()):
            new = [patient for patient in ids if patient not in counts]
            if new:
                drawn = rng.multinomial(len(new), np.full(len(new), 1 / len(new)), size=protocol["draws"])
                counts |= dict(zip(new, drawn.T, strict=True))
        self.counts = counts
        self.scored: dict[Any, dict[str, np.ndarray]] = {}

    def tested(self, recipe: str, key: tuple[int, str], pattern: str | None = None) -> pd.DataFrame:
        """Predictions with outcomes of a fold, by patient."""
        rows = self.predictions
        rows = rows[(rows["recipe"] == recipe) & (rows["repeat"] == key[0]) & (rows["fold"] == key[1])]
        own = rows.set_index("patient").drop(columns="pattern").dropna(axis=1, how="all")  # the fold's own horizons
        table = own.join(self.outcomes).sort_index()
        return table if pattern is None else table[table["pattern"] == pattern]

    def first_repeat(self, recipe: str) -> pd.DataFrame:
        keys = [key for key in self.folds if key[0] == 0]
        return pd.concat([at_middle(self.tested(recipe, key)) for key in keys])

    def over_folds(
        self, recipe: str, score: Callable[..., Scores], pattern: str | None = None
    ) -> dict[str, np.ndarray]:
        """(1 + draws,) means over folds of each metric: the point estimate, then each draw."""
        asked = (recipe, score, pattern)
        if asked in self.scored:
            return self.scored[asked]
        draws: int = self.document["protocol"]["draws"]
        found: dict[str, list[list[float]]] = {}
        for key in self.folds:
            table = self.tested(recipe, key, pattern)
            if not len(table):
                continue
            train = self.outcomes.drop(index=self.folds[key])
            times = np.array([self.counts[patient] for patient in table.index])  # (n, draws)
            rows = [np.arange(len(table)), *(np.repeat(np.arange(len(table)), times[:, r]) for r in range(draws))]
            values = [score(table.iloc[chosen], train) for chosen in rows]
            for name in values[0]:
                found.setdefault(name, []).append([value[name] for value in values])
        self.scored[asked] = {name: mean_over_folds(np.array(values)) for name, values in found.items()}
        return self.scored[asked]

    def over_patients(self, recipe: str, terms: Callable[..., pd.DataFrame], value: Callable[..., float]) -> np.ndarray:
        """(1 + draws,) means over repeats of a value of all tested patients together: the point, then each draw."""
        draws: int = self.document["protocol"]["draws"]
        repeats = []
        for repeat in sorted({key[0] for key in self.folds}):
            keys = [key for key in self.folds if key[0] == repeat]
            table = pd.concat([terms(self.tested(recipe, k), self.outcomes.drop(index=self.folds[k])) for k in keys])
            times = np.array([self.counts[patient] for patient in table.index])
            rows = [np.arange(len(table)), *(np.repeat(np.arange(len(table)), times[:, r]) for r in range(draws))]
            repeats.append([value(table.iloc[chosen]) for chosen in rows])
        return np.mean(repeats, axis=0)

    def name_of(self, side: str) -> str:
        return str(self.document["verdict"][f"best_{side}"])


def at_middle(table: pd.DataFrame) -> pd.DataFrame:
    """With the middle horizon of the fold, the survival predicted there, and times as shares of it, if any."""
    times = sorted(float(name[9:]) for name in table if name.startswith("survival_"))
    if not times:
        return table
    horizon = times[len(times) // 2]
    return table.assign(horizon=horizon, predicted=table[f"survival_{horizon:g}"], value=table["value"] / horizon)


def mean_over_folds(values: np.ndarray) -> np.ndarray:
    """(J, 1 + R) -> (1 + R,): the point and the draws apart, NaN where more than a fifth of either is missing."""
    means = np.full(values.shape[1], np.nan)
    for part in (slice(0, 1), slice(1, None)):
        block = values[:, part]
        some = ~np.isnan(block).all(0)
        if np.isnan(block).mean() <= 0.2:
            means[part] = [np.nanmean(column) if any_ else np.nan for column, any_ in zip(block.T, some, strict=True)]
    return means


def by_class(table: pd.DataFrame, train: pd.DataFrame) -> Scores:
    names = ("auroc", "auprc", "balanced_accuracy", "macro_f1")
    y, p = table["value"].to_numpy(int), table["p_1"].to_numpy()
    scores = dict.fromkeys(names, np.nan)
    scores["brier"] = sk.brier_score_loss(y, p) if len(y) else np.nan
    if len(set(y)) < 2:
        return scores
    called = np.c_[1 - p, p].argmax(1)
    return scores | {
        "auroc": sk.roc_auc_score(y, p),
        "auprc": sk.average_precision_score(y, p),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called),
        "macro_f1": sk.f1_score(y, called, average="macro"),
    }


def slope_of(table: pd.DataFrame) -> float:
    p = table["p_1"].to_numpy()
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(np.log(p / (1 - p))[:, None], table["value"])
    return float(fitted.coef_[0, 0])


def as_tested(table: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    return table


def losses(table: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """What each patient adds to the squared errors, and to those of the training patients' mean."""
    guess = table["p_1"] if "p_1" in table else table["prediction"]
    return pd.DataFrame({"own": (guess - table["value"]) ** 2, "null": (train["value"].mean() - table["value"]) ** 2})


def survival_losses(table: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """The same for the integrated Brier score, of scikit-survival one patient at a time, beside Kaplan-Meier."""
    known = Surv.from_arrays(train["event"].astype(bool), train["value"])
    names = sorted((name for name in table if name.startswith("survival_")), key=lambda name: float(name[9:]))
    times = [float(name[9:]) for name in names]
    null = KaplanMeierFitter().fit(train["value"], train["event"]).predict(times).to_numpy()
    rows = {"own": [], "null": []}
    time, event = table["value"].to_numpy(), table["event"].to_numpy(bool)
    # scikit-survival wants horizons within the follow-up: two patients around them, whose losses are known, go along
    around = Surv.from_arrays([True, False], [1e-9, float(train["value"].max())])
    perfect = np.array([[0.0] * len(times), [1.0] * len(times)])
    for i, guess in enumerate(table[names].to_numpy()):
        seen = np.concatenate([Surv.from_arrays(event[[i]], time[[i]]), around])
        for name, own in (("own", guess), ("null", null)):
            rows[name].append(3 * integrated_brier_score(known, seen, np.vstack([own, perfect]), times))
    return pd.DataFrame(rows, index=table.index)


def gain(table: pd.DataFrame) -> float:
    return float(1 - table["own"].sum() / table["null"].sum())


def by_number(table: pd.DataFrame, train: pd.DataFrame) -> Scores:
    y, p = table["value"].to_numpy(), table["prediction"].to_numpy()
    if len(set(y)) < 2:
        return {"r2": np.nan, "rmse": np.nan, "spearman": np.nan, "c_index": np.nan}
    return {
        "r2": sk.r2_score(y, p),
        "rmse": sk.root_mean_squared_error(y, p),
        "spearman": float(stats.spearmanr(y, p).statistic) if len(set(p)) > 1 else np.nan,
        "c_index": concordance_index(y, p),
    }


def by_time(table: pd.DataFrame, train: pd.DataFrame) -> Scores:
    time, event, risk = table["value"].to_numpy(), table["event"].to_numpy(bool), table["risk"].to_numpy()
    seen, known = Surv.from_arrays(event, time), Surv.from_arrays(train["event"].astype(bool), train["value"])
    names = sorted((name for name in table if name.startswith("survival_")), key=lambda name: float(name[9:]))
    times = [float(name[9:]) for name in names]
    return {
        "harrell_c": concordance_index_censored(event, time, risk)[0],
        "uno_c": concordance_index_ipcw(known, seen, risk)[0],
        "integrated_brier": integrated_brier_score(known, seen, table[names].to_numpy(), times),
    }


def auroc(table: pd.DataFrame, train: pd.DataFrame) -> Scores:
    y, p = table["value"].to_numpy(), table["p_1"].to_numpy()
    return {"auroc": sk.roc_auc_score(y, p) if len(set(y)) == 2 else np.nan}


def r2(table: pd.DataFrame, train: pd.DataFrame) -> Scores:
    y, p = table["value"].to_numpy(), table["prediction"].to_numpy()
    return {"r2": sk.r2_score(y, p) if len(set(y)) > 1 else np.nan}


def harrell(table: pd.DataFrame, train: pd.DataFrame) -> Scores:
    try:
        found = concordance_index_censored(table["event"].to_numpy(bool), table["value"], table["risk"])[0]
    except ValueError:  # nobody, no event, or no comparable pair
        found = np.nan
    return {"harrell_c": found}


SCORES = {"classification": by_class, "regression": by_number, "survival": by_time}
PRIMARY = {"classification": auroc, "regression": r2, "survival": harrell}
LABELS = {
    "classification": ["auroc", "auprc", "balanced_accuracy", "macro_f1", "brier", "ipa"],
    "regression": ["r2", "rmse", "spearman", "c_index", "r2_null"],
    "survival": ["harrell_c", "uno_c", "integrated_brier", "ipa"],
}


@pytest.fixture(scope="module", params=list(SCORES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    path = tmp_path_factory.mktemp(request.param) / "run"
    protocol = Protocol(folds=3, repeats=2 if request.param == "regression" else 1, draws=100)
    cohort = synthetic_cohort("complementary", 210, target=request.param, missing=0.25)
    if request.param == "survival":  # follow-up ends for all at once, as scikit-survival's weights ask for
        target, outcome = cohort.target, cohort.outcome
        assert outcome is not None and outcome.event is not None
        capped = Outcome(np.minimum(outcome.value, 60), outcome.event & (outcome.value < 60), outcome.known)
        cohort = cohort.with_target(target, capped)
    run(cohort, RECIPES, protocol, out=path)
    write_report(load_trial(path), path / "report.html")
    return Folder(path)


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """scikit-learn without the checks of its arguments, which take most of the time."""
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        yield


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"-?\d[\d,]*\.?\d*", text)]


def check(cell: str, values: np.ndarray, where: str) -> None:
    """`mean (low to high)` in a cell against the mean and its draws, or "not estimable"."""
    drawn = values[1:][np.isfinite(values[1:])]
    if np.isnan(values[0]) or len(drawn) < 0.8 * (len(values) - 1):
        assert cell == "not estimable", where
        return
    low, high = np.quantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose(numbers(cell), [values[0], low, high], atol=ROUNDING, err_msg=where)


def test_recipe_table(folder: Folder) -> None:
    every = folder.page.tables["recipe-table"][2:]
    assert {row[0] for row in every if row[0].endswith(" reference")} == {"best-available reference", "null reference"}
    rows = [row for row in every if not row[0].endswith(" reference")]
    assert len(rows) == len(RECIPES)
    order = []
    for row in rows:
        name, family = row[0].rsplit(" ", 1)
        stored = next(one for one in folder.document["recipes"] if one["name"] == name)
        assert stored["family"] == family
        found = dict(folder.over_folds(name, SCORES[folder.kind]))
        terms = survival_losses if folder.kind == "survival" else losses
        found[LABELS[folder.kind][-1]] = folder.over_patients(name, terms, gain)
        for cell, metric in zip(row[1:-2], LABELS[folder.kind], strict=True):
            check(cell, found[metric], f"{name}: {metric}")
        assert numbers(row[-1]) == [max(fold["trained_parameters"] for fold in stored["folds"])]
        assert row[-2] == "<0.1 s" or row[-2].startswith(f"{sum(fold['seconds'] for fold in stored['folds']):.1f}")
        order.append(found[LABELS[folder.kind][0]][0])
    assert order == sorted(order, reverse=True)


def test_pattern_table(folder: Folder) -> None:
    rows = folder.page.tables["pattern-table"][1:]
    tested = folder.outcomes.loc[sorted(folder.counts)]
    assert {row[0] for row in rows} == set(tested["pattern"])
    for row in rows:
        members = tested[tested["pattern"] == row[0]]
        assert numbers(row[1]) == [len(members)]
        if folder.kind == "classification":
            assert numbers(row[2])[1::2] == [int((members["value"] == k).sum()) for k in (0, 1)]
        if folder.kind == "survival":
            assert numbers(row[2]) == [int(members["event"].sum())]
        for cell, side in zip(row[-2:], ("fused", "single"), strict=True):
            found = folder.over_folds(folder.name_of(side), PRIMARY[folder.kind], row[0])
            check(cell, next(iter(found.values())), f"{row[0]}: {side}")


def test_verdict(folder: Folder) -> None:
    """What inner folds picked, what is best available and the fixed pair, each contrast with the wider interval."""
    sides = {"single": [one.name for one in SINGLES], "fused": [FUSED[0].name]}
    inner = {
        (one["name"], fold["repeat"], fold["fold"]): fold for one in folder.document["recipes"] for fold in one["folds"]
    }
    picked: dict[str, list[str]] = {}
    for side, names in sides.items():
        picked[side] = [
            max(names, key=lambda name: inner[(name, *key)]["inner"] or -np.inf) if len(names) > 1 else names[0]
            for key in folder.folds
        ]
    stored = folder.document["verdict"]
    always = {
        name: [name] * len(folder.folds) for name in (stored["best_fused"], stored["best_single"], "best-available")
    }
    pairs = {
        "in all": (picked["fused"], picked["single"]),
        "coverage": (always["best-available"], picked["single"]),
        "fixed pair": (always[stored["best_fused"]], always[stored["best_single"]]),
    }
    rows = {row[0]: row for row in folder.page.tables["contrast-table"]}
    for name, (ours, theirs) in pairs.items():
        expected = difference(folder, ours, theirs)
        np.testing.assert_allclose(numbers(rows[name][-1]), expected, atol=ROUNDING, err_msg=name)
    assert f"1. The verdict: {stored['outcome']}" in folder.page.text
    mean, low, _ = difference(folder, *pairs["in all"])
    assert f"by {abs(mean):.3f} " in folder.page.text and (stored["outcome"] != "pays" or low > 0)
    for name, often in Counter(picked["single"]).items():
        assert f"'{name}' in {often} fold" in folder.page.text


def difference(folder: Folder, ours: list[str], theirs: list[str]) -> tuple[float, float, float]:
    """Mean over folds of what the recipes of one side score above those of the other, and the wider interval."""
    each: list[list[np.ndarray]] = [[], []]
    for key, *names in zip(folder.folds, ours, theirs, strict=True):
        for values, name in zip(each, names, strict=True):
            table = folder.tested(name, key)
            times = np.array([folder.counts[patient] for patient in table.index])
            drawn = [np.arange(len(table)), *(np.repeat(np.arange(len(table)), column) for column in times.T)]
            values.append([next(iter(PRIMARY[folder.kind](table.iloc[one], table).values())) for one in drawn])
    gaps = np.array(each[0]) - np.array(each[1])  # (J, 1 + draws)
    d, boot = gaps[:, 0], np.quantile(gaps[:, 1:].mean(0), [0.025, 0.975])
    protocol, j = folder.document["protocol"], len(gaps)
    half = stats.t.ppf(0.975, j - 1) * np.sqrt((1 / j + protocol["n_test"] / protocol["n_train"]) * d.var(ddof=1))
    low, high = (d.mean() - half, d.mean() + half) if 2 * half > boot[1] - boot[0] else boot
    return float(d.mean()), float(low), float(high)


def test_cohort_counts(folder: Folder) -> None:
    facts, total = folder.page.facts(), len(folder.outcomes)
    assert facts["Patients"] == f"{total:,}" and facts["Left out"] == "none"
    present = Counter(name for pattern in folder.outcomes["pattern"] for name in pattern.split("+"))
    for name, _, have, share in folder.page.tables["modalities"][1:]:
        assert numbers(have) == [present[name]] and share == f"{100 * present[name] / total:.0f} %"
    value = folder.outcomes["value"]
    if folder.kind == "classification":
        assert numbers(facts["Classes"])[1::3] == [(value == 0).sum(), (value == 1).sum()]
        return
    spread = facts["Range" if folder.kind == "regression" else "Observed times"]
    middle, low, high, _ = numbers(spread)
    np.testing.assert_allclose([middle, low, high], value.quantile([0.5, 0.05, 0.95]), rtol=6e-3)
    if folder.kind == "survival":
        event = folder.outcomes["event"].astype(bool)
        assert numbers(facts["Events"])[0] == event.sum()
        at, watched = kaplan_meier_estimator(~event.to_numpy(), value.to_numpy())
        assert numbers(facts["Follow-up"])[0] == pytest.approx(at[np.argmax(watched <= 0.5)], rel=6e-3)
    upset = next(image["alt"] for image in folder.page.images if image["alt"].startswith("Patients by"))
    for pattern, n in folder.outcomes["pattern"].value_counts().items():
        assert f"{str(pattern).replace('+', ' and ')}: {n} patients" in upset


def test_calibration_table(folder: Folder) -> None:
    rows = folder.page.tables["calibration-table"][1:]
    for row, side in zip(rows, ("fused", "single"), strict=True):
        table = folder.first_repeat(folder.name_of(side))
        value = table["value"].to_numpy()
        if folder.kind == "classification":
            expected = [table["p_1"].mean(), value.mean()]
            np.testing.assert_allclose([float(cell) for cell in row[2:4]], expected, atol=ROUNDING)
            slope = folder.over_patients(folder.name_of(side), as_tested, slope_of)
            check(row[4], slope, "slope")
            measures = folder.page.tables["measure-table"]
            (own,) = [one for one in measures if one[0].startswith(f"{folder.name_of(side)} ")]
            check(own[1:][measures[1].index("calibration slope ideal is 1")], slope, "slope among the measures")
        elif folder.kind == "regression":
            slope = LinearRegression().fit(table[["prediction"]].to_numpy(), value).coef_[0]
            expected = [table["prediction"].mean(), value.mean()]
            np.testing.assert_allclose([float(cell) for cell in row[1:3]], expected, rtol=6e-3)
            assert float(row[3]) == pytest.approx(slope, abs=ROUNDING)
        else:
            assert float(row[1]) == pytest.approx(table["predicted"].mean(), abs=ROUNDING)
            np.testing.assert_allclose(numbers(row[2]), survival_at(1.0, table), atol=ROUNDING)


def survival_at(horizon: float, table: pd.DataFrame) -> list[float]:
    """Kaplan-Meier survival with its log-log interval, of scikit-survival."""
    event, time = table["event"].to_numpy(bool), table["value"].to_numpy()
    at, survival, (low, high) = kaplan_meier_estimator(event, time, conf_type="log-log")
    place = np.searchsorted(at, horizon, side="right") - 1
    return [survival[place], low[place], high[place]]


def test_risk_table(folder: Folder) -> None:
    if folder.kind != "survival":
        assert "risk-table" not in folder.page.tables
        return
    table = folder.first_repeat(folder.name_of("fused"))
    third = table.groupby("fold")["risk"].transform(lambda risk: (stats.rankdata(risk, "min") - 1) * 3 // len(risk))
    for k, row in enumerate(folder.page.tables["risk-table"][1:]):
        members = table[third == k]
        assert row[0] == ("low", "middle", "high")[k]
        assert [numbers(cell)[0] for cell in row[1:3]] == [len(members), members["event"].sum()]
        np.testing.assert_allclose(numbers(row[3]), survival_at(1.0, members), atol=ROUNDING)
    curve = next(image["alt"] for image in folder.page.images if image["alt"].startswith("Kaplan-Meier"))
    low = table[third == 0].assign(value=lambda part: part["value"] * part["horizon"])
    half = np.sort(low["value"])[-5] / 2
    fitter = KaplanMeierFitter().fit(low["value"], low["event"])
    assert numbers(curve.split("low risk:")[1])[0] == pytest.approx(float(fitter.predict(half)), abs=0.0051)


def test_what_only_the_authors_know_needs_input(folder: Folder) -> None:
    tripod, probast = (rows for rows in folder.page.tables.values() if rows[0][0] == "item")
    items = [row[0] for row in tripod[1:]]
    assert sorted({int(re.sub(r"\D", "", item)) for item in items}) == list(range(1, 28)) and len(items) == 52
    assert [row[:2] for row in probast[1:]] == [
        ["1", "participants and data sources"],
        ["2", "predictors"],
        ["3", "outcome"],
        ["4", "analysis"],
    ]
    said: Mapping[str, list[str]] = {row[0]: row[2:] for row in tripod[1:]}
    for item in ("1", "3b", "5a", "5b", "14", "17", "18a", "18d", "19", "27c"):
        assert said[item][0] == "" and said[item][1].startswith("NEEDS INPUT")
    assert all(row[2] or row[3].startswith("NEEDS INPUT") for row in (*tripod[1:], *probast[1:]))
    assert "27 item" not in folder.page.text and "BMJ 2024;385:e078378" in folder.page.text
