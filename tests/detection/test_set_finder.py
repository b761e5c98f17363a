"""Boxes that a network says as a set: the surest label of each query, corners in shares, the surest first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.detection.set_finder import SetFinder


class Said(nn.Module):
    """A network that says what it is told, and keeps what it is trained on."""

    def __init__(self, logits: Tensor, boxes: Tensor) -> None:
        super().__init__()
        self.logits, self.boxes = logits, boxes
        self.told: list[dict[str, Tensor]] = []

    def forward(self, pixel_values: Tensor, labels: Any = None) -> SimpleNamespace:
        self.told = labels or []
        return SimpleNamespace(logits=self.logits, pred_boxes=self.boxes, loss=torch.tensor(2.0))


def test_found_and_told() -> None:
    logits = torch.tensor([[[0.0, 3.0], [2.0, -1.0]]])
    said = Said(logits, torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.1, 0.1, 0.4, 0.2]]]))
    finder = SetFinder(said, 2, exclusive=False)
    expected = [
        [1.0, torch.tensor(3.0).sigmoid(), 0.4, 0.3, 0.6, 0.7],
        [0.0, torch.tensor(2.0).sigmoid(), 0.0, 0.0, 0.3, 0.2],
    ]
    torch.testing.assert_close(finder.found(torch.zeros(1, 1, 2, 2)), torch.tensor([expected]))
    boxes = torch.tensor([[[1, 0.4, 0.3, 0.6, 0.7], [float("nan")] * 5]])
    assert float(finder.losses(torch.zeros(1, 1, 2, 2), boxes)["set"]) == 2
    torch.testing.assert_close(said.told[0]["boxes"], torch.tensor([[0.5, 0.5, 0.2, 0.4]]))
    assert said.told[0]["class_labels"].tolist() == [1]


def test_nothing_is_a_label_where_labels_exclude_each_other() -> None:
    said = Said(torch.tensor([[[0.0, 1.0, 8.0], [0.0, 4.0, 0.0]]]), torch.full((1, 2, 4), 0.5))
    found = SetFinder(said, 2, exclusive=True).found(torch.zeros(1, 1, 2, 2))
    assert found[0, :, 0].tolist() == [1, 1] and found[0, 0, 1] > 0.9 and found[0, 1, 1] < 0.01
