"""Mean pooling: the public check, with columns read side by side, which a mean and a norm would lose."""

from __future__ import annotations

import pytest
import torch

from chiasm.fusion.pooled import PooledMean, one_vector
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens


@pytest.mark.parametrize("columns", [(), ("a", "c")])
def test_it_passes_the_public_check(columns: tuple[str, ...]) -> None:
    check_fusion(lambda shapes: PooledMean(dict(shapes), 4, columns=columns), {"a": (4, 3), "b": (5, 0), "c": (2, 5)})


def test_of_columns_every_number_counts_and_by_its_place() -> None:
    torch.manual_seed(0)
    values = torch.randn(6, 3, 1)
    turned = Tokens(values.flip(1), torch.ones(6, 3, dtype=torch.bool))
    tokens, present = Tokens(values, turned.mask), torch.ones(6, 1, dtype=torch.bool)
    mean, placed = (PooledMean({"a": (1, 3)}, 4, columns=own) for own in ((), ("a",)))
    assert not mean({"a": tokens}, present).embedding.std(0).any(), "the norm of one number is nothing"
    found = placed({"a": tokens}, present).embedding
    torch.testing.assert_close(found, placed.maps[0](values.flatten(1)))
    assert not torch.allclose(found, placed({"a": turned}, present).embedding)


def test_one_vector_is_filled_with_zeros_and_reads_nothing_behind_the_mask() -> None:
    values = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [float("nan"), 8.0]]])
    tokens = Tokens(values, torch.tensor([[True, True], [True, False]]))
    assert one_vector(tokens, 5, columns=True).tolist() == [[1.0, 2.0, 3.0, 4.0, 0.0], [5.0, 6.0, 0.0, 0.0, 0.0]]
    assert one_vector(tokens, 3).tolist() == [[2.0, 3.0, 0.0], [5.0, 6.0, 0.0]]
