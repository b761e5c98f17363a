"""Networks on graphs: atoms may be numbered in any way, and bonds tell apart what a bag of atoms cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from chiasm.encoders.molecule.bonds import NUMBERED, WIDTH, AtomsAndBonds
from chiasm.encoders.molecule.molecules import ATOM
from chiasm.fusion.graphs import AtomGraphs, GraphsAndMeans, summed
from chiasm.protocols import Fused
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens

Chem = pytest.importorskip("rdkit.Chem")
SMILES = ["CN1CCC[C@H]1c1cccnc1", "C", "CC(=O)Oc1ccccc1C(=O)O", "[Na+].[Cl-]", "F/C=C/Cl", "CCCCO"]


def network(layers: int = 5) -> AtomGraphs:
    torch.manual_seed(0)
    return AtomGraphs(WIDTH, ATOM, 16, layers).eval()


def read(network: AtomGraphs, *texts: str) -> Tensor:
    with torch.no_grad():
        return summed(network(AtomsAndBonds().encode(texts))[0])


class Coarse(nn.Module):
    """The fusion on tokens whose random names are made coarse, so that some bonds find their atoms."""

    def __init__(self, shapes: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.fusion = GraphsAndMeans(shapes, ["a"], atom=3, latent_width=8, layers=2)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        own = tokens["a"]
        names = torch.where(own.mask[..., None], coarse(own.values), own.values[..., :4])
        values = torch.cat([names, own.values[..., 4:]], -1)
        fused: Fused = self.fusion({**tokens, "a": Tokens(values, own.mask)}, present)
        return fused


def coarse(values: Tensor) -> Tensor:
    """What stands in the first four columns: is an atom, is a bond, and numbers in steps of a half."""
    return torch.cat([values[..., :2].sign(), (2 * values[..., 2:4]).round() / 2], -1)


def densely(graph: AtomGraphs, tokens: Tokens) -> Tensor:
    """The same by matrices of bonds and atoms, `(B, T, T)`."""
    is_atom, is_bond, first, second, features, bonds = tokens.values.split(graph.split, -1)  # type: ignore[no-untyped-call]
    here = (is_atom > 0.5) & tokens.mask[..., None]
    linked = (is_bond > 0.5) & tokens.mask[..., None] & here.mT
    one, other = (((own == first.mT) & linked).float() for own in (first, second))
    states: Tensor = graph.entrance(features) * here
    for own in graph.rounds:
        edge = own.bond(bonds)  # type: ignore[operator]
        heard = other.mT @ (one @ states + edge).relu() + one.mT @ (other @ states + edge).relu()
        states = own.after(own.mlp((1 + own.eps) * states + heard)) * here  # type: ignore[operator]
    return states


def test_it_is_the_sum_over_a_matrix_of_bonds_and_atoms_and_costs_no_square() -> None:
    graph, tokens = network(), AtomsAndBonds().encode(SMILES)
    with torch.no_grad():
        torch.testing.assert_close(graph(tokens)[0], densely(graph, tokens), atol=1e-5, rtol=1e-5)
        long = AtomsAndBonds(atoms=800).encode(["C" * 800])  # of its 1,599 tokens a matrix has 2.6 million entries
        seen: list[int] = []
        with Sizes(seen):
            graph(long)
    assert max(seen) <= 1599 * max(WIDTH, 32)


class Sizes(TorchDispatchMode):
    """Notes the number of entries of every tensor that is made."""

    def __init__(self, seen: list[int]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.seen += [own.numel() for own in (made if isinstance(made, tuple) else (made,)) if isinstance(own, Tensor)]
        return made


def test_a_table_of_plain_numbers_is_read() -> None:
    """Its tokens are of width one, of which a norm leaves nothing."""
    torch.manual_seed(0)
    fusion = GraphsAndMeans({"m1": (1, 2)}, [], atom=ATOM, latent_width=8).eval()
    tokens = Tokens(torch.tensor([[[-2.0], [0.0]], [[1.0], [0.0]], [[1.0], [2.0]]]), torch.ones(3, 2, dtype=torch.bool))
    with torch.no_grad():
        e = fusion({"m1": tokens}, torch.ones(3, 1, dtype=torch.bool)).embedding
    assert float((e[0] - e[1]).abs().max()) > 0.1 and float((e[1] - e[2]).abs().max()) > 0.1


def test_the_public_check_and_bonds_are_found_in_it() -> None:
    check_fusion(Coarse, {"a": (9, 0), "b": (5, 3)})
    torch.manual_seed(0)
    own = torch.randn(4, 6, 9)
    tokens = Tokens(torch.cat([coarse(own), own[..., 4:]], -1), torch.ones(4, 6, dtype=torch.bool))
    graph = AtomGraphs(9, 3, 8, 2)
    whole = graph(tokens)[0]
    tokens.values[..., 7:] += 1  # the bonds' features
    assert not torch.allclose(whole, graph(tokens)[0])


@pytest.mark.parametrize("text", SMILES)
def test_another_spelling_of_a_molecule_changes_nothing(text: str) -> None:
    graph = network()
    tokens = AtomsAndBonds().encode([text])
    values, count = tokens.values.clone(), int(tokens.values[0, :, 0].sum())
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    for column in (2, 3):  # other numbers for the same atoms, and the tokens in another order
        number = (values[..., column] * NUMBERED).long().clamp_max(count - 1)
        named = shuffled[number].float() / NUMBERED
        values[..., column] = torch.where((values[..., 1] > 0) | torch.tensor(column == 2), named, values[..., column])
    bonds = values[..., 1] > 0
    values[..., 2:4] = torch.where(bonds[..., None], values[..., [3, 2]], values[..., 2:4])  # the other end first
    order = torch.randperm(values.shape[1], generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        other = summed(graph(Tokens(values[:, order], tokens.mask))[0])
    torch.testing.assert_close(read(graph, text), other, atol=1e-5, rtol=1e-5)
    molecule = Chem.MolFromSmiles(text)
    turned = Chem.RenumberAtoms(molecule, np.random.default_rng(0).permutation(molecule.GetNumAtoms()).tolist())
    written = str(Chem.MolToSmiles(turned, canonical=False))
    torch.testing.assert_close(read(graph, text), read(graph, written), atol=1e-5, rtol=1e-5)


def test_the_graph_tells_apart_what_a_bag_of_atoms_cannot() -> None:
    """2- and 3-methylpentane: three CH3, two CH2 and one CH each; only what is bound to what differs."""
    same, other = "CC(C)CCC", "CCC(C)CC"
    bags = read(network(0), same, other)
    torch.testing.assert_close(bags[0], bags[1], atol=1e-6, rtol=0)
    graphs = read(network(), same, other)
    assert float((graphs[0] - graphs[1]).abs().max()) > 1e-2


def test_a_round_is_its_formula_by_hand() -> None:
    """C=O in formaldehyde, and N alone: each atom hears of the other once, through the bond's own features."""
    graph = network(1)
    tokens = AtomsAndBonds().encode(["C=O"])
    layer = graph.rounds[0]
    with torch.no_grad():
        layer.eps.fill_(0.3)
        carbon, oxygen = graph.entrance(tokens.values[0, :2, 4 : 4 + ATOM])
        edge = layer.bond(tokens.values[0, 2, 4 + ATOM :])
        expected = layer.after(layer.mlp(1.3 * carbon + (oxygen + edge).relu()))
        torch.testing.assert_close(graph(tokens)[0][0, 0], expected)
        alone = AtomsAndBonds().encode(["N"])
        expected = layer.after(layer.mlp(1.3 * graph.entrance(alone.values[0, 0, 4 : 4 + ATOM])))
        torch.testing.assert_close(graph(alone)[0][0, 0], expected)


def test_padding_other_patients_and_loose_bonds_change_nothing() -> None:
    graph = network()
    together = read(graph, *SMILES)
    for row, text in enumerate(SMILES):
        torch.testing.assert_close(together[row], read(graph, text)[0], atol=1e-5, rtol=1e-5)
    tokens = AtomsAndBonds().encode(["CCO"])
    loose = tokens.values[:, -1:].clone()
    loose[..., 3] = 99 / NUMBERED  # an atom that is not there
    more = Tokens(torch.cat([tokens.values, loose], 1), torch.ones(1, 6, dtype=torch.bool))
    with torch.no_grad():
        assert torch.equal(summed(graph(tokens)[0]), summed(graph(more)[0]))


def test_two_molecules_are_not_one() -> None:
    """A sum over the atoms, not a mean: methane twice is twice methane."""
    one, two = read(network(), "C", "C.C")
    torch.testing.assert_close(2 * one, two)


def test_tokens_that_are_too_narrow_are_refused() -> None:
    with pytest.raises(ValueError, match="hold no"):
        AtomGraphs(52, ATOM, 8)
