"""Answers that are all alike still leave doubt, and what is asked for and cannot be is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from chiasm.bench.answers import answered, begun, header_of
from chiasm.bench.averages import MeanOver
from chiasm.bench.comparing import pair_of
from chiasm.bench.controls import SHUFFLED, as_it_is, askings_for, with_others_attachments
from chiasm.bench.deficits import skills
from chiasm.bench.figures import ACCURACY, MacroF1
from chiasm.bench.forgetting import forgetting
from chiasm.bench.item import Asked, Attachment, Item, Items
from chiasm.bench.marks import Marks, chosen
from chiasm.bench.reply import Reply
from chiasm.bench.running import ran, without_meaning
from chiasm.bench.scoring import apart, behind, scored, weights_of
from chiasm.bench.suite import Questions
from chiasm.citation import Citation

BY_SET = MeanOver("set", ACCURACY, "set_mean", "mean of the sets")


def items(number: int, **more: str) -> tuple[Item, ...]:
    """Questions of two sets, of which one has always yes, and the other always no."""
    return tuple(
        Item(f"q{k}", f"number {k}", ("yes", "no"), (k % 2,), tags={"set": f"set {k % 2}", **more})
        for k in range(number)
    )


def right(own: Sequence[Item]) -> Marks:
    return chosen(own, [item.positions[0] for item in own])


@dataclass
class Says:
    """A candidate that answers what it is told to answer, by the items it was asked."""

    replies: object
    name: str = "says"
    identity: str = "0"
    sees_attachments: bool = True
    told: str = ""

    def answer(self, asked: Sequence[Asked]) -> Iterator[Reply]:
        yield from self.replies(asked)  # type: ignore[operator]


@pytest.mark.parametrize("figure", [BY_SET, MacroF1(("yes", "no"))], ids=["mean of sets", "macro F1"])
def test_a_figure_without_spread_has_the_interval_of_its_units(figure: MeanOver | MacroF1) -> None:
    for number in (6, 40):
        own = right(items(number))
        weights = weights_of(own, 100, 0)
        score = scored(figure, own, "candidate", weights)
        assert score.value == score.high == 1 and 1 - 4 / (number + 4) - 0.01 < score.low < 1
        worst = scored(figure, chosen(own.items, [1 - item.positions[0] for item in own.items]), "it", weights)
        assert worst.value == worst.low == 0 and worst.high == pytest.approx(1 - score.low)


def test_parts_of_unequal_size_rest_on_fewer_units_than_there_are() -> None:
    own = items(40)
    uneven = right([*own[::2], *own[1:5:2]])  # 20 of one set and 2 of the other
    assert behind(BY_SET, uneven) == pytest.approx(4 / (1 / 20 + 1 / 2))
    assert behind(BY_SET, right(own)) == 40


def test_who_is_always_right_knows_something_though_a_constant_answer_never_varies() -> None:
    suite = Questions(
        "sets", "Sets", Citation("Sets", "none", 2026, ""), "", "", "", "", reader=lambda folder: Items(()),
        scored=(BY_SET,), primary=BY_SET.id,
    )  # fmt: skip
    own = items(40)

    def oracle(asked: Sequence[Asked]) -> Iterator[Reply]:
        for item in asked:
            known = item.question.startswith("number")
            yield Reply(item.key, text=item.options[int(item.question.split()[1]) % 2] if known else "yes")

    found = ran_in_place(suite, Items(own), Says(oracle))
    assert found.startswith("It knows something of what is asked")
    difference = apart(BY_SET, right(own), chosen(own, [0] * 40), "first", weights_of(right(own), 100, 0))
    assert 0.3 < difference.low < difference.value == 0.5 < difference.high


def ran_in_place(suite: Questions, own: Items, candidate: Says) -> str:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        done = ran(suite, own, candidate, Path(folder), controls=["no-question", "blind"], draws=100)  # type: ignore[arg-type]
    assert "the control 'blind' has no meaning" in done.document["problems"][0]
    return str(done.document["verdict"]["sentence"])


def test_two_candidates_that_differ_in_every_item_alike_are_apart_by_an_interval() -> None:
    own = items(40)
    weights = weights_of(right(own), 100, 0)
    pair = pair_of("sets", BY_SET, right(own), chosen(own, [0] * 40), weights)
    assert pair.low < pair.difference == -0.5 < pair.high


def test_three_items_tell_nothing_of_what_was_forgotten() -> None:
    few, many = items(3), items(40)
    wrong = {len(own): chosen(own, [1 - item.positions[0] for item in own]) for own in (few, many)}
    found = forgetting({"sets": (ACCURACY, wrong[3], right(few))}, [])
    assert found.loss[0] == 1 and np.isnan(found.loss[1:]).all() and "too few items to tell" in found.sentence
    found = forgetting({"sets": (ACCURACY, wrong[40], right(many)), "more": (ACCURACY, right(many), right(many))}, [])
    assert 0.4 < found.loss[1] < found.loss[0] == 0.5 <= found.loss[2] and "better than before" in found.sentence
    assert found.table.loc[0, "low"] == pytest.approx(1 - 0.088, abs=0.01)


def with_picture(number: int, image: Path, group: str) -> Item:
    return Item(
        f"q{number}", f"number {number}", ("yes", "no"), (0,), group=group, attachments=(Attachment("image", image),)
    )


def test_one_image_has_no_other_to_be_shuffled_with(tmp_path: Path) -> None:
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    same = [with_picture(k, one, f"g{k}") for k in range(4)]
    assert SHUFFLED not in [own.name for own in askings_for(same, True)]
    assert SHUFFLED not in [
        own.name for own in askings_for([with_picture(k, [one, other][k], "g") for k in (0, 1)], True)
    ]
    assert (
        "the control 'shuffled' has no meaning" in without_meaning([SHUFFLED], askings_for(same, True, [SHUFFLED]))[0]
    )
    mixed = [*same, with_picture(4, other, "g4")]
    assert SHUFFLED in [own.name for own in askings_for(mixed, True)]
    for (shown, _), (itself, _) in zip(with_others_attachments(mixed), as_it_is(mixed), strict=True):
        assert shown.attachments[0].path != itself.attachments[0].path
    cornered = [with_picture(0, one, "a"), with_picture(1, one, "b"), with_picture(2, other, "a")]
    assert SHUFFLED in [own.name for own in askings_for(cornered, True)]


def test_an_item_is_answered_once_and_none_that_was_not_asked(tmp_path: Path) -> None:
    shown = [entry for entry, _ in as_it_is(items(4))]
    header = header_of("sets", "0", "0", "candidate")

    def twice(asked: Sequence[Asked]) -> Iterator[Reply]:
        yield Reply(asked[0].key, text="yes")
        yield Reply(asked[0].key, text="no")

    def another(asked: Sequence[Asked]) -> Iterator[Reply]:
        yield Reply("someone else", text="yes")

    for replies in (twice, another):
        with pytest.raises(ValueError, match="answered an item twice, or one that it was not asked"):
            answered(tmp_path / "it.jsonl", header, Says(replies), shown)  # type: ignore[arg-type]
    kept = begun(tmp_path / "it.jsonl", header)
    assert [own.text for own in kept.values()] == ["yes"]


def test_a_tag_that_no_item_has_is_refused_with_the_nearest() -> None:
    own = right(items(40, grain="fine"))
    with pytest.raises(ValueError, match="no tag 'sett': did you mean 'set'"):
        skills(own, tags=["set", "sett"], draws=100)
