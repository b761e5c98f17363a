"""Attention of latents on tokens: what is hidden is not read, and what nobody hides costs nothing."""

from __future__ import annotations

import torch

from chiasm.fusion.attention import CrossAttention


def test_a_hidden_token_is_not_read_and_an_absent_patient_changes_nobody() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(6, 5, heads=2, head_width=3)
    latents, tokens = torch.randn(3, 4, 6), torch.randn(3, 7, 5)
    mask = torch.ones(3, 7, dtype=torch.bool)
    whole = attention(latents, tokens, mask)
    mask[1] = False  # of fixed tokens a patient has all or none: nothing is left to hide
    assert torch.equal(attention(latents, tokens, mask), whole)
    mask[2, 4:] = False
    found = attention(latents, tokens, mask)
    assert torch.equal(found[:2], whole[:2])
    torch.testing.assert_close(found[2:], attention(latents[2:], tokens[2:, :4], mask[2:, :4]))
    tokens[2, 4:] = 1e6
    assert torch.equal(attention(latents, tokens, mask), found)
