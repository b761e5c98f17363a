"""Targets of labels, drawn sentences, patches and bins; the one contrast equals the losses of other libraries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from chiasm.objectives.contrastive import contrast, contrast_of, same_class
from chiasm.objectives.label_texts import binned, co_occurrence, drawn_sentences, max_similarity, same_labels

OTHERS = json.loads((Path(__file__).parent / "fixtures" / "contrast.json").read_text(encoding="utf-8"))
ONE, OTHER = (torch.tensor(OTHERS[name], dtype=torch.float64) for name in ("one", "other"))
SCALE, BIAS = (torch.tensor(OTHERS[name], dtype=torch.float64) for name in ("scale", "bias"))
CODES = torch.tensor(OTHERS["codes"])
SETS = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0]]).double()


def close(found: torch.Tensor, wanted: float) -> None:
    assert found.item() == pytest.approx(wanted, abs=1e-9)


def test_unicl_with_unique_labels_is_the_loss_of_open_clip() -> None:
    unique = same_labels(torch.eye(9, dtype=torch.float64))
    for targets in (None, unique, co_occurrence(torch.eye(9, dtype=torch.float64)), same_class(torch.arange(9))):
        close(contrast(ONE, OTHER, SCALE, targets=targets), OTHERS["open_clip ClipLoss"])
    close(contrast(ONE, OTHER, SCALE, targets=unique, sigmoid=True, bias=BIAS), OTHERS["open_clip SigLipLoss"])
    repeated = same_labels(functional.one_hot(CODES).double())
    assert contrast(ONE, OTHER, SCALE, targets=repeated).item() != pytest.approx(OTHERS["open_clip ClipLoss"])


def test_supcon_is_that_of_metric_learning() -> None:
    found = contrast(ONE, ONE, SCALE, targets=same_class(CODES), without_self=True)
    close(found, OTHERS["pytorch-metric-learning SupConLoss"])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=7))
def test_co_occurrence_is_symmetric_and_its_shares_sum_to_one_both_ways(rows: list[list[bool]]) -> None:
    targets = co_occurrence(torch.tensor(rows).double())
    assert torch.equal(targets, targets.T) and bool((targets.diagonal() == 1).all())
    shares = targets / targets.sum(1, keepdim=True)
    torch.testing.assert_close(shares.sum(1), torch.ones(len(rows), dtype=torch.float64))
    torch.testing.assert_close(shares, (targets / targets.sum(0, keepdim=True)).T)
    single = torch.tensor(rows).double() * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    assert torch.equal(co_occurrence(single), same_labels(single))  # of one label the paper's are UniCL's


def test_sets_of_labels_belong_together_whole_or_in_part() -> None:
    same, shared = same_labels(SETS), co_occurrence(SETS)
    assert same[1].tolist() == [0, 1, 0, 0, 1, 0] and shared[1].tolist() == [1, 1, 1, 0, 1, 0]
    assert same[3].tolist() == shared[3].tolist() == [0, 0, 0, 1, 0, 0]  # without a label like nobody
    codes = same_labels(functional.one_hot(CODES).double())
    assert torch.equal(codes, same_class(CODES).double())


def test_with_one_positive_many_positives_are_info_nce() -> None:
    logits = SCALE * ONE @ OTHER.T
    wanted = (
        functional.cross_entropy(logits, torch.arange(9)) + functional.cross_entropy(logits.T, torch.arange(9))
    ) / 2
    close(contrast_of(logits, torch.eye(9, dtype=torch.float64)), wanted.item())
    wide, positive = logits[:4], torch.zeros(4, 9, dtype=torch.float64)
    positive[[0, 0, 1, 2, 3], [0, 1, 2, 3, 4]] = 1.0
    rows = torch.log_softmax(wide, 1)
    one_way = -torch.stack([rows[0, :2].mean(), rows[1, 2], rows[2, 3], rows[3, 4]]).mean()
    other = -torch.stack([torch.log_softmax(wide, 0)[i, j] for i, j in ((0, 0), (0, 1), (1, 2), (2, 3), (3, 4))]).mean()
    close(contrast_of(wide, positive), ((one_way + other) / 2).item())


def test_sentences_are_drawn_by_label_and_then_within_it() -> None:
    owners = torch.tensor([0, 0, 0, 1, 2])
    labels = torch.tensor([[1.0, 1.0, 0.0]]).repeat(4000, 1)
    drawn = drawn_sentences(labels, owners, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=5) / 4000
    np.testing.assert_allclose(shares, [1 / 6, 1 / 6, 1 / 6, 1 / 2, 0], atol=0.03)
    nobody = drawn_sentences(torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.tensor([0]), None)
    assert nobody.tolist() == [-1, -1]
    again = drawn_sentences(labels, owners, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


def test_a_planted_patch_is_what_a_text_is_most_similar_to() -> None:
    generator = torch.Generator().manual_seed(1)
    patches = functional.normalize(torch.randn(3, 8, 16, generator=generator), dim=2)
    words = functional.normalize(torch.randn(2, 4, 16, generator=generator), dim=2)
    seen, told = torch.ones(3, 8, dtype=torch.bool), torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]]).bool()
    patches[1, 5], patches[2, 6] = words[0, 0], words[0, 1]
    found = max_similarity(patches, seen, words, told)
    by_hand = [
        [
            sum(max(float(patches[a, p] @ words[b, t]) for p in range(8)) for t in range(4) if told[b, t])
            / int(told[b].sum())
            for b in range(2)
        ]
        for a in range(3)
    ]
    torch.testing.assert_close(found, torch.tensor(by_hand))
    assert found[:, 0].argmax().item() in (1, 2) and found[0, 0] < found[1, 0]
    hidden = seen.clone()
    hidden[1, 5] = False
    patches[1, 5] = float("nan")
    behind = max_similarity(torch.where(hidden[..., None], patches, 0.0), hidden, words, told)
    assert behind[1, 0] < found[1, 0] and torch.equal(behind[[0, 2]], found[[0, 2]])
    nothing = max_similarity(patches[:1], torch.zeros(1, 8, dtype=torch.bool), words, told)
    assert not nothing.any() and not max_similarity(patches[:1], seen[:1], words, torch.zeros(2, 4).bool()).any()


def test_values_fall_into_bins_and_what_is_unknown_into_none() -> None:
    values = torch.tensor([[1.0, 5.0], [2.0, float("nan")], [3.0, 5.0]])
    edges = torch.tensor([[2.0, 3.0], [5.0, 5.0]])
    assert binned(values, edges).tolist() == [[0, 2], [1, -1], [2, 2]]
