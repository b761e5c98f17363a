"""The network of label maps: contrasts that are absent are not read, windows cover an image, and losses are by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from chiasm.encoders.image.grid import ImageGrid, of_rows
from chiasm.heads.head import Head
from chiasm.readers.reading import Image, Volume
from chiasm.segmentation.drawing import FLIPS, NOT_THERE, Drawing, DrawnMaps, codes_of, map_losses, numbers_of
from chiasm.segmentation.grids import ImageGrids
from chiasm.segmentation.parts import DrawnMap
from chiasm.segmentation.unet import GatedUNet
from chiasm.segmentation.windows import drawn_window, padded, sliding, stitched
from chiasm.targets.label_maps import LabelMaps, as_text, map_of
from chiasm.training import Network, Phase, TrainOptions
from chiasm.training.examples import Batch, TargetTensors
from chiasm.training.loop import _validation_loss


@pytest.mark.parametrize("shape", [(9, 12), (1, 6, 7)])
def test_an_absent_contrast_is_not_read_and_one_alone_is_its_own_network(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    both = GatedUNet({"a": 1, "b": 2}, len(shape), 3, 4, 2)
    alone = GatedUNet({"a": 1}, len(shape), 3, 4, 2)
    own = {name: value for name, value in both.state_dict().items() if not name.startswith("stems.1")}
    alone.load_state_dict(own)
    a, b = torch.randn(2, 1, *shape), torch.full((2, 2, *shape), float("nan"))
    b.requires_grad_(True)
    said = both({"a": a, "b": b}, torch.tensor([[True, False]] * 2))
    assert said.shape == (2, 4, *shape)
    torch.testing.assert_close(said, alone({"a": a}, torch.ones(2, 1, dtype=torch.bool)), rtol=0, atol=0)
    mixed = both({"a": a, "b": torch.randn(2, 2, *shape)}, torch.tensor([[True, False], [True, True]]))
    torch.testing.assert_close(mixed[0], said[0])
    assert not torch.allclose(mixed[1], said[1])
    with pytest.raises(ValueError, match="no contrast is present"):
        both({"a": a}, torch.zeros(2, 2, dtype=torch.bool))


def test_windows_cover_an_image_and_are_put_together_exactly() -> None:
    for shape, window in (((13, 30), (8, 8)), ((4, 9, 20), (4, 6, 8)), ((5, 5), (8, 8))):
        whole = torch.arange(float(np.prod(shape))).reshape(1, *shape)
        again = stitched(lambda part, whole=whole: whole[(slice(None), *part)], shape, window)
        torch.testing.assert_close(again, whole)
        parts = sliding(shape, window)
        assert len(parts) == 1 or all(
            p.stop - p.start <= w for part in parts for p, w in zip(part, window, strict=True)
        )


def test_windows_in_training_lie_in_the_image_and_meet_rare_labels() -> None:
    torch.manual_seed(0)
    codes = np.zeros((40, 50), dtype=np.int64)
    codes[3, 45], codes[20:, :20] = 1, 2
    drawn = DrawnMap(map_of(codes), codes.shape)
    met = np.zeros(2)
    for _ in range(200):
        part = drawn_window(drawn, (8, 60))
        assert part[1] == slice(0, 50) and part[0].stop - part[0].start == 8 and 0 <= part[0].start <= 32
        met += [bool((codes[drawn_window(drawn, (8, 8))] == k).any()) for k in (1, 2)]
    assert (met > 0.2 * 200).all()
    assert padded(torch.ones(1, 3, 4), (5, 4), -1.0).sum() == 12 - 8


def test_losses_are_by_hand_and_beyond_the_image_nothing_counts() -> None:
    codes = torch.tensor([[[1, 0, NOT_THERE]]])
    logits = torch.tensor([[[[0.0, 0.0, 9.0]], [[0.0, 0.0, -9.0]]]], requires_grad=True)
    losses = map_losses(logits, codes)
    assert losses["entropy"].item() == pytest.approx(np.log(2))
    assert losses["dice"].item() == pytest.approx(1 - (2 * 0.5 + 1) / (1 + 1 + 1))
    sum(losses.values()).backward()
    assert (logits.grad[..., 2] == 0).all() and (logits.grad[..., :2] != 0).all()


@pytest.mark.parametrize("mirrors", FLIPS)
def test_an_image_smaller_than_the_window_is_drawn_and_validated_as_it_is_trained(mirrors: str) -> None:
    """A norm over places sees what is filled up: the loss of a window in training is that of the image held out."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    image, codes, window = rng.normal(size=(1, 5, 12)).astype(np.float32), rng.integers(0, 3, (5, 12)), (8, 12)
    numbers = numbers_of(LabelMaps(np.array([as_text(map_of(codes), "ab")], dtype=object), ("a", "b"), 1.0, [None]))
    tokens = {"a": ImageGrid().encode([Image(image, ("grey",), None)])}
    drawing = Drawing(
        GatedUNet({"a": 1}, 2, 2, 4, 1), {"a": ImageGrids(1, np.zeros(1), np.ones(1))}, 2, window, mirrors
    )
    batch = Batch(tokens, torch.ones(1, 1, dtype=torch.bool), TargetTensors(torch.zeros(1, 2), numbers))
    network, objective = Network(drawing, Head(0, 2, "mask")), DrawnMaps("none", 1)
    drawn = drawing.logits(tokens, batch.present, 0)[0]
    assert drawn.shape == (3, 5, 12)
    with torch.no_grad():
        trained = float(objective(network, batch).total)
        turned = torch.from_numpy(np.pad(image, ((0, 0), (0, 3), (0, 0))))[None].flip(-1)
        if mirrors == "none":
            assert objective.validation(network, [batch]) == pytest.approx(trained, abs=1e-5)
        elif mirrors == "sideways":
            straight, other = (drawing.network({"a": own}, batch.present) for own in (turned.flip(-1), turned))
            torch.testing.assert_close(drawn, (straight + other.flip(-1))[0, :, :5] / 2)


