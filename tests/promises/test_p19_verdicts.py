"""P19: the verdict on cohorts whose answer is known.

At n = 2,000 it is the right one. At n = 80 it is "cannot tell" for nearly all, and never the opposite of the truth: a
noise modality that the inner folds switch off everywhere may rightly be called useless, and a very lucky draw of a
complementary one useful. A planted copy of the outcome sits in one modality: that modality alone is already perfect, so
that combining cannot pay; the leak itself is for `check_values` to name, which it does.
"""

from __future__ import annotations

from collections import Counter

import pytest

import chiasm
from chiasm.cohort import check_values, synthetic_cohort
from chiasm.evaluation.verdict import CANNOT_TELL, DOES_NOT_PAY, PAYS, Verdict

pytestmark = pytest.mark.slow
RECIPES = ["single:m1", "single:m2", "early-fusion", "late-fusion", "stacked-fusion"]
TRUTH = {"redundant": DOES_NOT_PAY, "noise-modality": DOES_NOT_PAY, "complementary": PAYS}
both_targets = pytest.mark.parametrize("target", ["classification", "survival"])
# One kind of target each; the other in `make nightly`.
each_truth = pytest.mark.parametrize(
    ("name", "target"),
    [
        ("complementary", "classification"),  # survival in the trial of eighty patients below
        pytest.param("redundant", "survival", marks=pytest.mark.nightly),
        pytest.param("noise-modality", "classification", marks=pytest.mark.nightly),
        pytest.param("redundant", "classification", marks=pytest.mark.nightly),
        pytest.param("noise-modality", "survival", marks=pytest.mark.nightly),
        pytest.param("complementary", "survival", marks=pytest.mark.nightly),
    ],
)


def verdict(name: str, n: int, target: str, seed: int, protocol: chiasm.Protocol) -> Verdict:
    cohort = synthetic_cohort(name, n, target=target, seed=seed)
    found = chiasm.evaluate(cohort, RECIPES, protocol, jobs=1, seed=seed).verdict
    assert found is not None
    print(f"\n{name}, {target}, n = {n}, seed {seed}: {found.outcome}, {found.difference:.4f}", end=" ")
    print(f"({found.low:.4f} to {found.high:.4f}), {found.best_fused} against {found.best_single}")
    return found


@each_truth
@pytest.mark.usefixtures("ridges")
def test_two_thousand_patients_give_the_right_verdict(name: str, target: str) -> None:
    found = verdict(name, 2000, target, 0, chiasm.Protocol(folds=3, inner_folds=2, repeats=1, draws=200))
    assert found.outcome == TRUTH[name]
    if name != "complementary":
        assert found.best_single == "single:m1"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("complementary", "survival"),
        pytest.param("redundant", "survival", marks=pytest.mark.nightly),
        pytest.param("noise-modality", "classification", marks=pytest.mark.nightly),
    ],
)
@pytest.mark.usefixtures("ridges")
def test_eighty_patients_do_not_give_the_opposite_of_the_truth(name: str, target: str) -> None:
    found = verdict(name, 80, target, 0, chiasm.Protocol(folds=3, inner_folds=2, repeats=1, draws=200))
    assert found.outcome in (CANNOT_TELL, TRUTH[name])


@pytest.mark.nightly
@both_targets
def test_eighty_patients_cannot_tell(target: str) -> None:
    protocol = chiasm.Protocol(inner_folds=2, repeats=1, draws=200)
    seeds = range(3)
    outcomes = {(name, seed): verdict(name, 80, target, seed, protocol).outcome for name in TRUTH for seed in seeds}
    counts = Counter(outcomes.values())
    assert counts[CANNOT_TELL] >= 7, counts
    for (name, seed), outcome in outcomes.items():
        assert outcome in (CANNOT_TELL, TRUTH[name]), (name, seed)


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
@pytest.mark.parametrize("target", ["classification", pytest.param("survival", marks=pytest.mark.nightly)])
@pytest.mark.usefixtures("ridges")
def test_a_leak_is_named_and_never_makes_combining_pay(target: str) -> None:
    cohort = synthetic_cohort("planted-leak", 300, target=target)
    assert [problem.modality for problem in check_values(cohort)] == ["m2"]
    found = verdict("planted-leak", 300, target, 0, chiasm.Protocol(folds=3, repeats=1, inner_folds=2, draws=200))
    assert found.outcome != PAYS and found.best_single == "single:m2"
