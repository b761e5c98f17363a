"""A run folder read without chiasm, and what its page should say: scores and intervals by other libraries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from scipy import stats
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw, integrated_brier_score
from sksurv.util import Surv

from fake_trials import FUSED, SINGLES
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

    def of_fold(
        self,
        recipe: str,
        key: tuple[int, str],
        score: Callable[..., Scores],
        pattern: str | None = None,
        drawn: bool = True,
    ) -> dict[str, np.ndarray]:
        """(1 + draws,) values of each metric in a fold: the point estimate, then each draw; {} where nobody is."""
        asked = (recipe, key, score, pattern, drawn)
        if asked not in self.scored:
            table = self.tested(recipe, key, pattern)
            train = self.outcomes.drop(index=self.folds[key])
            times = np.array([self.counts[patient] for patient in table.index]).reshape(len(table), -1)  # (n, draws)
            draws = times.T if drawn else ()
            rows = [np.arange(len(table)), *(np.repeat(np.arange(len(table)), column) for column in draws)]
            values = [score(table.iloc[chosen], train) for chosen in rows] if len(table) else [{}]
            self.scored[asked] = {name: np.array([value[name] for value in values]) for name in values[0]}
        return self.scored[asked]

    def over_folds(
        self, recipe: str, score: Callable[..., Scores], pattern: str | None = None, drawn: bool = True
    ) -> dict[str, np.ndarray]:
        """(1 + draws,) means over folds of each metric: the point estimate, then each draw, if they are `drawn`."""
        folds = [self.of_fold(recipe, key, score, pattern, drawn) for key in self.folds]
        folds = [one for one in folds if one]
        return {name: mean_over_folds(np.array([one[name] for one in folds])) for name in folds[0]}

    def over_patients(
        self, recipe: str, terms: Callable[..., pd.DataFrame], value: Callable[..., float], drawn: bool = True
    ) -> np.ndarray:
        """(1 + draws,) means over repeats of a value of all tested patients together: the point, then each draw."""
        draws: int = self.document["protocol"]["draws"] if drawn else 0
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
        if not block.size:  # without draws
            continue
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
    _, recall, f1, _ = sk.precision_recall_fscore_support(y, called, average="macro", zero_division=0)
    return scores | {
        "auroc": sk.roc_auc_score(y, p),
        "auprc": sk.average_precision_score(y, p),
        "balanced_accuracy": recall,
        "macro_f1": f1,
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
    """By the ranks of scipy, which takes a tenth of scikit-learn's time for so few; `by_class` asks scikit-learn."""
    y, p = table["value"].to_numpy(), table["p_1"].to_numpy()
    n = int(y.sum())
    pairs = n * (len(y) - n)
    return {"auroc": (stats.rankdata(p)[y == 1].sum() - n * (n + 1) / 2) / pairs if pairs else np.nan}


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


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"-?\d[\d,]*\.?\d*", text)]


def check(cell: str, values: np.ndarray, where: str) -> None:
    """`mean (low to high)` in a cell against the mean and its draws, if there are any, or "not estimable"."""
    if len(values) == 1 and not np.isnan(values[0]):
        assert numbers(cell)[0] == pytest.approx(values[0], abs=ROUNDING), where
        return
    drawn = values[1:][np.isfinite(values[1:])]
    if np.isnan(values[0]) or len(drawn) < 0.8 * (len(values) - 1):
        assert cell == "not estimable", where
        return
    low, high = np.quantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose(numbers(cell), [values[0], low, high], atol=ROUNDING, err_msg=where)
