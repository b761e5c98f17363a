"""What stands for an absent modality is taught by that modality's prompts, over those who lack it and nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from balanced import OUTPUTS, SHAPES, batch
from torch import nn

from chiasm.fusion.completed import STANDS_IN, Completed
from chiasm.heads.head import Head
from chiasm.training import Batch, Network
from chiasm.training.distilled_prompts import DistilledPrompts


def network(kind: str) -> Network:
    torch.manual_seed(0)
    sizes = {"latents": 2, "latent_width": 6, "heads": 2, "depth": 1}
    fusion = Completed(SHAPES, **sizes, missing="distilled", outputs=OUTPUTS[kind])
    return Network(fusion, Head(6, OUTPUTS[kind], kind))


def began(given: Batch, kind: str) -> Batch:
    """The batch upon an offset."""
    return replace(given, offset=torch.linspace(-2.0, 2.0, len(given) * OUTPUTS[kind]).reshape(len(given), -1))


@pytest.mark.parametrize("offset", [False, True])
def test_the_terms_are_cross_entropies_of_those_who_lack_each_modality(offset: bool) -> None:
    own, given = network("classification").eval(), batch("classification")
    given = began(given, "classification") if offset else given
    found = DistilledPrompts(weight=0.7)(own, given)
    assert set(found.losses) == {"target", *(STANDS_IN + name for name in SHAPES)}
    link, fused = own(given.tokens, given.present)
    start = torch.zeros_like(link) if given.offset is None else given.offset
    classes = given.target.value.long()
    torch.testing.assert_close(found.losses["target"], nn.functional.cross_entropy(link + start, classes))
    for m, name in enumerate(sorted(SHAPES)):
        lack = [row for row in range(len(given)) if not given.present[row, m]]
        scores = (fused.extras[STANDS_IN + name] + start).log_softmax(1)
        expected = -0.7 * torch.stack([scores[row, classes[row]] for row in lack]).mean()
        torch.testing.assert_close(found.losses[STANDS_IN + name], expected)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_where_nobody_lacks_a_modality_only_the_target_teaches(kind: str) -> None:
    own, given = network(kind), batch(kind, complete=True)
    terms = DistilledPrompts()(own, given).losses
    assert all(terms[STANDS_IN + name].item() == 0.0 for name in SHAPES) and terms["target"].item() != 0.0
    own.zero_grad()
    torch.stack([terms[STANDS_IN + name] for name in SHAPES]).sum().backward()  # type: ignore[no-untyped-call]
    assert all(part.grad is None or not bool(part.grad.any()) for part in own.parameters())


@pytest.mark.parametrize("kind", OUTPUTS)
def test_who_has_a_modality_gives_no_gradient_to_its_term(kind: str) -> None:
    own, given = network(kind), began(batch(kind), kind)
    assert given.offset is not None
    start = given.offset.clone().requires_grad_()
    terms = DistilledPrompts()(own, replace(given, offset=start)).losses
    for m, name in enumerate(sorted(SHAPES)):
        (gradient,) = torch.autograd.grad(terms[STANDS_IN + name], start, retain_graph=True)
        assert not bool(gradient[given.present[:, m]].any()) and bool(gradient[~given.present[:, m]].any())
