"""What the page says to type is what the trial was: valid Python, and options that the command line has."""

from __future__ import annotations

import ast
import shlex
from typing import Any

import pytest
from typer.main import get_command

from chiasm.cli import app
from chiasm.evaluation import Protocol, Trial
from chiasm.report.repeat import repeat_part
from fake_trials import FUSED, SINGLES, synthetic_trial

DEFAULT = Protocol()


def trial_with(protocol: Protocol, *, given_folds: bool = False) -> Trial:
    trial = synthetic_trial(
        "classification", n=90, recipes=(*SINGLES, FUSED[1]), protocol=Protocol(folds=2, repeats=1, draws=100)
    )
    stored = {**trial.document["protocol"], **protocol.as_json(), "seed": 7, "given_folds": given_folds}
    return Trial({**trial.document, "protocol": stored}, trial.predictions, trial.outcomes)


@pytest.mark.parametrize(
    ("protocol", "changed"),
    [
        (DEFAULT, {}),
        (Protocol(folds=3, repeats=2, by="site"), {"folds": 3, "repeats": 2, "by": "site"}),
        (Protocol(ignore_folds=True, group_duplicates=True), {"ignore_folds": True, "group_duplicates": True}),
        (Protocol(margin=0.02, inner_folds=4), {"margin": 0.02, "inner_folds": 4}),
    ],
)
def test_the_call_is_the_protocol(protocol: Protocol, changed: dict[str, Any]) -> None:
    part = repeat_part(trial_with(protocol))
    calls = {ast.unparse(node.func): node for node in ast.walk(ast.parse(part.call)) if isinstance(node, ast.Call)}
    said = {word.arg: ast.literal_eval(word.value) for word in calls["chiasm.Protocol"].keywords}
    assert said == changed and Protocol(**said) == protocol
    assert {word.arg: ast.literal_eval(word.value) for word in calls["chiasm.evaluate"].keywords}["seed"] == 7


@pytest.mark.parametrize(
    "protocol", [DEFAULT, Protocol(folds=3, ignore_folds=True, group_duplicates=True, margin=0.03)]
)
def test_the_command_line_has_these_options(protocol: Protocol) -> None:
    words = shlex.split(repeat_part(trial_with(protocol)).command)
    assert words[:3] == ["chiasm", "evaluate", "cohort.toml"]
    command = get_command(app).commands["evaluate"]  # type: ignore[attr-defined]
    read = command.make_context("evaluate", words[2:]).params
    assert list(read["recipes"]) == ["single:m1", "single:m2", "lego-merge:method=slerp"] and read["seed"] == 7
    for name in ("folds", "repeats", "ignore_folds", "group_duplicates", "by", "margin"):
        assert read[name] == getattr(protocol, name)


def test_no_command_where_only_python_can_say_it() -> None:
    assert repeat_part(trial_with(Protocol(draws=500))).command == ""


def test_given_folds_are_not_counted() -> None:
    part = repeat_part(trial_with(Protocol(folds=9, repeats=3), given_folds=True))
    assert "folds" not in part.call and "--folds" not in part.command and "--repeats" not in part.command


def test_versions_are_those_installed() -> None:
    import numpy as np

    versions = dict(repeat_part(trial_with(DEFAULT)).versions)
    assert versions["numpy"] == np.__version__ and {"chiasm", "Python", "torch", "scikit-learn"} <= set(versions)


def test_sources_are_named_as_they_were_given_but_for_those_of_the_manifest() -> None:
    trial = trial_with(DEFAULT)
    sources = [
        {"name": "lent", "path": "../the lent/cohort.toml"},
        {"name": "x/model", "recipe": "healnet", "in_manifest": True},
        {"name": "y/model", "recipe": "healnet", "path": "../y/model"},
        {"name": "by hand", "recipe": "healnet"},
    ]
    cohort = {**trial.document["cohort"], "sources": sources, "path": "../own"}
    part = repeat_part(Trial({**trial.document, "cohort": cohort}, trial.predictions, trial.outcomes))
    words = shlex.split(part.command)
    assert words[2] == "../own" and "where the trial was started" in part.where
    given = [words[place + 1] for place, word in enumerate(words) if word == "--source"]
    assert given == ["../the lent/cohort.toml", "../y/model", "by hand"]
    assert f"sources={given!r}" in part.call and 'open_cohort("../own")' in part.call
