"""Scores of retrieval: known answers, chance for what says nothing, and nobody found in its own group."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Classification, Cohort, Regression, Unsupported, cohort_from_frames
from chiasm.retrieval import mean_average_precision, recall_at, retrieval_scores
from chiasm.retrieval.scores import _ranked
from command_line import Run


def cohort_of(signal: float, *, people: int = 60, records: int = 1, seed: int = 0) -> Cohort:
    """Two classes `signal` standard deviations apart; the records of one person are one value and almost alike."""
    rng = np.random.default_rng(seed)
    label = np.repeat(rng.permutation(np.arange(people) % 2), records)
    own = np.repeat(rng.normal(size=(people, 6)), records, axis=0)
    values = own + rng.normal(size=own.shape) * 0.01 + signal * (label[:, None] - 0.5)
    ids = [f"p{k:03d}" for k in range(len(label))]
    patients = pd.DataFrame({"label": label, "person": [f"g{k // records}" for k in range(len(label))]}, index=ids)
    frame = pd.DataFrame(values, index=ids, columns=[f"x{k}" for k in range(6)])
    return cohort_from_frames(patients, {"table": frame}, Classification("label"), group="person")


def test_what_tells_the_classes_apart_is_found_and_noise_is_chance() -> None:
    found = retrieval_scores(cohort_of(6.0), "table").set_index("metric")
    assert found.index.tolist()[:4] == ["recall@1", "recall@5", "recall@10", "mean average precision"]
    assert (found["value"] > 0.95).all() and (found["low"] <= found["value"]).all()
    for seed in range(3):
        noise = retrieval_scores(cohort_of(0.0, people=200, seed=seed), "table").set_index("metric")
        assert (noise["value"] - noise["chance"]).abs().max() < 0.12
        assert noise.loc["mean average precision", "value"] == pytest.approx(
            noise.loc["mean average precision", "chance"], abs=0.03
        )


def test_chance_is_the_mean_over_all_orders() -> None:
    orders = np.array([np.isin(range(11), found) for found in itertools.combinations(range(11), 3)])
    total = np.array([3])
    codes, units = np.array([1, *orders[0].astype(int)]), np.arange(12)
    _, chances = _ranked(np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32), codes, units, np.array([0]))
    wanted = [np.mean([recall_at(order[None], total, k) for order in orders]) for k in (1, 5, 10)]
    wanted.append(np.mean([mean_average_precision(order[None], total) for order in orders]))
    np.testing.assert_allclose(chances[0], wanted)


def test_a_person_is_not_found_by_its_own_other_records() -> None:
    found = retrieval_scores(cohort_of(0.0, people=80, records=3), "table").set_index("metric")
    assert found.loc["recall@1", "value"] < 0.75  # its own records lie at distance zero, and share its class
    assert found.loc["vote, balanced accuracy", "value"] < 0.75


def test_a_target_without_classes_is_refused() -> None:
    cohort = cohort_of(1.0)
    with pytest.raises(Unsupported, match="classification"):
        retrieval_scores(cohort.with_target(Regression("label"), cohort.outcome), "table")


def test_the_command_shows_each_metric_beside_chance(run: Run, tmp_path: Path) -> None:
    rng, lines = np.random.default_rng(0), ["id,label,x,y"]
    for k in range(40):
        lines.append(f"secret-{k},{k % 2},{rng.normal() + 4 * (k % 2):.3f},{rng.normal() - 4 * (k % 2):.3f}")
    (tmp_path / "patients.csv").write_text("\n".join(lines))
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "label"\n'
        '[modalities.lab]\nkind = "table"\ncolumns = ["x", "y"]\n'
    )
    said = run("similar", "lab", tmp_path / "cohort.toml", "--score")
    assert said.code == 0 and "recall@5" in said.out and "chance" in said.out and "secret" not in said.out + said.err
    rows = json.loads(run("similar", "lab", tmp_path / "cohort.toml", "--score", "--json").out)
    assert [row["metric"] for row in rows][-2:] == ["mean average precision", "vote, balanced accuracy"]
    assert all(row["low"] <= row["value"] <= row["high"] and row["value"] > 0.9 > row["chance"] for row in rows)
