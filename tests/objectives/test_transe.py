"""TransE: true triples come nearer than corrupted ones, which are never true, and a pair far enough apart rests."""

from __future__ import annotations

import pytest
import torch

from chiasm.objectives.knowledge import corrupted, distance, is_known, keys, margin_loss
from chiasm.objectives.matching import hard_negatives, matching_loss, same_content

E, R = 12, 2


def graph() -> torch.Tensor:
    """Each of ten things is of one of two classes, and follows the one before."""
    of_class = [(k, 0, 10 + k % 2) for k in range(10)]
    return torch.tensor(of_class + [(k, 1, k + 1) for k in range(9)])


def test_true_triples_come_nearer_than_corrupted_ones() -> None:
    generator, triples = torch.Generator().manual_seed(0), graph()
    known = keys(triples, E, R).sort().values
    entities = torch.nn.Parameter(torch.randn(E, 16, generator=generator))
    relations = torch.nn.Parameter(torch.randn(R, 16, generator=generator))
    optimiser = torch.optim.Adam([entities, relations], 0.05)

    def gap() -> float:
        """Share of true triples that are nearer than what they are corrupted to."""
        drawn = torch.Generator().manual_seed(1)
        many = triples.repeat(20, 1)
        false, made = corrupted(many, known, E, R, drawn)
        near, far = (distance(entities, relations, own[made]) for own in (many, false))
        return float((near < far).float().mean())

    before = gap()
    for _ in range(200):
        false, made = corrupted(triples, known, E, R, generator)
        loss = margin_loss(*(distance(entities, relations, own[made]) for own in (triples, false)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert before < 0.7 and gap() > 0.8


def test_what_is_corrupted_differs_in_one_end_and_is_never_true() -> None:
    triples = graph().repeat(50, 1)
    known = keys(graph(), E, R).sort().values
    false, made = corrupted(triples, known, E, R, torch.Generator().manual_seed(0))
    assert bool(made.all()) and not bool(is_known(false, known, E, R).any())
    assert is_known(triples, known, E, R).all()
    differ = (false != triples).sum(0)
    assert int(differ[1]) == 0 and abs(int(differ[0]) - int(differ[2])) < 0.2 * len(triples)
    assert bool(((false != triples).sum(1) == 1).all())
    whole = torch.tensor([(a, 0, b) for a in range(3) for b in range(3)])  # all that can be said is true
    assert not bool(corrupted(whole, keys(whole, 3, 1).sort().values, 3, 1, torch.Generator())[1].any())


def test_a_pair_apart_by_the_margin_has_no_gradient() -> None:
    true, false = torch.tensor([0.2, 0.2], requires_grad=True), torch.tensor([1.3, 0.9], requires_grad=True)
    loss = margin_loss(true, false, 1.0)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.3 / 2)
    assert true.grad is not None and true.grad.tolist() == [0.0, 0.5]
    assert float(margin_loss(true[:0], false[:0]).detach()) == 0.0


def test_a_distance_is_its_formula() -> None:
    entities, relations = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[0.5, 0.5]])
    found = distance(entities, relations, torch.tensor([[0, 0, 1]]))
    assert float(found) == pytest.approx(((0.6 + 0.5) ** 2 + (0.8 + 0.5 - 1.0) ** 2) ** 0.5)


def test_hard_negatives_are_others_that_look_alike() -> None:
    similarity = torch.tensor([[9.0, 5.0, -5.0], [5.0, 9.0, -5.0], [0.0, 0.0, 9.0]])
    same, generator = torch.eye(3, dtype=torch.bool), torch.Generator().manual_seed(0)
    drawn = torch.stack([hard_negatives(similarity, same, generator) for _ in range(200)])
    assert not bool((drawn == torch.arange(3)).any())
    assert int((drawn[:, 0] == 1).sum()) > 190 and 60 < int((drawn[:, 2] == 0).sum()) < 140
    alike = same | torch.tensor([[False, True, True], [False] * 3, [False] * 3])
    assert int(hard_negatives(similarity, alike, generator)[0]) == -1, "nobody else is another"
    assert len(hard_negatives(similarity[:0, :0], same[:0, :0], generator)) == 0
    assert float(matching_loss(torch.tensor([0.0, 0.0]), torch.tensor([True, False]))) == pytest.approx(
        0.6931, abs=1e-4
    )
    assert float(matching_loss(torch.zeros(0), torch.zeros(0, dtype=torch.bool))) == 0.0


def test_the_same_content_is_told_from_numbers_that_nearly_agree() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(2, 3, 4)
    nearly = one + 1e-7 * torch.randn(3, 4)  # as of the same text encoded in another batch
    moved = one.clone()
    moved[0, 0], moved[0, 1] = one[0, 1], one[0, 0]  # of the same sum
    found = same_content(torch.stack([one, other, nearly, moved, one]))
    groups = torch.tensor([0, 1, 0, 2, 0])
    assert torch.equal(found, groups[:, None] == groups)
    assert same_content(torch.zeros(0, 3, 4)).shape == (0, 0) and bool(same_content(torch.zeros(2, 3, 4)).all())
