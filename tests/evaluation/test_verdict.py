"""The verdict: each outcome, the order of the questions, what is zero by construction, and sentences that agree."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chiasm.evaluation.contrasts import UNKNOWN, Contrast, contrast, corrected_interval, wider
from chiasm.evaluation.sentences import Circumstances, contrast_sentence, digits_of, sentence_of
from chiasm.evaluation.verdict import (
    CANNOT_TELL,
    DOES_NOT_PAY,
    PAYS,
    PREDICTS_MORE,
    Evidence,
    decide,
    patients_to_settle,
)
from examples import examples

GAIN, NONE, WIDE = Contrast(0.05, 0.02, 0.08), Contrast(0.0, -0.005, 0.005), Contrast(0.02, -0.03, 0.07)
ZERO = Contrast(0.0, 0.0, 0.0, same=True)
PAYING = Evidence(total=GAIN, coverage=NONE, combining=GAIN, beyond_presence=GAIN, fixed=GAIN)
AROUND = Circumstances("AUROC", {"single:rna": 5}, {"late-fusion": 3, "lego-fuse": 2}, 5, 400, 250)


def outcome(**changes: object) -> tuple[str, str]:
    return decide(replace(PAYING, **changes))  # type: ignore[arg-type]


def test_it_pays_only_when_every_part_does() -> None:
    assert decide(PAYING) == (PAYS, "gain")
    assert outcome(total=WIDE) == (CANNOT_TELL, "total")
    assert outcome(combining=WIDE) == (CANNOT_TELL, "combining")
    assert outcome(combining=UNKNOWN) == (CANNOT_TELL, "combining")
    assert outcome(beyond_presence=WIDE) == (CANNOT_TELL, "presence")
    assert outcome(fixed=Contrast(-0.01, -0.03, 0.01)) == (CANNOT_TELL, "fixed")
    assert outcome(total=UNKNOWN) == (CANNOT_TELL, "not estimable")


def test_a_leak_is_asked_first() -> None:
    assert outcome(leaks=("a column knows the outcome",)) == (CANNOT_TELL, "leak")
    assert outcome(leaks=("a column knows the outcome",), total=NONE) == (CANNOT_TELL, "leak")


def test_too_few_with_two_modalities_leave_coverage_or_nothing() -> None:
    assert outcome(too_few="8 of 200") == (CANNOT_TELL, "too few")
    assert outcome(too_few="8 of 200", total=NONE) == (CANNOT_TELL, "too few")
    assert outcome(too_few="8 of 200", coverage=GAIN) == (PREDICTS_MORE, "too few")


def test_it_does_not_pay_by_the_whole_or_by_both_parts() -> None:
    assert outcome(total=NONE) == (DOES_NOT_PAY, "total")
    assert outcome(combining=NONE) == (DOES_NOT_PAY, "parts")  # what is gained is ranking between patterns
    assert outcome(combining=NONE, coverage=GAIN) == (PREDICTS_MORE, "combining")
    assert outcome(total=replace(NONE, high=0.0101)) == (CANNOT_TELL, "total")
    assert outcome(total=Contrast(0.004, 0.002, 0.006)) == (DOES_NOT_PAY, "total")  # above zero, below the margin
    assert outcome(total=Contrast(0.004, 0.002, 0.006), margin=0.005) == (PAYS, "gain")


def test_what_is_zero_by_construction_is_answered_by_the_next_best_recipe() -> None:
    """The combined recipe chose the single model: its interval of no width says nothing of combining."""
    assert outcome(total=ZERO, combining=ZERO) == (CANNOT_TELL, "total")
    assert outcome(total=ZERO, combining=ZERO, next_total=WIDE) == (CANNOT_TELL, "total")
    assert outcome(total=ZERO, combining=ZERO, next_total=NONE) == (DOES_NOT_PAY, "total")
    assert outcome(combining=ZERO) == (CANNOT_TELL, "combining")
    assert outcome(combining=ZERO, next_combining=NONE) == (DOES_NOT_PAY, "parts")
    assert outcome(combining=NONE, coverage=ZERO) == (DOES_NOT_PAY, "parts")  # nobody lacks the best modality


numbers = st.floats(-0.2, 0.2)


@st.composite
def contrasts(draw: st.DrawFn) -> Contrast:
    if draw(st.booleans()) and draw(st.booleans()):
        return draw(st.sampled_from([UNKNOWN, ZERO]))
    low, mean, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    return Contrast(mean, low, high)


evidences = st.builds(
    Evidence, contrasts(), contrasts(), contrasts(), contrasts(), contrasts(), contrasts(), contrasts(),
    st.sampled_from([(), ("a leak",)]), st.sampled_from(["", "8 of 200 have two"]), st.sampled_from([0.01, 0.03]),
)  # fmt: skip


@settings(max_examples=examples(300, day=40), deadline=None)
@given(evidences)
def test_laws_of_the_outcome(evidence: Evidence) -> None:
    """Whatever the evidence: a claim needs its own interval, and the sentence says the outcome and its numbers."""
    found, why = decide(evidence)
    if found == PAYS:
        for part in (evidence.total, evidence.combining, evidence.beyond_presence):
            assert part.low > 0 and not part.same
        assert evidence.fixed.mean > 0 and not evidence.leaks and not evidence.too_few
    if found == DOES_NOT_PAY:
        assert not evidence.leaks and not evidence.too_few
        whole = evidence.next_total if evidence.total.same else evidence.total
        part = evidence.next_combining if evidence.combining.same else evidence.combining
        assert whole.high < evidence.margin or part.high < evidence.margin
    if found == PREDICTS_MORE:
        assert evidence.coverage.low > 0 and not evidence.leaks
    text = sentence_of(found, why, evidence, AROUND)
    said = {
        PAYS: "Combining modalities pays",
        DOES_NOT_PAY: "does not pay",
        PREDICTS_MORE: "predict more patients",
        CANNOT_TELL: "cannot tell whether combining modalities pays",
    }
    assert said[found] in text and "nan" not in text
    shown = digits_of(evidence.total, evidence.margin)[0].removeprefix("-")
    if why not in ("leak", "not estimable") and evidence.total.estimable and not evidence.total.same and float(shown):
        assert shown in text


def test_the_sentence_names_the_picks_and_the_fixed_pair() -> None:
    text = sentence_of(*decide(PAYING), PAYING, AROUND)
    assert "'late-fusion' in 3 of 5 folds" in text and "'single:rna'" in text and "400 patients, 5 test folds" in text
    assert "250 tested patients who have two modalities or more" in text
    assert "Held fixed in all folds, 'late-fusion' less 'single:rna' is 0.050 (0.020 to 0.080)" in text
    alone = replace(AROUND, combined={"late-fusion": 5})
    assert "Held fixed" not in sentence_of(*decide(PAYING), PAYING, alone)


def test_clusters_and_one_split_are_said() -> None:
    text = sentence_of(*decide(PAYING), PAYING, replace(AROUND, units=40, folds=1, combined={"late-fusion": 1}))
    assert "400 patients in 40 clusters, 1 test fold)" in text and "With one split" in text


def test_rounding_never_moves_an_end_across_zero_or_the_margin() -> None:
    assert digits_of(Contrast(0.004, 0.0001, 0.0099), 0.01) == ("0.0040", "0.0001", "0.0099")
    assert digits_of(Contrast(-0.0001, -0.03, 0.02), 0.01) == ("0.000", "-0.030", "0.020")


def test_patients_to_settle_is_a_range_at_eighty_percent_power() -> None:
    """Half-width .05 of 400: for a gain of .07 n = 400 (2.8016 / 1.96 x .05 / .07)^2 = 417, for .01 20,431."""
    ask = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / stats.norm.ppf(0.975)
    few, many = 400 * (ask * 0.05 / 0.07) ** 2, 400 * (ask * 0.05 / 0.01) ** 2
    found = patients_to_settle((WIDE,), 0.01, 400)
    assert found is not None and few <= found[0] <= 1.1 * few and many <= found[1] <= 1.1 * many
    assert patients_to_settle((NONE,), 0.01, 400) is None  # no gain worth having is left
    assert patients_to_settle((WIDE,), 0.0, 400) is None
    assert patients_to_settle((), 0.01, 400) is None
    assert patients_to_settle((UNKNOWN,), 0.01, 400) is None


def test_a_named_contrast_is_judged_by_its_own_interval() -> None:
    assert contrast_sentence("b", "a", GAIN, "AUROC", 0.01)[0] == PAYS
    assert contrast_sentence("b", "a", NONE, "AUROC", 0.01)[0] == DOES_NOT_PAY
    assert contrast_sentence("b", "a", WIDE, "AUROC", 0.01)[0] == CANNOT_TELL
    said = contrast_sentence("b", "a", WIDE, "AUROC", 0.01)[1]
    assert re.findall(r"-?\d\.\d+", said) == ["0.01", "0.020", "-0.030", "0.070"]
    assert "rank the patients alike" in contrast_sentence("b", "a", ZERO, "AUROC", 0.01)[1]


def values(points: list[float], draws: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.array(points)[:, None], draws)]


def test_a_contrast_is_the_mean_over_folds_with_the_wider_interval() -> None:
    """Five folds that differ by .02 to .06; the t interval is the wider one beside a narrow bootstrap."""
    d = np.array([0.02, 0.03, 0.04, 0.05, 0.06])
    narrow = np.tile(np.linspace(0.039, 0.041, 101), (5, 1))
    zero = values([0.0] * 5, np.zeros((5, 101)))
    found = contrast(values(d.tolist(), narrow), zero, n_test=80, n_train=320)
    half = stats.t.ppf(0.975, 4) * math.sqrt((1 / 5 + 80 / 320) * d.var(ddof=1))
    assert found.numbers == pytest.approx((0.04, 0.04 - half, 0.04 + half)) and not found.same
    broad = np.tile(np.linspace(-1, 1, 101), (5, 1))
    found = contrast(values(d.tolist(), broad), zero, n_test=80, n_train=320)
    assert (found.low, found.high) == pytest.approx((-0.95, 0.95))


def test_equal_rankings_in_all_folds_and_draws_are_the_same() -> None:
    some = values([0.7, 0.8], np.full((2, 50), 0.75))
    assert contrast(some, some, n_test=10, n_train=40).same
    other = values([0.7, 0.8], np.r_[np.full((1, 50), 0.75), np.linspace(0.7, 0.8, 50)[None]])
    assert not contrast(some, other, n_test=10, n_train=40).same


def test_a_contrast_without_a_fifth_of_its_folds_is_not_estimable() -> None:
    draws = np.tile(np.linspace(0.6, 0.7, 100), (5, 1))
    zero = values([0.0] * 5, np.zeros((5, 100)))
    one, two = [0.6, 0.6, 0.6, 0.7, math.nan], [0.6, 0.6, 0.7, math.nan, math.nan]
    assert contrast(values(one, draws), zero, n_test=10, n_train=40).estimable
    assert not contrast(values(two, draws), zero, n_test=10, n_train=40).estimable


def test_one_fold_has_only_the_bootstrap() -> None:
    assert all(map(math.isnan, corrected_interval(np.array([0.1]), 10, 40)))
    assert wider((math.nan, math.nan), (0.0, 0.2)) == (0.0, 0.2)
    assert wider((-0.2, 0.2), (0.0, 0.2)) == (-0.2, 0.2)
