"""Simulated clicks always lie where a mask is wrong, in pictures and in volumes, and prompts say what was clicked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chiasm.segmentation.clicked import Click
from chiasm.segmentation.clicks import corrected_by, drawn_clicks, drawn_of, next_click
from chiasm.segmentation.prompts import ABSENT, FIRST, INSIDE, LAST, NOTHING, OUTSIDE, asked_by, drawn_prompts, whole

SHAPES = [(9, 13), (4, 7, 6)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_click_lands_in_the_error_region_and_says_which_side(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for share in np.linspace(0, 1, 13):
        truth, drawn = rng.random(shape) < share, rng.random(shape) < rng.random()
        own = next_click(truth, drawn)
        assert own is not None
        place, inside = own
        assert truth[place] != drawn[place] and inside == truth[place]
        two = torch.from_numpy(np.stack([truth, truth])), torch.from_numpy(np.stack([drawn, truth]))
        places, within, there = drawn_clicks(*two)
        at = tuple(places[0].int().tolist())
        assert truth[at] != drawn[at] and bool(within[0]) == truth[at]
        assert there.tolist() == [True, False]
    assert next_click(truth, truth) is None


def test_the_click_of_a_known_error_is_its_middle_and_the_largest_part_comes_first() -> None:
    truth, drawn = np.zeros((20, 20), dtype=int), np.zeros((20, 20), dtype=int)
    truth[2:7, 3:8], drawn[10:13, 10:13], truth[18, 18] = 1, 1, 2
    assert next_click(truth == 1, drawn == 1) == ((4, 5), True)
    found = corrected_by(truth, drawn, ("a", "b", "c"))
    assert found == [Click((4.0, 5.0), True, "a"), Click((18.0, 18.0), True, "b")]
    drawn[2:7, 3:8] = 1
    assert corrected_by(truth, drawn, ("a",)) == [Click((11.0, 11.0), False, "a")]


def test_a_column_is_drawn_by_its_weight_and_never_one_of_none() -> None:
    torch.manual_seed(0)
    weights = torch.tensor([0.0, 3.0, 0.0, 1.0, 0.0]).repeat(4000, 1)
    many = torch.bincount(drawn_of(weights), minlength=5)
    assert many[[0, 2, 4]].sum() == 0 and abs(int(many[1]) - 3000) < 150


@pytest.mark.parametrize("shape", SHAPES)
def test_first_prompts_name_the_mask_or_the_whole_image(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    truth = torch.zeros(60, *shape, dtype=torch.bool)
    truth[:50, ..., 2:5, 3:6] = True
    own = drawn_prompts(truth)
    ways = {"whole": 0, "box": 0, "click": 0}
    for row in range(60):
        kinds, places = own.kinds[row].tolist(), own.places[row]
        if kinds == [INSIDE, NOTHING]:
            ways["click"] += 1
            assert truth[(row, *places[0].int().tolist())]
            continue
        assert kinds == [FIRST, LAST] and (places[0] <= places[1]).all() and (places >= 0).all()
        is_whole = bool((places == whole(shape, 1).places[0]).all())
        ways["whole" if is_whole else "box"] += 1
        assert is_whole or row < 50
        assert (places[0, -2:] <= torch.tensor([2.4, 3.4])).all()
    assert min(ways.values()) > 8


def test_clicks_of_a_part_are_moved_into_it_and_take_the_place_of_the_whole_image() -> None:
    clicks = [
        [Click((5.0, 6.0), True, "a"), Click((1.0, 1.0), True, "a")],
        [Click((4.6, 7.0), False, "b")],
        [Click((0.0, 0.0), True, "c")],
    ]
    before = torch.zeros(3, 4, 4, dtype=torch.bool)
    before[1, 0, 0] = True
    own = asked_by(clicks, (slice(4, 8), slice(5, 9)), before)
    assert own.kinds.tolist() == [[NOTHING, ABSENT, INSIDE], [FIRST, LAST, OUTSIDE], [FIRST, LAST, ABSENT]]
    assert own.places[0, 2].tolist() == [1.0, 1.0] and own.had.tolist() == [False, True, False]
    torch.testing.assert_close(own.places[1, 2], torch.tensor([0.6, 2.0]))
    more = own.with_clicks(
        torch.ones(3, 2), torch.tensor([True, True, False]), torch.tensor([True, True, False]), before
    )
    assert more.kinds[:, 0].tolist() == [NOTHING, NOTHING, FIRST] and more.kinds[:, 3].tolist() == [1, 1, ABSENT]
    assert more.had.tolist() == [True, True, False]
