"""The retrieval bottleneck: a duplicate changes nothing, a conflict is weighted down, and its parts by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.fusion.retrieval_bottleneck import retrieved
from chiasm.recipes.alignment.imgany_retrieval import RetrievalBottleneck
from chiasm.testing import check_fusion

GENERATOR = torch.Generator().manual_seed(0)


def unit(*shape: int) -> Tensor:
    return functional.normalize(torch.randn(*shape, generator=GENERATOR, dtype=torch.float64), dim=-1)


WORDS = unit(30, 6)


def everyone(vectors: Tensor) -> Tensor:
    return torch.ones(vectors.shape[:2], dtype=torch.bool)


def test_it_passes_the_public_check() -> None:
    def made(shapes: Any) -> RetrievalBottleneck:
        """With words that have a gradient: the check wants one, and nothing else here is a parameter."""
        fusion = RetrievalBottleneck(dict(shapes), words, 3)
        del fusion.vocabulary
        fusion.vocabulary = nn.Parameter(words.clone())
        return fusion

    words = functional.normalize(torch.randn(20, 5, generator=GENERATOR), dim=1)
    check_fusion(made, {"a": (4, 3), "b": (5, 0), "c": (2, 5)})


def test_one_modality_is_the_softmax_of_its_nearest_words() -> None:
    vectors = unit(4, 1, 6)
    near = vectors[:, 0] @ WORDS.T
    for row in range(4):
        best = near[row].argsort(descending=True)[:3]
        wanted = torch.softmax(near[row, best] / 0.1, 0) @ WORDS[best]
        found = retrieved(vectors, everyone(vectors), WORDS, k=3)[row]
        torch.testing.assert_close(found, wanted)


def test_a_duplicate_changes_nothing() -> None:
    for modalities in (1, 2, 3):
        vectors = unit(8, modalities, 6)
        found = retrieved(vectors, everyone(vectors), WORDS, k=4)
        for copies in (1, 3):
            twice = torch.cat([vectors, vectors[:, :1].expand(-1, copies, -1)], 1)
            torch.testing.assert_close(retrieved(twice, everyone(twice), WORDS, k=4), found)


def test_who_conflicts_with_the_rest_is_weighted_down() -> None:
    shared, other = unit(40, 6), unit(40, 6)
    near = [functional.normalize(shared + 0.2 * unit(40, 6), dim=1) for _ in range(2)]
    vectors = torch.stack([*near, other], 1)
    alone = [retrieved(vectors[:, [m]], everyone(vectors)[:, :1], WORDS, k=4) for m in range(3)]
    found = retrieved(vectors, everyone(vectors), WORDS, k=4)
    shares = torch.linalg.lstsq(torch.stack(alone, 2), found[..., None]).solution[..., 0]  # (40, 3), the weights
    torch.testing.assert_close(shares.sum(1), torch.ones(40, dtype=torch.float64), rtol=1e-4, atol=1e-4)
    assert float(shares[:, 2].median()) < 0.05 < float(shares[:, :2].min(1).values.median())
    pair = retrieved(vectors[:, 1:], everyone(vectors)[:, 1:], WORDS, k=4)
    torch.testing.assert_close(pair, (alone[1] + alone[2]) / 2)  # of two nobody can say which is wrong


def test_a_vector_of_zeros_is_not_its_own_agreeing_other() -> None:
    vectors = unit(6, 2, 6)
    vectors[:, 0] = 0.0
    near = [retrieved(vectors[:, [m]], everyone(vectors)[:, :1], WORDS, k=4) for m in range(2)]
    found = retrieved(vectors, everyone(vectors), WORDS, k=4)
    torch.testing.assert_close(found, (near[0] + near[1]) / 2)


def test_what_is_absent_is_not_read() -> None:
    vectors = unit(5, 3, 6)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]]).bool()
    behind = torch.where(present[..., None], vectors, float("nan"))
    found = retrieved(behind, present, WORDS, k=2)
    assert torch.equal(found, retrieved(vectors, present, WORDS, k=2)) and not bool(found[4].any())
    torch.testing.assert_close(found[1], retrieved(vectors[1:2, [0, 2]], everyone(vectors)[1:2, :2], WORDS, k=2)[0])
