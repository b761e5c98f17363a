"""A cohort on the folds of a trial, for what is fitted on them outside of one."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.cohort import Cohort, Outcome
from chiasm.cohort.units import alone_where_empty
from chiasm.evaluation.intervals import Counts, TestFold, patient_draws
from chiasm.evaluation.protocol import Protocol, Split, plan, with_repeats
from chiasm.evaluation.run import kept_together, require_clusters, usable
from chiasm.targets import Target


@dataclass(frozen=True)
class Folded:
    """The patients whom a trial would use, its splits, their test folds in the same order, and the draws of patients.

    `draws` is (R, N), R the number of the protocol; groups, or what the protocol keeps together, are drawn as a whole.
    """

    cohort: Cohort
    target: Target
    outcome: Outcome
    splits: tuple[Split, ...]
    folds: tuple[TestFold, ...]
    draws: Counts


def folded(cohort: Cohort, protocol: Protocol, seed: int) -> Folded:
    """Split the patients of known outcome as `run_trial` does.

    Raises:
        Unsupported: no target, or nobody of known outcome with a modality.
        CohortError: a fold without an event or a class, or sites that keep nothing together.
        LeakageError: a patient, group or site on both sides of a fold.
    """
    used, _ = usable(cohort)
    protocol = with_repeats(protocol, used)
    require_clusters(used, protocol)
    used = kept_together(used, protocol)
    target, outcome = used.target, used.outcome
    assert target is not None and outcome is not None  # else it is not usable
    splits = plan(used, protocol, seed)
    groups = None if used.group is None else alone_where_empty(used.group)
    folds = [
        TestFold(
            split.repeat, split.fold, split.test, outcome.take(split.test), outcome.take(split.train),
            None if groups is None else groups[split.test],
        )
        for split in splits
    ]  # fmt: skip
    draws = patient_draws(folds, len(used), protocol.draws, seed)
    return Folded(used, target, outcome, tuple(splits), tuple(folds), draws)
