"""Public functions on finished benchmark runs: skills that lack, what fine-tuning cost, one model over many suites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chiasm.api.benching import or_own
from chiasm.bench.comparing import runs_in
from chiasm.bench.controls import ITSELF
from chiasm.bench.deficits import Skills, skills
from chiasm.bench.figures import Figure
from chiasm.bench.forgetting import Forgetting, forgetting
from chiasm.bench.generalist import one_candidate
from chiasm.bench.marks import Marks
from chiasm.bench.running import scored_again
from chiasm.bench.segbook import segbook_claims as segbook_claims
from chiasm.bench.suite import Suite


def bench_skills(
    first: Path | str,
    second: Path | str | None = None,
    *,
    suite: Suite | None = None,
    tags: Sequence[str] | None = None,
    draws: int = 500,
    seed: int = 0,
) -> Skills:
    """Say which skills a candidate lacks, or lacks against another one, by the tags of the items.

    Source: HEMM, arXiv 2407.03418, whose axes are the flow of information, the skills that an item takes, and its use.
    What is told of each value, and how values that hang together are told apart, stands in `chiasm.bench.deficits`.

    Args:
        first: the folder of a run.
        second: of another candidate on the same items.
        suite: the suite of the runs, where `list_suites` does not know it.
        tags: those to look at; None: all that the items have.
        draws, seed: of the bootstrap.

    Raises:
        ValueError: a folder holds no run, the runs are of other items, or there is nothing to tell apart.
    """
    other = None if second is None else _marks(second, suite)
    return skills(_marks(first, suite), other, tags=tags, draws=draws, seed=seed)


def bench_forgetting(
    before: Path | str,
    after: Path | str,
    learned: Sequence[str],
    *,
    suite: Suite | Sequence[Suite] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Forgetting:
    """Say what fine-tuning has taught, and what it has cost on suites that it was not for.

    Args:
        before, after: folders of runs by suite, of the model before and after.
        learned: names of the suites that the fine-tuning was for; all others that both have are held.
        suite: the suite, or suites, of runs that `list_suites` does not know.
        draws, seed: of the bootstrap.

    Raises:
        ValueError: the folders have no suite in common, no suite is held, or runs of a suite are of other items.
    """
    ours, theirs = runs_in(Path(before)), runs_in(Path(after))
    runs: dict[str, tuple[Figure, Marks, Marks]] = {}
    for name in (name for name in ours if name in theirs):
        marks = _marks(ours[name], suite), _marks(theirs[name], suite)
        its = or_own(suite)(name)
        figure = next(own for own in its.figures(marks[0].items) if own.id == its.primary)
        runs[name] = (figure, *marks)
    if not runs:
        raise ValueError(f"'{Path(before).name}' and '{Path(after).name}' have no suite in common")
    return forgetting(runs, learned, draws=draws, seed=seed)


def bench_table(folder: Path | str, *, suite: Suite | Sequence[Suite] | None = None) -> pd.DataFrame:
    """Return the primary figure of each suite that one candidate was asked; refused where the weights differ.

    Args:
        folder: whose folders are runs, one a suite.
        suite: the suite, or suites, of runs that `list_suites` does not know.

    Raises:
        ValueError: the folder holds no run, or runs of several candidates.
    """
    return one_candidate(Path(folder), or_own(suite))


def _marks(folder: Path | str, suite: Suite | Sequence[Suite] | None) -> Marks:
    return scored_again(Path(folder), or_own(suite)).marks[ITSELF]
