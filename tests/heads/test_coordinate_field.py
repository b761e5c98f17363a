"""A field over coordinates: any grid is told the same where grids meet, and it is unsure the same way in evaluation."""

from __future__ import annotations

import pytest
import torch

from chiasm.heads.coordinate_field import (
    CoordinateField,
    entropy,
    exceeded_by_the_top,
    fourier,
    places,
    sampled,
)  # fmt: skip


def made(axes: int = 2, dropout: float = 0.0, out: int = 3) -> CoordinateField:
    torch.manual_seed(0)
    return CoordinateField(6, axes, out, hidden=32, dropout=dropout).eval()


def test_places_are_the_middles_of_pixels_or_their_first_edges() -> None:
    assert places((2, 4)).tolist()[:3] == [[0.25, 0.125], [0.25, 0.375], [0.25, 0.625]]
    assert places((4,), 0.0)[:, 0].tolist() == [0, 0.25, 0.5, 0.75]
    assert fourier(places((5, 3)), 4).shape == (15, 16)


@pytest.mark.parametrize("shape", [(6, 9), (3, 4, 5)])
def test_at_the_middles_of_pixels_the_features_are_theirs(shape: tuple[int, ...]) -> None:
    features = torch.randn(2, 3, *shape)
    torch.testing.assert_close(sampled(features, places(shape)), features.flatten(2).transpose(1, 2))
    corner = torch.zeros(1, len(shape))
    torch.testing.assert_close(sampled(features, corner)[:, 0], features.flatten(2)[..., 0])


def test_grids_agree_exactly_where_they_meet() -> None:
    field = made(dropout=0.3)
    features = torch.randn(1, 6, 64, 64)
    with torch.inference_mode():
        for ask in (field, field.spread):
            coarse, fine = (ask(features, places((n, n), 0.0)) for n in (64, 256))
            shared = fine.unflatten(1, (256, 256))[:, ::4, ::4].flatten(1, 2)
            assert torch.equal(coarse, shared)
        middles, thirds = (field(features, places((n, n))) for n in (64, 192))
        assert torch.equal(middles, thirds.unflatten(1, (192, 192))[:, 1::3, 1::3].flatten(1, 2))
        at = torch.rand(77, 2)
        assert torch.equal(field(features, at), field(features, at.flip(0)).flip(1))
        assert torch.equal(field(features, at)[:, 5:6], field(features, at[5:6]))
        assert field(features, at[:0]).shape == (1, 0, 3)


def test_a_volume_and_several_images_are_told_each_by_itself() -> None:
    field, features = made(3), torch.randn(2, 6, 3, 5, 4)
    at = torch.rand(50, 3)
    both = field(features, at)
    assert both.shape == (2, 50, 3)
    assert torch.equal(both[1:], field(features[1:], at))
    torch.testing.assert_close(field.train()(features, at), both)


def test_a_field_is_unsure_by_masks_that_a_seed_draws_in_evaluation_too() -> None:
    features, at = torch.randn(2, 6, 8, 8), places((8, 8))
    sure, unsure = made(dropout=0.0), made(dropout=0.4)
    assert (sure.spread(features, at) == 0).all()
    found = unsure.spread(features, at, times=4, seed=3)
    assert (found > 0).all() and torch.equal(found, unsure.spread(features, at, times=4, seed=3))
    torch.testing.assert_close(unsure.train().spread(features, at, times=4, seed=3), found)
    assert not torch.equal(found, unsure.spread(features, at, times=4, seed=4))
    masks = unsure.masks(500)
    torch.testing.assert_close(masks.unique(), torch.tensor([0.0, 1 / 0.6]))
    assert float(masks.mean()) == pytest.approx(1, abs=0.02)
    exceeded = exceeded_by_the_top(found, 0.125)
    for row in range(2):
        assert (found[row] > exceeded[row]).sum() == 8
        assert set(found[row].topk(8).indices.tolist()) == set((found[row] > exceeded[row]).nonzero()[:, 0].tolist())
    assert exceeded_by_the_top(found, 1e-9).shape == (2, 1)
    assert (found > exceeded_by_the_top(found, 1.0)).all()
    alike = torch.full((1, 64), 0.5)
    assert not (alike > exceeded_by_the_top(alike, 0.125)).any()  # nothing stands out


def test_entropy_is_that_of_a_softmax() -> None:
    logits = torch.tensor([[[0.0, 0.0], [30.0, -30.0]]])
    torch.testing.assert_close(entropy(logits), torch.tensor([[torch.tensor(2.0).log().item(), 0.0]]))


def test_a_field_that_is_always_silent_is_refused() -> None:
    with pytest.raises(ValueError, match="dropout lies between"):
        made(dropout=1.0)
