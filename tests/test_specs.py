"""`name:option=value,option=value` is read the same way for recipes, encoders and ways of merging."""

from __future__ import annotations

import importlib.metadata
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.ridge_cox import fit_ridge_cox, solve
from chiasm.models.merged import method_of
from chiasm.recipes.listing import list_recipes
from chiasm.recipes.registry import make_recipe
from chiasm.specs import name_and_options, nested_spec, parts_brought, read_options, split_specs

KNOWN: dict[str, Any] = {"depth": 2, "rate": 0.5, "tied": False, "mode": "stack", "what": MISSING}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("depth=3,rate=1e-3", {"depth": 3, "rate": 1e-3}),
        ("tied=1", {"tied": True}),
        ("tied=False,mode=weave,what=7", {"tied": False, "mode": "weave", "what": "7"}),
    ],
)
def test_values_have_the_types_of_the_defaults(text: str, values: dict[str, Any]) -> None:
    assert read_options(text, KNOWN, "recipe 'x'") == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dept=3", "recipe 'x' has no option 'dept': did you mean 'depth'"),
        ("zzz=3", "it has depth, rate, tied, mode, what"),
        ("depth", "option 'depth' of recipe 'x' has no value: write depth="),
        ("depth=2.5", "must be an integer, got '2.5'"),
        ("rate=x", "must be a number, got 'x'"),
        ("rate=nan", "must be finite, got 'nan'"),
        ("tied=maybe", "must be true or false, got 'maybe'"),
        ("depth=1,depth=2", "given twice"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_options(text, KNOWN, "recipe 'x'")


def test_an_option_may_lead_without_its_name() -> None:
    known = {"modality": MISSING, "models": "all"}
    assert read_options("a,b=c,models=linear", known, "x", "modality") == {"modality": "a,b=c", "models": "linear"}
    with pytest.raises(ValueError, match="needs a modality"):
        read_options("", known, "recipe 'single'", "modality")
    with pytest.raises(ValueError, match="given twice"):
        read_options("rna,models=linear,models=all", known, "x", "modality")


def test_specs_are_split_and_nested() -> None:
    assert name_and_options(" a:b=1 ") == ("a", "b=1")
    assert split_specs("a,b:x=1,y=2,c") == ["a", "b:x=1,y=2", "c"]
    assert nested_spec("healnet;depth=2;heads=4") == "healnet:depth=2,heads=4" and nested_spec("lora") == "lora"


def test_a_way_of_merging_without_options_refuses_one() -> None:
    with pytest.raises(ValueError, match="method 'slerp' has no option 't': it has none"):
        method_of("slerp:t=0.3")


def test_a_size_beyond_every_float_is_out_of_range() -> None:
    with pytest.raises(ValueError, match="depth lies between 1 and 64"):
        make_recipe("healnet:depth=1" + "0" * 310)


def test_what_is_in_every_trial_is_listed_so() -> None:
    listed = list_recipes().set_index("name")["by_default"]
    assert listed["single:<modality>"] and listed["presence"] and not listed["wise-ft"]


def test_equations_without_columns_and_with_numbers_that_are_none() -> None:
    assert solve(np.zeros((0, 0)), np.zeros(0)).shape == (0,)
    assert fit_ridge_cox(np.zeros((20, 0)), np.arange(20) + 1.0, np.ones(20, bool), 1.0).shape == (0,)
    with pytest.raises(ValueError, match=r"NaN|inf|finite"):
        solve(np.full((3, 3), np.nan), np.ones(3))
    np.testing.assert_allclose(solve(np.diag([2.0, 0.0]), np.array([1.0, 0.0])), [0.5, 0.0])  # least norm


def test_nobody_known_is_no_loss() -> None:
    from chiasm.cohort import Outcome

    nobody = Outcome(np.full(4, np.nan), None, np.zeros(4, bool))
    assert FoldLikelihood("regression", nobody)(np.zeros((4, 1))) == 0.0


def test_what_other_packages_bring_is_looked_for_once_and_again_when_one_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, whole = list[str](), importlib.metadata.entry_points
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: asked.append(group) or whole(group=group))
    monkeypatch.syspath_prepend(tmp_path)
    assert parts_brought("chiasm.made-up") == parts_brought("chiasm.made-up") == () and len(asked) == 1
    (tmp_path / "lung-1.0.dist-info").mkdir()
    (tmp_path / "lung-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: lung\nVersion: 1.0\n")
    (tmp_path / "lung-1.0.dist-info" / "entry_points.txt").write_text("[chiasm.made-up]\nlung = lung:Reader\n")
    assert [point.name for point in parts_brought("chiasm.made-up")] == ["lung"] and len(asked) == 2
