"""The space of a tuned recipe: how it is written, and what is refused before anything is fitted."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import pytest

import chiasm
from chiasm.api import drawn_from, searched, with_budget
from chiasm.cohort import Unsupported
from chiasm.fitting.tuning.draws import listed
from chiasm.fitting.tuning.record import FINISHED, Tried
from chiasm.recipes.registry import compared, make_recipe
from chiasm.specs import split_specs
from toy_recipes import OneColumn, columns_cohort


@pytest.mark.parametrize(
    ("text", "name", "tries"),
    [
        ("healnet:lr=[1e-3;3e-4]", "healnet:learning_rate=[0.001;0.0003]", 2),
        ("healnet:lr=[1e-3,3e-4]", "healnet:learning_rate=[0.001;0.0003]", 2),
        ("healnet:lr=[1e-4..1e-2 log],budget=7", "healnet:learning_rate=[0.0001..0.01 log],budget=7", 7),
        ("healnet:depth=[1..3],tied=[true;false],heads=2", "healnet:depth=[1..3],heads=2,tied=[True;False]", 6),
        ("single:rna,models=[all;linear],inner=4", "single:rna,models=[all;linear],inner=4", 2),
    ],
)
def test_a_name_with_brackets_is_a_tuned_recipe_and_its_name_makes_it_again(text: str, name: str, tries: int) -> None:
    made = make_recipe(text)
    assert (made.name, made.tries) == (name, tries)
    assert make_recipe(made.name) == made
    assert split_specs(f"presence,{text},null") == ["presence", text, "null"]
    assert make_recipe(text.replace(",", ", ").replace("single:rna, ", "single:rna,")) == made


def test_the_space_of_a_mapping_is_that_of_the_name() -> None:
    space = {"depth": [1, 2], "lr": "1e-4..1e-2 log"}
    assert chiasm.tuned("healnet", space, budget=6) == make_recipe("healnet:depth=[1;2],lr=[1e-4..1e-2 log],budget=6")


REFUSED = [
    ("healnet:lr=[]", "has no value to try: write learning_rate=\\[a;b\\]"),
    ("healnet:lr=[1e-2..1e-4]", "whose ends are swapped: write learning_rate=\\[0.0001..0.01\\]"),
    ("healnet:lr=[1e-2..1e-2]", "range of one value"),
    ("healnet:lr=[0..1 log]", "a log range that begins at 0.0, and a logarithm needs a number above 0"),
    ("healnet:lr=[1e-4..1e-2 lgo]", "after its ends stands nothing, or 'log'"),
    ("healnet:lr=[1e-3;1e-2],lr=1e-3", "'learning_rate' of recipe 'healnet' is given twice"),
    ("healnet:lr=[1e-3;1e-2],learning_rate=[1e-4]", "'learning_rate' of recipe 'healnet' is given twice"),
    ("healnet:lr=[a;b]", "must be a number, got 'a'"),
    ("healnet:depth=[1.5..3]", "must be an integer, got '1.5'"),
    ("healnet:depth=[1;100]", "depth lies between 1 and 64"),
    ("healnet:depth=[70..100]", "depth lies between 1 and 64"),
    ("got-d:recipe=healnet;lr=[1e-3;3e-4]", "a recipe within another one, whose options take one value each"),
    ("healnet:lr=[1e-3;1e-3]", "lists the value 0.001 twice"),
    ("healnet:upon=[late..stacked]", "is no number and has no range"),
    ("healnet:modality=[a;b]", "cannot be tuned over its modality"),
    ("healnet:dept=[1;2]", "no option 'dept': did you mean 'depth'"),
    ("healnet:lr=[1e-3;1e-2", "a list that nobody can read"),
    ("healnet:lr=[1e-3;1e-2],budget=0", "the budget of 'healnet' is 0"),
    ("healnet:lr=[1e-3;1e-2],inner=1", "tuned on 1 inner folds: at least 2"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_cannot_be_tried_is_refused_before_any_fit(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_recipe(text)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "has no option in it"),
        ({"lr": [1e-3], "learning_rate": [1e-2]}, "names an option twice"),
        ({"depth": 3}, "is tuned over int: give a list of values"),
        ({"what": [1]}, "no option 'what'"),
    ],
)
def test_a_mapping_that_is_no_space_is_refused(space: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        chiasm.tuned("healnet", space)


def test_a_recipe_that_is_tuned_is_not_tuned_again() -> None:
    with pytest.raises(ValueError, match="tuned already"):
        chiasm.tuned("healnet:depth=[1;2]", {"lr": [1e-3, 1e-2]})


def test_a_long_list_is_drawn_from_without_regard_to_the_fold_and_the_modality() -> None:
    made = make_recipe("healnet:depth=[1;2;3;4],heads=[1;2;4;8],latents=[4;8;16],budget=9")
    alone = make_recipe("healnet:modality=rna,depth=[1;2;3;4],heads=[1;2;4;8],latents=[4;8;16],budget=9")
    drawn = listed(made.space, made.budget)
    assert drawn is not None and len(drawn) == 9 == made.tries
    assert drawn[0] == {"latents": 4, "depth": 1, "heads": 1}
    assert len({tuple(own.items()) for own in drawn}) == 9 and drawn == listed(alone.space, alone.budget)


@dataclass(frozen=True)
class Layered(OneColumn):
    """A recipe with options that are neither number nor truth."""

    layers: tuple[int, ...] = (8,)
    depth: int | None = None
    kind: str = "a"


def test_values_of_python_are_kept_and_what_a_name_or_a_record_cannot_hold_is_refused() -> None:
    made = chiasm.tuned(Layered(), {"layers": [(8,), (16, 8)], "depth": [None, 3], "column": [1, "2"]})
    tried = [[getattr(own, option) for own in made.examples] for option in ("layers", "depth", "column")]
    assert tried == [[(8,), (8,), (16, 8), (16, 8)] * 2, [None, 3] * 4, [1] * 4 + [2] * 4]  # in the order of its fields
    for value in ("a;b", "a,b", "a]", " a"):
        with pytest.raises(ValueError, match="which its name would not read back"):
            chiasm.tuned(Layered(), {"kind": ["a", value]})
    with pytest.raises(ValueError, match="over a object, which no record holds"):
        chiasm.tuned(Layered(), {"layers": [(8,), object()]})


def test_a_wide_range_of_integers_is_never_written_out() -> None:
    space = make_recipe("healnet:epochs=[1..3000000000],depth=[1;2]").space
    assert space.size == 6_000_000_000


@pytest.mark.parametrize(
    ("text", "inside", "tries"),
    [
        ("irregular-ehr:latent_width=[16..24]", [16, 20, 24], 3),  # in four heads
        ("irregular-ehr:heads=[3..35]", [4, 8, 16, 32], 4),  # of a width of 32, whose divisors its ends are not
        ("healnet:depth=[1..100],budget=4", None, 4),
    ],
)
def test_values_within_a_range_that_the_recipe_refuses_are_left_out(text: str, inside: Any, tries: int) -> None:
    made = make_recipe(text)
    assert make_recipe(made.name) == made and made.examples
    axis = made.space.axes[0].option
    draws = made._draws(seed=0)
    drawn = []
    while (values := draws.ask()) is not None:
        made.make(values)
        drawn.append(values)
        draws.tell(Tried(values, (0.5,), FINISHED))
    assert len(drawn) == tries and all(drawn.count(own) == 1 for own in drawn)
    assert inside is None or sorted(own[axis] for own in drawn) == inside


def test_settings_that_the_recipe_refuses_are_not_told_as_left_out_by_the_budget() -> None:
    assert drawn_from("irregular-ehr:latent_width=[16..24]") == ""
    assert "tries 2 settings, drawn from 3 settings" in drawn_from("healnet:depth=[1;2;3],budget=2")


def test_how_it_is_searched_is_asked_of_the_call_and_of_the_name() -> None:
    name = "healnet:budget=2,lr=[1e-3;2e-3;3e-3],inner=4"
    assert with_budget([name, "healnet:lr=[1e-3;2e-3;3e-3], budget=2"], 3) == [
        name, "healnet:lr=[1e-3;2e-3;3e-3], budget=2",
    ]  # fmt: skip
    assert "budget=3" in with_budget(["healnet:lr=[1e-3;2e-3;3e-3;4e-3]"], 3)[0]
    asked = searched(name, {}, inner=5, stops=False)
    assert (asked.budget, asked.inner, asked.stops) == (2, 5, False) and searched(name, {}).inner == 4


def test_a_tuned_recipe_keeps_its_named_contrast_tuned_alike() -> None:
    warm, plain = (
        make_recipe("healnet:warm=true,lr=[1e-3;1e-2],budget=7"),
        make_recipe("healnet:lr=[1e-3;1e-2],budget=7"),
    )
    assert compared([warm, plain]) == [(warm.name, plain.name)] and warm.compared_with == plain
    assert not make_recipe("healnet:warm=[true;false]").against

    class Asks(OneColumn):
        against = "multi-ridge"

    with pytest.raises(ValueError, match="which would not be tuned"):
        chiasm.tuned(Asks(), {"column": [0, 1]})

    class Narrow(OneColumn):
        def on(self, modality: str) -> OneColumn:
            return OneColumn(5)

    made = chiasm.tuned(Narrow(), {"power": [1.0, 2.0]})
    assert made.on("a").base == OneColumn(5) and made.on("a").name == made.name


def test_a_missing_sampler_is_told_before_any_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    cohort = columns_cohort()
    with pytest.raises(Unsupported, match="optuna"):
        chiasm.tuned(OneColumn(), {"power": "0.2..3"}).supports(cohort)
    chiasm.tuned(OneColumn(), {"power": [1.0, 2.0]}).supports(cohort)
