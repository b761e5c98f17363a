"""Operating points equal the best of all thresholds, and are read off other patients than they are judged on."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.metrics.operating import RULES, operating_point, operating_points

SCORE = np.array([0.1, 0.2, 0.2, 0.35, 0.4, 0.4, 0.6, 0.7, 0.8, 0.9])
POSITIVE = np.array([0, 0, 1, 0, 0, 1, 1, 0, 1, 1], bool)


def rates(threshold: float) -> tuple[float, float]:
    above = threshold <= SCORE
    return float(above[POSITIVE].mean()), float((~above[~POSITIVE]).mean())


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_chooses_the_best_of_all_thresholds(rule: str) -> None:
    every = {float(own): rates(own) for own in (*SCORE, np.inf)}
    for at_least in (0.0, 0.5, 0.8, 1.0):
        found = operating_point(SCORE, POSITIVE, rule, at_least)
        assert (found.sensitivity, found.specificity) == pytest.approx(every[found.threshold])
        if rule == "youden":
            assert found.sensitivity + found.specificity == pytest.approx(max(sum(own) for own in every.values()))
        else:
            held, other = (0, 1) if rule == "sensitivity" else (1, 0)
            allowed = [own for own in every.values() if own[held] >= at_least]
            own = found.sensitivity, found.specificity
            assert own[held] >= at_least and own[other] == pytest.approx(max(one[other] for one in allowed))


def test_a_share_that_is_reached_exactly_counts_and_equal_sums_give_the_lowest_threshold() -> None:
    score, positive = np.arange(20.0), np.arange(20) % 2 == 0
    for tenths in range(1, 11):  # 1 - 9 / 10 lies below 0.1
        assert operating_point(score, positive, "sensitivity", tenths / 10).sensitivity == tenths / 10
        assert operating_point(score, positive, "specificity", tenths / 10).specificity == tenths / 10
    equal = operating_point(np.arange(6), np.array([0, 0, 1, 0, 1, 1]))  # 1 + 2 / 3 at 2, 2 / 3 + 1 at 4
    assert (equal.threshold, equal.sensitivity, equal.specificity) == (2.0, 1.0, 2 / 3)


def test_a_fold_is_judged_by_the_threshold_of_the_others() -> None:
    fold = np.arange(10) % 2
    table = operating_points(SCORE, POSITIVE, fold)
    for row in table.itertuples():
        other = operating_point(SCORE[fold != row.fold], POSITIVE[fold != row.fold])
        assert row.threshold == other.threshold and row.patients == 5
        here = fold == row.fold
        assert (row.sensitivity, row.specificity) == other.judged(SCORE[here], POSITIVE[here])
    changed = SCORE.copy()
    changed[fold == 0] = 99.0  # a fold's own scores do not move its threshold
    assert operating_points(changed, POSITIVE, fold)["threshold"][0] == table["threshold"][0]
    assert np.isnan(operating_point(SCORE, POSITIVE).judged(SCORE[:1], POSITIVE[:1])[0])


def test_what_has_no_operating_point_is_refused() -> None:
    for wrong in ((SCORE, np.ones(10, bool)), (np.append(SCORE[:9], np.nan), POSITIVE),
                  (np.append(SCORE[:9], np.inf), POSITIVE)):  # fmt: skip
        with pytest.raises(ValueError, match="needs positive and negative patients"):
            operating_point(*wrong)
    with pytest.raises(ValueError, match="rule='best' is not known"):
        operating_point(SCORE, POSITIVE, "best")
    with pytest.raises(ValueError, match=r"at_least=1\.5 is not known"):
        operating_point(SCORE, POSITIVE, at_least=1.5)
    with pytest.raises(ValueError, match="two folds are needed"):
        operating_points(SCORE, POSITIVE, np.zeros(10))
