"""Time attention and the gated series: a known signal, shifted times, masked values, and what imputation cannot see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from chiasm.fusion.irregular_ehr import IrregularEhr
from chiasm.fusion.timed import SERIES, GatedSeries, HeadsOfTime, last_known
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens

SHAPES = {"a": (4, 3), "b": (9, 0), "c": (2, 5)}
GRID = np.linspace(0, 11, 5)
SIZES: dict[str, Any] = {"latent_width": 8, "heads": 2}


def record(n: int = 4, steps: int = 6, columns: int = 3) -> Tokens:
    """A record whose columns are each observed, with a value, at about half of the times."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(n, steps, columns, generator=generator)
    observed = torch.rand(n, steps, columns, generator=generator) < 0.5
    observed[:, 0] = True
    hours = torch.rand(n, steps, generator=generator) * 11
    flags = observed.float()
    return Tokens(torch.cat([values, flags, flags], 2), torch.ones(n, steps, dtype=torch.bool), hours)


def series(kind: str = "gated") -> GatedSeries:
    torch.manual_seed(0)
    return GatedSeries(3, 8, torch.from_numpy(GRID), 2, 0.0, kind).eval()


def read(module: GatedSeries, tokens: Tokens) -> torch.Tensor:
    assert tokens.times is not None
    found: torch.Tensor = module(tokens.values, tokens.mask, tokens.times)
    return found


@pytest.mark.parametrize("kind", SERIES)
def test_it_passes_the_public_check(kind: str) -> None:
    grids = {"b": GRID}
    check_fusion(lambda shapes: IrregularEhr(shapes, grids, **SIZES, series=kind), SHAPES)


def test_a_signal_on_a_regular_grid_is_interpolated() -> None:
    attention = HeadsOfTime(2, reach=30.0, window=0.1)
    hours = torch.arange(0, 10.5, 0.5)
    signal = torch.stack([torch.sin(hours), hours / 5], 1)[None]
    with torch.no_grad():
        found, share = attention(hours[None], signal, torch.ones(1, 21, 2, dtype=torch.bool), hours[::2])
    torch.testing.assert_close(found[0, 0], signal[0, ::2], atol=0.05, rtol=0)
    torch.testing.assert_close(share, torch.ones_like(share))
    with torch.no_grad():
        other, _ = attention(hours[None], torch.full_like(signal, 3.0), torch.ones(1, 21, 2).bool(), hours + 0.2)
    torch.testing.assert_close(other, torch.full_like(other, 3.0))


