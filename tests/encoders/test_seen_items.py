"""Marks of what an encoder was pretrained on: what was seen is found, and no mark names an item."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.encoders.seen import BY_CHANCE, SeenItems

ITEMS = [f"item {number}" for number in range(2000)]
OTHERS = [f"other {number}" for number in range(20_000)]


def test_what_was_seen_is_found_and_its_number_is_told() -> None:
    seen = SeenItems.of(ITEMS, "0" * 32)
    found = seen.overlap([*ITEMS[:300], *OTHERS[:700], *ITEMS[:50]])
    assert found.items == 1000 and found.is_beyond_chance
    assert found.seen == pytest.approx(300, abs=15)
    assert seen.overlap(ITEMS).found == len(ITEMS), "an item that was seen always has its mark"


def test_of_items_never_seen_at_most_one_in_a_hundred_has_a_mark() -> None:
    seen = SeenItems.of(ITEMS, "0" * 32)
    found = seen.overlap(OTHERS)
    assert 0.3 * BY_CHANCE < found.found / found.items < 1.3 * BY_CHANCE, "a mark is no proof of an item"
    assert not found.is_beyond_chance and found.seen < 60


def test_few_items_are_too_few_to_say() -> None:
    seen = SeenItems.of(ITEMS, "0" * 32)
    assert not seen.overlap([]).is_beyond_chance
    assert not seen.overlap(ITEMS[:1]).is_beyond_chance, "a single mark may be chance"
    assert seen.overlap(ITEMS[:3]).is_beyond_chance


def test_marks_of_another_key_are_others_and_their_order_tells_nothing() -> None:
    one, other = SeenItems.of(ITEMS, "0" * 32), SeenItems.of(ITEMS, "1" * 32)
    shared = np.isin(one.marks, other.marks).mean()
    assert shared < 2 * BY_CHANCE, "marks of two folders cannot be compared"
    assert np.array_equal(SeenItems.of(ITEMS[::-1], "0" * 32).marks, one.marks)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "0"}, {"key": "g" * 32}, {"bits": 0}, {"bits": 64}, {"marks": np.array([3, 2])},
        {"marks": np.array([-1])}, {"marks": np.array([9.0])}, {"marks": np.array([1 << 30])},
        {"bits": 1, "marks": np.array([0, 1])},
    ],
)  # fmt: skip
def test_marks_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"marks|key"):
        SeenItems(**{"key": "0" * 32, "bits": 8, "marks": np.array([1, 2]), **wrong})  # type: ignore[arg-type]
