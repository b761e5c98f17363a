"""A language model asks for masks by [SEG] alone: without one there is none, and no gradient but through its state."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from chiasm.segmentation.promptable import PromptedSam
from chiasm.segmentation.sam import build_sam, small_config
from chiasm.segmentation.seg_token import SegBridge, answered, asked_losses, asked_masks

pytest.importorskip("transformers")
SIDE, WIDTH = 32, 32
WORDS = ("[END]", "[SEG]", "where", "is", "the", "bright", "dark", "one", "here", "nothing")
END, SEG = 0, 1


def of(text: str) -> Tensor:
    return torch.tensor([WORDS.index(word) for word in text.split()])


class Speaker(nn.Module):
    """A causal model of two layers."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        self.network = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(WORDS), n_positions=16, n_embd=WIDTH, n_layer=2, n_head=2, resid_pdrop=0.0,
                embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
            )
        )  # fmt: skip

    def states(self, ids: Tensor) -> Tensor:
        return self.network.transformer(input_ids=ids).last_hidden_state


def parts() -> tuple[PromptedSam, SegBridge, Speaker]:
    torch.manual_seed(0)
    sam = PromptedSam({"a": 1}, 1, build_sam(small_config(SIDE, 8, 32, 1)), (), begun=False)
    return sam, SegBridge(WIDTH, 32, SEG), Speaker()


def test_without_seg_there_is_no_mask_and_each_seg_has_its_own() -> None:
    sam, bridge, speaker = parts()
    ids = torch.stack([of("where is the bright one here [SEG] [END]"), of("where is the dark one nothing here [END]")])
    embedded = sam.embedded({"a": torch.randn(2, 1, SIDE, SIDE)}, torch.ones(2, 1, dtype=torch.bool))
    own = asked_masks(sam, bridge, embedded, speaker.states(ids), ids, (SIDE, SIDE))
    assert own.logits.shape == (1, SIDE, SIDE) and own.owner.tolist() == [0]
    silent = asked_masks(sam, bridge, embedded[1:], speaker.states(ids[1:]), ids[1:], (SIDE, SIDE))
    assert silent.logits.shape == (0, SIDE, SIDE)
    assert sum(map(float, asked_losses(silent, torch.zeros(0, SIDE, SIDE, dtype=torch.bool)).values())) == 0
    with pytest.raises(ValueError, match="1 masks were asked for, and 2 are known"):
        asked_losses(own, torch.zeros(2, SIDE, SIDE, dtype=torch.bool))
    both = ids.flip(0)
    both[0, 6] = SEG
    again = asked_masks(sam, bridge, embedded, speaker.states(both), both, (SIDE, SIDE))
    assert again.owner.tolist() == [0, 1]


def test_the_gradient_of_a_mask_reaches_the_language_model_through_the_state_of_seg_alone() -> None:
    sam, bridge, speaker = parts()
    ids = of("where is the bright one here [SEG] [END]")[None]
    embedded = sam.embedded({"a": torch.randn(1, 1, SIDE, SIDE)}, torch.ones(1, 1, dtype=torch.bool))
    states = speaker.states(ids)
    states.retain_grad()
    truth = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    truth[:, 4:12, 4:12] = True
    sum(asked_losses(asked_masks(sam, bridge, embedded, states, ids, (SIDE, SIDE)), truth).values()).backward()
    assert states.grad is not None
    reached = states.grad.abs().sum(2)[0] > 0
    assert reached.tolist() == [word == SEG for word in ids[0].tolist()]
    assert speaker.network.transformer.wte.weight.grad.abs().sum() > 0
    speaker.zero_grad()
    cut = asked_masks(sam, bridge, embedded.detach(), speaker.states(ids).detach(), ids, (SIDE, SIDE))
    sum(asked_losses(cut, truth).values()).backward()
    assert all(own.grad is None or not own.grad.any() for own in speaker.parameters())


def test_an_answer_goes_on_word_by_word_until_its_end() -> None:
    following = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        following.weight.copy_(torch.eye(4)[[1, 2, 3, 0]])  # after k comes k - 1

    def states(ids: Tensor) -> Tensor:
        return nn.functional.one_hot(ids, 4).float()

    assert answered(states, following, torch.tensor([1, 3]), 9, 0).tolist() == [1, 3, 2, 1, 0]
    assert answered(states, following, torch.tensor([1, 3]), 2, 0).tolist() == [1, 3, 2, 1]
