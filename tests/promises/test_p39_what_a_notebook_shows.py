"""P39: what a notebook shows of a cohort, trial or model holds no identifier and no outcome, and fits on a screen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.artifact.places import PLACES
from chiasm.artifact.register import class_of
from chiasm.shown import html_page, html_table, short_repr
from html_page import Page
from lighter_trials import ridges_by_day

N = 60
IDS = [f"MRN{4711 + k}" for k in range(N)]
TIMES = [10.0625 + 3.0 * k for k in range(N)]  # no other number on a page is one of these


def made(name: str = "ward") -> chiasm.Cohort:
    rng = np.random.default_rng(0)
    patients = pd.DataFrame({"months": TIMES, "died": np.arange(N) % 2}, index=IDS)
    frames = {
        "clin": pd.DataFrame(
            {"age": rng.normal(60, 9, N).round(3), "town": ["Ulm", "Ulm", "Bonn"] * (N // 3)}, index=IDS
        ),
        "rna": pd.DataFrame(rng.normal(size=(N, 5)), index=IDS, columns=list("abcde")),
    }
    target = chiasm.Survival("months", "died", unit="months")
    return chiasm.cohort_from_frames(patients, frames, target, kinds={"rna": "omics"}, name=name)


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    cohort = made()
    recipes = ["late-fusion", "early-fusion"]
    with ridges_by_day():
        trial = chiasm.evaluate(cohort, recipes, chiasm.Protocol(folds=2, inner_folds=2, repeats=1, draws=100), jobs=1)
        models = {recipe: chiasm.fit(cohort, recipe, seed=0) for recipe in recipes}
    network = chiasm.fit(cohort, "healnet:epochs=1,latents=4,latent_width=8", seed=0)
    assert trial.verdict is not None
    return {"cohort": cohort, "trial": trial, "verdict": trial.verdict, **models, "healnet": network}


def texts(shown: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, thing in shown.items():
        yield name, repr(thing)
        yield name, str(thing)
        yield name, thing._repr_html_()


def test_no_identifier_no_outcome_and_short(shown: dict[str, Any]) -> None:
    for name, text in texts(shown):
        assert "MRN" not in text, name
        assert not any(f"{time:g}" in text for time in TIMES), name
        assert len(text) < 6_000 and text.count("\n") < 25, name
    assert "late-fusion" in repr(shown["late-fusion"]) and f"{N} patients" in repr(shown["trial"])
    assert shown["verdict"].sentence in repr(shown["trial"])


def test_print_shows_every_figure_however_narrow_the_console(shown: dict[str, Any]) -> None:
    trial = shown["trial"]
    with pd.option_context("display.width", 40, "display.max_columns", 2):
        lines = str(trial).splitlines()
    for row in trial.table().to_dict("records"):
        (line,) = [line for line in lines if line.split()[:1] == [row["recipe"]]]
        assert f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in line
        assert line.endswith(f"{row['trained_parameters']:,}")
    assert lines[-1] == trial.verdict.sentence
    validation = chiasm.validate(shown["late-fusion"], shown["cohort"].subset(range(N - 1)), draws=100)
    for row in validation.table().dropna().to_dict("records"):
        mean, low = (f"{row[key]:.3f}".replace("-0.000", "0.000") for key in ("mean", "low"))
        assert f"{row['label']} " in str(validation) and f"{mean} ({low}" in str(validation)
    assert "MRN" not in str(validation)


def test_outcomes_and_parts_of_models_say_their_sizes(shown: dict[str, Any]) -> None:
    assert repr(shown["cohort"].outcome) == f"Outcome of {N} patients: {N} known, {N // 2} events"
    waiting, seen = [shown["late-fusion"].predictor, shown["healnet"].predictor, shown["early-fusion"].response], 0
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, tuple | list):
            waiting.extend(part)
        elif dataclasses.is_dataclass(part):
            assert len(repr(part)) < 1_500 and "array(" not in repr(part) and "Bonn" not in repr(part), type(part)
            seen += 1
            waiting.extend(getattr(part, field.name) for field in dataclasses.fields(part))
    assert seen > 8


def test_every_stored_part_with_arrays_is_shown_by_their_shapes() -> None:
    for kind in PLACES:
        cls = class_of(kind)
        assert cls is not None
        if any("ndarray" in str(field.type) for field in dataclasses.fields(cls)):
            assert cls.__repr__ is short_repr or not hasattr(cls.__repr__, "__wrapped__"), kind


def test_the_html_is_balanced_and_executes_nothing(shown: dict[str, Any], tmp_path: Path) -> None:
    model = dataclasses.replace(shown["late-fusion"], recipe="<table><script>alert(1)</script>")
    cohort = made("<script>alert(1)</script>\x1b[31m")
    for name, thing in {**shown, "script": cohort, "table": model}.items():
        path = tmp_path / f"{name}.html"
        path.write_text(thing._repr_html_(), encoding="utf-8")
        page = Page(path)
        assert not page.faults and "<script" not in page.source and "\x1b" not in page.source + repr(thing), name
        assert len(page.tables) == 1, name
        assert not [own for own in page.attributes if own[1].startswith("on") or own[1] in ("src", "href")]


def test_a_long_table_is_cut_and_says_so() -> None:
    text = html_page("many", html_table(("name",), [(f"row {k}",) for k in range(100)]))
    assert text.count("<tr>") == 31 and "and 70 more" in text