def test_grids_keep_pixels_shape_and_spacing() -> None:
    rng = np.random.default_rng(0)
    image = Image(rng.normal(size=(3, 20, 31)).astype(np.float32), ("r", "g", "b"), (0.5, 0.25))
    volume = Volume(rng.normal(size=(1, 3, 4, 5)).astype(np.float32) * 2000, ("a",), (3.0, 1.0, 1.5), "HU")
    colours = ImageGrid(channels=3).encode([image])
    values, spacing = of_rows(colours.values[0][colours.mask[0]], 3)
    np.testing.assert_array_equal(values.numpy(), image.values)
    assert spacing == (0.5, 0.25) and colours.values.shape[1] == 1 + -(-3 * 20 * 31 // 256)
    both = ImageGrid().encode([image, volume])
    deep, spacing = of_rows(both.values[1][both.mask[1]], 1)
    np.testing.assert_array_equal(deep.numpy(), np.clip(volume.values, -1000, 1000))
    assert spacing == (3.0, 1.0, 1.5) and both.mask.sum(1).tolist() == [4, 2]
    own, _ = of_rows(ImageGrid(normalise="own").encode([image]).values[0], 1)
    assert abs(float(own.mean())) < 1e-5 and float(own.std()) == pytest.approx(1, abs=1e-2)
    for wrong in ({"channels": 0}, {"normalise": "mean"}, {"low": 3.0, "high": 3.0}):
        with pytest.raises(ValueError, match=r"channels is|window"):
            ImageGrid(**wrong)
    with pytest.raises(ValueError, match="encoded otherwise"):
        of_rows(both.values[0], 3)


def test_label_maps_come_back_from_the_numbers_of_a_batch() -> None:
    rng = np.random.default_rng(1)
    codes = [rng.integers(0, 3, shape) for shape in ((4, 5), (2, 9))]
    texts = np.array([as_text(map_of(own), ("a", "b")) for own in codes], dtype=object)
    numbers = numbers_of(LabelMaps(texts, ("a", "b"), 1.0, np.full(2, None, dtype=object)))
    for own, row in zip(codes, numbers, strict=True):
        np.testing.assert_array_equal(codes_of(row).numpy(), own)


def test_held_out_images_are_looked_at_one_patient_at_a_time() -> None:
    """A batch holds whole images, padded to its largest: of 256 patients it would not fit into memory."""
    sizes = []

    class HeldOut:
        held_out = np.ones(3, dtype=bool)

        def held_out_batches(self, size: int, device: str) -> Iterator[Batch]:
            sizes.append(size)
            return iter(())

    network, phase = Network(torch.nn.Identity(), Head(0, 1, "mask")), Phase(TrainOptions(), DrawnMaps("none", 1))
    assert _validation_loss(network, HeldOut(), phase, "cpu") == 0.0  # type: ignore[arg-type]
    assert sizes == [1]
