"""What came in against what was trained on: exact tests, one false-alarm rate over looks, units, and the page."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import chiasm
from chiasm.cli import main
from chiasm.errors import Unsupported
from chiasm.fitting.reference import REST, column_summary, reference_of
from chiasm.metrics.two_sample import below_edges, edge_p, edges_of, holm, share_p
from chiasm.models.looks import looked
from chiasm.models.monitoring import Part, Test, column_parts, unit_told
from lighter_trials import ridges_by_day

pytestmark = pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
Test.__test__ = False  # type: ignore[attr-defined]


def ward(folder: Path, n: int, seed: int, **changed: float) -> Path:
    """A cohort of n patients as files."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    age, crp = rng.normal(60, 10, n).round(), np.exp(rng.normal(size=n)).round(4)
    odds = np.exp(changed.get("level", 0.0) + 0.1 * (age - 60) + np.log(crp))
    relapse = np.where(rng.uniform(size=n) < odds / (1 + odds), "yes", "no")
    index = pd.Index([f"{folder.name}-{k:03d}" for k in range(n)], name="id")
    days = pd.date_range("2026-01-01", periods=n, freq="D").strftime("%Y-%m-%d")
    table = pd.DataFrame({"relapse": relapse, "age": age, "sex": rng.choice(["f", "m"], n), "day": days}, index=index)
    table.to_csv(folder / "patients.csv")
    blood = pd.DataFrame({"crp": crp * changed.get("unit", 1.0), "ldh": rng.normal(size=n).round(3)}, index=index)
    blood[rng.uniform(size=n) < 0.8].to_csv(folder / "blood.csv")
    (folder / "cohort.toml").write_text(
        f'name = "{folder.name}"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\n'
        'column = "relapse"\n[modalities.clinical]\nkind = "table"\ncolumns = ["age", "sex"]\n[modalities.blood]\n'
        'kind = "table"\ntable = "blood.csv"\n'
    )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wards")
    with ridges_by_day():
        chiasm.fit(ward(path / "old", 160, 0), "late-fusion").save(path / "model")
    ward(path / "alike", 160, 1)
    ward(path / "unit", 120, 2, unit=10.0)
    ward(path / "level", 150, 3, level=2.0)
    return path


@cache
def null_p(ties: bool) -> np.ndarray:
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        old, new = rng.normal(size=120), rng.normal(size=60)
        if ties:
            old, new = old.round(), new.round()
        edges, places, below = edges_of(old, 10, 5, rng.uniform(size=120))
        p = edge_p(below, 120, below_edges(new, edges, places, rng.uniform(size=60)), 60)
        found.append(p)
    return np.array(found)


@pytest.mark.parametrize("ties", [False, True])
def test_each_edge_holds_its_level(ties: bool) -> None:
    draws, edges = null_p(ties).shape
    each = (null_p(ties) <= 0.1).sum(0)
    assert each.max() <= binom.ppf(1 - 0.001 / edges, draws, 0.1), "each edge alone"
    assert (null_p(ties).min(1) * edges <= 0.05).sum() <= binom.ppf(0.999, draws, 0.05), "and the column"
    assert each.mean() >= binom.ppf(0.001, draws, 0.1 / 2), "and not by never alarming: of 60 patients p is coarse"


def test_shares_and_corrections_are_those_of_the_books() -> None:
    from scipy.stats import fisher_exact

    p = float(share_p(np.array([8]), 40, np.array([15]), 30)[0])
    greater = fisher_exact([[15, 15], [8, 32]], alternative="greater")[1]
    assert p == pytest.approx(2 * greater)
    np.testing.assert_allclose(holm(np.array([0.01, np.nan, 0.04, 0.03])), [0.03, np.nan, 0.06, 0.06])


def test_a_summary_tells_no_few_patients() -> None:
    words = column_summary("w", pd.Series(["a"] * 30 + ["b"] * 4 + ["c"] * 2 + [None] * 4))
    assert dict(zip(words.levels, words.counts.tolist(), strict=True)) == {"a": 30, REST: 6} and words.known == 36
    values = np.random.default_rng(0).normal(size=43)
    numbers = column_summary("x", pd.Series(values))
    assert np.diff(np.r_[0, numbers.below, 43]).min() >= 5 and not np.isin(numbers.edges, values).any()


