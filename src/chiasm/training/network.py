"""The network that is trained, a fusion module with a head, and its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.compute.isolation import threads_for
from chiasm.heads.head import Head
from chiasm.protocols import EMBEDDING, Fused
from chiasm.tokens import Packed, Tokens
from chiasm.training.batches import reading_batches, take, total_lengths

READING_BATCH = 256


class Network(nn.Module):
    """Fusion module and head, which map tokens of the present modalities to the link, `(B, K)`."""

    def __init__(self, fusion: nn.Module, head: Head) -> None:
        super().__init__()
        self.fusion = fusion
        self.head = head

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> tuple[Tensor, Fused]:
        """Return the link and the output of the fusion."""
        fused: Fused = self.fusion(tokens, present)
        return self.head(fused.embedding), fused


@contextmanager
def in_evaluation(network: nn.Module) -> Iterator[None]:
    """Set a network to evaluation mode, and afterwards each of its modules to the mode it had."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def predict_link(
    network: Network, tokens: Mapping[str, Packed], present: np.ndarray, device: str = "cpu"
) -> np.ndarray:
    """Predict the link of every patient in evaluation mode, `(B, K)` float64; the network's mode is restored."""
    return _predict(network, tokens, present, device, lambda link, fused: link)


def predict_embedding(
    network: Network, tokens: Mapping[str, Packed], present: np.ndarray, device: str = "cpu"
) -> np.ndarray:
    """Compute the embedding of every patient in evaluation mode: `(B, D)` float64.

    It is the input of the head, or the extra "embedding" of a fusion that returns the link itself.
    """
    return _predict(network, tokens, present, device, lambda link, fused: fused.extras.get(EMBEDDING, fused.embedding))


def _predict(
    network: Network,
    tokens: Mapping[str, Packed],
    present: np.ndarray,
    device: str,
    wanted: Callable[[Tensor, Fused], Tensor],
) -> np.ndarray:
    out: np.ndarray | None = None
    network.to(device)
    work = 2.0 * sum(parameter.numel() for parameter in network.parameters()) * READING_BATCH * 16
    with in_evaluation(network), torch.inference_mode(), threads_for(work):
        for batch in reading_batches(total_lengths(tokens), READING_BATCH):
            found = wanted(*network(take(tokens, batch, device), torch.from_numpy(present[batch]).to(device)))
            if out is None:
                out = np.zeros((len(present), found.shape[1]))
            out[batch] = found.cpu().double().numpy()
    return out if out is not None else np.zeros((0, 1))
