"""A verdict under outcomes that are not missing at random: what is joined, where it tips, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.evaluation import Protocol, Trial
from chiasm.evaluation.contrasts import Contrast
from chiasm.evaluation.stress import not_at_random as module
from chiasm.evaluation.stress.not_at_random import inner_of, not_at_random, pooled, tipping_of
from command_line import Run
from fake_trials import FUSED, SINGLES, synthetic_trial


@pytest.fixture(scope="module")
def trial() -> Trial:
    return synthetic_trial("survival", n=160, recipes=(*SINGLES, FUSED[0]), protocol=Protocol(2, 1, draws=100))


def test_draws_are_joined_by_rubins_rules() -> None:
    parts = [Contrast(0.1, 0.0, 0.2), Contrast(0.3, 0.2, 0.4)]
    found = pooled(parts)
    within = (0.1 / module.Z) ** 2
    half = module.Z * math.sqrt(within + 1.5 * 0.02)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.2 - half, 0.2 + half))
    assert not pooled([parts[0], Contrast(math.nan, math.nan, math.nan)]).estimable
    assert pooled([Contrast(0.0, math.nan, math.nan, same=True)] * 2).same
    assert not pooled([parts[0], Contrast(0.1, math.nan, math.nan)]).bounded


def test_the_nearest_delta_on_either_side_tips() -> None:
    said = ["pays", "cannot tell", "pays", "pays", "does not pay", "cannot tell"]
    table = pd.DataFrame({"delta": [-2.0, -1.0, -0.5, 0.0, 1.0, 2.0], "outcome": said})
    assert tipping_of(table) == (-1.0, 1.0)
    assert tipping_of(table[table["outcome"] == "pays"]) == (None, None)


def test_inner_scores_come_back_from_the_document(trial: Trial) -> None:
    found = inner_of(trial)
    assert set(found) == {(row["name"], *key) for row in trial.document["recipes"] for key in trial.folds}
    assert any(math.isfinite(value) for value in found.values())


def test_a_higher_hazard_after_censoring_has_more_events_and_the_trial_stays_as_it_was(trial: Trial) -> None:
    before = trial.outcomes.copy()
    found = not_at_random(trial, deltas=[-1.0, 1.0], imputations=2)
    assert list(found.table["delta"]) == [-1.0, 0.0, 1.0] and found.table["events"].is_monotonic_increasing
    seen = int(trial.outcomes["event"].sum())
    assert seen < found.table["events"].iloc[0] and found.table["events"].iloc[2] <= seen + found.number
    assert found.number <= found.of - seen and found.reported == trial.verdict.outcome
    assert (found.table["difference_low"] < found.table["difference"]).all()
    assert trial.outcomes.equals(before) and str(found.number) in found.sentence
    again = not_at_random(trial, deltas=[-1.0, 1.0], imputations=2)
    pd.testing.assert_frame_equal(found.table, again.table)


def test_censoring_that_hides_who_is_right_tips_the_verdict(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter(["cannot tell", "pays", "pays"])
    monkeypatch.setattr(module, "decide", lambda evidence: (next(said), "total"))
    found = not_at_random(trial, deltas=[-1.0, 1.0], imputations=2)
    assert found.tipping == (-1.0, None) and "it becomes 'cannot tell' at -1 (hazard times 0.28)" in found.sentence


def test_what_has_nothing_unseen_is_refused(trial: Trial) -> None:
    every = replace(trial, outcomes=trial.outcomes.assign(event=True))
    with pytest.raises(chiasm.Unsupported, match="every outcome was seen"):
        not_at_random(every)
    with pytest.raises(ValueError, match="2 or more"):
        not_at_random(trial, imputations=1)
    for delta in (math.inf, 1e4):  # the hazard times e to the 10,000 is no number
        with pytest.raises(ValueError, match="each delta is a number"):
            not_at_random(trial, deltas=[delta])
    number = synthetic_trial("regression", n=60, recipes=(*SINGLES, FUSED[0]), protocol=Protocol(2, 1, draws=100))
    with pytest.raises(chiasm.Unsupported, match="every tested patient has an outcome"):
        not_at_random(number)


@pytest.mark.nightly
def test_the_command_tells_every_delta(run: Run, tmp_path: Path) -> None:
    synthetic_trial(
        "survival", n=120, recipes=(*SINGLES, FUSED[0]), protocol=Protocol(2, 1, draws=100), out=tmp_path / "run"
    )
    asked = ("not-at-random", tmp_path / "run", "--deltas", "-1,0.5", "--imputations", "2")
    said = run(*asked, "--out", tmp_path / "deltas.csv", "--keep")
    assert said.code == 0 and "were censored before the last event" in said.out
    assert list(pd.read_csv(tmp_path / "deltas.csv")["delta"]) == [-1.0, 0.0, 0.5]
    assert 'id="delta-table"' in (tmp_path / "run" / "report.html").read_text()
    told = json.loads(run(*asked, "--json").out)
    assert [row["delta"] for row in told["rows"]] == [-1.0, 0.0, 0.5]
    assert " ".join(said.out.split()).count(" ".join(told["sentence"].split())) == 1


def test_the_command_refuses_words_for_numbers_and_folders_without_a_trial(run: Run, tmp_path: Path) -> None:
    refused = run("not-at-random", tmp_path, "--deltas", "one")
    assert refused.code == 2 and "'one' is none" in refused.err
    assert "holds no finished trial" in run("not-at-random", tmp_path).err


@pytest.mark.nightly
def test_empty_cells_of_labels_are_drawn() -> None:
    own = synthetic_trial("multilabel", n=120, recipes=(*SINGLES, FUSED[0]), protocol=Protocol(2, 1, draws=100))
    columns = [name for name in own.outcomes if name.startswith("value_")]
    gaps = np.random.default_rng(0).random((len(own.outcomes), len(columns))) < 0.2
    holed = replace(own, outcomes=own.outcomes.assign(**own.outcomes[columns].mask(gaps)))
    found = not_at_random(holed, deltas=[1.0], imputations=2)
    assert found.table["events"].is_monotonic_increasing and "odds" not in found.sentence.split(";")[0]
