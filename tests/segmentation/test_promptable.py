"""A promptable network of fresh adapters is SAM exactly, as one whose adapters are off; its weights lie in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chiasm.adapters.channel_spatial import ChannelSpatial
from chiasm.cohort import Unsupported
from chiasm.segmentation.promptable import PromptedSam
from chiasm.segmentation.prompted_training import OF_SAM, corrected, mask_losses
from chiasm.segmentation.prompts import ABSENT, FIRST, INSIDE, LAST, NOTHING, OUTSIDE, Prompts, drawn_prompts
from chiasm.segmentation.sam import build_sam, load_weights, local_config, small_config

pytest.importorskip("transformers")
SIZE = 32
CONFIG = small_config(SIZE, 8, 32, 2)


def network(labels: int = 2, *, begun: bool = True, channels: dict[str, int] | None = None) -> PromptedSam:
    torch.manual_seed(0)
    sam = build_sam(CONFIG)
    blocks = {str(k): own for k, own in enumerate(sam.vision_encoder.layers)}
    parts = ChannelSpatial(channels=32).parts(blocks).values()
    return PromptedSam(channels or {"a": 3}, labels, sam, list(parts), begun).eval()


def disturb(own: PromptedSam) -> None:
    with torch.no_grad():
        for parameter in [own.words, *own.adapters.parameters()]:
            parameter.normal_()


CLICKS = torch.tensor([[[5.0, 9.0], [20.0, 3.0]]])
BOX = torch.tensor([[[4.0, 6.0], [25.0, 29.0]]])
CASES = {
    "clicks": (
        Prompts(torch.cat([torch.zeros(1, 1, 2), CLICKS], 1), torch.tensor([[NOTHING, INSIDE, OUTSIDE]])),
        {"input_points": CLICKS.flip(-1)[:, None], "input_labels": torch.tensor([[[1, 0]]])},
    ),
    "box": (Prompts(BOX, torch.tensor([[FIRST, LAST]])), {"input_boxes": BOX.flip(-1).reshape(1, 1, 4)}),
    "box and click": (
        Prompts(torch.cat([BOX, CLICKS], 1), torch.tensor([[FIRST, LAST, INSIDE, ABSENT]])),
        {
            "input_boxes": BOX.flip(-1).reshape(1, 1, 4),
            "input_points": CLICKS.flip(-1)[:, None, :1],
            "input_labels": torch.tensor([[[1]]]),
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_adapters_that_are_fresh_or_off_leave_sam_as_it_is(case: str) -> None:
    own = network()
    prompts, given = CASES[case]
    picture, one = torch.randn(1, 3, SIZE, SIZE), torch.ones(1, 1, dtype=torch.bool)
    first = torch.zeros(1, dtype=torch.int64)
    with torch.inference_mode():
        said = own.sam(pixel_values=picture, multimask_output=False, **given)
        expected = own.restored(said.pred_masks[:, 0, 0], (SIZE, SIZE))

        def asked() -> tuple[torch.Tensor, torch.Tensor]:
            return own.masks(own.embedded({"a": picture}, one), first, first, prompts, (SIZE, SIZE))

        fresh = asked()
        disturb(own)
        on = asked()
        own.off = True
        for found, fits in (fresh, asked()):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
            torch.testing.assert_close(fits, said.iou_scores[:, 0, 0], rtol=0, atol=0)
        assert not torch.allclose(on[0], expected)


def test_an_absent_contrast_is_not_read_and_each_mask_is_its_own() -> None:
    own = network(channels={"a": 1, "b": 3})
    disturb(own)
    images = {"a": torch.randn(3, 1, 20, 26), "b": torch.randn(3, 3, 20, 26)}
    present = torch.tensor([[True, False], [True, True], [False, True]])
    with torch.inference_mode():
        said = own(images, present)
        assert said.shape == (3, 3, 20, 26) and (said[:, 0] == 0).all()
        blind = {"a": images["a"].clone(), "b": images["b"].clone()}
        blind["b"][0], blind["a"][2] = float("nan"), float("nan")
        torch.testing.assert_close(own(blind, present), said, rtol=0, atol=0)
        alone = own({"a": images["a"][:1]}, present[:1])
        torch.testing.assert_close(alone, said[:1], rtol=1e-4, atol=1e-4)
        shape = (20, 26)
        places, kinds = (
            torch.rand(4, 3, 2) * 20,
            torch.tensor(
                [[FIRST, LAST, INSIDE], [NOTHING, ABSENT, INSIDE], [FIRST, LAST, ABSENT], [NOTHING, INSIDE, OUTSIDE]]
            ),
        )
        before, given = torch.rand(4, *shape) > 0.5, torch.tensor([True, False, False, True])
        embedded, owner = own.embedded(images, present), torch.tensor([0, 1, 2, 1])
        label = torch.tensor([0, 1, 1, 0])
        together, _ = own.masks(embedded, owner, label, Prompts(places, kinds, before, given), shape)
        for n in range(4):
            one = Prompts(places[[n]], kinds[[n]], before[[n]] if given[n] else None, given[[n]] if given[n] else None)
            apart, _ = own.masks(embedded, owner[[n]], label[[n]], one, shape)
            torch.testing.assert_close(apart[0], together[n], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="no contrast is present"):
        own(images, torch.zeros(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="encode 'a' with 1 or 3 channels"):
        network(channels={"a": 2})


def test_a_step_moves_what_is_tuned_and_nothing_of_the_frozen_encoder() -> None:
    own = network()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    trained = {name for name, value in own.named_parameters() if value.requires_grad}
    truth = torch.zeros(4, SIZE, SIZE, dtype=torch.bool)
    truth[:, 4:20, 6:18] = True
    owner, label = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    optimiser = torch.optim.AdamW([value for value in own.parameters() if value.requires_grad], 1e-2)
    for _ in range(2):
        images, present = {"a": torch.randn(2, 3, SIZE, SIZE)}, torch.ones(2, 1, dtype=torch.bool)
        losses = corrected(own, images, present, owner, label, truth, None, drawn_prompts, 1, OF_SAM)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    moved = {name for name, value in own.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == trained and not any("vision_encoder" in name for name in moved)
    assert any("adapters" in name for name in moved) and "words" in moved


def test_losses_are_by_hand() -> None:
    logits = torch.tensor([[[0.0, 0.0]]])
    truth, there = torch.tensor([[[True, False]]]), torch.ones(1, 1, 2, dtype=torch.bool)
    found = mask_losses(logits, torch.tensor([0.5]), truth, there, OF_SAM)
    ln2 = 0.6931472
    assert float(found["focal"]) == pytest.approx((0.25 * 0.25 * ln2 + 0.75 * 0.25 * ln2) / 2)
    assert float(found["dice"]) == pytest.approx(1 - (2 * 0.5 + 1) / (1 + 1 + 1))
    assert float(found["fit"]) == pytest.approx(0.25)  # nothing is drawn where the logit is 0, so that the IoU is 0
    beyond = mask_losses(torch.tensor([[[0.0, 9.0]]]), torch.zeros(1), truth, torch.tensor([[[True, False]]]), OF_SAM)
    assert float(beyond["focal"]) == pytest.approx(0.25 * 0.25 * ln2)


def test_weights_of_a_folder_are_read_at_another_size_and_refused_where_they_do_not_fit(tmp_path: Path) -> None:
    torch.manual_seed(1)
    held = build_sam(CONFIG)
    held.save_pretrained(str(tmp_path / "sam"))
    again = build_sam(local_config(tmp_path / "sam"))
    load_weights(again, tmp_path / "sam")
    for name, value in held.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    larger = local_config(tmp_path / "sam", 64)
    grown = build_sam(larger)
    load_weights(grown, tmp_path / "sam")
    assert grown.vision_encoder.pos_embed.shape[1] == 8
    with torch.inference_mode():
        box = torch.tensor([[[0.0, 0.0, 63.0, 63.0]]])
        assert grown(torch.randn(1, 3, 64, 64), input_boxes=box).pred_masks.isfinite().all()
    with pytest.raises(Unsupported, match="size=36 is no whole number of the patches"):
        local_config(tmp_path / "sam", 36)
    with pytest.raises(Unsupported, match="has another shape"):
        load_weights(build_sam(small_config(SIZE, 8, 16, 2)), tmp_path / "sam")
    with pytest.raises(Unsupported, match="holds no network of transformers"):
        local_config(tmp_path / "none")
    (tmp_path / "sam" / "model.safetensors").unlink()
    with pytest.raises(Unsupported, match=r"no file model\.safetensors"):
        load_weights(again, tmp_path / "sam")
