"""A skill that a candidate lacks is found, and not blamed on another tag that hangs together with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chiasm.bench.deficits import skills
from chiasm.bench.item import Item
from chiasm.bench.marks import Marks, chosen


def asked(n: int = 480) -> tuple[Item, ...]:
    """Items with three tags, two of which hang together: most of what is fused takes knowledge."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(n):
        flow = ("querying", "fusion", "translation")[number % 3]
        knows = rng.random() < (0.8 if flow == "fusion" else 0.3)
        tags = {"flow": flow, "knowledge": "external" if knows else "none", "use": ("health", "science")[number % 2]}
        made.append(Item(f"i{number}", f"Question {number}?", ("a", "b", "c", "d"), (number % 4,), tags=tags))
    return tuple(made)


def answers(items: tuple[Item, ...], rates: dict[str, float], seed: int) -> Marks:
    """Right with a probability by the value of `knowledge`."""
    rng = np.random.default_rng(seed)
    right = [rng.random() < rates[item.tags["knowledge"]] for item in items]
    return chosen(
        items,
        [item.positions[0] if yes else (item.positions[0] + 1) % 4 for item, yes in zip(items, right, strict=True)],
    )


def test_a_planted_deficit_is_found_and_alone() -> None:
    items = asked()
    found = skills(answers(items, {"none": 0.9, "external": 0.5}, 1), draws=200)
    lacking = found.lacking()
    assert lacking[["tag", "level"]].values.tolist() == [["knowledge", "external"]]
    assert "knowledge: external" in found.sentence
    table = found.table.set_index(["tag", "level"])
    fusion = table.loc[("flow", "fusion")]
    rest = table.loc[("flow", "querying")]
    assert fusion["mean"] < rest["mean"] - 0.1  # it looks weak, since most of it takes knowledge
    assert fusion["own_low"] < 0 < fusion["own_high"]  # and is not


def test_two_candidates_are_compared_item_by_item() -> None:
    items = asked()
    first, second = (answers(items, {"none": 0.9, "external": rate}, 1) for rate in (0.9, 0.6))
    found = skills(first, second, draws=200)
    assert found.paired and found.lacking()["level"].tolist() == ["external"]
    worst = found.table.set_index("level").loc["external"]
    assert worst["holm"] < 0.001 and worst["high"] < 0
    assert found.table.set_index("level").loc["none", "mean"] == 0  # the same answers there
    assert "The second candidate loses most" in found.sentence
    alike = skills(first, first, draws=100)
    assert alike.lacking().empty and "No skill stands out" in alike.sentence


def test_values_that_cannot_be_told_apart_have_no_effect_of_their_own() -> None:
    items = tuple(replace(item, tags={**item.tags, "twin": item.tags["flow"]}) for item in asked())
    table = skills(answers(items, {"none": 0.9, "external": 0.5}, 1), draws=100).table.set_index(["tag", "level"])
    assert np.isnan(table.loc[("flow", "fusion"), "own"]) and np.isnan(table.loc[("twin", "fusion"), "own"])
    assert np.isfinite(table.loc[("knowledge", "external"), "own"])


def test_other_items_and_too_few_are_refused() -> None:
    items = asked(24)
    marks = answers(items, {"none": 1.0, "external": 1.0}, 1)
    with pytest.raises(ValueError, match="other items"):
        skills(marks, answers(asked(25), {"none": 1.0, "external": 1.0}, 1))
    with pytest.raises(ValueError, match="no tag 'colour'"):
        skills(marks, tags=["colour"])
    few = asked(12)
    with pytest.raises(ValueError, match="nothing to tell apart"):
        skills(answers(few, {"none": 1.0, "external": 1.0}, 1))
