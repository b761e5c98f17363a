"""What stands for an absent modality: the public check, complete patients untouched, each way equals its formula."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from chiasm.fusion.completed import STANDS_IN, Completed
from chiasm.fusion.missing_tokens import MISSING, GraphCompletion, Indicator, Nothing, Placeholder, PromptPool
from chiasm.fusion.prompt_bank import PromptBank
from chiasm.fusion.relations import Relations
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens
from examples import examples

SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}
SIZES: dict[str, Any] = {"latents": 3, "latent_width": 8, "heads": 2, "pool": 6}
B, M, L, D = 7, 3, 3, 8


def made(missing: str, **options: Any) -> Completed:
    torch.manual_seed(0)
    return Completed(SHAPES, **SIZES, missing=missing, **options)


def states(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """States of patients with every pattern of three modalities, zero where absent, and who has what."""
    codes = torch.arange(B) + 1
    present = torch.stack([codes >> m & 1 for m in range(M)], 1).bool()
    drawn = torch.randn(B, M, L, D, generator=torch.Generator().manual_seed(seed))
    return torch.where(present[:, :, None, None], drawn, 0.0), present


def tokens(n: int = 6) -> dict[str, Tokens]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: Tokens(
            torch.randn(n, slots or 4, width, generator=generator), torch.ones(n, slots or 4, dtype=torch.bool)
        )
        for name, (width, slots) in SHAPES.items()
    }


@pytest.mark.parametrize("missing", MISSING)
def test_each_passes_the_public_check(missing: str) -> None:
    more = {"typed": missing == "graph", "outputs": 2 if missing == "distilled" else 0}
    check_fusion(lambda shapes: Completed(shapes, **SIZES, missing=missing, **more), SHAPES)


def test_a_complete_patient_is_the_same_whatever_would_stand_in() -> None:
    given, present = tokens(), torch.ones(6, 3, dtype=torch.bool)
    with torch.no_grad():
        found = {missing: made(missing).eval()(given, present).embedding for missing in MISSING}
        absent = {missing: made(missing).eval()(given, present & False).embedding for missing in MISSING}
    assert all(torch.equal(found["nothing"], embedding) for embedding in found.values())
    assert all(bool(torch.isfinite(embedding).all()) for embedding in absent.values())
    assert not torch.allclose(absent["nothing"], absent["placeholder"])


@pytest.mark.parametrize("missing", MISSING)
def test_tokens_that_stand_in_are_as_many_as_latents_or_fewer(missing: str) -> None:
    own, (given, present) = made(missing).missing.eval(), states()
    stands = own(given, present).tokens
    assert (stands.shape[2] > 0) == (missing != "nothing")
    assert stands.shape[:2] == (B, M) and stands.shape[2] <= L and stands.shape[3] == D


@pytest.mark.parametrize("missing", MISSING)
def test_something_stands_for_the_modalities_named_and_for_no_other(missing: str) -> None:
    fusions = (made(missing, standing=("c",)), made(missing), made("nothing"))
    lacks_b, lacks_c = (torch.tensor([[True, m != 1, m != 2]] * 6) for m in (1, 2))
    with torch.no_grad():
        some, every, nothing = (
            [own.eval()(tokens(), here).embedding for here in (lacks_b, lacks_c)] for own in fusions
        )
    torch.testing.assert_close(some[0], nothing[0], rtol=0.0, atol=0.0)
    torch.testing.assert_close(some[1], every[1], rtol=0.0, atol=0.0)
    assert missing == "nothing" or not torch.allclose(every[0], nothing[0])


def test_an_indicator_that_nobody_had_in_training_changes_no_token() -> None:
    indicator, (_, present) = Indicator(M, L, D), states()
    found = indicator(torch.zeros(B, M, L, D), present).tokens
    assert torch.equal(found, found[:1].expand_as(found))


def gradients(module: nn.Module, *given: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """The gradients, one after another, of a drawn linear function of what a module returns."""
    found = module(*given)
    found = found if isinstance(found, torch.Tensor) else found.tokens
    drawn = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed))
    return torch.cat([part.flatten() for part in torch.autograd.grad((found * drawn).sum(), list(module.parameters()))])


@pytest.mark.parametrize("which", ["pool", "relations"])
def test_gradients_are_the_same_each_time_on_two_threads(which: str) -> None:
    """The gradient of indexing a pool of this size differs from time to time."""
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        if which == "pool":
            module: nn.Module = PromptPool(3, 16, 32)
            given: tuple[Any, ...] = (torch.randn(64, 3, 16, 32), torch.ones(64, 3, dtype=torch.bool))
        else:
            types = torch.arange(4).repeat_interleave(48)
            module, keys = Relations(8, heads=4, types=4), torch.randn(2, 192, 8)
            given = (keys, keys, torch.ones(2, 1, 192, dtype=torch.bool), types, types)
        first = gradients(module, *given)
        assert all(torch.equal(first, gradients(module, *given)) for _ in range(examples(20)))
    finally:
        torch.set_num_threads(before)


def test_learned_tokens_are_the_same_for_all_and_indicators_say_who_lacks_what() -> None:
    given, present = states()
    other, _ = states(seed=1)
    placeholder, indicator = Placeholder(M, L, D), Indicator(M, L, D)
    nn.init.normal_(indicator.maps.weight)
    assert torch.equal(placeholder(given, present).tokens, placeholder.tokens.expand(B, -1, -1, -1))
    assert torch.equal(indicator(given, present).tokens, indicator(other, present).tokens)
    expected = indicator.maps.bias + (~present).float() @ indicator.maps.weight.T
    torch.testing.assert_close(indicator(given, present).tokens.reshape(B, -1), expected)


def test_a_pool_gives_the_nearest_prompts_always_the_same_in_the_shape_of_a_modality_that_is_there() -> None:
    torch.manual_seed(0)
    pool, (given, present) = PromptPool(M, L, D, pool=6), states()
    found, prompts = pool(given, present).tokens, pool.prompts.detach().clone()
    assert found.shape == given.shape and torch.equal(found, pool(given, present).tokens)
    for row in range(B):
        query = given[row][present[row]].reshape(-1, D).mean(0)
        for m in range(M):
            nearest = sorted(range(6), key=lambda k, m=m, query=query: -float(prompts[m, k] @ query))[:L]
            assert torch.equal(found[row, m], prompts[m, nearest])
    with torch.no_grad():
        pool.prompts.zero_()  # equal products: the first ones count
    gradient = torch.autograd.grad(pool(given, present).tokens.sum(), pool.prompts)[0]
    assert torch.equal(gradient[:, L:], torch.zeros(M, 6 - L, D)) and bool((gradient[:, :L] == B).all())


def test_prompts_that_are_not_chosen_for_an_absent_modality_have_gradient_zero() -> None:
    fusion, given = made("pool"), tokens()
    present = torch.tensor([[True, True, False], [True, False, True]] * 3)
    pool = fusion.missing
    assert isinstance(pool, PromptPool)
    seen = []
    pool.register_forward_hook(lambda module, inputs, output: seen.append(output.tokens.detach()))
    fusion(given, present).embedding.square().sum().backward()
    assert pool.prompts.grad is not None and pool.prompts.grad.abs().sum() > 0
    for m in range(M):
        chosen = seen[0][~present[:, m], m].flatten(0, 1)
        for k in range(6):
            used = bool((chosen == pool.prompts[m, k]).all(1).any())
            assert bool((pool.prompts.grad[m, k] != 0).any()) == used, "nobody lacks a"
    assert bool((pool.prompts.grad[0] == 0).all())


def test_no_prompt_is_the_class_token_alone() -> None:
    pool, nothing = made("pool"), made("nothing")
    pool.missing = PromptPool(M, L, D, pool=6, chosen=0)
    present = torch.tensor([[True, True, False], [True, False, True]] * 3)
    with torch.no_grad():
        for here in (present, present & False):
            one, other = (fusion.eval()(tokens(), here).embedding for fusion in (pool, nothing))
            assert torch.equal(one, other)
    for wrong in ({"chosen": L + 1}, {"pool": 2}, {"chosen": -1}):
        with pytest.raises(ValueError, match="no more than either"):
            PromptPool(M, L, D, **{"pool": 6, **wrong})
    assert isinstance(nothing.missing, Nothing)


@pytest.mark.parametrize("readable", ["all", "some"])
def test_relations_without_bias_are_plain_attention(readable: str) -> None:
    torch.manual_seed(0)
    typed = Relations(D, heads=2, types=3)
    plain = Relations(D, heads=2, types=3, typed=False)
    plain.load_state_dict({key: value for key, value in typed.state_dict().items() if key != "bias"})
    queries, keys = torch.randn(2, 4, D), torch.randn(2, 5, D)
    mask = torch.ones(2, 4, 5, dtype=torch.bool) if readable == "all" else torch.rand(2, 4, 5) < 0.6
    mask[..., 0] = True
    types, key_types = torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, 1, 2, 2])
    one, other = (own(queries, keys, mask, types, key_types) for own in (typed, plain))
    assert torch.equal(one, other)
    q, (k, v) = plain.query(plain.norm(queries)), plain.key_value(plain.key_norm(keys)).chunk(2, -1)
    q, k, v = (own.unflatten(-1, (2, D // 2)).transpose(1, 2) for own in (q, k, v))
    read = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
    torch.testing.assert_close(other, plain.out(read.transpose(1, 2).flatten(2)))
    with torch.no_grad():
        assert typed.bias is not None
        typed.bias[:, 0, 2] = 50.0  # a query of type 0 now reads keys of type 2 alone
    biased = typed(queries, keys, torch.ones_like(mask), types, key_types)
    cut = plain(queries, keys, (key_types == 2).expand(2, 4, 5), types, key_types)
    torch.testing.assert_close(biased[:, [0, 3]], cut[:, [0, 3]])


def test_a_query_that_may_read_nothing_gets_zero() -> None:
    relations = Relations(D, heads=2, types=1)
    types = torch.zeros(2, dtype=torch.long)
    read = relations(torch.randn(1, 2, D), torch.randn(1, 2, D), torch.zeros(1, 2, 2, dtype=torch.bool), types, types)
    assert torch.equal(read, torch.zeros(1, 2, D))


def test_a_node_is_computed_from_the_others_that_are_there_and_from_no_one_else() -> None:
    torch.manual_seed(0)
    graph, (given, present) = GraphCompletion(M, L, D, heads=2).eval(), states()
    found = graph.completed(given, present)
    for m in range(M):
        for changed in range(M):
            other = given.clone()
            other[:, changed] += 1.0
            moved = (graph.completed(other, present)[:, m] != found[:, m]).flatten(1).any(1)
            assert torch.equal(moved, present[:, changed] & (changed != m))


def test_the_completion_is_scored_where_it_can_be_and_its_aim_stays_where_it_is() -> None:
    torch.manual_seed(0)
    graph, (given, present) = GraphCompletion(M, L, D, heads=2, loss_weight=2.0).train(), states()
    known = present & (present.sum(1, keepdim=True) > 1)
    loss = graph(given, present).losses["completion"]
    gaps = (graph.completed(given, present) - given).square().mean((2, 3))[known]
    torch.testing.assert_close(loss, 2.0 * gaps.mean())
    assert graph.eval()(given, present).losses == {}
    alone = torch.eye(M, dtype=torch.bool)[torch.arange(B) % M]
    assert graph.train()(given, alone).losses["completion"].item() == 0.0
    aim = given.clone().requires_grad_()
    with torch.no_grad():
        graph.relations.out.weight.zero_()  # the others say nothing: only the aim is left
    graph(aim, present).losses["completion"].backward()
    assert aim.grad is None or bool((aim.grad == 0).all())


def test_the_completed_embedding_of_a_masked_modality_is_nearer_than_the_mean() -> None:
    torch.manual_seed(0)
    factors, loadings = torch.randn(300, 2), torch.randn(2, M, L, D)
    given = torch.einsum("bf,fmld->bmld", factors, loadings) + 0.3 * torch.randn(300, M, L, D)
    present = torch.ones(300, M, dtype=torch.bool)
    graph = GraphCompletion(M, L, D, heads=2, loss_weight=1.0)
    optimiser = torch.optim.AdamW(graph.parameters(), lr=1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        graph.train()(given[:200], present[:200]).losses["completion"].backward()
        optimiser.step()
    for m in range(M):
        masked = torch.ones(100, M, dtype=torch.bool)
        masked[:, m] = False
        hidden = torch.where(masked[:, :, None, None], given[200:], 0.0)
        with torch.no_grad():
            error = (graph.eval()(hidden, masked).tokens[:, m] - given[200:, m]).square().mean()
        assert float(error) < 0.7 * float((given[:200, m].mean(0) - given[200:, m]).square().mean())


def test_prompts_take_the_tokens_most_like_them_and_no_label() -> None:
    torch.manual_seed(0)
    bank, given = PromptBank(2, D, outputs=3, top=2), torch.randn(4, L, D)
    found = bank(given, 1)
    cosine = nn.functional.cosine_similarity(given[:, :, None], bank.prompts[1][None, None], dim=3)  # (4, L, 3)
    best = cosine.sort(1, descending=True).values[:, :2].mean(1)
    torch.testing.assert_close(found, bank.log_scale[1].exp() * best + bank.bias[1])
    for forward in (Completed.forward, PromptBank.forward):
        assert not {"target", "value", "event", "label", "censored"} & set(inspect.signature(forward).parameters)


def test_what_stands_in_is_compared_with_prompts_after_the_last_layer() -> None:
    fusion = made("distilled", outputs=3)
    present = torch.tensor([[True, True, False], [True, False, True]] * 3)
    fused = fusion(tokens(), present)
    assert {key for key in fused.extras if key.startswith(STANDS_IN)} == {f"{STANDS_IN}{name}" for name in SHAPES}
    fused.extras[f"{STANDS_IN}c"][~present[:, 2]].sum().backward()
    gradient = fusion.missing.tokens.grad
    assert gradient is not None
    assert bool((gradient[2] != 0).any()), "the placeholder of c is what its prompts teach"
