"""Conditions that are retrieved: duplicates change nothing, who disagrees counts less, a word is its condition."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from chiasm.generation.retrieved_conditions import Words, retrieved_condition

DRAWN = torch.Generator().manual_seed(0)
WHAT = Words(torch.eye(8)[:4], torch.eye(6)[:4])
LIKE = Words(torch.eye(8)[4:6], torch.eye(6)[4:])


def near(word: int, noise: float = 0.05) -> torch.Tensor:
    return functional.normalize(torch.eye(8)[word] + noise * torch.randn(8, generator=DRAWN), dim=0)


def test_a_modality_that_is_there_twice_changes_nothing_and_an_absent_one_is_not_read() -> None:
    a, b = near(0), near(1)
    two, three = torch.stack([a, b])[None], torch.stack([a, b, a])[None]
    once = retrieved_condition(two, torch.ones(1, 2, dtype=torch.bool), [WHAT, LIKE], k=2)
    torch.testing.assert_close(retrieved_condition(three, torch.ones(1, 3, dtype=torch.bool), [WHAT, LIKE], k=2), once)
    hidden = torch.stack([a, b, torch.full((8,), float("nan"))])[None]
    there = torch.tensor([[True, True, False]])
    torch.testing.assert_close(retrieved_condition(hidden, there, [WHAT, LIKE], k=2), once)
    assert not retrieved_condition(two, torch.zeros(1, 2, dtype=torch.bool), [WHAT], k=2).any()


def test_who_finds_other_words_than_the_rest_counts_less() -> None:
    told = torch.stack([near(0), near(0), near(2)])[None]
    found = retrieved_condition(told, torch.ones(1, 3, dtype=torch.bool), [WHAT], k=1)[0]
    assert found[0] > 0.95 and 0 < found[2] < 0.02
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))


def test_one_modality_that_is_a_word_is_conditioned_by_it_and_kinds_weigh_by_how_near_they_are() -> None:
    exact = torch.eye(8)[None, [1]]
    there = torch.ones(1, 1, dtype=torch.bool)
    torch.testing.assert_close(retrieved_condition(exact, there, [WHAT], k=1)[0], torch.eye(6)[1])
    both = retrieved_condition(exact, there, [WHAT, LIKE], k=1)[0]
    torch.testing.assert_close(both[1], torch.sigmoid(torch.tensor(10.0)))  # <x, v> is 1 of one kind and 0 of the other
    with pytest.raises(ValueError, match="give each word its own"):
        Words(torch.eye(3), torch.eye(2))
    with pytest.raises(ValueError, match="conditions of one width"):
        retrieved_condition(exact, there, [WHAT, Words(torch.eye(8), torch.eye(8))])
