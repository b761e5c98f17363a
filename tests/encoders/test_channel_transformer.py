"""Channels that are absent are no channels of zeros: a subset is the tokens that are left, in any place and number."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from chiasm.encoders.raster.channel_transformer import ChannelTransformer
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.network import untrained
from chiasm.encoders.raster.patch_transformer import PatchTransformer

GENERATOR = torch.Generator().manual_seed(0)


def made(channels: int = 4, axes: int = 2) -> ChannelTransformer:
    config = RasterConfig("channels", axes=axes, channels=channels, size=8, patch=4, width=16, depth=2, heads=2)
    found = untrained(config)
    assert isinstance(found, ChannelTransformer)
    return found.eval()


def rasters(channels: int = 4, axes: int = 2, items: int = 3) -> Tensor:
    return torch.randn(items, channels, *[8] * axes, generator=GENERATOR)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_subset_of_channels_is_the_tokens_that_are_left(axes: int) -> None:
    network, x = made(axes=axes), rasters(axes=axes)
    places = network.config.places
    left = [0, 2]
    tokens = torch.cat([torch.arange(places) + channel * places for channel in left]).expand(3, -1)
    dropped = network.states(x, tokens)
    for filling in (0.0, -3.0):
        some = x.clone()
        some[:, [1, 3]] = filling  # whatever it is filled with
        assert network.present(some).tolist() == [[True, False, True, False]] * 3
        whole = network.states(some)
        torch.testing.assert_close(whole[:, 0], dropped[:, 0])
        apart = whole[:, 1:].unflatten(1, (4, places))[:, left].flatten(1, 2)
        torch.testing.assert_close(apart, dropped[:, 1:])
        torch.testing.assert_close(network(some)[:, 1:], dropped[:, 1:].unflatten(1, (2, places)).mean(1))
    assert not torch.allclose(network.states(x)[:, 0], dropped[:, 0])


def test_more_channels_that_nobody_has_change_nothing_and_their_order_is_that_of_their_vectors() -> None:
    network, x = made(), rasters()
    wide = ChannelTransformer(replace(network.config, channels=10)).eval()
    own = network.state_dict()
    own["channels"] = torch.cat([own["channels"], torch.randn(6, 16, generator=GENERATOR)])
    wide.load_state_dict(own)
    more = torch.cat([x, torch.zeros(3, 6, 8, 8)], 1)
    torch.testing.assert_close(wide(more), network(x))
    turned, order = made(), torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        turned.channels.copy_(network.channels[order])
    torch.testing.assert_close(turned(x[:, order]), network(x))


def test_patients_with_different_channels_share_a_batch_and_one_colour_is_read() -> None:
    network, x = made(), rasters()
    x[0, 1:] = 0.0
    x[1, 0] = 5.0
    together = network(x)
    for k in range(3):
        torch.testing.assert_close(together[k], network(x[k : k + 1])[0])
    flat = torch.ones(2, 4, 8, 8)
    assert bool(network.present(flat).all()) and bool(torch.isfinite(network(flat)).all())


def test_places_that_are_kept_are_kept_in_every_channel_and_one_channel_is_a_patch_transformer() -> None:
    network, x = made(), rasters()
    keep = torch.tensor([[1, 3], [0, 2], [2, 3]])
    other = x.clone()
    for item, own in enumerate(keep.tolist()):
        for place in set(range(4)) - set(own):
            row, column = divmod(place, 2)
            other[item, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 99.0
    assert torch.equal(network(x, keep), network(other, keep))
    single, plain = made(1), PatchTransformer(replace(made(1).config, network="vit")).eval()
    state = single.state_dict()
    with torch.no_grad():
        single.channels.zero_()
    plain.load_state_dict({name: own for name, own in state.items() if name != "channels"})
    torch.testing.assert_close(single(x[:, :1]), plain(x[:, :1]))
