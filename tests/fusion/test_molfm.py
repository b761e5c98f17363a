"""MolFM's network: the public check with every part, and a pair is judged without what stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from chiasm.encoders.molecule.bonds import WIDTH, AtomsAndBonds
from chiasm.encoders.molecule.molecules import ATOM
from chiasm.fusion.molfm import Molfm
from chiasm.recipes.alignment import molfm_losses
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens
from molecule_cohorts import CHAINS, GROUPS, WORDS, Words

SHAPES = {"a": (9, 0), "b": (5, 0), "c": (2, 3), "~k": (1, 1)}
NEAR = torch.tensor([[1, -1], [0, 2], [1, -1], [-1, -1]])


def network(shapes: Mapping[str, tuple[int, int]] = SHAPES, **roles: str) -> Molfm:
    named: Any = {"structure": "a", "text": "b", "knowledge": "~k", **roles}
    return Molfm(shapes, **named, atom=3, neighbours=NEAR, relations=2, latent_width=8, heads=2, layers=2)


def test_the_public_check_with_all_parts_and_without_some() -> None:
    check_fusion(network, SHAPES)
    check_fusion(lambda shapes: network(shapes, text=""), {"a": (9, 0), "c": (2, 3)})


def test_a_pair_is_judged_by_structure_text_and_facts_alone() -> None:
    torch.manual_seed(0)
    fusion = network().eval()
    tokens = {
        name: Tokens(torch.randn(4, slots or 3, width), torch.ones(4, slots or 3, dtype=torch.bool))
        for name, (width, slots) in SHAPES.items()
    }
    present, rows, turned = torch.ones(4, 4, dtype=torch.bool), torch.arange(4), torch.tensor([1, 0, 3, 2])
    with torch.no_grad():
        fused = fusion(tokens, present)
        own = fusion.matched(fused.extras, rows, rows)
        assert not torch.allclose(own, fusion.matched(fused.extras, rows, turned))
        other = {**tokens, "c": Tokens(tokens["c"].values + 1, tokens["c"].mask)}
        assert torch.equal(own, fusion.matched(fusion(other, present).extras, rows, rows))
        other = {**tokens, "~k": Tokens(tokens["~k"].values + 1, tokens["~k"].mask)}
        assert not torch.allclose(own, fusion.matched(fusion(other, present).extras, rows, rows))


def test_a_hidden_token_is_not_seen_where_it_is_rebuilt() -> None:
    torch.manual_seed(0)
    fusion = network().eval()
    tokens = {name: Tokens(torch.randn(2, slots or 3, width), torch.ones(2, slots or 3, dtype=torch.bool))
              for name, (width, slots) in SHAPES.items()}  # fmt: skip
    present, rows = torch.ones(2, 4, dtype=torch.bool), torch.arange(2)
    hidden = torch.tensor([[True, False, False], [False, False, True]])
    changed = tokens["b"].values.clone()
    changed[hidden] += 5
    with torch.no_grad():
        found = [
            fusion.rebuilt(fusion({**tokens, "b": Tokens(own, tokens["b"].mask)}, present).extras, rows, hidden)
            for own in (tokens["b"].values, changed)
        ]
    assert torch.equal(*found)


DOUBLES = ["CCO"] * 3 + ["CCN"] * 2
DIFFERENT = ["C1CCCCCCC1", "C1CCCCCCCC1", "CCO", "CCO.CCO", "C" * 20, "C" * 21]


def of_molecules(dropout: float) -> Molfm:
    torch.manual_seed(0)
    return Molfm(
        {"drug": (WIDTH, 0), "note": (10, 0)}, structure="drug", text="note", knowledge="", atom=ATOM,
        neighbours=torch.zeros(0, 4, dtype=torch.int64), relations=0, latent_width=16, heads=2, dropout=dropout,
    ).train()  # fmt: skip


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize(
    ("written", "share"),
    [(DOUBLES, [0, 0, 0, 1, 1]), (DIFFERENT, [0, 1, 2, 3, 4, 5])],
)
def test_molecules_are_one_where_they_are_and_no_negatives_of_each_other(
    dropout: float, written: list[str], share: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rdkit.Chem")
    fusion, n = of_molecules(dropout), len(written)
    notes = Tokens(torch.randn(n, 3, 10), torch.ones(n, 3, dtype=torch.bool))
    seen: list[torch.Tensor] = []
    drawn = molfm_losses.hard_negatives

    def noted(likeness: torch.Tensor, same: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        seen.append(same)
        return drawn(likeness, same, generator)

    monkeypatch.setattr(molfm_losses, "hard_negatives", noted)
    fused = fusion({"drug": AtomsAndBonds().encode(written), "note": notes}, torch.ones(n, 2, dtype=torch.bool))
    molfm_losses.paired_losses(fusion, fused, torch.Generator().manual_seed(0))
    expected = torch.tensor(share)[:, None] == torch.tensor(share)
    assert all(torch.equal(own, expected) for own in seen) and len(seen) == 2


def test_a_molecule_and_two_of_it_have_different_vectors() -> None:
    pytest.importorskip("rdkit.Chem")
    fusion = of_molecules(0.0).eval()
    notes = Tokens(torch.randn(2, 3, 10), torch.ones(2, 3, dtype=torch.bool))
    with torch.no_grad():
        read = {"drug": AtomsAndBonds().encode(["CCO", "CCO.CCO"]), "note": notes}
        one, two = fusion(read, torch.ones(2, 2, dtype=torch.bool)).extras["vectors"][:, 0]
    assert float(one @ two) < 1 - 1e-5


@pytest.mark.parametrize("count", [2, 3, 6])
def test_short_texts_have_a_hidden_token_to_be_rebuilt(count: int) -> None:
    mask = torch.ones(4, count, dtype=torch.bool)
    visible, hidden = molfm_losses.hidden_tokens(mask, molfm_losses.HIDDEN, torch.Generator().manual_seed(0))
    assert hidden.sum(1).tolist() == [1] * 4 and torch.equal(visible, ~hidden)


def test_another_molecule_is_a_graph_too() -> None:
    """Atoms under other numbers are the same atoms; as a bag they would not be."""
    pytest.importorskip("rdkit.Chem")
    torch.manual_seed(0)
    fusion = Molfm(
        {"drug": (WIDTH, 0), "other": (WIDTH, 0)}, structure="drug", text="", knowledge="", atom=ATOM,
        neighbours=torch.zeros(0, 4, dtype=torch.int64), relations=0, latent_width=16, heads=2, graphs=["other"],
    ).eval()  # fmt: skip
    drug, other = AtomsAndBonds().encode(["CCO"]), AtomsAndBonds().encode(["CCN"])
    values = other.values.clone()
    values[..., 2] += torch.where(values[..., 0] > 0, 0.5, 0.0) + torch.where(values[..., 1] > 0, 0.5, 0.0)
    values[..., 3] += torch.where(values[..., 1] > 0, 0.5, 0.0)
    with torch.no_grad():
        found = [
            fusion({"drug": drug, "other": Tokens(own, other.mask)}, torch.ones(1, 2, dtype=torch.bool)).embedding
            for own in (other.values, values)
        ]
    assert torch.equal(*found)


@pytest.mark.nightly  # by day `test_molfm_recipe.py` matches and finds pairs of a cohort
@pytest.mark.parametrize(("steps", "least"), [(120, 0.6), (180, 0.75)])
def test_pairs_of_toys_are_told_from_others_above_chance(steps: int, least: float) -> None:
    """The molecules that are asked are other ones than those trained on; half would be right by chance."""
    pytest.importorskip("rdkit.Chem")
    torch.manual_seed(0)
    fusion = Molfm(
        {"drug": (WIDTH, 0), "note": (len(WORDS), 0)}, structure="drug", text="note", knowledge="", atom=ATOM,
        neighbours=torch.zeros(0, 4, dtype=torch.int64), relations=0, latent_width=32, heads=2, layers=2,
    )  # fmt: skip

    def read(chains: tuple[str, ...]) -> dict[str, Tokens]:
        written, said = zip(*((own + GROUPS[group], f"the {group}") for own in chains for group in GROUPS), strict=True)
        return {"drug": AtomsAndBonds().encode(written), "note": Words().encode(said)}

    optimiser, generator = torch.optim.AdamW(fusion.parameters(), 3e-3), torch.Generator().manual_seed(0)
    tokens, here = read(CHAINS[:2]), torch.ones(2 * len(GROUPS), 2, dtype=torch.bool)
    for _ in range(steps):
        loss = sum(molfm_losses.paired_losses(fusion, fusion(tokens, here), generator).values())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimiser.step()
    rows = torch.arange(2 * len(GROUPS))
    with torch.no_grad():
        extras = fusion.eval()(read(CHAINS[2:4]), here).extras
        likely = torch.stack([fusion.matched(extras, rows, rows.roll(k)) for k in range(len(GROUPS))], 1)
    right = (likely[:, 0] > 0).float().mean() + (likely[:, 1:] < 0).float().mean()
    assert float(right) / 2 > least
