"""Figures have known answers: of whoever repeats himself, guesses, or knows; and are those of scikit-learn and R."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, chi2
from sklearn.metrics import accuracy_score, f1_score

from chiasm.bench.controls import first_options, frequent_positions, random_options, with_others_attachments
from chiasm.bench.figures import (
    ACCURACY,
    CONFUSION,
    EXACT,
    OVERALL,
    SETS,
    TOKEN_F1,
    MacroF1,
    random_accuracy,
    random_confusion,
    random_sets,
)
from chiasm.bench.item import Item, asked
from chiasm.bench.marks import Marks, chosen, marked
from chiasm.bench.reply import Reply
from chiasm.bench.scoring import LEAST, apart, one, scored, scores_by_tag, weights_of
from chiasm.bench.suites import suite_named
from chiasm.metrics.shares import marginal_homogeneity, mcnemar, sign_flips, wilson

PAIRS = [
    Item(f"{pair}/{side}", f"question {pair}", ("this", "that"), ((pair + side) % 2,), group=str(pair))
    for pair in range(176)
    for side in (0, 1)
]
FOUR = [
    Item(str(k), f"question {k}", ("a", "b", "c", "d"), (k * 7 % 4,), tags={"half": str(k % 2)}) for k in range(400)
]


def knowing(items: list[Item]) -> Marks:
    return chosen(items, [item.positions[0] for item in items])


def test_whoever_repeats_himself_has_no_set_and_whoever_knows_has_all() -> None:
    constant, oracle = first_options(PAIRS), knowing(PAIRS)
    assert [one(own, constant) for own in (SETS, CONFUSION, ACCURACY)] == [0.0, 1.0, 0.5]
    assert [one(own, oracle) for own in (SETS, CONFUSION, ACCURACY)] == [1.0, 0.0, 1.0]


def test_chance_is_a_quarter_of_sets_and_half_of_confusion_by_formula_and_by_simulation() -> None:
    assert (random_sets(PAIRS), random_confusion(PAIRS), random_accuracy(PAIRS)) == (0.25, 0.5, 0.5)
    drawn = np.array([[one(own, random_options(PAIRS, seed)) for own in (SETS, CONFUSION)] for seed in range(60)])
    error = np.sqrt(np.array([0.25 * 0.75, 0.25]) / (176 * 60))
    assert (np.abs(drawn.mean(axis=0) - [0.25, 0.5]) < 4 * error).all()


def test_chance_counts_every_right_option_and_own_number_of_options() -> None:
    items = [Item("1", "q", ("a", "b"), (0,)), Item("2", "q", ("a", "b", "c", " a"), (0,))]
    assert random_accuracy(items) == pytest.approx((1 / 2 + 2 / 4) / 2)


def test_accuracy_and_macro_f1_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    items = [Item(str(k), f"q{k}", ("yes", "no", "maybe"), (int(rng.integers(3)),)) for k in range(90)]
    said = rng.integers(-1, 3, 90)
    marks, truth = chosen(items, said.tolist()), [item.positions[0] for item in items]
    assert one(ACCURACY, marks) == pytest.approx(accuracy_score(truth, said))
    macro = MacroF1(("yes", "no", "maybe"))
    weights = weights_of(marks, 20, 0)
    expected = [f1_score(truth, said, labels=[0, 1, 2], average="macro", sample_weight=w) for w in weights]
    assert macro.draws(marks, weights) == pytest.approx(expected)
    assert one(macro, marks) == pytest.approx(f1_score(truth, said, labels=[0, 1, 2], average="macro"))


def test_free_texts_are_compared_without_articles_case_and_order() -> None:
    items = [Item(str(k), "q", (), (right,)) for k, right in enumerate(["Lung, Spinal Cord", "The liver", "2"])]
    replies = [Reply(str(k), said) for k, said in enumerate(["spinal cord and lung", "left liver", ""])]
    marks = marked(items, replies)
    assert EXACT.values(marks).tolist() == [1.0, 0.0, 0.0]
    assert TOKEN_F1.values(marks) == pytest.approx([2 * 3 / (4 + 3), 2 / 3, 0.0])  # "and" is a word
    assert one(OVERALL, marks) == pytest.approx(1 / 3) and marks.ways == ("answered", "answered", "empty")


def test_free_texts_that_differ_in_a_number_a_sign_or_a_letter_are_not_the_same() -> None:
    asked_of = {
        "-2": "2",
        "1,5": "5,1",
        "<5": ">5",
        "10² cells": "102 cells",
        "vitamin A": "vitamin",
        "left-sided mass": "leftsided mass",
    }
    items = [Item(str(k), "q", (), (right,)) for k, right in enumerate(asked_of)]
    wrong = marked(items, [Reply(str(k), said) for k, said in enumerate(asked_of.values())])
    assert (
        EXACT.values(wrong).tolist() == [0.0] * 6
        and EXACT.values(
            marked(items, [Reply(str(k), f"**`{said.replace('-s', ' s')}`**.") for k, said in enumerate(asked_of)])
        ).tolist()
        == [1.0] * 6
    )


def test_intervals_draw_groups_and_hold_what_wilson_says() -> None:
    marks = first_options(PAIRS)
    score = scored(SETS, marks, "first", weights_of(marks, 200, 0))
    assert (score.units, score.value, score.low) == (176, 0.0, 0.0)
    assert score.high == pytest.approx(wilson(0.0, 176)[1]) and score.high > 0
    twice = [replace(item, id=f"{item.id}b", group=item.id) for item in FOUR] + [replace(i, group=i.id) for i in FOUR]
    single, double = chosen(FOUR, [0] * 400), chosen(twice, [0] * 800)
    widths = [np.ptp(np.quantile(ACCURACY.draws(m, weights_of(m, 400, 1)), [0.025, 0.975])) for m in (single, double)]
    assert widths[1] == pytest.approx(widths[0], rel=0.2), "a question that stands twice is no second question"


def test_one_group_has_a_value_and_no_bootstrap() -> None:
    marks = chosen([replace(item, group="one") for item in FOUR[:20]], [0] * 20)
    score = scored(MacroF1(("a", "b", "c", "d")), marks, "x", weights_of(marks, 100, 0))
    assert np.isfinite(score.value) and np.isnan(score.low)


def test_a_paired_difference_is_narrower_than_the_intervals_beside_it() -> None:
    mostly, less = [k % 4 if k % 5 else 0 for k in range(400)], [k % 4 if k % 5 > 1 else 0 for k in range(400)]
    ours, theirs = chosen(FOUR, mostly), chosen(FOUR, less)
    weights = weights_of(ours, 300, 0)
    found = apart(ACCURACY, ours, theirs, "other", weights)
    assert found.value == pytest.approx(one(ACCURACY, ours) - one(ACCURACY, theirs))
    assert found.high - found.low < 0.7 * np.ptp(np.quantile(ACCURACY.draws(ours, weights), [0.025, 0.975]))


def test_a_planted_weakness_is_found_by_its_tag_and_few_items_have_no_value() -> None:
    items = [*FOUR, *(replace(FOUR[k], id=f"r{k}", tags={"half": "rare"}) for k in range(LEAST - 1))]
    marks = chosen(items, [i.positions[0] if i.tags["half"] == "1" else (i.positions[0] + 1) % 4 for i in items])
    rows = {row.level: row for row in scores_by_tag(ACCURACY, marks, weights_of(marks, 100, 0))}
    assert rows["1"].value == 1.0 and rows["0"].value == 0.0 and np.isnan(rows["rare"].value)


def test_the_most_frequent_answer_is_the_best_constant_one() -> None:
    items = [Item(str(k), "q", ("a", "b", "c"), (2 if k % 3 else 0,)) for k in range(30)]
    constants = [one(ACCURACY, chosen(items, [k] * 30)) for k in range(3)]
    assert one(ACCURACY, frequent_positions(items)) == max(constants)


def test_mcnemar_sign_flips_and_marginal_homogeneity_have_known_answers() -> None:
    assert mcnemar(5, 14) == pytest.approx(binomtest(5, 19).pvalue)
    assert mcnemar(0, 0) == 1.0 and sign_flips([0.0, 0.0]) == 1.0
    assert sign_flips([1.0] * 5 + [-1.0] * 14) == pytest.approx(mcnemar(5, 14), abs=0.02)
    pairs = np.array([[0, 1]] * 14 + [[1, 0]] * 5 + [[1, 1]] * 30)
    assert marginal_homogeneity(pairs, 3) == pytest.approx(chi2.sf(81 / 19, 1))
    assert marginal_homogeneity(np.array([[0, 0], [1, 1]]), 2) == 1.0


def test_images_that_are_mixed_up_come_from_another_group(tmp_path: object) -> None:
    from pathlib import Path

    from chiasm.bench.item import Attachment

    place = Path(str(tmp_path))
    for k in range(6):
        (place / f"{k}.png").write_bytes(b"1")
    files = [(Attachment("image", place / f"{k}.png"),) for k in range(6)]
    items = [Item(str(k), "q", ("a", "b"), (0,), group=str(k // 2), attachments=files[k]) for k in range(6)]
    shown = [own for own, _ in with_others_attachments(items, 0)]
    groups = {item.attachments[0].path: item.group for item in items}
    assert all(groups[own.attachments[0].path] != item.group for own, item in zip(shown, items, strict=True))
    assert [own.key for own in shown] == [asked(item).key for item in items]


def test_a_side_of_a_pair_in_a_stratum_is_no_set() -> None:
    items = [replace(own, tags={"right": str(own.answer[0]), "pair": str(int(own.group) % 2)}) for own in PAIRS]
    marks = first_options(items)
    rows = {(row.tag, row.level): row for row in scores_by_tag(SETS, marks, weights_of(marks, 50, 0))}
    assert rows["right", "0"].n == 0 and np.isnan(rows["right", "0"].value)
    assert rows["pair", "0"].units == 88 and rows["pair", "0"].value == 0.0


def test_who_does_not_answer_is_not_free_of_confusion() -> None:
    silent = chosen(PAIRS, [-1] * len(PAIRS))
    half = chosen(PAIRS, [-1 if k % 4 == 0 else 0 for k in range(len(PAIRS))])
    assert np.isnan(one(CONFUSION, silent)) and one(CONFUSION, half) == 1.0
    assert np.isnan(scored(CONFUSION, silent, "x", weights_of(silent, 50, 0)).low)
    assert np.isnan(apart(CONFUSION, silent, half, "x", weights_of(half, 50, 0)).value)
    assert "answered" in {own.id for own in suite_named("mediconfusion").figures(PAIRS)}


def test_texts_of_articles_and_marks_alone_are_compared_as_they_stand() -> None:
    pairs = [("...", "The"), ("A", "a"), ("A", "the"), ("+", "+"), ("+", "++"), ("the liver", "liver")]
    items = [Item(str(k), "q", (), (right,)) for k, (_, right) in enumerate(pairs)]
    marks = marked(items, [Reply(str(k), said) for k, (said, _) in enumerate(pairs)])
    assert EXACT.values(marks).tolist() == TOKEN_F1.values(marks).tolist() == [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
