"""SSMA: the public check, the gate of ones, and a gate that falls where a modality is noise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from chiasm.fusion.ssma import GATE, STREAM, GatedBottleneck, Ssma
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens

SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}
SIZES: dict[str, Any] = {"latents": 3, "latent_width": 8, "heads": 2, "eta": 2}


def test_it_passes_the_public_check() -> None:
    check_fusion(lambda shapes: Ssma(shapes, **SIZES), SHAPES)


def test_with_a_gate_of_ones_it_is_the_linear_map_of_the_concatenation() -> None:
    torch.manual_seed(0)
    bottleneck = GatedBottleneck(6, 3, eta=2)
    joined = torch.randn(2, 4, 6)
    assert not torch.allclose(bottleneck(joined)[0], bottleneck.map(joined))
    last = bottleneck.gate[2]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight), nn.init.constant_(last.bias, 100.0)  # sigmoid(100) is 1 in single precision
    fused, gate = bottleneck(joined)
    assert torch.equal(gate, torch.ones_like(gate)) and torch.equal(fused, bottleneck.map(joined))


def test_the_bottleneck_is_eta_times_narrower_and_never_empty() -> None:
    widths = [GatedBottleneck(channels, 3, eta).gate[0].out_features for channels, eta in ((32, 8), (6, 16))]
    assert widths == [4, 1]


@pytest.mark.nightly
def test_noise_lowers_a_modality_s_gate_below_that_of_the_clean_one() -> None:
    torch.manual_seed(0)
    fusion, head = Ssma({"a": (4, 2), "b": (4, 2)}, **SIZES), nn.Linear(8, 1)
    optimiser = torch.optim.AdamW([*fusion.parameters(), *head.parameters()], lr=1e-2)
    loading = torch.randn(2, 4)

    def drawn(n: int) -> tuple[dict[str, Tokens], torch.Tensor, torch.Tensor]:
        """The label stands in both modalities; in b it is replaced by noise for every second patient."""
        label = torch.randint(2, (n,)).float()
        noisy = torch.arange(n) % 2 == 0
        signal = (2 * label - 1)[:, None, None] * loading + 0.3 * torch.randn(n, 2, 4)
        values = torch.where(noisy[:, None, None], 3 * torch.randn(n, 2, 4), signal)
        mask = torch.ones(n, 2, dtype=torch.bool)
        other = signal + 0.3 * torch.randn(n, 2, 4)
        return {"a": Tokens(other, mask), "b": Tokens(values, mask)}, label, noisy

    here = torch.ones(128, 2, dtype=torch.bool)
    for _ in range(150):
        tokens, label, _ = drawn(128)
        loss = nn.functional.binary_cross_entropy_with_logits(head(fusion(tokens, here).embedding)[:, 0], label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tokens, _, noisy = drawn(128)
    with torch.no_grad():
        extras = fusion.eval()(tokens, here).extras
    clean, noise = extras[GATE + "a"][noisy].mean(), extras[GATE + "b"][noisy].mean()
    assert noise < clean - 0.05


def test_an_absent_modality_has_no_stream_and_its_channels_are_zeros() -> None:
    torch.manual_seed(0)
    fusion = Ssma(SHAPES, **SIZES).eval()
    tokens = {name: Tokens(torch.randn(2, s or 4, w), torch.ones(2, s or 4).bool()) for name, (w, s) in SHAPES.items()}
    fused = fusion(tokens, torch.tensor([[True, True, True], [True, False, True]]))
    assert torch.isnan(fused.extras[STREAM + "b"]).any(1).tolist() == [False, True]
    read = [stream(tokens[name]) for name, stream in zip(fusion.names, fusion.streams, strict=True)]
    joined = torch.cat([read[0], torch.zeros_like(read[1]), read[2]], -1)[1]
    torch.testing.assert_close(fused.embedding[1], fusion.bottleneck(joined)[0].mean(0))
