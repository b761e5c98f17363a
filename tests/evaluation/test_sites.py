"""Each site is scored by models that never saw it; small sites are counted and not shown; no site is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chiasm.cohort import synthetic_cohort
from chiasm.evaluation import Protocol, Trial
from chiasm.evaluation.meta import random_effects
from chiasm.evaluation.sites import NO_SPREAD, site_summary
from chiasm.metrics.scores import PRIMARY, score
from chiasm.report import Plots
from chiasm.report.page import render
from chiasm.report.sites import sites_part, summary_told
from fake_trials import FUSED, SINGLES, run
from small_recipes import at_night

SIZES = {"north": 70, "south": 60, "east": 50, "west": 40, "zurnau": 12, "wobbleton": 3, "": 5}
N = sum(SIZES.values())


@pytest.fixture(scope="module", params=["survival", *at_night("regression", "classification", "multilabel")])
def trial(request: pytest.FixtureRequest) -> Trial:
    cohort = synthetic_cohort("complementary", N, target=request.param, seed=4, missing=0.1)
    names = np.random.default_rng(0).permutation(np.repeat(list(SIZES), list(SIZES.values())))
    protocol = Protocol(folds=3, repeats=2, draws=100, by="site")
    return run(replace(cohort, site=names), (*SINGLES, *FUSED), protocol)


def test_a_site_has_the_metric_of_its_own_patients_in_each_repeat(trial: Trial) -> None:
    table = trial.sites()
    best = [trial.verdict.best_fused, trial.verdict.best_single]
    assert list(table["recipe"].unique()) == best and list(trial.sites(best[1])["recipe"].unique()) == best[1:]
    own = table[table["recipe"] == best[0]].set_index("site")
    assert list(own["number"]) == list(range(1, 7)) and own["n"].to_dict() == {k: n for k, n in SIZES.items() if k}
    north, metric = (trial.outcomes["site"] == "north").to_numpy(), PRIMARY[trial.kind]
    if trial.target.has_labels:
        assert np.isfinite(own.loc["north", ["mean", "se"]].to_numpy(float)).all()
        return
    values = []
    for key, fold in trial.folds.items():
        rows = np.flatnonzero(north[fold.patients])
        if len(rows):
            assert len(rows) == 70, "a site lies in one fold"
            frame = trial.frames[best[0]][key].iloc[rows]
            values.append(score(trial.kind, frame, fold.outcome.take(rows), trial.classes, metrics=[metric])[metric][0])
    assert len(values) == 2 and own.loc["north", "mean"] == pytest.approx(np.mean(values))
    assert own.loc["north", "low"] < own.loc["north", "mean"] < own.loc["north", "high"]
    assert np.isnan(own.loc["wobbleton", "mean"])


def test_the_summary_is_that_of_the_sites_with_an_estimate(trial: Trial) -> None:
    found, table = trial.document["sites"][0], trial.sites(trial.verdict.best_fused)
    kept = table[table["mean"].notna() & (table["n"] >= 5)]
    mean, se = kept["mean"].to_numpy(float), kept["se"].to_numpy(float)
    assert found["scale"] == ("identity" if trial.kind == "regression" else "logit")
    if found["scale"] == "logit":
        own = random_effects(np.log(mean / (1 - mean)), (se / (mean * (1 - mean))) ** 2)
        assert found["summary"]["mean"] == pytest.approx(1 / (1 + np.exp(-own.mean)))
        assert 0 < found["summary"]["new_low"] < found["summary"]["low"]
    else:
        own = random_effects(mean, se**2)
        assert found["summary"]["mean"] == pytest.approx(own.mean)
    assert found["summary"]["k"] == len(kept) == 6 - found["left_out"] and found["left_out"] >= 1
    assert found["summary"]["tau2"] == pytest.approx(own.tau2)


def test_a_site_of_constant_prediction_is_counted_as_not_estimable(trial: Trial) -> None:
    """Every draw of its patients has the same value: it has no say in the summary, and is told of."""
    best = trial.verdict.best_fused
    spoilt = trial.predictions.copy()
    rows = (spoilt["recipe"] == best) & spoilt["patient"].isin(trial.outcomes.index[trial.outcomes["site"] == "north"])
    columns = [name for name in spoilt if name not in ("recipe", "repeat", "fold", "patient", "pattern")]
    if trial.kind == "regression":  # R2 of a constant differs from draw to draw
        return
    spoilt.loc[rows, columns] = 0.5
    found = site_summary(replace(trial, predictions=spoilt), best)
    before = trial.document["sites"][0]
    assert found["summary"]["k"] == before["summary"]["k"] - 1 and found["left_out"] == before["left_out"] + 1
    assert (
        found["why_left_out"] == {**before["why_left_out"], NO_SPREAD: 1}
        and sum(found["why_left_out"].values()) == (found["left_out"])
    )
    assert found["sites"][0]["mean"] is None
    told = summary_told(found, "AUROC")
    assert "1 site not estimable" in told and "too small to be estimated" in told
    old = {key: entry for key, entry in before.items() if key != "why_left_out"}
    assert summary_told(old, "AUROC").count(f"{before['left_out']} site") == 1


def test_no_site_is_named_and_a_small_one_has_no_numbers(trial: Trial) -> None:
    text = json.dumps(trial.document["sites"])
    assert not any(name in text for name in SIZES if name)
    assert trial.document["sites"][0]["sites"][5] == dict.fromkeys(("n", "events", "mean", "low", "high")) | {"site": 6}
    part = sites_part(trial)
    assert part is not None and part.rows[5][:2] == ("site 6", "<5") and part.picture is not None
    if trial.kind == "survival":
        page = render(trial)
        assert 'id="site-table"' in page and "&lt;5" in page and "wobbleton" not in page and "zurnau" not in page
        assert part.summaries[0] in page.replace("<wbr>", "").replace('<span class="together">', "").replace(
            "</span>", ""
        ).replace("&#39;", "'")


def test_the_picture_of_the_sites_is_drawn_for_a_notebook_and_into_a_file(trial: Trial, tmp_path: Path) -> None:
    from matplotlib import pyplot

    drawn, first = Plots(trial), trial.document["sites"][0]
    axes = drawn.sites()
    lines = [tuple(line.get_xdata()) for line in axes.lines]
    for own in [site for site in first["sites"] if site["low"] is not None]:
        assert (own["low"], own["high"]) in lines
    assert (first["summary"]["low"], first["summary"]["high"]) in lines and "sites" in repr(drawn)
    pyplot.close("all")
    if trial.kind == "regression":
        assert "sites.svg" in {file.name for file in drawn.save(tmp_path)}


def test_folds_that_split_sites_tell_nothing_of_sites() -> None:
    cohort = synthetic_cohort("complementary", 90, seed=4)
    trial = run(replace(cohort, site=np.repeat(["a", "b", "c"], 30)), SINGLES[:1])
    assert trial.document["sites"] == [] and sites_part(trial) is None and "site" not in trial.outcomes
    with pytest.raises(ValueError, match="evaluate with by='site'"):
        trial.sites()
