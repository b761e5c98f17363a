"""Small counts are masked, and none is a sum or difference of what is told."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort.characteristics import _hide
from chiasm.cohort.small_cells import LEAST, told


def test_a_count_is_told_from_five_on() -> None:
    assert [told(n) for n in (0, 1, 4, 5)] == [0, None, None, 5]


def follows(table: list[list[int | None]], counts: np.ndarray, partition: bool) -> bool:
    """Whether a count of 1 to 4, or one of those outside a group, is determined by what is told of a table.

    Unknown are the hidden cells; known are the sums over parts in each group, and that groups make up all where they
    are a partition.
    """
    cells = np.array([[np.nan if n is None else n for n in row] for row in table]).T  # (G, R)
    groups, parts = cells.shape
    width = groups * parts
    told = [np.eye(width)[k] for k in np.flatnonzero(~np.isnan(cells.ravel()))]
    told += [np.kron(np.eye(groups)[g], np.ones(parts)) for g in range(groups)]
    if partition:
        signs = np.array([1] + [-1] * (groups - 1))
        told += [np.kron(signs, np.eye(parts)[r]) for r in range(parts)]
    asked = [(np.eye(width)[g * parts + r], counts[r, g]) for g in range(groups) for r in range(parts)]
    asked += [(np.eye(width)[r] - np.eye(width)[g * parts + r], counts[r, 0] - counts[r, g])
              for g in range(1, groups) for r in range(parts)]  # fmt: skip
    asked += [(np.kron(np.eye(groups)[g], [1] * (parts - 1) + [0]), counts[:-1, g].sum()) for g in range(groups)]
    rank = np.linalg.matrix_rank(np.array(told))
    return any(0 < n < LEAST and np.linalg.matrix_rank(np.array([*told, row])) == rank for row, n in asked)


@pytest.mark.parametrize("partition", [True, False])
def test_no_small_count_is_determined_by_levels_missing_values_and_groups(partition: bool) -> None:
    rng = np.random.default_rng(0)
    naive = 0
    for _ in range(150):
        parts, groups, n = int(rng.integers(2, 6)), int(rng.integers(1, 4)), int(rng.integers(30, 90))
        level = rng.choice(parts, n, p=rng.dirichlet(np.full(parts, 0.6)))
        own = rng.choice(groups, n, p=rng.dirichlet(np.full(groups, 2.0)))
        labels = [own == g for g in range(groups)] if partition else list(rng.random((groups, n)) < 0.8)
        named = [("all", np.ones(n, dtype=bool)), *((str(g), label) for g, label in enumerate(labels))]
        masks = [level == r for r in range(parts)]
        counts = np.array([[int((mask & label).sum()) for _, label in named] for mask in masks])
        if any(0 < label.sum() < 2 * LEAST or 0 < (~label).sum() < 2 * LEAST for label in labels):
            continue  # the totals of a group of few patients tell what is in it
        assert not follows(_hide(masks, named, partition), counts, partition), counts
        alone = [[None if 0 < k < LEAST else int(k) for k in row] for row in counts]
        naive += follows(alone, counts, partition)
    assert naive > 20, "small counts alone do follow: the question is asked"


def test_what_all_hid_follows_from_no_two_groups() -> None:
    counts = np.array([[3, 0, 3], [33, 3, 30], [15, 12, 3], [14, 7, 7]])
    level = np.repeat(np.arange(4), counts[:, 0])
    own = np.concatenate([np.repeat([0, 1], row[1:]) for row in counts])
    named = [("all", np.ones(len(own), dtype=bool)), ("a", own == 0), ("b", own == 1)]
    table = _hide([level == r for r in range(4)], named, True)
    assert table[0][0] is None and not follows(table, counts, True)
    assert any(n is not None for row in table for n in row)
