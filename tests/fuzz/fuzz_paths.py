"""Where the makers of sound files lie: the benchmark's references, and the tests. To be imported before these are."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent / "benchmarks"), str(TESTS), str(TESTS / "readers"), str(TESTS / "cohort")]
