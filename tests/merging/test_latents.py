"""Laws of `merge_latents`: a weighted mean of latents, whatever the method, for real and for complex latents."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from chiasm.merging import LATENT_METHODS, merge_latents
from examples import examples

METHODS = sorted(LATENT_METHODS)
every_method = pytest.mark.parametrize("method", METHODS)
real_and_complex = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
laws = settings(max_examples=examples(25), deadline=None)


def draw(seed: int, models: int, dtype: torch.dtype, shape: tuple[int, ...] = (3, 5, 4)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=dtype, generator=generator) for _ in range(models)]


def equal_weights(latents: list[Tensor]) -> Tensor:
    return torch.ones(latents[0].shape[0], len(latents), dtype=torch.float64)


@every_method
@real_and_complex
@laws
@given(seed=st.integers(0, 10**6), weight=st.floats(1e-3, 1e3))
def test_one_model_is_itself(method: str, dtype: torch.dtype, seed: int, weight: float) -> None:
    (a,) = draw(seed, 1, dtype)
    torch.testing.assert_close(merge_latents([a], torch.full((3, 1), weight, dtype=torch.float64), method), a)


@every_method
@real_and_complex
@laws
@given(seed=st.integers(0, 10**6), weights=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=5))
def test_a_model_with_itself_is_itself_at_any_weights(
    method: str, dtype: torch.dtype, seed: int, weights: list[float]
) -> None:
    (a,) = draw(seed, 1, dtype)
    merged = merge_latents([a] * len(weights), torch.tensor([weights] * 3, dtype=torch.float64), method)
    torch.testing.assert_close(merged, a)


@every_method
@real_and_complex
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_weight_of_one_and_zero_is_an_endpoint_norms_included(method: str, dtype: torch.dtype, size: float) -> None:
    a, b = draw(0, 2, dtype)
    b = b * size
    for weights, end in (([1.0, 0.0], a), ([0.0, 1.0], b)):
        merged = merge_latents([a, b], torch.tensor([weights] * 3, dtype=torch.float64), method)
        torch.testing.assert_close(merged, end, rtol=1e-7, atol=1e-12 * float(end.abs().max()))


@every_method
@real_and_complex
@laws
@given(
    seed=st.integers(0, 10**6),
    weights=st.lists(st.floats(0.01, 10), min_size=2, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_models_with_their_weights_does_not_matter(
    method: str, dtype: torch.dtype, seed: int, weights: list[float], order: object
) -> None:
    latents = draw(seed, len(weights), dtype)
    share = torch.tensor([weights] * 3, dtype=torch.float64)
    permutation = list(range(len(weights)))
    order.shuffle(permutation)  # type: ignore[attr-defined]
    torch.testing.assert_close(
        merge_latents([latents[k] for k in permutation], share[:, permutation], method),
        merge_latents(latents, share, method),
    )


@every_method
@real_and_complex
@pytest.mark.parametrize("models", [3, 5])
def test_every_model_counts(method: str, dtype: torch.dtype, models: int) -> None:
    latents = draw(1, models, dtype)
    merged = merge_latents(latents, equal_weights(latents), method)
    for k in range(models):
        changed = [latent * (2 if k == j else 1) for j, latent in enumerate(latents)]
        assert (merge_latents(changed, equal_weights(latents), method) - merged).abs().max() > 1e-3


@every_method
@real_and_complex
def test_each_patient_has_weights_of_its_own(method: str, dtype: torch.dtype) -> None:
    latents = draw(2, 3, dtype)
    weights = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 3.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    together = merge_latents(latents, weights, method)
    for row in range(3):
        alone = merge_latents([latent[[row]] for latent in latents], weights[[row]], method)
        torch.testing.assert_close(together[[row]], alone)


@every_method
@real_and_complex
@pytest.mark.parametrize("behind", [math.nan, math.inf, 1e9, 0.0])
def test_what_stands_behind_an_absent_modality_is_never_read(method: str, dtype: torch.dtype, behind: float) -> None:
    a, b, c = draw(3, 3, dtype)
    weights = torch.tensor([[1.0, 0.0, 2.0]] * 3, dtype=torch.float64)
    merged = merge_latents([a, torch.full_like(b, behind), c], weights, method)
    assert torch.equal(merged, merge_latents([a, b, c], weights, method))
    torch.testing.assert_close(merged, merge_latents([a, c], weights[:, [0, 2]], method))


@every_method
@real_and_complex
def test_absent_modalities_get_no_gradient(method: str, dtype: torch.dtype) -> None:
    a, b = draw(4, 2, dtype)
    b = b.requires_grad_()
    merge_latents([a, b], torch.tensor([[1.0, 0.0]] * 3, dtype=torch.float64), method).abs().sum().backward()
    assert b.grad is not None and torch.equal(b.grad, torch.zeros_like(b))


@every_method
@real_and_complex
def test_nobody_present_gives_zeros(method: str, dtype: torch.dtype) -> None:
    latents = draw(5, 2, dtype)
    merged = merge_latents(latents, torch.zeros(3, 2, dtype=torch.float64), method)
    assert torch.equal(merged, torch.zeros_like(merged))


@every_method
@real_and_complex
@pytest.mark.parametrize("scale", [0.0, 1.0, -1.0, 2.0, -0.5, 1e-30])
def test_zero_parallel_and_opposed_latents_are_never_nan(method: str, dtype: torch.dtype, scale: float) -> None:
    (a,) = draw(6, 1, dtype)
    for first in (a, torch.zeros_like(a)):
        for share in (0.5, 0.2):
            weights = torch.tensor([[1 - share, share]] * 3, dtype=torch.float64)
            assert torch.isfinite(torch.view_as_real(merge_latents([first, a * scale], weights, method) + 0j)).all()


@pytest.mark.parametrize("method", ["harmonic", "geometric"])
def test_the_mean_of_179_and_minus_179_degrees_is_180(method: str) -> None:
    first = torch.polar(
        torch.ones(1, 1, 1, dtype=torch.float64), torch.tensor(math.radians(179.0), dtype=torch.float64)
    )
    merged = merge_latents([first, first.conj()], torch.ones(1, 2, dtype=torch.float64), method)
    torch.testing.assert_close(merged, torch.full_like(merged, -1.0))


@pytest.mark.parametrize("method", ["harmonic", "geometric"])
@real_and_complex
@pytest.mark.parametrize("weights", [[0.1, 0.2, 0.3], [0.7, 0.1, 0.8], [1 / 3, 1 / 7, 1 / 3 + 1 / 7]])
def test_opposed_phases_cancel_and_rounding_chooses_no_direction(
    method: str, dtype: torch.dtype, weights: list[float]
) -> None:
    (a,) = draw(9, 1, dtype)
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        latents = [[a, 2 * a, -a][k] for k in order]
        merged = merge_latents(latents, torch.tensor([[weights[k] for k in order]] * 3, dtype=torch.float64), method)
        assert float(merged.abs().max()) < 1e-9


@laws
@given(first=st.floats(0.01, 100), second=st.floats(0.01, 100), share=st.floats(0.05, 0.95))
def test_magnitudes_follow_the_closed_formulas(first: float, second: float, share: float) -> None:
    latents = [torch.full((1, 1, 1), value, dtype=torch.complex128) for value in (first, second)]
    weights = torch.tensor([[1 - share, share]], dtype=torch.float64)
    expected = {
        "mean": (1 - share) * first + share * second,
        "harmonic": 1 / ((1 - share) / first + share / second),
        "geometric": first ** (1 - share) * second**share,
    }
    for method, value in expected.items():
        assert merge_latents(latents, weights, method).item().real == pytest.approx(value, rel=1e-9)


@real_and_complex
def test_the_sum_is_the_mean_times_the_weights_and_reads_nothing_absent(dtype: torch.dtype) -> None:
    a, b, c = draw(10, 3, dtype)
    weights = torch.tensor([[1.0, 0.0, 1.0], [0.5, 0.0, 2.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    merged = merge_latents([a, torch.full_like(b, math.nan), c], weights, "sum")
    torch.testing.assert_close(merged[0], a[0] + c[0])
    torch.testing.assert_close(merged, merge_latents([a, b, c], weights) * weights.sum(1)[:, None, None])


@real_and_complex
def test_the_product_multiplies_magnitudes_and_adds_phases_of_who_is_present(dtype: torch.dtype) -> None:
    a, b, c = draw(11, 3, dtype)
    weights = torch.tensor([[1.0, 1.0, 1.0], [2.0, 0.0, 2.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    a, b, c = (torch.cat([own, own[:1]]) for own in (a, b, c))
    merged = merge_latents([a, torch.cat([b[:1], torch.full_like(b[1:], math.nan)]), c], weights, "product")

    def product(*rows: Tensor) -> Tensor:
        if rows[0].is_complex():
            return torch.stack(rows).prod(0)
        return torch.fft.ifft(torch.stack([torch.fft.fft(row, dim=0) for row in rows]).prod(0), dim=0).real

    torch.testing.assert_close(merged[0], product(a[0], b[0], c[0]))
    torch.testing.assert_close(merged[1], product(a[1], c[1]))
    torch.testing.assert_close(merged[2], c[2])
    assert torch.equal(merged[3], torch.zeros_like(merged[3]))
    shuffled = merge_latents([c, a], weights[:, [2, 0]], "product")
    torch.testing.assert_close(shuffled[1], merged[1])


def test_the_product_weighs_by_powers_and_its_phases_add() -> None:
    size, phase = torch.tensor([2.0, 3.0]).double(), torch.tensor([0.5, 0.7]).double()
    first, second = torch.polar(size, phase).reshape(2, 1, 1, 1)
    merged = merge_latents([first, second], torch.tensor([[1.0, 3.0]], dtype=torch.float64), "product")
    assert merged.abs().item() == pytest.approx(2**0.5 * 3**1.5) and merged.angle().item() == pytest.approx(0.5 + 0.7)


@every_method
@real_and_complex
def test_inputs_are_left_as_they_are(method: str, dtype: torch.dtype) -> None:
    latents = draw(7, 3, dtype)
    weights = equal_weights(latents)
    before = [latent.clone() for latent in latents], weights.clone()
    merge_latents(latents, weights, method)
    assert all(torch.equal(*pair) for pair in zip(latents, before[0], strict=True)) and torch.equal(weights, before[1])


def test_what_does_not_fit_is_refused_by_name() -> None:
    a, b = draw(8, 2, torch.float64)
    weights = torch.ones(3, 2)
    with pytest.raises(ValueError, match=r"one shape merge, these have \[\(3, 4, 4\), \(3, 5, 4\)\]"):
        merge_latents([a, b[:, :4]], weights)
    with pytest.raises(ValueError, match=r"weights must be \(B, M\) = \(3, 2\), not \(2, 3\)"):
        merge_latents([a, b], weights.T)
    with pytest.raises(ValueError, match="'median': choose one of mean, harmonic, geometric, sum, product"):
        merge_latents([a, b], weights, "median")
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="finite and not negative"):
            merge_latents([a, b], torch.tensor([[wrong, 1.0]] * 3))
    with pytest.raises(ValueError, match="nothing to merge"):
        merge_latents([], torch.ones(3, 0))
