"""A model recalibrated on later outcomes: what is changed, by which test, how it is undone, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.artifact import identity
from chiasm.cli import main
from chiasm.cohort import Cohort
from chiasm.errors import FindingWarning, Unsupported
from chiasm.models.recalibration import BOTH, INTERCEPT, NONE, PATTERNS, Likelihood, chosen_change
from chiasm.models.updating import changed, moved
from chiasm.protocols import Model
from chiasm.targets import Outcome
from lighter_trials import ridges_by_day
from small_recipes import at_night

KINDS = ["survival", *at_night("classification", "regression", "multilabel", "competing")]


def halves(kind: str, n: int = 300) -> tuple[Cohort, Cohort]:
    """Patients to fit on and later ones, a third of whom lack the second modality."""
    whole = chiasm.synthetic_cohort("complementary", n, target=kind, missing=0.3, seed=3)
    return whole.subset(np.arange(n // 2)), whole.subset(np.arange(n // 2, n))


@cache
def fitted(kind: str) -> tuple[Model, Cohort]:
    """A model of the first half, and the later half."""
    old, new = halves(kind)
    with ridges_by_day():
        return chiasm.fit(old, "late-fusion"), new


@pytest.mark.parametrize("kind", KINDS)
def test_the_change_is_the_one_that_was_planted(kind: str) -> None:
    """A model whose links were bent beforehand gets them back; who is not bent stays as he is, and all is undone."""
    model, new = fitted(kind)
    straight = chiasm.update(model, new, level=1e-9, draws=100)
    assert not straight.is_changed and straight.model is model and "Nothing" in straight.sentence
    best = next(own for own in straight.chosen.candidates if own.name == BOTH)
    bent = replace(model, response=moved(model.response, replace(best, intercept=best.intercept * 0 + 0.7, slope=2.5)))
    found = chiasm.update(bent, new, by_pattern=False, level=0.4, draws=100)
    assert found.chosen.change.name == BOTH and found.is_changed
    wanted = changed(model, best, lambda said: found.model.history[0])
    pd.testing.assert_frame_equal(found.model.predict(new), wanted.predict(new), rtol=1e-3)
    again = chiasm.update(found.model, new, by_pattern=False, level=0.4, draws=100)
    assert not again.is_changed, "what was recalibrated needs nothing more"
    taken = chiasm.undo(found.model)
    pd.testing.assert_frame_equal(taken.predict(new), bent.predict(new), check_exact=True)


def test_the_size_of_the_test_is_held() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(80):
        eta = rng.normal(-1, 1, 120)
        y = (rng.uniform(size=120) < 1 / (1 + np.exp(-eta))).astype(float)
        own = Likelihood("classification", Outcome(y, None, np.ones(120, bool)))
        hits += chosen_change(own, np.c_[-eta / 2, eta / 2], None, [], 0.05).change.name != NONE
    assert hits <= 9, "at 5 % more than 9 of 80 come by chance once in a hundred"


def test_the_smallest_change_that_is_enough_is_kept() -> None:
    rng = np.random.default_rng(1)
    eta = rng.normal(0, 1, 1500)
    patterns = np.where(rng.uniform(size=1500) < 0.5, "a", "a+b")

    def name(truth: np.ndarray) -> str:
        y = (rng.uniform(size=1500) < 1 / (1 + np.exp(-truth))).astype(float)
        own = Likelihood("classification", Outcome(y, None, np.ones(1500, bool)))
        return chosen_change(own, np.c_[-eta / 2, eta / 2], patterns.tolist(), ["a", "a+b"], 0.01).change.name

    assert name(eta) == NONE
    assert name(eta + 0.6) == INTERCEPT
    assert name(0.4 * eta + 0.3) == BOTH
    assert name(eta + np.where(patterns == "a", 0.8, -0.6)) == PATTERNS


def test_a_pattern_gets_its_own_level_and_gives_it_back() -> None:
    model, new = fitted("survival")
    assert new.outcome is not None
    early = np.isin(new.pattern(), ["m1"])
    hurried = replace(new.outcome, value=np.where(early, new.outcome.value / 8, new.outcome.value))
    with pytest.warns(FindingWarning, match="1 finding"):
        found = chiasm.update(model, new.with_target(new.target, hurried), draws=100)
    assert found.chosen.change.name == PATTERNS and len(found.chosen.change.shifts) >= 1
    risk = [own.predict(new.with_target(None, None))["risk"].to_numpy() for own in (model, found.model)]
    order = np.argsort(new.file_rows, kind="stable")
    apart = {
        name: (risk[1] - found.chosen.change.slope * risk[0])[new.pattern()[order] == name] for name in ("m1", "m2")
    }
    assert np.ptp(apart["m1"]) < 1e-9 and apart["m1"][0] - apart["m2"][0] > 0.5
    back = chiasm.undo(found.model).predict(new)
    pd.testing.assert_frame_equal(back, model.predict(new), check_exact=True)


def test_few_outcomes_are_refused() -> None:
    model, new = fitted("survival")
    with pytest.raises(Unsupported, match="too few to say"):
        chiasm.update(model, new.subset(np.arange(25)))
    assert new.outcome is not None
    nobody = replace(new.outcome, event=np.zeros(len(new), bool))
    with pytest.raises(Unsupported, match="too few to say"):
        chiasm.update(model, new.with_target(new.target, nobody))
    with pytest.raises(ValueError, match="level"):
        chiasm.update(model, new, level=0.7)


def test_predictions_that_rank_nobody_are_not_mended() -> None:
    model, new = fitted("survival")
    assert new.outcome is not None
    late = replace(new.outcome, value=1.0 / new.outcome.value)
    with pytest.raises(Unsupported, match="rank"):
        chiasm.update(model, new.with_target(new.target, late))


def test_on_the_command_line(tmp_path: Path, capsys) -> None:
    model, new = fitted("survival")
    model.save(tmp_path / "model")
    assert new.target is not None and new.outcome is not None
    table, _ = new.target.written(new.outcome, new.ids)
    table["months"] *= 3  # everybody lives three times as long
    frames = {name: new.raw(name) for name in new.modalities}
    table.set_index("id" if "id" in table else table.index).to_csv(tmp_path / "patients.csv", index_label="id")
    for name, frame in frames.items():
        frame.to_csv(tmp_path / f"{name}.csv", index_label="id")
    parts = "".join(f'[modalities.{name}]\nkind = "table"\ntable = "{name}.csv"\n' for name in frames)
    names = new.target.columns
    (tmp_path / "cohort.toml").write_text(
        f'[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "survival"\ntime = "{names[0]}"\n'
        f'event = "{names[1]}"\nunit = "months"\n{parts}'
    )
    words = ["update", str(tmp_path / "model"), str(tmp_path), "--out", str(tmp_path / "newer"), "--draws", "100"]
    run(*words, "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["changed"] and told["intercept"][0] < -0.5 and told["p"]["none"] < 0.001
    assert identity(tmp_path / "model")[:12] in told["history"][0]
    assert "What was done since" in (tmp_path / "newer" / "card.md").read_text()
    run("update", str(tmp_path / "newer"), "--undo", "--out", str(tmp_path / "older"))
    assert identity(tmp_path / "older") == identity(tmp_path / "model"), "the way back leads to the very folder"
    capsys.readouterr()
    key = chiasm.new_keys(tmp_path / "key").private
    words[-2:] = ["--draws", "100", "--force", "--trust", str(tmp_path / "key.pub.pem")]
    run(*words, code=2)
    assert "is not signed" in capsys.readouterr().err
    chiasm.sign_model(tmp_path / "model", key)
    run(*words)
    assert f"not signed, as the one of before was: chiasm sign {tmp_path / 'newer'}" in capsys.readouterr().err
    run("update", *words[1:3], "--undo", "--out", str(tmp_path / "other"), code=2)
    run("update", words[1], "--out", str(tmp_path / "other"), code=2)
    run("update", words[1], words[2], "--out", words[1], "--force", code=2)


def run(*words: str, code: int = 0) -> None:
    """Run a command and look at how it ends."""
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert end.value.code == code
