"""Parts of images and label maps are read as the whole would be, whatever grid the network has, and no more is held."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from chiasm.encoders.image.grid import ImageGrid
from chiasm.heads.head import Head
from chiasm.readers.reading import Volume
from chiasm.segmentation.drawing import Drawing, DrawnMaps, losses_of, map_losses, map_sums, numbers_of
from chiasm.segmentation.grids import ImageGrids
from chiasm.segmentation.parts import DrawnMap, Pixels, grid_for, regridded
from chiasm.segmentation.unet import GatedUNet
from chiasm.segmentation.windows import drawn_codes, stitched
from chiasm.targets.label_maps import LabelMaps, as_text, map_of
from chiasm.training import Batch, Network, TargetTensors

SHAPE = (7, 9, 11)


def test_pixels_between_pixels_are_those_of_torch_whole_or_in_part() -> None:
    values = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    mean, spread = np.array([1.0, -2.0]), np.array([2.0, 0.5])
    for grid in (SHAPE, (14, 9, 5), (1, 20, 33)):
        own = Pixels(values, mean, spread, grid)
        like = functional.interpolate(torch.from_numpy(values)[None], size=grid, mode="trilinear")[0]
        like = (like - torch.tensor([1.0, -2.0]).view(-1, 1, 1, 1)) / torch.tensor([2.0, 0.5]).view(-1, 1, 1, 1)
        torch.testing.assert_close(own.whole(), like.float(), rtol=1e-4, atol=1e-4)
        part = tuple(slice(side // 3, side // 3 + 1 + side // 2) for side in grid)
        assert torch.equal(own[(slice(None), *part)], own.whole()[(slice(None), *part)])
    cut = Pixels(values, np.zeros(2), np.ones(2), SHAPE, -0.5, 0.5).whole()
    np.testing.assert_allclose(cut.numpy(), values.clip(-0.5, 0.5))


def test_parts_of_a_label_map_are_read_of_its_runs() -> None:
    torch.manual_seed(0)
    codes = np.random.default_rng(1).integers(0, 4, SHAPE) % 3
    own = DrawnMap(map_of(codes), SHAPE)
    part = (slice(2, 6), slice(0, 9), slice(3, 10))
    np.testing.assert_array_equal(own[part].numpy(), codes[part])
    twice = DrawnMap(map_of(codes), (14, 18, 22))
    np.testing.assert_array_equal(
        twice[(slice(0, 14), slice(0, 18), slice(0, 22))].numpy(), codes.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    )
    met = {int(codes[own.drawn_place()]) for _ in range(30)}
    assert met == {1, 2}
    assert all(max(p) < 22 and twice[tuple(slice(a, a + 1) for a in p)] > 0 for p in [twice.drawn_place()])
    nothing = DrawnMap(map_of(np.zeros((3, 4), int)), (3, 4))
    assert nothing.drawn_place() is None and not nothing[(slice(0, 2), slice(0, 4))].any()


def test_codes_come_back_from_another_grid() -> None:
    codes = np.zeros((6, 8, 10), dtype=np.uint8)
    codes[1:4, 2:6, 3:9], codes[4:, :3, :3] = 1, 7
    fine = regridded(codes, (12, 16, 20))
    np.testing.assert_array_equal(regridded(fine, codes.shape), codes)
    np.testing.assert_array_equal(np.unique(fine), [0, 1, 7])
    flat = regridded(codes[2], (16, 5))
    assert flat.shape == (16, 5) and (flat == 1).sum() == 8 * 2
    assert grid_for((30, 512, 512), (5.0, 0.7, 0.7), (2.5, 1.4, 0)) == (60, 256, 512)
    assert grid_for((1, 3), (9.0, 1.0), (0.0, 99.0)) == (1, 1) and grid_for((4, 5), (1, 1), ()) == (4, 5)


@pytest.mark.parametrize("shape", [(13, 30), (9, 9, 20), (4, 4)])
def test_codes_drawn_slab_by_slab_are_those_of_all_logits(shape: tuple[int, ...]) -> None:
    whole = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    window = (6, 6, 8)[-len(shape) :]
    uneven = lambda part: whole[(slice(None), *part)] * (1 + part[0].start)  # noqa: E731
    np.testing.assert_array_equal(drawn_codes(uneven, shape, window), stitched(uneven, shape, window).argmax(0).numpy())


def one_patient(window: tuple[int, ...], mirrors: str = "none") -> tuple[Network, Batch]:
    """A network, and a batch of one patient with one image of `SHAPE`."""
    rng = np.random.default_rng(2)
    tokens = ImageGrid().encode([Volume(rng.normal(size=(1, *SHAPE)).astype(np.float32), ("a",), (2.0, 1.0, 1.0))])
    texts = np.array([as_text(map_of(rng.integers(0, 3, SHAPE)), ("x", "y"))], dtype=object)
    numbers = numbers_of(LabelMaps(texts, ("x", "y"), 1.0, np.full(1, None, dtype=object)))
    torch.manual_seed(0)
    network = GatedUNet({"a": 1}, 3, 2, 4, 1)
    drawing = Drawing(network, {"a": ImageGrids(1, np.zeros(1), np.ones(1))}, 2, window, mirrors)
    target = TargetTensors(torch.zeros(1, 2), numbers)
    return Network(drawing, Head(0, 2, "mask")), Batch({"a": tokens}, torch.ones(1, 1, dtype=torch.bool), target)


def test_the_loss_of_held_out_images_is_summed_window_by_window() -> None:
    network, batch = one_patient(SHAPE)
    logits, _ = network.fusion.logits(batch.tokens, batch.present, 0)
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 3, SHAPE))
    parts = [map_sums(logits[None, :, k : k + 1], codes[None, k : k + 1]) for k in range(SHAPE[0])]
    together = losses_of({name: sum(own[name] for own in parts) for name in parts[0]})
    for name, own in map_losses(logits[None], codes[None]).items():
        torch.testing.assert_close(together[name], own)
    with torch.no_grad():
        whole = DrawnMaps("none", 1).validation(network, [batch])
        cut, _ = one_patient((4, 9, 6))
        assert DrawnMaps("none", 1).validation(cut, [batch]) == pytest.approx(whole, rel=0.2)


def test_mirrored_logits_are_the_mean_of_each_way() -> None:
    network, batch = one_patient(SHAPE, "all")
    plain, _ = one_patient(SHAPE)
    with torch.no_grad():
        found, _ = network.fusion.logits(batch.tokens, batch.present, 0)
        ((image, _),) = [plain.fusion.grids["a"].image(batch.tokens["a"], 0)]
        x = image.whole()[None]
        ways = [[], [2], [3], [4], [2, 3], [2, 4], [3, 4], [2, 3, 4]]
        each = [plain.fusion.network({"a": x.flip(way)}, batch.present).flip(way)[0] for way in ways]
        torch.testing.assert_close(found, torch.stack(each).mean(0))
        codes, spacing = network.fusion.codes(batch.tokens, batch.present, 0)
    np.testing.assert_array_equal(codes, found.argmax(0).numpy())
    assert spacing == (2.0, 1.0, 1.0)
