"""The verdict: each outcome, their order, one split, no estimate, and sentences whose numbers agree with them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chiasm.evaluation.verdict import Verdict, corrected_interval, decide, patients_needed


def verdict(differences, low=None, high=None, **options) -> Verdict:
    """A verdict from fold differences and a bootstrap whose percentiles are exactly (low, high)."""
    centre = float(np.mean(differences))
    low, high = (centre if low is None else low), (centre if high is None else high)
    draws = np.r_[np.full(500, low), np.full(500, high)]
    defaults = {
        "n_test": 80, "n_train": 320, "n_patients": 400, "metric": "AUROC",
        "best_single": "single:rna", "best_fused": "late-fusion",
    }  # fmt: skip
    return decide(differences, draws, **(defaults | options))


def test_does_not_pay() -> None:
    found = verdict([0.002, 0.004, 0.003, 0.003, 0.003], -0.004, 0.009)
    assert found.outcome == "does not pay" and found.n_needed is None
    assert (found.difference, found.low, found.high) == pytest.approx((0.003, -0.004, 0.009))
    assert found.sentence == (
        "Combining modalities does not pay: 'late-fusion' beats 'single:rna' by 0.003 AUROC (95 % interval -0.004 to "
        "0.009; 400 patients, 5 test folds), so any gain lies below the margin of 0.010."
    )


def test_pays() -> None:
    found = verdict(
        [0.05, 0.05, 0.05], 0.02, 0.08, metric="Harrell's C", fused_counts={"late-fusion": 2, "lego-fuse": 1}
    )
    assert found.outcome == "pays" and found.fused_counts == {"late-fusion": 2, "lego-fuse": 1}
    assert found.sentence == (
        "Combining modalities pays: 'late-fusion' (picked in 2 of 3 folds) beats 'single:rna' by 0.050 Harrell's C "
        "(95 % interval 0.020 to 0.080; 400 patients, 3 test folds), an interval above zero."
    )
    assert "may be smaller than the margin of 0.010" in verdict([0.05, 0.05], 0.002, 0.1).sentence


def test_cannot_tell_says_how_many_patients_would() -> None:
    found = verdict([0.03, 0.03, 0.03], -0.03, 0.09)
    assert found.outcome == "cannot tell" and found.n_needed == 1600  # half-width .06 must fall to .03: 4 times as many
    assert found.sentence == (
        "These data cannot tell whether combining modalities pays: 'late-fusion' beats 'single:rna' by 0.030 AUROC "
        "(95 % interval -0.030 to 0.090; 400 patients, 3 test folds), which holds both no gain and a gain of 0.010 or "
        "more; about 1,600 patients would settle it."
    )


def test_a_sure_gain_below_the_margin_does_not_pay() -> None:
    """The order of the questions: (0.002, 0.006) is above zero and below the margin."""
    assert verdict([0.004, 0.004], 0.002, 0.006).outcome == "does not pay"
    assert verdict([0.004, 0.004], 0.002, 0.006, margin=0.005).outcome == "pays"


def test_borders() -> None:
    assert verdict([0.005, 0.005], 0.0, 0.01).outcome == "cannot tell"  # neither end lies beyond
    assert verdict([0.005, 0.005], 1e-9, 0.01).outcome == "pays"
    assert verdict([0.0, 0.0]).outcome == "does not pay"  # two equal recipes
    assert verdict([0.0, 0.0], margin=0.0).outcome == "cannot tell"


def test_one_split_has_only_the_bootstrap_and_says_so() -> None:
    found = verdict([0.05], 0.01, 0.09)
    assert found.outcome == "pays" and (found.low, found.high) == (0.01, 0.09)
    assert "1 test fold)" in found.sentence and "With one split the interval is a bootstrap" in found.sentence
    assert "one split" not in verdict([0.05, 0.05], 0.01, 0.09).sentence


@pytest.mark.parametrize(
    ("differences", "draws"),
    [
        ([np.nan] * 5, np.full(100, 0.1)),
        ([0.1, 0.1, 0.1, np.nan, np.nan], np.full(100, 0.1)),
        ([0.1] * 5, np.full(100, np.nan)),
        ([np.nan], np.full(100, np.nan)),
    ],
)
def test_without_an_estimate_it_cannot_tell_and_gives_no_number(differences: list, draws: np.ndarray) -> None:
    found = decide(
        differences, draws, n_test=8, n_train=32, n_patients=40, metric="AUROC", best_single="a", best_fused="b"
    )
    assert found.outcome == "cannot tell" and found.n_needed is None
    assert np.isnan([found.difference, found.low, found.high]).all()
    assert "not estimable" in found.sentence and "too few events" in found.sentence and "nan" not in found.sentence


def test_one_missing_fold_of_five_is_skipped() -> None:
    found = verdict([0.1, 0.1, 0.1, 0.1, 0.1])
    d = [0.08, 0.12, 0.1, 0.1, np.nan]
    skipped = decide(
        d, np.full(9, 0.1), n_test=80, n_train=320, n_patients=400, metric="AUROC", best_single="a", best_fused="b"
    )
    assert skipped.difference == pytest.approx(found.difference)
    assert (skipped.low, skipped.high) == pytest.approx(corrected_interval(np.array(d[:4]), 80, 320))


def test_corrected_interval_is_nadeau_and_bengio() -> None:
    d = np.array([0.01, 0.03, 0.02, 0.05, 0.0])
    error = np.sqrt((1 / 5 + 20 / 80) * np.var(d, ddof=1))
    half = 2.7764451051977987 * error  # t(0.975, 4), from tables
    assert corrected_interval(d, 20, 80) == pytest.approx((0.022 - half, 0.022 + half))
    plain = stats.t.interval(0.95, 4, d.mean(), stats.sem(d))
    low, high = corrected_interval(d, 20, 80)
    assert low < plain[0] and plain[1] < high
    assert np.isnan(corrected_interval(d[:1], 20, 80)).all()


def test_the_wider_interval_stands() -> None:
    d = [0.01, 0.03, 0.02, 0.05, 0.0]
    corrected = corrected_interval(np.array(d), 80, 320)
    narrow, wide = verdict(d, 0.02, 0.03), verdict(d, -0.5, 0.5)
    assert (narrow.low, narrow.high) == pytest.approx(corrected)
    assert (wide.low, wide.high) == (-0.5, 0.5)


@given(
    st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=10),
    st.floats(-0.2, 0.2),
    st.floats(0, 0.2),
    st.floats(0, 0.05),
)
@settings(deadline=None, max_examples=300)
def test_outcome_follows_from_the_interval(differences: list[float], low: float, width: float, margin: float) -> None:
    found = verdict(differences, low, low + width, margin=margin)
    assert found.low <= found.high
    expected = "does not pay" if found.high < margin else "pays" if found.low > 0 else "cannot tell"
    assert found.outcome == expected
    if found.n_needed is not None:
        assert found.outcome == "cannot tell" and found.n_needed > 400
        assert found.n_needed == int(f"{found.n_needed:.1e}".replace(".", "").split("e")[0]) * 10 ** (
            len(str(found.n_needed)) - 2
        )
    numbers = re.search(r"interval (-?[\d.]+) to (-?[\d.]+);", found.sentence)
    assert numbers is not None and "-0.000 " not in found.sentence
    if min(abs(found.high - margin), abs(found.low)) > 1e-5 and expected != "cannot tell":
        printed = re.search(r"margin of (\d+\.\d+)", found.sentence)
        if expected == "does not pay":
            assert printed is not None and float(numbers[2]) < float(printed[1])
        else:
            assert float(numbers[1]) > 0


def test_a_rounded_number_never_contradicts_the_outcome() -> None:
    found = verdict([0.005, 0.005], 0.0, 0.0098)
    assert found.outcome == "does not pay" and "0.0098" in found.sentence and "margin of 0.0100" in found.sentence
    assert "0.0003 to" in verdict([0.05, 0.05], 0.0003, 0.1).sentence


def test_patients_needed_rounds_up_to_two_digits() -> None:
    assert patients_needed(0.0, -0.0101, 0.0101, 0.01, 100) == 110  # 102.01
    assert patients_needed(0.02, -0.07, 0.05, 0.01, 1000) == 21000  # the farther end, .09, must come to .02: 20,250
    assert patients_needed(0.0, -0.1, 0.1, 0.0, 100) is None


def test_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match=r"margin -0\.1"):
        verdict([0.1], margin=-0.1)
    with pytest.raises(ValueError, match="one or more test folds"):
        decide([], [0.1], n_test=1, n_train=1, n_patients=1, metric="AUROC", best_single="a", best_fused="b")
    with pytest.raises(ValueError, match="must be positive"):
        verdict([0.1], n_train=0)