def test_the_attention_is_the_formula_column_by_column() -> None:
    torch.manual_seed(0)
    attention, tokens = HeadsOfTime(2, reach=30.0, window=3.0), record(1)
    values, observed, hours = tokens.values[..., :3], tokens.values[..., 3:6] > 0.5, tokens.times
    assert hours is not None
    with torch.no_grad():
        found, share = attention(hours, torch.where(observed, values, 0.0), observed, torch.tensor([4.0]))
        score = (
            torch.cos((4.0 - hours[0])[:, None] * attention.frequencies[1]) * attention.log_amplitudes[1].exp()
        ).sum(1)
    real = observed[0].any(1)
    for c in range(3):
        own = observed[0, :, c]
        expected = torch.softmax(score[own], 0) @ values[0, own, c]
        torch.testing.assert_close(found[0, 1, 0, c], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            share[0, 1, 0, c], torch.softmax(score.masked_fill(~real, -torch.inf), 0)[own].sum(), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("kind", SERIES)
def test_a_value_that_was_not_observed_never_changes_the_output(kind: str) -> None:
    module, tokens = series(kind), record()
    there = torch.cat([tokens.values[..., 3:6] > 0.5, torch.ones(4, 6, 6, dtype=torch.bool)], 2)
    found = [
        read(module, Tokens(torch.where(there, tokens.values, filler), tokens.mask, tokens.times))
        for filler in (0.0, 7.0, 1e9, float("nan"))
    ]
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("kind", SERIES)
def test_a_shift_of_all_times_changes_nothing_and_one_of_the_record_alone_does(kind: str) -> None:
    module, tokens = series(kind), record()
    assert tokens.times is not None
    before = read(module, tokens)
    moved = Tokens(tokens.values, tokens.mask, tokens.times + 64.0)
    alone = read(module, moved)
    module.grid += 64.0
    torch.testing.assert_close(read(module, moved), before, atol=1e-4, rtol=0)
    assert not torch.allclose(alone, before, atol=1e-2)


def test_the_last_known_value_is_that_of_a_loop_in_any_order() -> None:
    tokens = record(3, 9)
    values, observed, hours = tokens.values[..., :3], tokens.values[..., 3:6] > 0.5, tokens.times
    assert hours is not None
    observed[1, :, 2] = False
    found = last_known(hours, values, observed, torch.from_numpy(GRID))
    for b in range(3):
        for r, at in enumerate(GRID):
            for c in range(3):
                before = [(float(hours[b, t]), t) for t in range(9) if observed[b, t, c] and hours[b, t] <= at]
                assert float(found[b, r, c]) == (float(values[b, max(before)[1], c]) if before else 0.0)
    turned = last_known(hours.flip(1), values.flip(1), observed.flip(1), torch.from_numpy(GRID))
    assert torch.equal(found, turned)


@pytest.mark.parametrize("kind", SERIES)
def test_an_event_without_a_value_is_no_value_and_is_told_from_no_event(kind: str) -> None:
    """The first column has a value at 0 hours, and an event without one at 5 that would be a median of 0."""
    module, hours = series(kind), torch.tensor([[0.0, 5.0]])
    mask = torch.ones(1, 2, dtype=torch.bool)

    def told(second: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
        """The values that are read of the first column, and the output."""
        seen: list[torch.Tensor] = []
        entrance = module.imputed if kind == "imputed" else module.irregular
        handle = entrance.register_forward_hook(lambda _m, given, _o: seen.append(given[0].detach()))
        with torch.no_grad():
            out = module(torch.tensor([[[2.0, 0, 0, 1, 0, 0, 1, 0, 0], second]]), mask, hours)
        handle.remove()
        return (seen[0][0, 0] if kind == "imputed" else seen[0][0, :, 0]), out

    (bare, event), (nothing, other) = told([0.0, 0, 0, 0, 0, 0, 1, 0, 0]), told([0.0] * 9)
    torch.testing.assert_close(bare, torch.full((5,), 2.0))
    torch.testing.assert_close(nothing, bare)
    value, _ = told([0.0, 0, 0, 1, 0, 0, 1, 0, 0])
    assert float(value[-1]) < 1.0  # a median that was measured is one
    if kind == "imputed":  # what was observed first stands; before any value the event alone is told
        mask[0, 0] = False
        event, other = (told([0.0, 0, 0, 0, 0, 0, flag, 0, 0])[1] for flag in (1.0, 0.0))
    assert not torch.allclose(event, other, atol=1e-4)


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("grid", [np.array([5.0]), GRID])
def test_the_order_of_the_tokens_changes_nothing_be_their_hours_far_outside_the_grid_too(
    kind: str, grid: np.ndarray
) -> None:
    torch.manual_seed(0)
    module, tokens = GatedSeries(3, 8, torch.from_numpy(grid), 2, 0.0, kind).eval(), record()
    for hours in (
        tokens.times,
        torch.linspace(-900.0, -400.0, 6).expand(4, -1),
        torch.linspace(-9, 900.0, 6).expand(4, -1),
    ):
        assert hours is not None
        found = module(tokens.values, tokens.mask, hours)
        turned = module(tokens.values.flip(1), tokens.mask, hours.flip(1))
        torch.testing.assert_close(found, turned, atol=1e-5, rtol=0)


def test_with_one_reference_what_is_after_it_is_not_known_yet() -> None:
    module = GatedSeries(1, 8, torch.tensor([5.0]), 2, 0.0, "imputed").eval()
    tokens = torch.tensor([[[1.0, 1, 1], [3.0, 1, 1]]])
    mask, early = torch.ones(1, 2, dtype=torch.bool), torch.tensor([[True, False]])
    hours = torch.tensor([[4.0, 6.0]])
    torch.testing.assert_close(module(tokens, mask, hours), module(tokens, early, hours))


def test_a_sparse_code_far_from_a_reference_is_read_as_if_it_were_alone_with_its_gradient() -> None:
    """200 references, a code at each hour and one at the hours 0 and 1, more than 60 units below the best."""
    attention, grid = HeadsOfTime(1, reach=600.0, window=1.0), torch.linspace(0, 199, 200)
    hours, observed = grid[None], torch.ones(1, 200, 2, dtype=torch.bool)
    observed[0, 2:, 1] = False
    values = torch.zeros(1, 200, 2)
    values[0, 0, 1], values[0, 1, 1] = 1.0, 3.0
    found, share = attention(hours, values, observed, grid)
    assert float(share[0, 0, 150, 1].detach()) < 1e-30 and bool(torch.isfinite(found).all())
    alone, _ = attention(hours[:, :2], values[:, :2, 1:], observed[:, :2, 1:], grid)
    torch.testing.assert_close(found[..., 1], alone[..., 0], atol=1e-4, rtol=0)
    assert float(found[0, 0, 150, 1].detach()) == pytest.approx(1 + 2 / (1 + np.exp(-1)), abs=0.15)
    found[0, 0, 150, 1].backward()  # type: ignore[no-untyped-call]
    for own in attention.parameters():
        assert own.grad is not None and bool(torch.isfinite(own.grad).all()) and bool(own.grad.any())


def test_times_are_needed_where_there_are_tokens() -> None:
    fusion = IrregularEhr({"b": (9, 0)}, {"b": GRID}, **SIZES).eval()
    tokens = record()
    without = {"b": Tokens(tokens.values, tokens.mask)}
    with pytest.raises(ValueError, match="have no times"):
        fusion(without, torch.ones(4, 1, dtype=torch.bool))
    assert bool(torch.isfinite(fusion(without, torch.zeros(4, 1, dtype=torch.bool)).embedding).all())


def test_what_comes_between_two_references_is_lost_to_imputation_and_not_to_time_attention() -> None:
    """A value is followed by a normal one before the next reference: the last value known is always the normal one."""

    def drawn(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        label = torch.randint(2, (n,)).float()
        near = torch.randint(1, 5, (n,)).float() * 2.75 - 1.0
        hours = torch.stack([near, near + 0.5], 1)
        values = torch.stack([2 * label - 1, torch.zeros(n)], 1)[..., None]
        return torch.cat([values, torch.ones(n, 2, 2)], 2), hours, label

    losses = {}
    for kind in ("irregular", "imputed"):
        torch.manual_seed(0)
        module, head = GatedSeries(1, 8, torch.from_numpy(GRID), 2, 0.0, kind), nn.Linear(8, 1)
        optimiser = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=2e-2)
        for _ in range(80):
            values, hours, label = drawn(64)
            hidden = module(values, torch.ones(64, 2, dtype=torch.bool), hours)
            loss = nn.functional.binary_cross_entropy_with_logits(head(hidden.amax(1))[:, 0], label)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        losses[kind] = float(loss.detach())
    assert losses["irregular"] < 0.3 and losses["imputed"] > 0.6
