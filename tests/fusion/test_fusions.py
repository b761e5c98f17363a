"""Each fusion: the public check, gradients against finite differences, and what is absent exactly left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from chiasm.fusion.attention import CrossAttention, FeedForward, TokenEntrance
from chiasm.fusion.healnet import HealNet
from chiasm.fusion.lego import LegoFuse
from chiasm.fusion.lego_block import LegoBlock, pool, unit_scale
from chiasm.protocols import Fused
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens
from small_recipes import at_night

SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}
each_seed = pytest.mark.parametrize("seed", [0, *at_night(1, 2)])
DOMAINS = ["signal", "rfft", "fft", "complex"]
SIZES: dict[str, Any] = {"latents": 5, "latent_width": 8, "dropout": 0.0}


def batch(shapes: dict[str, tuple[int, int]], n: int = 6, seed: int = 0) -> tuple[dict[str, Tokens], torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = {}
    for name, (width, slots) in shapes.items():
        length = slots or 4
        lengths = torch.randint(1, length + 1, (n,), generator=generator) if not slots else torch.full((n,), length)
        values = torch.randn(n, length, width, generator=generator)
        tokens[name] = Tokens(values, torch.arange(length) < lengths[:, None])
    return tokens, torch.ones(n, len(shapes), dtype=torch.bool)


def blocks(domain: str, shapes: dict[str, tuple[int, int]] = SHAPES, **sizes: Any) -> dict[str, LegoBlock]:
    torch.manual_seed(0)
    return {name: LegoBlock(*shape, **{**SIZES, **sizes}, domain=domain) for name, shape in shapes.items()}


@each_seed
@pytest.mark.parametrize("options", [{}, {"depth": 1}, {"depth": 4, "tied": True}, {"latents": 1}], ids=str)
def test_healnet_passes_the_public_check(options: dict[str, Any], seed: int) -> None:
    check_fusion(lambda shapes: HealNet(shapes, **{**SIZES, **options}), SHAPES, seed=seed)


@each_seed
@pytest.mark.parametrize("mode", ["stack", "weave"])
@pytest.mark.parametrize("domain", DOMAINS)
def test_lego_fuse_passes_the_public_check(domain: str, mode: Any, seed: int) -> None:
    check_fusion(lambda shapes: LegoFuse(blocks(domain, dict(shapes)), mode), SHAPES, seed=seed)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("absent", ["a", "b", "c"])
def test_an_absent_modality_is_exactly_the_healnet_without_its_layers(absent: str, tied: bool) -> None:
    torch.manual_seed(0)
    whole = HealNet(SHAPES, **SIZES, depth=3, tied=tied).eval()
    rest = {name: shape for name, shape in SHAPES.items() if name != absent}
    less = HealNet(rest, **SIZES, depth=3, tied=tied).eval()
    place = {k: sorted(SHAPES).index(name) for k, name in enumerate(sorted(rest))}

    def of_whole(key: str) -> str:
        """The name of the same tensor among all modalities, whose parts lie in the order of their names."""
        parts = key.split(".")
        at = {"entrances": 1, "layers": 2}.get(parts[0])
        return ".".join(parts if at is None else [*parts[:at], str(place[int(parts[at])]), *parts[at + 1 :]])

    state = whole.state_dict()
    less.load_state_dict({key: state[of_whole(key)] for key in less.state_dict()})
    tokens, present = batch(SHAPES)
    present[:, sorted(SHAPES).index(absent)] = False
    kept = {name: part for name, part in tokens.items() if name != absent}
    with torch.no_grad():
        one = whole(tokens, present).embedding
        other = less(kept, torch.ones(len(present), 2, dtype=torch.bool)).embedding
    assert torch.equal(one, other)


@pytest.mark.parametrize("mode", ["stack", "weave"])
@pytest.mark.parametrize("domain", ["signal"])
def test_an_absent_modality_is_exactly_the_fusion_without_its_block(domain: str, mode: Any) -> None:
    fused = LegoFuse(blocks(domain), mode).eval()
    less = LegoFuse({name: block for name, block in blocks(domain).items() if name != "b"}, mode).eval()
    less.latent.data = fused.latent.data
    tokens, present = batch(SHAPES)
    present[:, 1] = False
    with torch.no_grad():
        one = fused(tokens, present).embedding
        other = less({name: tokens[name] for name in ("a", "c")}, present[:, [0, 2]]).embedding
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    "make", [lambda: HealNet(SHAPES, **SIZES), lambda: LegoFuse(blocks("signal"))], ids=["healnet", "lego"]
)
def test_a_patient_with_nothing_gets_the_learned_latent(make: Any) -> None:
    fusion = make().eval()
    tokens, present = batch(SHAPES)
    embedding = fusion(tokens, torch.zeros_like(present)).embedding
    expected = fusion.latent.mean(0).expand(len(present), -1)
    torch.testing.assert_close(embedding, expected)


def test_tied_layers_share_weights_after_the_first() -> None:
    count = {
        tied: sum(p.numel() for p in HealNet(SHAPES, **SIZES, depth=4, tied=tied).layers.parameters())
        for tied in (0, 1)
    }
    assert count[0] == 2 * count[1]


@pytest.mark.parametrize("domain", DOMAINS)
def test_domains_are_left_and_entered_without_loss(domain: str) -> None:
    for latents in (4, 5):
        block = LegoBlock(3, 0, latents=latents, latent_width=8, domain=domain)
        signal = torch.randn(2, latents, 8)
        there = block.to_domain(signal)
        assert there.shape[1] == (latents // 2 + 1 if domain == "rfft" else latents)
        back = block.from_domain(there)
        torch.testing.assert_close(back.real if back.is_complex() else back, signal, atol=1e-6, rtol=0)
        total = there.abs().square().sum() if domain != "rfft" else None
        if total is not None:
            torch.testing.assert_close(total, signal.square().sum())


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_block_gives_the_start_where_its_modality_is_absent(domain: str) -> None:
    block = blocks(domain)["b"].eval()
    tokens, _ = batch({"b": SHAPES["b"]})
    here = torch.tensor([True, False] * 3)
    latents = block(tokens["b"], here)
    assert latents.is_complex() == (domain != "signal")
    start = block.to_domain(block.latent[None])
    torch.testing.assert_close(latents[~here], start.expand(3, -1, -1), atol=1e-5, rtol=0)
    assert not torch.allclose(latents[here], start.expand(3, -1, -1), atol=1e-3)


def test_rfft_carries_the_imaginary_part_along_and_complex_does_not() -> None:
    tokens, _ = batch({"b": SHAPES["b"]})
    here = torch.ones(6, dtype=torch.bool)
    for domain in ("rfft", "fft", "complex"):
        block = blocks(domain, depth=1)["b"].eval()
        latents = block(tokens["b"], here)
        untouched = block.to_domain(block.latent[None] * unit_scale(block.latent[None])).imag
        assert torch.allclose(latents.imag, untouched.expand(6, -1, -1), atol=1e-6) == (domain != "complex")


@pytest.mark.parametrize("latents", [5, 6])
def test_the_whole_spectrum_is_the_half_one_with_its_mirror_and_is_averaged_over_all_rows(latents: int) -> None:
    tokens, _ = batch({"b": SHAPES["b"]})
    here = torch.ones(6, dtype=torch.bool)
    half, whole = (blocks(domain, depth=3, latents=latents)["b"].double().eval() for domain in ("rfft", "fft"))
    whole.load_state_dict(half.state_dict())
    own = Tokens(tokens["b"].values.double(), tokens["b"].mask)
    short, full = half(own, here), whole(own, here)
    torch.testing.assert_close(full[:, : latents // 2 + 1], short)
    torch.testing.assert_close(full[:, 1:], full[:, 1:].flip(1).conj())
    torch.testing.assert_close(whole.from_domain(full), half.from_domain(short))
    twice = torch.tensor([1.0 if 2 * row in (0, latents) else 2.0 for row in range(latents // 2 + 1)]).double()
    torch.testing.assert_close(pool(full), (short.real * twice[:, None]).sum(1) / latents)
    assert not torch.allclose(pool(full), pool(short))


def test_pool_reads_the_real_part() -> None:
    latents = torch.complex(torch.ones(2, 3, 4), torch.full((2, 3, 4), 9.0))
    assert torch.equal(pool(latents), torch.ones(2, 4)) and torch.equal(pool(latents.real), torch.ones(2, 4))


def test_unit_scale_is_the_inverse_norm_and_finite_at_zero() -> None:
    latents = torch.randn(2, 4, 3)
    torch.testing.assert_close((latents * unit_scale(latents)).norm(dim=1), torch.ones(2, 3))
    zero = torch.zeros(1, 4, 3, requires_grad=True)
    (zero * unit_scale(zero)).sum().backward()
    assert torch.isfinite(zero.grad).all() and unit_scale(zero).max() <= 1e6


def test_an_entrance_gives_each_slot_its_own_map_and_bags_one_for_all() -> None:
    own = TokenEntrance(3, 2, 6)
    values = torch.randn(4, 1, 3).expand(-1, 2, -1)
    out = own(Tokens(values, torch.ones(4, 2, dtype=torch.bool)))
    assert out.shape == (4, 2, 6) and not torch.allclose(out[:, 0], out[:, 1])
    expected = nn.functional.layer_norm(values[:, 1] @ own.weight[1] + own.bias[1], (6,))
    torch.testing.assert_close(out[:, 1], expected)
    shared = TokenEntrance(3, 0, 6)(Tokens(values, torch.ones(4, 2, dtype=torch.bool)))
    assert torch.equal(shared[:, 0], shared[:, 1])
    with pytest.raises(ValueError, match="2 tokens at fit and 3 now"):
        own(Tokens(torch.zeros(1, 3, 3), torch.ones(1, 3, dtype=torch.bool)))


def test_attention_is_softmax_over_the_real_tokens() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(6, 6, heads=1, head_width=4, temperature=0.5).double()
    latents, tokens = torch.randn(1, 2, 6).double(), torch.randn(1, 3, 6).double()
    mask = torch.tensor([[True, True, False]])
    query = attention.query(attention.norm(latents))[0]
    key, value = attention.key_value(tokens[0, :2]).chunk(2, -1)
    share = torch.softmax(query @ key.T / (np.sqrt(4) * 0.5), -1)
    torch.testing.assert_close(attention(latents, tokens, mask)[0], attention.out(share @ value))
    assert torch.isfinite(attention(latents, tokens, torch.zeros_like(mask))).all()


def test_the_feed_forward_layer_is_gated_by_selu() -> None:
    layer = FeedForward(4, expansion=2)
    hidden = torch.randn(2, 3, 4)
    value, gate = layer.widen(layer.norm(hidden)).split(8, -1)
    torch.testing.assert_close(layer(hidden), layer.narrow(value * nn.functional.selu(gate)))


@pytest.mark.parametrize("domain", ["signal", "complex", *at_night("rfft", "fft")])
def test_gradients_are_those_of_finite_differences(domain: str) -> None:
    shapes = {"a": (2, 2), "b": (3, 0)}
    fusions: list[nn.Module] = [LegoFuse(blocks(domain, shapes, latents=3, latent_width=4), "weave")]
    if domain == "signal":
        fusions.append(HealNet(shapes, latents=3, latent_width=4, dropout=0.0))
    tokens, present = batch(shapes, n=3)
    present[0, 0] = present[1, 1] = False
    for fusion in fusions:
        fusion.double().eval()

        def embedding(one: torch.Tensor, two: torch.Tensor, fusion: nn.Module = fusion) -> torch.Tensor:
            given = {"a": Tokens(one, tokens["a"].mask), "b": Tokens(two, tokens["b"].mask)}
            return fusion(given, present).embedding

        values = [tokens[name].values.double().requires_grad_() for name in ("a", "b")]
        assert torch.autograd.gradcheck(embedding, values, atol=1e-6)


class Broken(nn.Module):
    """HEALNet with one law broken; `how` says which."""

    def __init__(self, shapes: Any, how: str) -> None:
        super().__init__()
        self.how, self.inner = how, HealNet(shapes, **SIZES)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, tokens: dict[str, Tokens], present: torch.Tensor) -> Any:
        if self.how == "state":
            self.calls += 1
        if self.how == "inputs" and not torch.is_inference_mode_enabled():
            tokens["a"].values.data.mul_(1.0 + 1e-3)
        fused = self.inner(tokens, present)
        embedding = fused.embedding
        if self.how == "batch":
            embedding = embedding - embedding.mean(0)
        if self.how == "order":
            first = torch.where(tokens["b"].mask[:, :1], tokens["b"].values[:, 0], torch.zeros(()))
            embedding = embedding + torch.where(present[:, 1:2], first.sum(1, keepdim=True), torch.zeros(()))
        if self.how == "padding":
            embedding = embedding * tokens["b"].values.shape[1]
        if self.how == "gradient":
            embedding = embedding + (embedding - embedding).abs().sqrt()
        return embedding if self.how == "type" else Fused(embedding)


@pytest.mark.parametrize(
    ("how", "law"),
    [
        ("state", "forward changes no state"),
        ("inputs", "repeatable|inputs as they were"),
        ("batch", "who else is in the batch"),
        ("padding", "who else is in the batch"),
        ("order", "order of a bag|who else"),
        ("gradient", "gradient"),
        ("type", "gives Fused"),
    ],
)
def test_a_broken_law_is_named(how: str, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_fusion(lambda shapes: Broken(shapes, how), SHAPES)