def test_one_rate_holds_for_all_looks() -> None:
    """A test with a uniform p at each look, the worst that there is, alarms no more often than the rate."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(300):
        batches = [(str(k), np.arange(5) + 5 * k) for k in range(12)]
        found = looked(
            batches, lambda rows: [Test("t", 5, rng.uniform(), (Part("t", 1.0, ""),), 1)] * 1, rate=0.2, looks=12
        )
        alarms += any(look.alarm for look in found)
    assert binom.ppf(0.001, 300, 1 - np.exp(-0.2)) <= alarms <= binom.ppf(0.999, 300, 0.2)
    with pytest.raises(ValueError, match="allow as many looks"):
        looked([("a", np.arange(3))] * 3, lambda rows: [], rate=0.05, looks=2)


def test_another_unit_is_told() -> None:
    rng = np.random.default_rng(0)
    own = column_summary("temp", pd.Series(rng.normal(37, 0.5, 200)))
    assert "Fahrenheit" in unit_told(own, rng.normal(37, 0.5, 80) * 1.8 + 32)
    glucose = column_summary("glucose", pd.Series(np.exp(rng.normal(1.7, 0.3, 200))))
    assert "18.02 times larger" in unit_told(glucose, 18.016 * np.exp(rng.normal(1.7, 0.3, 80)))
    weight = column_summary("weight", pd.Series(rng.normal(70, 12, 200)))
    assert "2.205 times larger" in unit_told(weight, 2.2046 * rng.normal(70, 12, 200)), "not 2.54, which is near"
    assert "2.205 times smaller" in unit_told(weight, rng.normal(70, 12, 200) / 2.2046)
    assert unit_told(glucose, np.exp(rng.normal(2.3, 0.9, 80))) == ""
    gone = column_parts(glucose, pd.Series(np.full(50, np.nan)))
    assert len(gone) == 1 and gone[0].p < 1e-6 and "100 % lack" in gone[0].said


def test_patients_alike_are_no_alarm_and_others_are(folder: Path) -> None:
    assert not chiasm.monitor(folder / "model", folder / "alike").alarm
    unit = chiasm.monitor(folder / "model", folder / "unit")
    assert unit.alarm and "blood" in unit.sentence
    (said,) = unit.table().query("test == 'blood'")["said"]
    assert "'crp' is about 10 times larger" in said
    level = chiasm.monitor(folder / "model", folder / "level", date="day", every="month", rate=0.1)
    assert level.alarm and level.looks == 12 and level.sentence.startswith("Alarm first in 2026-0")
    assert set(level.table().query("alarm")["test"]) == {"calibration"}
    held = chiasm.monitor(folder / "model", folder / "level", reference=folder / "alike")
    assert "predictions" in set(held.table()["test"]) and "'alike'" in held.against


def test_predictions_that_rank_nobody_are_an_alarm_by_their_p_alone(folder: Path) -> None:
    """A slope at its lower end comes by chance too: it has the p of its test, and few looks' levels are that small."""
    cohort = chiasm.open_cohort(folder / "alike")
    assert cohort.outcome is not None
    turned = cohort.with_target(cohort.target, replace(cohort.outcome, value=1 - cohort.outcome.value)).subset(
        range(60)
    )
    with pytest.raises(Unsupported, match="do not rank"):
        chiasm.update(folder / "model", turned)
    (p,) = chiasm.monitor(folder / "model", turned).table().query("test == 'calibration'")["p"]
    assert 0 < p < 0.05
    assert not chiasm.monitor(folder / "model", turned, rate=p / 2).alarm


def test_a_model_without_a_summary_says_so(folder: Path) -> None:
    bare = replace(chiasm.load_model(folder / "model"), reference=None)
    found = chiasm.monitor(bare, folder / "level")
    assert "keeps no summary" in found.notes[0] and set(found.table()["test"]) == {"calibration"}
    with pytest.raises(Unsupported, match="nothing to compare"):
        chiasm.monitor(bare, chiasm.open_cohort(folder / "level").with_target(None, None))
    with pytest.raises(ValueError, match="did you mean 'day'"):
        chiasm.monitor(bare, folder / "level", date="days")
    with pytest.raises(ValueError, match=r"several cohorts.*--since"):
        chiasm.monitor(bare, [folder / "level", folder / "alike"], date="day", since="2026-03-01")
    with pytest.raises(ValueError, match="no date"):
        chiasm.monitor(bare, folder / "level", date="day", since="soon")


def test_wide_modalities_are_compared_on_other_patients_than_their_components() -> None:
    rng = np.random.default_rng(0)
    frames = {"rna": pd.DataFrame(rng.normal(size=(80, 100)), [f"p{k:02d}" for k in range(80)])}
    frames["rna"].columns = [f"g{k}" for k in range(100)]
    cohort = chiasm.cohort_from_frames(pd.DataFrame(index=frames["rna"].index), frames, kinds={"rna": "omics"})
    own = reference_of(cohort).modalities["rna"]
    assert own.projection is not None and {column.patients for column in own.columns} == {40}


def test_on_the_command_line(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["monitor", str(folder / "model")]
    for name, code in (("unit", 1), ("alike", 0)):
        with pytest.raises(SystemExit) as end:
            main([*words, str(folder / name), "--json", "--out", str(tmp_path / f"{name}.html")])
        told = json.loads(capsys.readouterr().out)
        assert end.value.code == code and told["alarm"] == bool(code)
    page = (tmp_path / "unit.html").read_text()
    assert "Alarm: blood" in page and "look at its unit" in page and "unit-0" not in page
    with pytest.raises(SystemExit) as end:
        main([*words, str(folder / "alike"), "--every", "week"])
    assert end.value.code == 2 and "--date" in capsys.readouterr().err
    chiasm.new_keys(tmp_path / "key")
    with pytest.raises(SystemExit) as end:
        main([*words, str(folder / "alike"), "--trust", str(tmp_path / "key.pub.pem")])
    assert end.value.code == 2 and "is not signed" in capsys.readouterr().err
