"""Sequences are grouped and split by identity: no pair over the threshold is missed, and sizes are as asked or near."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort.identity import TOGETHER, identity, identity_groups, turned
from chiasm.cohort.identity_split import identity_split
from chiasm.cohort.shared_words import fewest_common_words, most_edits, possible_pairs

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def changed(sequence: str, share: float, draw: random.Random, letters: str = AMINO_ACIDS) -> str:
    """A relative: letters changed, dropped and put in."""
    made = []
    for letter in sequence:
        what = draw.random() / share if share else 2.0
        if what >= 1:
            made.append(letter)
        elif what < 0.6:
            made.append(draw.choice(letters))
        elif what < 0.8:
            made += [letter, draw.choice(letters)]
    return "".join(made) or sequence[:1]


@pytest.fixture(scope="module")
def families() -> list[str]:
    """Ninety proteins of twelve families, among them fragments, from one letter changed to nearly unrelated."""
    draw = random.Random(0)
    ancestors = ["".join(draw.choices(AMINO_ACIDS, k=draw.randint(40, 90))) for _ in range(12)]
    made = [changed(draw.choice(ancestors), draw.random() * 0.7, draw) for _ in range(80)]
    return [*made, *(own[10:35] for own in ancestors[:10])]


@pytest.mark.parametrize("over", ["shorter", "longer"])
@pytest.mark.parametrize("threshold", [0.4, 0.9])
def test_no_pair_at_the_threshold_is_in_two_groups(families: list[str], over: str, threshold: float) -> None:
    found = identity_groups(families, threshold, over=over)
    apart = [
        identity(families[a], families[b], over)
        for a, b in combinations(range(len(families)), 2)
        if found.groups[a] != found.groups[b]
    ]
    assert max(apart) < threshold
    assert 1 < found.groups.max() + 1 < len(families)


def test_groups_are_the_components_of_all_pairs_aligned_without_a_filter(families: list[str]) -> None:
    groups = list(range(len(families)))
    for a, b in combinations(range(len(families)), 2):
        if groups[a] != groups[b] and identity(families[a], families[b]) >= 0.7:
            groups = [groups[a] if own == groups[b] else own for own in groups]
    order = list(dict.fromkeys(groups))
    found = identity_groups(families, 0.7)
    assert found.groups.tolist() == [order.index(own) for own in groups]
    assert found.aligned < found.pairs / 2  # the bound on common words has left most of them out


def test_a_pair_that_is_left_out_is_below_the_threshold_and_the_bound_is_reached() -> None:
    # One letter changed in the middle of every word: an edit takes q words, and no fewer are left.
    a, b = "ACDEFGHIKLMN", "ACDEFWHIKLMN"
    words = [{own[k : k + 3] for k in range(10)} for own in (a, b)]
    assert len(words[0] & words[1]) == fewest_common_words(12, 1, 3) == 7
    assert [rows.tolist() for _, rows in possible_pairs([a, b], [a, b], 11 / 12, over="longer")] == [[1], []]
    assert [rows.tolist() for _, rows in possible_pairs([a, b], [a, b], 1.0, over="longer")] == [[], []]


@pytest.mark.parametrize(("length", "threshold", "edits"), [(10, 0.9, 1), (10, 0.95, 0), (100, 0.3, 70), (3, 1.0, 0)])
def test_edits_that_a_threshold_allows(length: int, threshold: float, edits: int) -> None:
    assert most_edits(length, threshold) == edits
    assert 1 - edits / length >= threshold - 1e-12 > 1 - (edits + 1) / length


def test_identity_of_known_pairs() -> None:
    assert identity("ACDE", "WWACDEWW") == 1.0  # a fragment
    assert identity("ACDE", "WWACDEWW", "longer") == 0.5
    assert identity("ACDE", "ACWE") == identity("ACWE", "ACDE") == 0.75
    with pytest.raises(ValueError, match="empty"):
        identity("", "ACDE")


def test_of_two_of_one_length_either_may_be_a_part_of_the_other_in_any_order_and_on_any_strand() -> None:
    draw = random.Random(4)
    genome = "".join(draw.choices("ACGT", k=90))
    one, other = f"{genome[:45]}A{genome[45:]}", f"C{genome}"  # one edit makes the first a part, two the second
    assert identity(one, other) == identity(other, one) == 1 - 1 / 91
    for pair in ([one, other], [other, one], [turned(one), other], [other, turned(one)]):
        assert identity_groups(pair, 0.985, both_strands=True).groups.tolist() == [0, 0]


def test_windows_of_one_length_are_grouped_as_all_pairs_of_both_strands_aligned_one_by_one() -> None:
    draw = random.Random(5)
    genome = "".join(draw.choices("ACGT", k=900))
    windows = [changed(genome[start : start + 70], 0.08, draw, "ACGT")[:60] for start in range(0, 830, 14)]
    windows = [turned(own) if draw.random() < 0.5 else own for own in windows if len(own) == 60]
    draw.shuffle(windows)
    groups = list(range(len(windows)))
    for a, b in combinations(range(len(windows)), 2):
        if max(identity(windows[a], own) for own in (windows[b], turned(windows[b]))) >= 0.7:
            groups = [groups[a] if own == groups[b] else own for own in groups]
    order = list(dict.fromkeys(groups))
    found = identity_groups(windows, 0.7, both_strands=True)
    assert found.groups.tolist() == [order.index(own) for own in groups]
    assert len(windows) > TOGETHER and 1 < len(order) < len(windows) / 2
    assert found.linked == len(windows) - len(order) <= found.aligned <= found.pairs


def test_the_other_strand_is_the_same_gene() -> None:
    draw = random.Random(1)
    genes = ["".join(draw.choices("ACGT", k=90)) for _ in range(4)]
    both = [*genes, turned(genes[0])]
    assert identity_groups(both, 0.8).groups.tolist() == [0, 1, 2, 3, 4]
    assert identity_groups(both, 0.8, both_strands=True).groups.tolist() == [0, 1, 2, 3, 0]
    assert turned("AACGN") == "NCGTT"


def test_a_split_keeps_groups_whole_and_is_near_what_was_asked(families: list[str]) -> None:
    named = pd.Series(families, index=[f"P{number}" for number in range(len(families))])
    split = identity_split(named, 0.5, parts={"train": 3, "test": 1}, seed=3)
    assert split.parts.index.equals(named.index)
    groups = pd.Series(split.identical.groups, index=named.index)
    assert (split.parts.groupby(groups).nunique() == 1).all()
    asked, share = split.table["asked"], split.table["share"]
    assert asked.tolist() == [0.75, 0.25] and share.sum() == pytest.approx(1)
    assert (share - asked).abs().max() * len(named) < np.bincount(split.identical.groups).max()
    assert split.table["sequences"].sum() == len(named)
    assert "asked 75.0%" in repr(split) and "P1" not in repr(split)
    other = identity_split(named, 0.5, parts={"train": 3, "test": 1}, seed=4)
    assert not other.parts.equals(split.parts) and other.parts.groupby(groups).nunique().max() == 1


def test_every_part_has_a_group_even_if_one_family_is_nearly_all() -> None:
    draw = random.Random(2)
    ancestor = "".join(draw.choices(AMINO_ACIDS, k=60))
    lone = ["".join(draw.choices(AMINO_ACIDS, k=60)) for _ in range(2)]
    split = identity_split([*(changed(ancestor, 0.05, draw) for _ in range(20)), *lone], 0.6)
    assert split.table["groups"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="1 group, which cannot be dealt to 3 parts"):
        identity_split([ancestor, ancestor], 0.6)


def test_what_cannot_be_grouped_is_refused(families: list[str]) -> None:
    draw = random.Random(3)
    genes = ["".join(draw.choices("ACGT", k=90)) for _ in range(6)]
    with pytest.raises(ValueError, match="of sequences that are shuffled"):
        identity_groups(genes, 0.4)
    with pytest.raises(ValueError, match="sequence 2 is empty"):
        identity_groups(["ACD", " \n"], 0.5)
    with pytest.raises(ValueError, match="sequence 2 is no text"):
        identity_groups(pd.Series(["ACD", None]), 0.5)
    with pytest.raises(ValueError, match="30 %"):
        identity_groups(families, 30)
    with pytest.raises(ValueError, match="'shorter' or the 'longer'"):
        identity_groups(families, 0.5, over="both")
    with pytest.raises(ValueError, match="only DNA has two strands"):
        identity_groups(families, 0.5, both_strands=True)
    with pytest.raises(ValueError, match="no sequence"):
        identity_groups([], 0.5)
    with pytest.raises(ValueError, match="share above zero"):
        identity_split(families, 0.5, parts={"train": 1.0, "test": 0.0})


def test_small_letters_gaps_of_lines_and_rna_are_read_as_the_same() -> None:
    assert identity_groups(["ACDEFG", "acd efg\n", "WWWWWWY"], 0.9).groups.tolist() == [0, 0, 1]
    assert identity_groups(["ACGUUGCAAC", "ACGTTGCAAC"], 0.95, both_strands=True).repeats == 1
