"""The masked autoencoder of tokens: exact counts, uniform shares, nothing unseen is read, and better than the mean."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.fusion.dirichlet import dirichlet_counts, draw_kept
from chiasm.fusion.masked_trunk import MaskedTrunk, reconstruction_loss
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens
from examples import examples

SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}


def test_it_passes_the_public_check() -> None:
    check_fusion(lambda shapes: MaskedTrunk(shapes, latent_width=8, heads=2), SHAPES)


@settings(max_examples=examples(50), deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any), min_size=1, max_size=8),
    st.floats(0.01, 0.99), st.integers(0, 99),
)  # fmt: skip
def test_counts_are_exact_and_within_what_there_is(rows: list[list[int]], share: float, seed: int) -> None:
    available, generator = torch.tensor(rows), torch.Generator().manual_seed(seed)
    keep = (share * available.sum(1)).round().long()
    counts = dirichlet_counts(available, keep, generator)
    assert torch.equal(counts.sum(1), keep) and bool(((counts >= 0) & (counts <= available)).all())
    masks = [torch.arange(9) < torch.tensor([row[m] for row in rows])[:, None] for m in range(3)]
    kept = draw_kept(masks, share, generator)
    assert torch.equal(torch.stack([own.sum(1) for own in kept], 1).sum(1), keep.clamp_min(1))
    assert all(bool((own <= mask).all()) for own, mask in zip(kept, masks, strict=True))


def test_shares_are_uniform_on_the_simplex_of_the_modalities_present() -> None:
    generator = torch.Generator().manual_seed(0)
    n, size = 20_000, 3_000
    keep = torch.full((n,), 1_000)
    three = dirichlet_counts(torch.full((n, 3), size), keep, generator).double() / 1_000
    # A coordinate of Dirichlet(1, 1, 1) has the distribution function 1 - (1 - x)^2.
    for own in three.T:
        for at in (0.1, 0.3, 0.5, 0.8):
            assert float((own <= at).double().mean()) == pytest.approx(1 - (1 - at) ** 2, abs=0.015)
    two = dirichlet_counts(torch.tensor([[size, 0, size]]).expand(n, -1), keep, generator).double() / 1_000
    assert not two[:, 1].any()
    for at in (0.1, 0.5, 0.9):
        assert float((two[:, 0] <= at).double().mean()) == pytest.approx(at, abs=0.015)


def test_more_than_there_is_cannot_be_kept_and_a_draw_that_never_fits_is_made_to() -> None:
    with pytest.raises(ValueError, match="more tokens are to be kept"):
        dirichlet_counts(torch.tensor([[1, 2]]), torch.tensor([4]))
    generator = torch.Generator().manual_seed(0)
    counts = dirichlet_counts(torch.tensor([[1, 1, 4_000]]).expand(50, -1), torch.full((50,), 2_000), generator)
    assert torch.equal(counts.sum(1), torch.full((50,), 2_000)) and bool((counts[:, 2] >= 1_998).all())


def test_what_is_not_seen_is_never_read() -> None:
    torch.manual_seed(0)
    fusion = MaskedTrunk(SHAPES, latent_width=8, heads=2).eval()
    seen = {name: torch.rand(4, slots or 6) < 0.5 for name, (_, slots) in SHAPES.items()}
    asked = {name: ~own for name, own in seen.items()}
    found = []
    for filler in (0.0, float("nan"), 1e9):
        generator = torch.Generator().manual_seed(1)
        tokens = {}
        for name, (width, _) in SHAPES.items():
            values = torch.randn(*seen[name].shape, width, generator=generator)
            tokens[name] = Tokens(torch.where(seen[name][..., None], values, filler), torch.ones_like(seen[name]))
        found.append(fusion.reconstruct(tokens, seen, asked)[0])
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in SHAPES)


def test_the_loss_is_the_error_over_the_variance_of_what_was_asked_for() -> None:
    values = torch.randn(3, 4, 2)
    tokens = {"a": Tokens(values, torch.ones(3, 4, dtype=torch.bool)), "b": Tokens(values, torch.ones(3, 4).bool())}
    asked = {"a": torch.rand(3, 4) < 0.5, "b": torch.zeros(3, 4, dtype=torch.bool)}
    found = {"a": torch.zeros_like(values), "b": torch.full_like(values, 9.0)}
    spread = {"a": 2.0, "b": 1.0}
    expected = values[asked["a"]].square().mean() / 2
    torch.testing.assert_close(reconstruction_loss(tokens, found, asked, spread), expected)
    assert float(reconstruction_loss(tokens, found, {"b": asked["b"]}, spread)) == 0.0
