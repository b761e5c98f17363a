"""Trees of labels: read, refused, and probabilities that sum to one and never exceed what holds them."""

from __future__ import annotations

import pytest
import torch

from chiasm.segmentation.label_tree import check_tree, levels_of, read_tree, tree_log_probabilities

LABELS = ("liver", "benign", "malignant", "spleen")
LIVER = "tumour<liver/benign<tumour/malignant<tumour"


def test_what_lies_within_what_is_read() -> None:
    assert read_tree("", LABELS) == (-1,) * 4
    assert read_tree(LIVER, LABELS) == (-1, 4, 4, -1, 0)  # the tumour is no label, and holds two
    assert levels_of(read_tree(LIVER, LABELS)) == [0, 2, 2, 0, 1]
    assert read_tree(" benign < liver ", LABELS) == (-1, 0, -1, -1)
    for wrong, why in (
        ("benign", "says no label within another"),
        ("benign<", "says no label within another"),
        ("a<b<c", "says no label within another"),
        ("benign<liver/benign<spleen", "lies in one"),
        ("benign<liver/liver<benign", "within itself"),
        ("benign<benign", "within itself"),
        ("bening<liver", "did you mean 'benign'"),
        ("cyst<liver", "there are liver, benign"),
    ):
        with pytest.raises(ValueError, match=why):
            read_tree(wrong, LABELS)
    for broken in ((), (1, 0), (0,), (-2,), (5,)):
        with pytest.raises(ValueError, match=r"names of each|within itself"):
            check_tree(broken)


@pytest.mark.parametrize("tree", ["", LIVER, "benign<liver/malignant<benign", "benign<organs/liver<organs"])
def test_probabilities_sum_to_one_and_never_exceed_what_holds_them(tree: str) -> None:
    torch.manual_seed(0)
    parents = read_tree(tree, LABELS)
    logits = (8 * torch.randn(3, len(parents), 6, 5)).requires_grad_(True)
    codes, within = tree_log_probabilities(logits, parents, 4)
    assert codes.shape == (3, 5, 6, 5) and within.shape == logits.shape
    torch.testing.assert_close(codes.exp().sum(1), torch.ones(3, 6, 5))
    for node, parent in enumerate(parents):
        lies = [k for k in range(4) if k == node or node in _above(parents, k)]
        torch.testing.assert_close(codes.exp()[:, [k + 1 for k in lies]].sum(1), within.exp()[:, node])
        if parent >= 0:
            assert (within[:, node] <= within[:, parent]).all()
    codes.sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all() and (logits.grad != 0).any((0, 2, 3)).all()


def test_without_a_tree_it_is_one_softmax_with_no_label_at_zero() -> None:
    logits = torch.randn(2, 4, 7)
    codes, _ = tree_log_probabilities(logits, (-1,) * 4, 4)
    plain = torch.cat([torch.zeros(2, 1, 7), logits], 1).log_softmax(1)
    torch.testing.assert_close(codes, plain)


def _above(parents: tuple[int, ...], node: int) -> set[int]:
    found = set()
    while parents[node] >= 0:
        node = parents[node]
        found.add(node)
    return found
