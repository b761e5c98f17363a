"""Objectives of sequences: what is read never tells what is asked for, and a middle that was moved comes back."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.objectives.causal import begun, letter_losses, next_letters
from chiasm.objectives.collapse import Variance, collapse_of
from chiasm.objectives.fim import Marks, draw_middle, fim_inverse, fim_transform
from chiasm.objectives.icl_pack import icl_packs, item_numbers, joined
from chiasm.objectives.masked import corrupt
from examples import examples

MARKS = Marks(100, 101, 102)
LETTERS = range(8, 12)


def test_the_next_letter_is_asked_for_and_marks_are_not() -> None:
    ids = torch.tensor([[8, 9, 1, 11], [10, 8, 0, 0]])  # 1: a letter that is none of the alphabet
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    asked = next_letters(*begun(ids, mask, 3), LETTERS)
    assert asked.read.tolist() == [[3, 8, 9, 1], [3, 10, 0, 0]]
    assert asked.answer[asked.asked].tolist() == [8, 9, 11, 10, 8]
    assert asked.mask.tolist() == mask.tolist()


def test_losses_are_those_of_the_softmax() -> None:
    logits = torch.tensor([[[0.0, math.log(3.0), 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]])
    losses = letter_losses(logits, torch.tensor([[9, 8]]), torch.tensor([[True, True]]), LETTERS)
    assert losses.tolist() == pytest.approx([math.log(2.0), math.log(4.0)])
    with pytest.raises(ValueError, match="not one of the 4"):
        letter_losses(logits, torch.tensor([[9, 3]]), torch.tensor([[True, True]]), LETTERS)


def test_letters_are_masked_eighty_ten_ten_and_only_these_are_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.full((200, 100), 8)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[:, 90:] = False
    asked = corrupt(ids, mask, LETTERS, torch.tensor([9]), 2, generator)
    assert not (asked.asked & ~mask).any()
    assert (asked.read[~asked.asked & mask] == 8).all(), "what is not asked for is read as it is"
    share = float(asked.asked[mask].float().mean())
    assert share == pytest.approx(0.15, abs=0.01)
    read = Counter(asked.read[asked.asked].tolist())
    found = [read[number] / read.total() for number in (2, 9, 8)]
    assert found == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_a_sequence_without_a_drawn_letter_has_one_drawn_and_one_without_letters_none() -> None:
    ids = torch.tensor([[8, 1], [1, 1]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    for seed in range(20):
        asked = corrupt(ids, mask, LETTERS, torch.tensor([9]), 2, torch.Generator().manual_seed(seed), share=1e-9)
        assert asked.asked.tolist() == [[True, False], [False, False]]
    with pytest.raises(ValueError, match="share"):
        corrupt(ids, mask, LETTERS, torch.tensor([9]), 2, None, share=0.0)


@given(st.lists(st.integers(0, 20), max_size=12), st.data())
@settings(max_examples=examples(90), deadline=None)
def test_a_moved_middle_comes_back(letters: list[int], data: st.DataObject) -> None:
    ids = torch.tensor(letters, dtype=torch.int64)
    start = data.draw(st.integers(0, len(ids)))
    end = data.draw(st.integers(start, len(ids)))
    moved = fim_transform(ids, start, end, MARKS)
    back, *where = fim_inverse(moved, MARKS)
    assert back.tolist() == letters and where == [start, end]
    assert sorted(moved.tolist()) == sorted([*letters, 100, 101, 102]), "no letter is lost"


@given(*(st.lists(st.integers(0, 20), max_size=6) for _ in range(3)))
@settings(max_examples=examples(60), deadline=None)
def test_every_sequence_with_its_marks_in_order_is_one_that_was_moved(a: list[int], b: list[int], c: list[int]) -> None:
    moved = torch.tensor([100, *a, 101, *b, 102, *c], dtype=torch.int64)
    assert fim_transform(*fim_inverse(moved, MARKS), MARKS).tolist() == moved.tolist()


def test_other_marks_are_refused() -> None:
    for wrong in ([101, 100, 102], [100, 101], [8, 100, 101, 102], [100, 101, 102, 102]):
        with pytest.raises(ValueError, match="marks"):
            fim_inverse(torch.tensor(wrong), MARKS)
    with pytest.raises(ValueError, match="does not lie"):
        fim_transform(torch.tensor([1, 2]), 2, 3, MARKS)
    with pytest.raises(ValueError, match="holds a mark"):
        fim_transform(torch.tensor([1, 100]), 0, 1, MARKS)


def test_each_middle_of_a_sequence_is_drawn_as_often() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(draw_middle(3, generator) for _ in range(600))
    assert set(drawn) == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
    assert min(drawn.values()) > 60


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=30), st.integers(2, 5), st.integers(1, 3))
@settings(max_examples=examples(60), deadline=None)
def test_packs_hold_one_group_and_each_item_once_a_round(groups: list[str], size: int, rounds: int) -> None:
    packs = icl_packs(groups, size, np.random.default_rng(0), rounds)
    for pack in packs:
        assert 2 <= len(pack) <= size
        assert len({groups[k] for k in pack}) == 1 and groups[pack[0]] != ""
    times = Counter(int(k) for pack in packs for k in pack)
    assert max(times.values(), default=0) <= rounds
    full = {k for k, own in enumerate(groups) if own and groups.count(own) % size not in (1,) and groups.count(own) > 1}
    assert all(times[k] == rounds for k in full)


def test_items_of_a_pack_are_numbered_each_with_the_separator_behind_it() -> None:
    pack = joined([torch.tensor([8, 9]), torch.tensor([10])], 4)
    assert pack.tolist() == [8, 9, 4, 10, 4]
    assert item_numbers(pack, 4).tolist() == [0, 0, 0, 1, 1]


def test_a_variance_of_parts_is_that_of_all() -> None:
    vectors = 1e6 + np.random.default_rng(0).normal(size=(50, 3))
    own = Variance()
    for start, stop in ((0, 1), (1, 20), (20, 50)):
        own.add(vectors[start:stop])
    assert own.count == 50 and own.value == pytest.approx(vectors.var(0).sum(), rel=1e-8)


def test_a_collapse_is_seen_by_each_sign() -> None:
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(400, 8))
    line = rng.normal(size=(400, 1)) @ rng.normal(size=(1, 8))
    assert collapse_of(wide, 8.0).rank > 7.5 and collapse_of(wide, 8.0).spread == pytest.approx(1.0, abs=0.1)
    assert collapse_of(line, 8.0).rank == pytest.approx(1.0)
    same = collapse_of(np.ones((50, 8)), 8.0)
    assert (same.rank, same.spread) == (1.0, 0.0) and same.neighbours == 2 / 50
    hub = np.vstack([np.zeros(8), 10 * np.eye(8)])  # one stands beside all, and they are further from each other
    assert collapse_of(hub, 1.0).neighbours == 2 / 9
    assert math.isnan(collapse_of(wide[:2], 1.0).rank)
    with pytest.raises(ValueError, match="finite"):
        collapse_of(np.full((4, 2), np.nan), 1.0)
