"""The space of a tuned recipe: how it is written, and what is refused before anything is fitted."""

from __future__ import annotations

from typing import Any

import pytest

import chiasm
from chiasm.fitting.tuning.draws import listed
from chiasm.recipes.registry import make_recipe
from chiasm.specs import split_specs


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
    ("healnet:depth=[1..100]", "depth lies between 1 and 64"),
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
    with pytest.raises(ValueError, match="tuned already"):
        chiasm.tuned("healnet:depth=[1;2]", {"lr": [1e-3, 1e-2]})


def test_a_long_list_is_drawn_from_without_regard_to_the_fold_and_the_modality() -> None:
    made = make_recipe("healnet:depth=[1;2;3;4],heads=[1;2;4;8],latents=[4;8;16],budget=9")
    alone = make_recipe("healnet:modality=rna,depth=[1;2;3;4],heads=[1;2;4;8],latents=[4;8;16],budget=9")
    drawn = listed(made.space, made.budget)
    assert drawn is not None and len(drawn) == 9 == made.tries
    assert drawn[0] == {"latents": 4, "depth": 1, "heads": 1}
    assert len({tuple(own.items()) for own in drawn}) == 9 and drawn == listed(alone.space, alone.budget)
