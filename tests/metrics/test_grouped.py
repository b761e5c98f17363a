"""Groups that are told rightly item by item: by hand, and whatever the order."""

from __future__ import annotations

import numpy as np

from chiasm.metrics.grouped import of_groups, right_of


def test_shares_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5], [0.1, 0.9]])
    right = right_of(p, np.array([0.0, 1.0, 1.0, 0.0, 1.0]))
    assert right.tolist() == [1, 1, 0, 0.5, 1]
    groups = np.array([0, 1, 1, 2, 2])
    every, most, share = of_groups(right, groups)
    assert every.tolist() == [1, 0, 0] and most.tolist() == [1, 0, 1] and share.tolist() == [1, 0.5, 0.75]
    order = np.array([4, 2, 0, 3, 1])
    np.testing.assert_array_equal(of_groups(right[order], groups[order]), of_groups(right, groups))
