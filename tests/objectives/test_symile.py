"""Symile's loss: its parts by hand, CLIP's for two modalities, and what pairs cannot say it learns."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional

from chiasm.objectives.contrastive import contrast, pairwise
from chiasm.objectives.symile import all_tuples, drawn_places, multilinear, own_tuples, shuffled, symile


def drawn(n: int, modalities: int, width: int = 6, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(n, modalities, width, generator=generator, dtype=torch.float64), dim=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


SCALE = torch.tensor(5.0, dtype=torch.float64)


@pytest.mark.parametrize("every", [False, True])
def test_two_modalities_are_clip(every: bool) -> None:
    vectors = drawn(9, 2)
    found = symile(vectors, SCALE, seeded(), every=every)
    torch.testing.assert_close(found, contrast(vectors[:, 0], vectors[:, 1], SCALE))


def test_with_every_tuple_it_is_the_cross_entropy_of_the_own_one() -> None:
    vectors, n = drawn(4, 3), 4
    total = 0.0
    for anchor in range(3):
        one, other = (m for m in range(3) if m != anchor)
        for i in range(n):
            scores = {
                (j, k): 5.0 * (vectors[i, anchor] * vectors[j, one] * vectors[k, other]).sum()
                for j, k in product(range(n), repeat=2)
            }
            total += (torch.logsumexp(torch.stack(list(scores.values())), 0) - scores[i, i]) / n / 3
    torch.testing.assert_close(symile(vectors, SCALE, seeded(), every=True), total)


@pytest.mark.parametrize("modalities", [2, 3, 5])
def test_no_shuffled_tuple_is_the_anchors_own(modalities: int) -> None:
    """With independent permutations of all of them it would be, nearly always for two modalities."""
    marks = [torch.eye(6)[:, :, None].expand(-1, -1, modalities - 1).clone() for _ in range(modalities - 1)]
    for m, own in enumerate(marks):  # a factor says who it is of, in a block of its own; elsewhere it changes nothing
        own[:, :, [k for k in range(modalities - 1) if k != m]] = 1.0
    for seed in range(20):
        places = drawn_places(6, modalities - 1, seeded(seed))
        rows = shuffled([own.flatten(1) for own in marks], places).view(6, 6, modalities - 1)
        of_whom = rows.argmax(1)  # (6, M - 1)
        same = (of_whom[:, :1] == of_whom).all(1)
        assert all(int(of_whom[j, 0]) == j for j in range(6) if same[j])
        assert all(sorted(of_whom[:, m].tolist()) == list(range(6)) for m in range(modalities - 1))


@pytest.mark.parametrize("every", [False, True])
def test_a_tuple_that_a_patient_has_with_stand_ins_is_no_negative(every: bool) -> None:
    """In a space in which own tuples are told from all others there is no loss, whoever lacks what.

    Each patient has two entries; those of the second vector of who has all differ in sign, which the stand-in undoes.
    """
    even = torch.eye(8, dtype=torch.float64).repeat_interleave(2, 1)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(8)
    for lacking in (torch.ones(8, dtype=torch.bool), torch.arange(8) < 5):
        stood = torch.zeros(8, 3, dtype=torch.bool)
        stood[:, 2] = lacking
        other = torch.where(lacking[:, None], even, even * signs)
        third = torch.where(lacking[:, None], torch.full_like(even, 0.5), even * signs)
        vectors = torch.stack([even, other, third], 1)
        for seed in range(5):
            loss = symile(vectors, SCALE * 20, seeded(seed), stood=stood, every=every)
            assert float(loss) < 1e-3
            assert torch.isfinite(loss)
    full = drawn(5, 3)
    nobody = torch.zeros(5, 3, dtype=torch.bool)
    assert torch.equal(symile(full, SCALE, seeded(), stood=nobody), symile(full, SCALE, seeded()))


def test_own_tuples_are_those_of_the_anchor_s_patients() -> None:
    who = torch.tensor([[0, 0, -1], [1, 1, -1], [2, 2, 2]])
    places = torch.tensor([[0, 1], [0, 2], [1, 0], [2, 2]])
    found = own_tuples(who, 0, places)  # anchors of modality 0, with places of modalities 1 and 2
    assert found.tolist() == [[True, False, False, False], [False, False, True, False], [False, False, False, True]]
    found = own_tuples(who, 2, torch.tensor([[0, 0], [1, 1], [2, 2], [0, 1]]))
    assert found.tolist() == [[True, True, False, False], [True, True, False, False], [False, False, True, False]]


def test_the_loss_bounds_the_total_correlation_from_below() -> None:
    """`log of the number of tuples - loss` is at most the total correlation; that of the XOR of two bits is log 2."""
    bits = torch.tensor(list(product((-1.0, 1.0), repeat=2)) * 16, dtype=torch.float64)
    signs = torch.stack([bits[:, 0], bits[:, 1], bits.prod(1)], 1)[..., None]
    assert torch.equal(multilinear(signs), torch.ones(64, dtype=torch.float64))
    loss = symile(signs, torch.tensor(20.0, dtype=torch.float64), seeded(), every=True)
    assert len(all_tuples([signs[:, 0], signs[:, 1]])) == 64**2
    gain = float(torch.tensor(64.0**2).log() - loss)
    assert gain == pytest.approx(float(torch.tensor(2.0).log()), abs=1e-3)
    # Pairs say nothing: every two of the three are independent.
    scores = torch.einsum("iad,jbd->abij", signs, signs)
    assert all(float((scores[a, b].diagonal()).mean()) == 0.0 for a, b in ((0, 1), (0, 2), (1, 2)))


def test_nobody_gives_zero_and_the_others_are_not_read() -> None:
    vectors = drawn(6, 3)
    here = torch.tensor([True, True, False, True, False, True])
    behind = torch.where(here[:, None, None], vectors, float("nan")).requires_grad_()
    loss = symile(behind, SCALE, seeded(), here=here)
    torch.testing.assert_close(loss, symile(vectors[here], SCALE, seeded()))
    loss.backward()
    assert bool((behind.grad[~here] == 0).all()) and bool(torch.isfinite(behind.grad).all())
    behind.grad = None
    nobody = symile(behind, SCALE, seeded(), here=torch.zeros(6, dtype=torch.bool))
    nobody.backward()
    assert nobody.item() == 0.0 and torch.equal(behind.grad, torch.zeros_like(behind))
    assert torch.equal(symile(vectors, SCALE, seeded(3)), symile(vectors, SCALE, seeded(3)))
    with pytest.raises(ValueError, match="two modalities"):
        symile(vectors[:, :1], SCALE, seeded())
    with pytest.raises(ValueError, match="more tuples"):
        symile(drawn(40, 6), SCALE, seeded(), every=True)


def learned(way: str, train: torch.Tensor, test: torch.Tensor, steps: int, size: int, rate: float) -> float:
    """Accuracy of the last modality among 0 and 1, told from the others, after training maps of one number each."""
    modalities, width = train.shape[1], 16
    with torch.random.fork_rng():
        torch.manual_seed(0)
        maps = nn.ModuleList(nn.Linear(1, width) for _ in range(modalities))
        log_scale = nn.Parameter(torch.tensor(-0.3))
        optimiser = torch.optim.AdamW([*maps.parameters(), log_scale], lr=rate)

        def vectors(own: torch.Tensor) -> torch.Tensor:
            parts = [functional.normalize(one(own[:, [m]]), dim=1) for m, one in enumerate(maps)]
            return torch.stack(parts, 1)

        for step in range(steps):
            batch = vectors(train[(step * size) % len(train) :][:size])
            if way == "symile":
                loss = symile(batch, log_scale.exp() * width ** ((modalities - 2) / 2), seeded(step))
            else:
                loss = pairwise(batch, torch.ones(batch.shape[:2], dtype=torch.bool), log_scale.exp())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            given = vectors(test)[:, :-1]
            said = vectors(torch.tensor([[0.0], [1.0]]).expand(-1, modalities))[:, -1]
            question = given.prod(1) if way == "symile" else given.sum(1)
            return float(((question @ said.T).argmax(1) == test[:, -1]).float().mean())


@pytest.mark.nightly
def test_seven_way_xor_is_learned_by_symile_and_not_by_pairs() -> None:
    given = torch.tensor(list(product((0.0, 1.0), repeat=7))).repeat(2, 1)
    whole = torch.cat([given, given.sum(1, keepdim=True) % 2], 1)  # every input twice: all there is to be learned
    assert learned("symile", whole, whole, 80, 256, 0.05) > 0.99
    assert 0.35 < learned("pairs", whole, whole, 20, 256, 0.05) < 0.65


def mixture(n: int, share: float, seed: int) -> torch.Tensor:
    """Two bits, and the XOR of them with probability `share`, else the first."""
    given = torch.randint(2, (n, 2), generator=seeded(seed)).float()
    xor = torch.rand(n, generator=seeded(seed + 1)) < share
    return torch.cat([given, torch.where(xor, given.sum(1) % 2, given[:, 0])[:, None]], 1)


@pytest.mark.parametrize(
    "share", [0.0, 1.0, *(pytest.param(own, marks=pytest.mark.nightly) for own in (0.2, 0.4, 0.6, 0.8))]
)
def test_pairs_suffice_without_xor_and_symile_alone_does_with_it(share: float) -> None:
    """The paper's sweep: who is told c from a and b can be right in `.5 + .5 max(share, 1 - share)` at most."""
    train, test = mixture(4000, share, 3), mixture(2000, share, 5)
    found = {way: learned(way, train, test, 80, 200, 0.1) for way in ("symile", "pairs")}
    best = 0.5 + 0.5 * max(share, 1 - share)
    assert found["symile"] > best - 0.05
    assert found["pairs"] < 1 - share / 2 + 0.05  # they tell c from a alone
