"""SAM of volumes is SAM in every slice of a volume of equal slices, and slices hear each other once it has learned."""

from __future__ import annotations

import pytest
import torch

from chiasm.segmentation.clicked import Click
from chiasm.segmentation.inflated import InflatedSam, attended
from chiasm.segmentation.prompted_training import OF_SAM, corrected
from chiasm.segmentation.prompts import Prompts, asked_by, drawn_prompts
from chiasm.segmentation.sam import small_config
from chiasm.segmentation.sam_design import SamDesign

pytest.importorskip("transformers")
SHAPE, DEEP = (20, 26), 5


def network(slices: int = 3, *, adapter: bool = True, depth: int = 2) -> InflatedSam:
    import json

    torch.manual_seed(0)
    config = small_config(32, 4, 16, depth)
    own = SamDesign(json.dumps(config), adapter, True, slices).network({"a": 1}, 3, 2).eval()
    assert isinstance(own, InflatedSam)
    return own


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_of_equal_slices_each_is_what_sam_says_of_the_picture(slices: int) -> None:
    own = network(slices)
    picture, one = torch.randn(1, 1, *SHAPE), torch.ones(1, 1, dtype=torch.bool)
    volume = picture[:, :, None].expand(-1, -1, DEEP, -1, -1)
    flat = [Click((5.0, 9.0), True, "x"), Click((12.0, 3.0), False, "x")]
    clicks = [Click((z, *each.place), each.inside, "x") for z, each in zip((1.0, 4.0), flat, strict=True)]
    before = torch.rand(2, *SHAPE) > 0.5
    owner, label = torch.zeros(2, dtype=torch.int64), torch.arange(2)
    in_plane = asked_by([flat, []], (slice(0, 20), slice(0, 26)), before)
    deep = asked_by(
        [clicks, []], (slice(0, DEEP), slice(0, 20), slice(0, 26)), before[:, None].expand(-1, DEEP, -1, -1)
    )
    with torch.inference_mode():
        said, fits = own.masks(own.embedded({"a": volume}, one), owner, label, deep, (DEEP, *SHAPE))
        own.off = True
        plain = super(InflatedSam, own)
        embedded = plain.encoded(plain.fitted(picture))
        for row in range(2):
            alone = Prompts(
                in_plane.places[[row]],
                in_plane.kinds[[row]],
                in_plane.before[[row]],
                in_plane.had[[row]],  # type: ignore[index]
            )
            real = [place for place in range(alone.kinds.shape[1]) if alone.kinds[0, place] != -10]
            order = sorted(real, key=lambda place: {0: 0, 1: 0, -1: 2}.get(int(alone.kinds[0, place]), 1))
            low, fit = plain.asked(
                embedded, alone.places[:, order], alone.kinds[:, order], label[[row]], alone.before, SHAPE
            )
            torch.testing.assert_close(said[row], low.expand(DEEP, -1, -1), rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(fits[[row]], fit, rtol=1e-4, atol=1e-4)


def test_with_its_parts_off_every_slice_is_sam_bit_for_bit() -> None:
    own = network()
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            if not name.startswith("sam."):
                parameter.normal_()
    volume, one = torch.randn(1, 1, DEEP, *SHAPE), torch.ones(1, 1, dtype=torch.bool)
    plain = super(InflatedSam, own)
    with torch.inference_mode():
        on = own.embedded({"a": volume}, one)
        own.off = True
        off = own.embedded({"a": volume}, one)
        expected = plain.encoded(plain.fitted(volume[0].transpose(0, 1)))
    torch.testing.assert_close(off[0], expected, rtol=0, atol=0)
    assert not torch.allclose(on, off, atol=1e-3)


def test_windows_reach_over_neighbours_and_no_farther() -> None:
    own = network(2, depth=1)
    block, apart = own.sam.vision_encoder.layers[0], own.apart["0"]
    hidden = torch.randn(1, DEEP, 8, 8, 16)
    changed = hidden.clone()
    changed[:, 1] = torch.randn(8, 8, 16)
    with torch.inference_mode():
        differs = (attended(block, hidden, apart) - attended(block, changed, apart)).abs().amax((0, 2, 3, 4)) > 1e-6
    assert differs.tolist() == [True, True, False, False, False]


def test_a_step_leaves_the_frozen_encoder_and_moves_every_other_part() -> None:
    own = network()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    trained = {name for name, value in own.named_parameters() if value.requires_grad}
    truth = torch.zeros(2, DEEP, *SHAPE, dtype=torch.bool)
    truth[:, 1:4, 4:16, 6:18] = True
    optimiser = torch.optim.AdamW([value for value in own.parameters() if value.requires_grad], 1e-2)
    for _ in range(3):
        losses = corrected(
            own, {"a": torch.randn(1, 1, DEEP, *SHAPE)}, torch.ones(1, 1, dtype=torch.bool),
            torch.zeros(2, dtype=torch.int64), torch.arange(2), truth, None, drawn_prompts, 1,
            OF_SAM,
        )  # fmt: skip
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    moved = {name for name, value in own.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == trained and not any("vision_encoder" in name for name in moved)
    assert {"seen.weight", "far.weight", "along.weight", "deep", "apart.0"} <= moved
