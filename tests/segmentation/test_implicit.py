"""The network of fields: grids agree where they meet, the unsure places are drawn anew, and what frequencies tell."""

from __future__ import annotations

import pytest
import torch

from chiasm.heads.coordinate_field import places
from chiasm.segmentation.frequencies import FrequencyAdapter, magnitudes
from chiasm.segmentation.implicit import CoarseAndFine, Implicit


def made(axes: int = 2, **options: float | str) -> Implicit:
    torch.manual_seed(0)
    return Implicit({"a": 1, "b": 1}, axes, 2, 4, 1, hidden=16, bands=3, **options).eval()  # type: ignore[arg-type]


def seen(*shape: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    torch.manual_seed(1)
    images = {"a": torch.randn(2, 1, *shape), "b": torch.randn(2, 1, *shape)}
    return images, torch.tensor([[True, True], [True, False]])


@pytest.mark.parametrize("unsure", ["dropout", "entropy"])
def test_a_finer_grid_says_the_same_at_the_places_that_it_shares(unsure: str) -> None:
    network, (images, present) = made(unsure=unsure), seen(16, 24)
    with torch.inference_mode():
        own = network(images, present)
        fine, _ = network.both(images, present, (48, 72))
    assert own.shape == (2, 3, 16, 24) and fine.shape == (2, 3, 48, 72)
    assert torch.equal(own, fine[..., 1::3, 1::3])


def test_the_most_unsure_places_and_no_others_are_drawn_anew() -> None:
    network, (images, present) = made(share=0.25), seen(8, 16)
    with torch.inference_mode():
        drawn, coarse = network.both(images, present)
        features = network.features(images, present)
        doubts = network.coarse.spread(features, places((8, 16)), 4)
    changed = (drawn != coarse).any(1).flatten(1)
    for row in range(2):
        assert set(changed[row].nonzero()[:, 0].tolist()) == set(doubts[row].topk(32).indices.tolist())


def test_without_dropout_nothing_is_unsure_and_all_is_coarse() -> None:
    network, (images, present) = made(dropout=0.0), seen(8, 8)
    with torch.inference_mode():
        drawn, coarse = network.both(images, present)
    assert torch.equal(drawn, coarse)


@pytest.mark.parametrize("shape", [(9, 12), (3, 8, 7)])
def test_an_absent_contrast_is_not_read_and_every_part_learns(shape: tuple[int, ...]) -> None:
    network, (images, present) = made(len(shape)), seen(*shape)
    torch.nn.init.normal_(network.frequencies.up.weight)  # type: ignore[union-attr]
    nothing = {**images, "b": images["b"].index_fill(0, torch.tensor([1]), float("nan"))}
    with torch.inference_mode():
        assert torch.equal(network(images, present), network(nothing, present))
        alone = network({name: own[1:] for name, own in images.items()}, present[1:])
    torch.testing.assert_close(network(images, present)[1:], alone)
    codes = torch.randint(0, 3, (2, *shape))
    losses = CoarseAndFine("none", 1).drawn_losses(network.train(), nothing, present, codes)
    assert set(losses) == {"entropy", "dice", "coarse entropy", "coarse dice"}
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(own.grad is not None and torch.isfinite(own.grad).all() for own in network.parameters())


def test_frequencies_stay_when_an_image_is_moved_around_and_a_fresh_adapter_adds_nothing() -> None:
    torch.manual_seed(0)
    for image, moved in ((torch.randn(2, 3, 12, 9), (5, -2)), (torch.randn(1, 1, 4, 8, 6), (1, 3, -2))):
        axes = image.ndim - 2
        other = image.roll(moved, tuple(range(2, image.ndim)))
        torch.testing.assert_close(magnitudes(image), magnitudes(other), rtol=1e-4, atol=1e-5)
        adapter = FrequencyAdapter(axes, 5, 4)
        assert (adapter(image) == 0).all()
        torch.nn.init.normal_(adapter.up.weight)
        torch.testing.assert_close(adapter(image), adapter(other), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(adapter(image), adapter(image.square()))
    network, (images, present) = made(), seen(8, 8)
    plain = made(narrow=0)
    plain.load_state_dict({name: own for name, own in network.state_dict().items() if "frequencies" not in name})
    with torch.inference_mode():
        assert torch.equal(plain(images, present), network(images, present))
