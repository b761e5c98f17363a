"""The pictures of a trial by themselves: axes for a notebook that show what the page shows, and files for a paper."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from chiasm import load_trial, synthetic_cohort
from chiasm.evaluation import Protocol, Trial, TrialError
from chiasm.report import Plots, drawing
from chiasm.report.recipes import best_of
from chiasm.report.risk_groups import risk_part
from examples import ALL
from fake_trials import FUSED, SINGLES, run, synthetic_trial

QUICK = Protocol(folds=2, repeats=1, draws=100)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    from matplotlib import pyplot

    yield
    pyplot.close("all")


@cache
def plots(kind: str) -> tuple[Plots, Trial]:
    trial = synthetic_trial(kind, n=160, missing=0.3, protocol=QUICK)
    return Plots(trial), trial


def test_a_forest_draws_the_intervals_of_the_table_and_leaves_the_users_settings_alone() -> None:
    import matplotlib as mpl
    from matplotlib import pyplot

    drawn, trial = plots("regression")
    before = dict(mpl.rcParams)
    axes = drawn.forest()
    assert dict(mpl.rcParams) == before
    assert pyplot.gcf() is axes.figure  # a notebook shows what pyplot knows
    table = trial.table().set_index("recipe")
    ends = {tuple(np.round(line.get_xdata(), 9)) for line in axes.lines if len(line.get_xdata()) == 2}
    assert {tuple(np.round(row, 9)) for row in table[["low", "high"]].to_numpy()} <= ends


def test_contrasts_draw_the_total_of_the_verdict() -> None:
    drawn, trial = plots("regression")
    assert trial.verdict is not None
    ends = [tuple(line.get_xdata()) for line in drawn.contrasts().lines]
    assert (trial.verdict.low, trial.verdict.high) in ends


def test_an_upset_counts_each_pattern() -> None:
    drawn, trial = plots("regression")
    heights = [bar.get_height() for bar in drawn.upset().patches]
    assert heights == list(trial.document["cohort"]["patterns"].values())


def test_calibration_and_survival_are_drawn_for_the_recipe_that_is_named() -> None:
    drawn, _ = plots("survival")
    single = SINGLES[0].name
    (axes,) = drawn.calibration(single)
    assert axes.get_title(loc="left").replace("\n", "").startswith(single)
    assert len(drawn.calibration()) == 2
    labels = [text.get_text() for text in drawn.kaplan_meier(single).get_legend().get_texts()]
    assert labels == ["low risk", "middle risk", "high risk"]


def test_labels_are_named_once_below_what_is_drawn() -> None:
    """In the axes their names covered the curves."""
    drawn, trial = plots("multilabel")
    axes = drawn.calibration()
    assert all(own.get_legend() is None for own in axes)
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(trial.classes)


def test_patterns_are_drawn_for_two_recipes_at_most() -> None:
    drawn, _ = plots("regression")
    names = [SINGLES[0].name, FUSED[0].name]
    legend = [text.get_text() for text in drawn.patterns(*names).get_legend().get_texts()]
    assert [text.split(" (")[0] for text in legend] == names
    with pytest.raises(TrialError, match="not of more"):
        drawn.patterns("a", "b", "c")


def test_what_a_trial_does_not_have_is_said() -> None:
    drawn, trial = plots("regression")
    with pytest.raises(TrialError, match="nothing to draw: a target of kind regression has no survival curves"):
        drawn.kaplan_meier()
    with pytest.raises(TrialError, match="'mine' is no recipe of this trial: there are"):
        drawn.calibration("mine")
    with pytest.raises(TrialError, match="without a way to draw"):
        _ = trial.plot
    alone = Plots(run(synthetic_cohort("noise-modality", 90, target="regression"), SINGLES[:1], QUICK))
    with pytest.raises(TrialError, match="the trial has no verdict"):
        alone.contrasts()
    with pytest.raises(TrialError, match="there is one pattern only"):
        alone.patterns()
    with pytest.raises(TrialError, match="the folds were not drawn by site"):
        alone.sites()


def test_every_picture_is_written_in_every_format_equal_each_time_and_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder = tmp_path / "run"
    synthetic_trial("survival", n=160, missing=0.3, protocol=QUICK, out=run_folder)
    drawn = load_trial(run_folder).plot
    files = drawn.save(tmp_path / "figures")
    names = {"contrasts", "forest", "upset", "patterns", "calibration", "kaplan-meier", "decisions", "flow"}
    assert {file.name for file in files} == {f"{name}.svg" for name in names}
    again = names if os.environ.get(ALL) else {"forest", "kaplan-meier"}  # by day two pictures in all formats
    monkeypatch.setattr(Plots, "drawable", [name.replace("-", "_") for name in sorted(again)])
    written = drawn.save(tmp_path / "figures", ("pdf", "png"))
    assert {file.name for file in written} == {f"{name}.{kind}" for name in again for kind in ("pdf", "png")}
    files += written
    starts = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
    first = {file: file.read_bytes() for file in files}
    for file, content in first.items():
        assert content.startswith(starts[file.suffix[1:]])
        assert file.stat().st_mode & 0o077 == 0
    assert len(drawn.save(tmp_path / "figures", ("svg",))) == len(again)
    assert all(file.read_bytes() == first[file] for file in files)


def test_a_picture_drawn_once_is_the_one_that_matplotlib_draws_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    def drawn() -> list[bytes]:
        picture = risk_part(trial, best_of(trial)[0]).picture
        assert picture is not None
        return [picture.stored(kind) for kind in ("svg", "png")]

    trial = plots("survival")[1]
    once = drawn()
    monkeypatch.setattr(drawing, "_drawn_once", lambda: Figure)
    assert drawn() == once


@pytest.mark.parametrize(("formats", "said"), [(("gif",), "'gif' is no format"), ((), "no format of a picture")])
def test_a_format_that_is_not_known_is_refused_before_anything_is_written(
    formats: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        plots("regression")[0].save(tmp_path / "figures", formats)
    assert not (tmp_path / "figures").exists()
