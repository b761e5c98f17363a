"""P32: every number in the tables of the page, computed again from the run folder with other libraries.

The folder is written, read back with pandas and json alone, and scored with scikit-learn, scikit-survival and
lifelines. Also: what the trial cannot know says NEEDS INPUT, and items of TRIPOD+AI and PROBAST+AI have numbers.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pytest
import sklearn
from lifelines import KaplanMeierFitter
from scipy import stats
from sklearn.linear_model import LinearRegression
from sksurv.metrics import cumulative_dynamic_auc
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

from chiasm.cohort import Outcome, synthetic_cohort
from chiasm.evaluation import Protocol, load_trial
from chiasm.report import write_report
from examples import ALL
from fake_trials import FUSED, SINGLES, run
from page_numbers import (
    LABELS,
    PRIMARY,
    RECIPES,
    ROUNDING,
    SCORES,
    Folder,
    as_tested,
    check,
    gain,
    losses,
    numbers,
    slope_of,
    survival_losses,
)


@pytest.fixture(scope="module", params=list(SCORES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    path = tmp_path_factory.mktemp(request.param) / "run"
    protocol = Protocol(folds=2, repeats=2 if request.param == "regression" else 1, draws=100)
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
        night = bool(os.environ.get(ALL))  # by day the interval of one metric, and of the gain, of one recipe
        drawn = night or name == FUSED[0].name
        found = dict(folder.over_folds(name, SCORES[folder.kind], drawn=night))
        if drawn:
            found |= folder.over_folds(name, PRIMARY[folder.kind])
        terms = survival_losses if folder.kind == "survival" else losses
        found[LABELS[folder.kind][-1]] = folder.over_patients(name, terms, gain, drawn=drawn)
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
            # by day the intervals of one kind: those of the others are made alike
            drawn = folder.kind == "classification" or bool(os.environ.get(ALL))
            found = folder.over_folds(folder.name_of(side), PRIMARY[folder.kind], row[0], drawn=drawn)
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
    score = PRIMARY[folder.kind]
    each = [
        [next(iter(folder.of_fold(name, key, score).values())) for key, name in zip(folder.folds, names, strict=True)]
        for names in (ours, theirs)
    ]
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


def decided_on(folder: Folder, recipe: str) -> tuple[np.ndarray, pd.DataFrame]:
    """The risk of each patient of the first repeat, and with `happened`, or times as shares of the middle horizon."""
    table = folder.first_repeat(recipe)
    if folder.kind == "survival":
        return 1 - table["predicted"].to_numpy(), table
    return table["p_1"].to_numpy(), table.assign(happened=table["value"] == 1)


def share_ill(folder: Folder, table: pd.DataFrame) -> float:
    """The share who have the outcome, by the horizon one less Kaplan-Meier; 0 of nobody."""
    if not len(table):
        return 0.0
    if folder.kind != "survival":
        return float(table["happened"].mean())
    return 1 - float(KaplanMeierFitter().fit(table["value"], table["event"]).predict(1.0))


def test_decision_table(folder: Folder) -> None:
    """Net benefit: true positives less false ones at the odds of the threshold, per patient, beside treating all."""
    if folder.kind == "regression":
        assert "decision-table" not in folder.page.tables
        return
    rows = folder.page.tables["decision-table"][1:]
    assert {row[0] for row in rows} == {folder.name_of("fused"), folder.name_of("single")} and len(rows) == 10
    for row in rows:
        risk, table = decided_on(folder, row[0])
        threshold = float(row[2].removesuffix(" %")) / 100
        odds, treated = threshold / (1 - threshold), risk >= threshold
        found = treated.mean() * share_ill(folder, table[treated])
        benefit = found - odds * (treated.mean() - found)
        share = share_ill(folder, table)
        everybody = share - odds * (1 - share)
        assert numbers(row[3])[0] == pytest.approx(benefit, abs=ROUNDING), row
        assert numbers(row[4]) == pytest.approx([everybody], abs=ROUNDING), row
        assert numbers(row[5])[0] == pytest.approx(benefit - max(everybody, 0.0), abs=ROUNDING), row


def test_tenth_table(folder: Folder) -> None:
    """D-calibration (Haider): the censored at S count in their tenth by what is left of it, below it by .1 / S."""
    if folder.kind != "survival":
        assert "tenth-table" not in folder.page.tables
        return
    for row in folder.page.tables["tenth-table"][1:]:
        shares, n, events = np.zeros(10), 0, 0
        for key in (key for key in folder.folds if key[0] == 0):
            table = folder.tested(row[0], key)
            names = sorted((name for name in table if name.startswith("survival_")), key=lambda name: float(name[9:]))
            times = [0.0, *(float(name[9:]) for name in names)]
            for own in table.to_dict("records"):
                ends = [1.0, *(own[name] for name in names)]
                late = own["value"] > times[-1]  # followed past the last horizon: known to be alive there
                alive = float(np.exp(np.interp(own["value"], times, np.log(ends))))
                event = bool(own["event"]) and not late
                n, events = n + 1, events + event
                tenth = min(int(alive * 10), 9)
                if event:
                    shares[tenth] += 1
                else:
                    shares[tenth] += 1 - 0.1 * tenth / alive
                    shares[:tenth] += 0.1 / alive
        assert numbers(row[1]) == [n] and numbers(row[2]) == [events]
        np.testing.assert_allclose([numbers(cell)[0] for cell in row[3:13]], 100 * shares / n, atol=0.51)
        statistic = ((shares - n / 10) ** 2 / (n / 10)).sum()
        assert numbers(row[13])[0] == pytest.approx(statistic, abs=0.051)
        assert row[14] == "<0.001" or float(row[14]) == pytest.approx(stats.chi2.sf(statistic, 9), abs=ROUNDING)


def test_horizon_table(folder: Folder) -> None:
    """AUC(t) at each horizon of a fold, of scikit-survival, its mean over folds."""
    if folder.kind != "survival":
        assert "horizon-table" not in folder.page.tables
        return
    places = ("first", "second", "third")
    _, heads, *rows = folder.page.tables["horizon-table"]
    aucs = [k for k, head in enumerate(heads) if head.startswith("AUC")]
    assert [heads[k].split(" horizon")[0].split()[-1] for k in aucs] == list(places)
    for row in (own for own in rows if own[0].rsplit(" ", 1)[0] in {one.name for one in RECIPES}):
        name, found = row[0].rsplit(" ", 1)[0], []
        for key in folder.folds:
            table, train = folder.tested(name, key), folder.outcomes.drop(index=folder.folds[key])
            known = Surv.from_arrays(train["event"].astype(bool), train["value"])
            seen = Surv.from_arrays(table["event"].to_numpy(bool), table["value"].to_numpy())
            columns = sorted((own for own in table if own.startswith("survival_")), key=lambda own: float(own[9:]))
            found.append([
                cumulative_dynamic_auc(known, seen, 1 - table[own].to_numpy(), [float(own[9:])])[0][0]
                for own in columns
            ])  # fmt: skip
        shown = [numbers(row[1 + k])[0] for k in aucs]
        np.testing.assert_allclose(shown, np.mean(found, axis=0), atol=ROUNDING, err_msg=name)


def test_what_only_the_authors_know_needs_input(folder: Folder) -> None:
    tripod, probast = (rows for rows in folder.page.tables.values() if rows[0][0] == "item")
    items = [row[0] for row in tripod[1:]]
    assert sorted({int(re.sub(r"\D", "", item)) for item in items}) == list(range(1, 28)) and len(items) == 52
    domains = {"1": "participants and data sources", "2": "predictors", "3": "outcome", "4": "analysis"}
    assert list(dict.fromkeys(row[0] for row in probast[1:])) == list(domains)  # each domain's questions together
    assert all(row[1].startswith(f"{domains[row[0]]}: ") for row in probast[1:])
    assert len({row[1] for row in probast[1:]}) == len(probast) - 1
    said: Mapping[str, list[str]] = {row[0]: row[2:] for row in tripod[1:]}
    for item in ("1", "3b", "5a", "5b", "14", "17", "18a", "18d", "19", "27c"):
        assert said[item][0] == "" and said[item][1].startswith("NEEDS INPUT")
    assert all(row[2] or row[3].startswith("NEEDS INPUT") for row in (*tripod[1:], *probast[1:]))
    assert "27 item" not in folder.page.text and "BMJ 2024;385:e078378" in folder.page.text
