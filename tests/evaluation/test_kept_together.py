"""What a protocol keeps on one side, recipes keep on one side of their own splits too."""

from __future__ import annotations

import dataclasses

import numpy as np

import chiasm
from chiasm.evaluation.run import kept_together


def test_sites_become_the_groups_that_recipes_see() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 40, seed=0)
    site = np.repeat(["a", "b", "c", "d"], 10)
    sited = dataclasses.replace(cohort, site=site)
    assert kept_together(sited, chiasm.Protocol()).group is None
    together = kept_together(sited, chiasm.Protocol(by="site")).group
    assert together is not None
    assert all(len(set(together[site == name])) == 1 for name in "abcd") and len(set(together)) == 4
