"""Without a weight of the base it is ordinary sampling; rounds find more of the domains that a tuned model learned."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from chiasm.language.contrastive_generation import Contrast, ContrastWithBase, drawn, explored

DOMAINS, KNOWN, SIZE = 12, 6, 24  # tokens 0 to 11 open a domain each; tokens 12 to 23 are its words


def shares(weights: list[float]) -> Tensor:
    """Logits (V, V) of the next token after each: a domain's word behind its opening, then an opening again."""
    logits = torch.full((SIZE, SIZE), -8.0)
    logits[:, :DOMAINS] = torch.tensor(weights).log()
    for k in range(DOMAINS):
        logits[k] = -8.0
        logits[k, DOMAINS + k] = 4.0
    return logits


BASE = shares([1.0] * KNOWN + [1e-4] * (DOMAINS - KNOWN))
TUNED = shares([1.0] * KNOWN + [0.5 / 3**k for k in range(DOMAINS - KNOWN)])  # new domains, each rarer than the last


def speaker(logits: Tensor) -> Any:
    return lambda tokens: logits[tokens[:, -1]]


def counted(tokens: Tensor) -> Any:
    """A base that has learned generated tokens: its own counts of pairs, and those of what was generated."""
    counts = torch.softmax(BASE, -1) * 20
    index = tokens[:, :-1].reshape(-1), tokens[:, 1:].reshape(-1)
    return speaker(counts.index_put(index, torch.ones(len(index[0])), accumulate=True).log())


def test_without_a_weight_of_the_base_it_is_ordinary_sampling() -> None:
    own, logits = Contrast(gamma=0.0, alpha=0.0), torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.softmax(own.scores(logits, -logits), -1), torch.softmax(logits, -1))
    one, other = (torch.Generator().manual_seed(1) for _ in range(2))
    plain = torch.multinomial(torch.softmax(logits, -1), 1, generator=one)[:, 0]
    assert torch.equal(drawn(own.scores(logits, -logits), other), plain)
    asked = ContrastWithBase(own, lambda tokens: pytest.fail("the base is not asked"))(torch.zeros(3, 1), logits)
    torch.testing.assert_close(torch.softmax(asked, -1), torch.softmax(logits, -1))


def test_scores_are_those_of_the_formula_where_a_token_is_plausible() -> None:
    tuned, base = torch.tensor([[0.6, 0.3, 0.06, 0.04]]).log(), torch.tensor([[0.7, 0.1, 0.1, 0.1]]).log()
    found = Contrast(gamma=0.5, alpha=0.1).scores(tuned + 3, base - 1)[0].tolist()  # logits have no zero of their own
    expected = [math.log(p) - 0.5 * math.log(q) for p, q in ((0.6, 0.7), (0.3, 0.1), (0.06, 0.1))]
    assert found == pytest.approx([*expected, -math.inf], abs=1e-6)


def found_domains(rounds: list[Tensor]) -> int:
    """New domains that the texts open at least twice."""
    opened = torch.cat(rounds).flatten().bincount(minlength=SIZE)[KNOWN:DOMAINS]
    return int((opened > 1).sum())


def test_rounds_find_more_of_the_new_domains_than_a_base_that_stays() -> None:
    begun = torch.full((3, 1), DOMAINS)
    own = Contrast(gamma=1.0, alpha=1e-4)
    given: dict[str, Any] = {"rounds": 6, "tokens": 8}
    still, moving = list[int](), list[int]()
    for seed in range(8):
        still.append(found_domains(explored(speaker(TUNED), speaker(BASE), begun, own, learn=None, seed=seed, **given)))
        found = explored(speaker(TUNED), speaker(BASE), begun, own, learn=counted, seed=seed, **given)
        moving.append(found_domains(found))
    assert sum(moving) > sum(still) + 8, (still, moving)


def test_what_makes_no_contrast_is_refused() -> None:
    for numbers, why in (({"gamma": -1.0}, "0 or more"), ({"alpha": 1.5}, "between 0 and 1")):
        with pytest.raises(ValueError, match=why):
            Contrast(**numbers)
    with pytest.raises(ValueError, match="4 tokens and its base 5"):
        Contrast().scores(torch.zeros(1, 4), torch.zeros(1, 5))
    with pytest.raises(ValueError, match="rounds=0"):
        explored(speaker(TUNED), speaker(BASE), torch.zeros(1, 1, dtype=torch.long), Contrast(), learn=None, rounds=0)
