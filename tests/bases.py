"""Tiny frozen networks for the laws of adapters: one for each kind of module, with dropout and running statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Base:
    """A network, the sites to adapt in it by name, and the shape of its input."""

    build: Callable[[], nn.Module]
    sites: tuple[str, ...]
    shape: tuple[int, ...]

    def model(self, seed: int = 0) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed also writes down where it was called, for devices that there are none of: a millisecond
            torch.default_generator.manual_seed(seed)
            model = self.build()
            for name, buffer in model.named_buffers():
                if "running" in name:
                    buffer.copy_(torch.rand_like(buffer) + 0.5)
            for name, parameter in model.named_parameters():
                nn.init.normal_(parameter, 0.8 if "norm" in name else 0, 0.3)
        model.requires_grad_(True)
        return model.eval()

    def where(self, name: str, module: nn.Module) -> bool:
        return name in self.sites

    def input(self, seed: int = 1) -> Tensor:
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(seed))


class Block(nn.Module):
    """A convolution, a norm with running statistics, dropout."""

    def __init__(self, dims: int, groups: int = 2) -> None:
        super().__init__()
        conv = [nn.Conv1d, nn.Conv2d, nn.Conv3d][dims - 1]
        self.norm = [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d][dims - 1](6)
        self.first, self.drop = conv(3, 6, 3, padding=1), nn.Dropout(0.5)
        self.second = conv(6, 4, 3, padding=1, bias=False, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.drop(torch.relu(self.norm(self.first(x)))))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0]


def _layer() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True), 2)


def _linear() -> nn.Module:
    first, second = nn.Linear(5, 7), nn.Linear(7, 4, bias=False)
    return nn.Sequential(first, nn.ReLU(), nn.Dropout(0.3), second)


BASES = {
    "Linear": Base(_linear, ("0", "3"), (6, 5)),
    "Conv1d": Base(lambda: Block(1), ("first", "second"), (4, 3, 7)),
    "Conv2d": Base(lambda: Block(2), ("first", "second"), (4, 3, 5, 6)),
    "Conv3d": Base(lambda: Block(3), ("first", "second"), (2, 3, 4, 3, 5)),
    **{
        f"Conv{k}d-whole": Base(lambda k=k: Block(k, 1), ("first", "second"), (2, 3, 5, 4, 3)[: k + 2])
        for k in (1, 2, 3)
    },
    "BatchNorm1d": Base(lambda: Block(1), ("norm",), (4, 3, 7)),
    "BatchNorm2d": Base(lambda: Block(2), ("norm",), (4, 3, 5, 6)),
    "BatchNorm3d": Base(lambda: Block(3), ("norm",), (2, 3, 4, 3, 5)),
    "BatchNorm-plain": Base(lambda: nn.Sequential(nn.BatchNorm1d(5, affine=False)), ("0",), (6, 5)),
    "LayerNorm": Base(lambda: nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 2)), ("1",), (3, 4, 5)),
    "LayerNorm-plain": Base(lambda: nn.Sequential(nn.LayerNorm(5, elementwise_affine=False)), ("0",), (3, 4, 5)),
    "MultiheadAttention": Base(Attention, ("attention",), (3, 4, 8)),
    "out_proj": Base(Attention, ("attention.out_proj",), (3, 4, 8)),
    "feed-forward": Base(_layer, ("layers.0.linear1", "layers.1.linear2"), (3, 4, 8)),
    "norm2": Base(_layer, ("layers.1.norm2",), (3, 4, 8)),
    "TransformerEncoderLayer": Base(_layer, ("layers.0", "layers.1"), (3, 4, 8)),
}
