"""The page on which a verdict can be tried goes by the rule of `evaluate`: the same cases, the same words and ends."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chiasm.evaluation.contrasts import UNKNOWN, Contrast, contrast
from chiasm.evaluation.verdict import Evidence, above_zero, decide, patients_to_settle

SCRIPTS = Path(__file__).parents[1] / "docs" / "javascripts"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node: make services brings it")
PARTS = ("total", "coverage", "combining", "beyond_presence", "fixed")
ASK = """
const rule = require("./verdict_rule.js"), cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const number = (own) => (own === null ? NaN : own);
const side = (own) => ({ points: own.points.map(number), draws: own.draws.map((fold) => fold.map(number)) });
const ends = (own) => [own.mean, own.low, own.high].map((value) => (Number.isFinite(value) ? value : null));
console.log(JSON.stringify(cases.map((own) => {
  const found = Object.fromEntries(Object.entries(own.contrasts).map(
    ([name, [ours, theirs]]) => [name, rule.contrast(side(ours), side(theirs), own.test, own.train)]));
  const { leaks, tooFew, margin } = own;
  const evidence = { ...found, beyond: found.beyond_presence, leaks, tooFew, margin };
  const asked = [found.total, found.combining].filter((one) => !rule.aboveZero(one));
  const contrasts = Object.entries(found).map(([name, one]) => [name, ends(one).concat(one.same)]);
  return { word: rule.decide(evidence), settle: rule.patientsToSettle(asked, margin, own.patients),
    contrasts: Object.fromEntries(contrasts) };
})));
"""


def side(rng: np.random.Generator, folds: int, gain: float, spread: float) -> dict[str, Any]:
    """Values of a metric in folds and draws, here and there none."""
    points = 0.7 + gain + spread * rng.normal(size=folds)
    draws = points[:, None] + spread * rng.normal(size=(folds, 40))
    draws[rng.random(draws.shape) < 0.02] = np.nan
    if rng.random() < 0.05:
        points[: int(rng.integers(1, folds + 1))] = np.nan
    return {"points": points, "draws": draws}


def cases() -> list[dict[str, Any]]:
    """Cases of every word and nearly every reason: gains of all sizes, few patients, equal sides, missing folds."""
    rng, made = np.random.default_rng(0), []
    for number in range(120):
        folds, spread = int(rng.choice([1, 2, 5, 10])), float(rng.choice([0.001, 0.003, 0.01, 0.05]))
        gains = [0.1] if number % 3 == 1 else [-0.05, 0.0, 0.002, 0.02, 0.1]
        contrasts = {}
        for name in PARTS:
            ours = side(rng, folds, float(rng.choice(gains)), spread)
            contrasts[name] = (ours, ours if rng.random() < 0.1 else side(rng, folds, 0.0, spread))
        margin = float(rng.choice([0.01, 0.03]))
        made.append({
            "contrasts": contrasts, "test": 40.0, "train": 160.0, "leaks": number % 31 == 0, "tooFew": number % 7 == 0,
            "margin": margin, "patients": 200,
        })  # fmt: skip
    return made


def asked_of_node(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return [plain(own) for own in value] if value.ndim else plain(float(value))
        return None if isinstance(value, float) and np.isnan(value) else value

    text = json.dumps(made, default=lambda own: plain(own)).replace("NaN", "null")
    done = subprocess.run([str(NODE), "-e", ASK], cwd=SCRIPTS, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@needs_node
def test_the_page_reaches_the_words_and_ends_that_evaluate_reaches() -> None:
    made, words = cases(), set()
    for case, found in zip(made, asked_of_node(made), strict=True):
        own: dict[str, Contrast] = {}
        for name, sides in case["contrasts"].items():
            ours, theirs = ([(one["points"][:, None], one["draws"])] for one in sides)
            own[name] = contrast(ours, theirs, n_test=case["test"], n_train=case["train"])
            *numbers, same = found["contrasts"][name]
            expected = [value if np.isfinite(value) else None for value in own[name].numbers]
            assert same == own[name].same and [one is None for one in numbers] == [one is None for one in expected]
            assert np.allclose([one or 0 for one in numbers], [one or 0 for one in expected], rtol=1e-8, atol=1e-10)
        evidence = replace(
            Evidence(*(own[name] for name in PARTS), UNKNOWN, UNKNOWN), margin=case["margin"],
            leaks=("a leak",) if case["leaks"] else (), too_few="few" if case["tooFew"] else "",
        )  # fmt: skip
        assert tuple(found["word"]) == decide(evidence)
        words.add(decide(evidence))
        asked = tuple(one for one in (own["total"], own["combining"]) if not above_zero(one))
        settle = patients_to_settle(asked, case["margin"], case["patients"])
        assert found["settle"] == (None if settle is None else list(settle))
    assert {word for word, _ in words} == {"pays", "does not pay", "predicts more patients", "cannot tell"}
    assert len(words) > 8


@needs_node
def test_a_made_trial_tells_what_was_put_into_it() -> None:
    ask = """
    const { trial } = require("./made_trial.js");
    const cases = [{ signal: 0 }, { signal: 1.5 }, { signal: 1.5, patients: 60 }];
    const base = { seed: 1, patients: 960, noise: 0.5, lacking: 0.3, margin: 0.01 };
    console.log(JSON.stringify(cases.map((own) => trial({ ...base, ...own }).word)));
    """
    done = subprocess.run([str(NODE), "-e", ask], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["does not pay", "pays", "cannot tell"]
