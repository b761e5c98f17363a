"""Masking of small counts in a table, so that no cell and no difference of cells gives a few patients away."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST = 5
"""Fewest patients, but for none, whose number is told."""


def masked(counts: ArrayLike, *, rows_add_up: bool = False, columns_add_up: bool = False) -> NDArray[np.bool_]:
    """(R, G) True for the cells of a table of counts that must not be told.

    These are the counts of 1 to 4. Where the cells of a row, or of a column, add up to a total that is told, one hidden
    cell would follow from the others: then the smallest other count is hidden too, until none follows (complementary
    suppression; Hundepool et al., Statistical Disclosure Control, 2012, chapter 4). That guards the single row and
    column, not against what several tables together give away.

    Args:
        counts: (R, G) counts of R levels in G groups.
        rows_add_up: the groups of a row add up to the level's own total, which is told.
        columns_add_up: the levels of a column add up to the group's own total, which is told.
    """
    n = np.asarray(counts, dtype=np.int64)
    hidden = (n > 0) & (n < LEAST)
    ways = [own for own, asked in ((1, rows_add_up), (0, columns_add_up)) if asked]
    again = True
    while again:
        again = False
        for axis in ways:
            lines = range(n.shape[1 - axis])
            for line in lines:
                own = hidden[line] if axis == 1 else hidden[:, line]  # a view: what is set here is set in the table
                values = n[line] if axis == 1 else n[:, line]
                others = np.flatnonzero(~own & (values > 0))
                if own.sum() == 1 and len(others):
                    own[others[np.argmin(values[others])]] = True
                    again = True
    return hidden


def told(count: int) -> int | None:
    """Return a count that may be told, None of one to four."""
    return None if 0 < count < LEAST else int(count)
