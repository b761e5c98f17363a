"""A record as a sequence: laws of a fusion, nothing later is looked at, one head for all tasks, Time2Vec by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from chiasm.encoders.sequence.stacks import make_stack
from chiasm.fusion.record_sequence import AFTER, CONCEPT, RecordSequence, Time2Vec, Vocabulary, in_order
from chiasm.protocols import Fused
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens

SHAPES = {"a": (4, 3), "events": (6, 0)}


def made(cell: str = "mamba2", **options: Any) -> RecordSequence:
    return RecordSequence(
        SHAPES, {"events": Vocabulary(9, 4)}, lambda: make_stack(cell, 8, 1, 2), latent_width=8,
        **{"outputs": 2, **options},
    )  # fmt: skip


class OfAnyTokens(torch.nn.Module):
    """A `RecordSequence` that reads numbers of concepts out of whatever tokens a check draws."""

    def __init__(self) -> None:
        super().__init__()
        self.own = made()

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        drawn = tokens["events"]
        values = drawn.values[..., :6].masked_fill(~drawn.mask[..., None], 0.0)
        ids = (100 * values).nan_to_num(0.0, 0.0, 0.0).abs().long() % torch.tensor([9, 4, 90, 9, 3, 9])
        return self.own({**tokens, "events": Tokens(ids.float(), drawn.mask, drawn.times)}, present)


def batch(n: int = 4, length: int = 7) -> tuple[dict[str, Tokens], Tensor]:
    generator = torch.Generator().manual_seed(0)
    high = torch.tensor([9, 4, 90, 5, 3, 30])
    values = (torch.rand(n, length, 6, generator=generator) * high).floor()
    hours = torch.sort(60 * torch.rand(n, length, generator=generator), dim=1).values
    own = torch.randn(n, 3, 4, generator=generator)
    here = torch.ones(n, 3, dtype=torch.bool)
    events = Tokens(values, torch.ones(n, length, dtype=torch.bool), hours)
    return {"a": Tokens(own, here), "events": events}, here[:, :2]


def test_it_passes_the_public_check() -> None:
    check_fusion(lambda shapes: OfAnyTokens(), SHAPES)


@pytest.mark.parametrize("cell", ["mamba2", "mamba", "gru"])
def test_what_is_said_of_an_event_does_not_change_with_a_later_one(cell: str) -> None:
    torch.manual_seed(0)
    fusion = made(cell).double().eval()
    tokens, _ = batch()
    own = in_order(tokens["events"])
    embedded = fusion.entrances["1"](own.values.double(), own.times.double())  # type: ignore[union-attr]
    before = fusion.scanned(embedded)
    changed = embedded.clone()
    changed[:, 4:] = torch.randn_like(changed[:, 4:])
    assert torch.equal(fusion.scanned(changed)[:, :4], before[:, :4])
    assert not torch.equal(fusion.scanned(changed)[:, 4:], before[:, 4:])


def test_losses_of_what_comes_next_are_those_computed_by_hand() -> None:
    torch.manual_seed(0)
    fusion = made().eval()
    tokens, present = batch(2, 3)
    own = tokens["events"]
    found = fusion.next_losses({**tokens, "events": Tokens(own.values, own.mask.clone(), own.times)}, present)
    hours = own.times - own.times[:, :1]  # type: ignore[index]
    said = fusion.concepts["1"](fusion.scanned(fusion.entrances["1"](own.values, hours)))
    concept, wait = [], []
    for row in range(2):
        for place in range(2):
            coming, out = own.values[row, place + 1], said[row, place]
            concept.append(-torch.log_softmax(out[:9], 0)[int(coming[CONCEPT])])
            later, mean, spread = out[9:]
            wait.append(-torch.nn.functional.logsigmoid(later if coming[AFTER] > 0 else -later))
            if coming[AFTER] > 0:
                wait[-1] = wait[-1] + ((torch.log1p(coming[AFTER]) - mean) / spread.exp()) ** 2 / 2 + spread
    torch.testing.assert_close(found["next events"], torch.stack(concept).mean())
    torch.testing.assert_close(found["wait events"], torch.stack(wait).mean())


def test_records_that_nobody_has_twice_say_nothing_of_what_comes_next() -> None:
    fusion, (tokens, present) = made(), batch(2, 1)
    losses = fusion.next_losses(tokens, present)
    assert [float(own.detach()) for own in losses.values()] == [0.0, 0.0]


def test_one_head_serves_all_tasks_and_another_task_gives_another_answer() -> None:
    torch.manual_seed(0)
    fusion = made(labels=True)
    assert fusion.read.weight.shape == (1, 8) and fusion.tasks.shape == (2, 8)
    tokens, present = batch(40)
    right = tokens["events"].values[:, :, CONCEPT].mean(1) > 4
    label = torch.stack([right, ~right], 1)
    steps = torch.optim.Adam(fusion.parameters(), 0.02)
    for _ in range(60):
        steps.zero_grad()
        link = fusion(tokens, present).embedding
        torch.nn.functional.binary_cross_entropy_with_logits(link, label.float()).backward()
        steps.step()
    said = fusion(tokens, present).embedding > 0
    assert (said == label).float().mean() > 0.95
    fusion.tasks.data = fusion.tasks.data.flip(0)
    assert torch.equal(fusion(tokens, present).embedding > 0, said.flip(1))


def test_time2vec_is_one_line_and_sines() -> None:
    own = Time2Vec(3)
    time = torch.tensor([0.0, 2.5])
    turned = time[:, None] * own.weight + own.bias
    expected = torch.stack([turned[:, 0], turned[:, 1].sin(), turned[:, 2].sin()], 1)
    torch.testing.assert_close(own(time), expected)


def test_upon_another_model_it_starts_with_links_of_zero() -> None:
    fusion, (tokens, present) = made().eval(), batch()
    assert fusion(tokens, present).embedding.abs().min() > 0
    fusion.start_at_zero()
    assert torch.equal(fusion(tokens, present).embedding, torch.zeros(4, 2))
