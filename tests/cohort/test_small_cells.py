"""Small counts are masked, and none follows from the others of its row or column."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort.small_cells import LEAST, masked, told


@pytest.mark.parametrize("seed", range(40))
def test_no_row_and_no_column_has_one_hidden_cell_beside_another_that_could_be_hidden(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 14, size=(rng.integers(1, 6), rng.integers(1, 5)))
    hidden = masked(counts, rows_add_up=True, columns_add_up=True)
    assert hidden[(counts > 0) & (counts < LEAST)].all() and not hidden[counts == 0].any()
    for own, values in [*zip(hidden, counts, strict=True), *zip(hidden.T, counts.T, strict=True)]:
        assert own.sum() != 1 or not (values[~own] > 0).any()


def test_only_small_counts_are_hidden_where_nothing_adds_up() -> None:
    assert masked([[0, 1, 4, 5, 90]]).tolist() == [[False, True, True, False, False]]
    assert masked([[50, 3, 9, 8]], rows_add_up=True).tolist() == [[False, True, False, True]]


def test_a_count_is_told_from_five_on() -> None:
    assert [told(n) for n in (0, 1, 4, 5)] == [0, None, None, 5]
