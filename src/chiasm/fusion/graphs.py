"""Graph isomorphism networks on molecules: atoms that hear of their neighbours through bonds.

Xu et al., How Powerful are Graph Neural Networks?, ICLR 2019, arXiv 1810.00826; with features of the bonds in the form
known as GINE, that of the baseline of Hu et al., Open Graph Benchmark, NeurIPS 2020, arXiv 2005.00687. What Hu et
al., Strategies for Pre-training Graph Neural Networks, ICLR 2020, arXiv 1905.12265, have is another formula: no ReLU
within the sum, no eps, and a bond of each atom with itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import TokenEntrance
from chiasm.fusion.pooled import masked_mean
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

NAMES = 4  # columns before the features: is an atom, is a bond, two numbers
TYPICAL = 32.0  # atoms, by which a sum over them is divided: of order one for a drug

Ends = tuple[Tensor, Tensor]
"""Of n bonds of all patients, the places `(n,)` of the two atoms among the B * T tokens."""


class GraphLayer(nn.Module):
    """One round: `x_i <- LN(MLP((1 + eps) x_i + sum over bonds ij of relu(x_j + W e_ij)))`, then ReLU but in the last.

    Time and memory grow with the number of bonds, and not with the square of the atoms.

    Args:
        width: D.
        bond: number of features of a bond.
        last: the round is the last one.
    """

    def __init__(self, width: int, bond: int, last: bool) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(()))
        self.bond = nn.Linear(bond, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.after = nn.Sequential(nn.LayerNorm(width), nn.Identity() if last else nn.ReLU())

    def forward(self, atoms: Tensor, bonds: Tensor, ends: Ends) -> Tensor:
        """Let the atoms `(B, T, D)` hear of each other through the bonds `(n, features)` of all patients."""
        one, other = ends
        flat, edge = atoms.flatten(0, 1), self.bond(bonds)  # (B T, D), (n, D)
        heard = torch.zeros_like(flat)
        for speaks, hears in ((one, other), (other, one)):
            heard = heard.index_add(0, hears, (flat[speaks] + edge).relu())
        return self.after(self.mlp((1 + self.eps) * atoms + heard.view_as(atoms)))  # type: ignore[no-any-return]


class AtomGraphs(nn.Module):
    """A graph isomorphism network on tokens that are atoms and bonds.

    Token columns: is an atom, is a bond, two numbers, `atom` features of an atom, then features of a bond. An atom's
    first number is its own; a bond's two are those of its atoms. So the tokens are a bag, in any order. States do not
    depend on how the atoms are numbered. A bond whose atom is not there, or whose number two atoms bear, says nothing.

    Deviations: layer norm in place of batch norm, so that a patient does not depend on others; a linear map of the
    atoms' features in place of tables of two of them.

    Args:
        width: of the tokens.
        atom: number of features of an atom.
        out: D.
        layers: rounds; 0: a bag of atoms, the control without any bond.
        dropout: dropout between the rounds.
    """

    def __init__(self, width: int, atom: int, out: int, layers: int = 5, dropout: float = 0.0) -> None:
        super().__init__()
        if atom < 1 or width <= NAMES + atom:
            raise ValueError(f"tokens of {width} columns hold no {NAMES} names, {atom} features of atoms, and bonds")
        self.split = [1, 1, 1, 1, atom, width - NAMES - atom]
        self.entrance = nn.Linear(atom, out)
        self.rounds = nn.ModuleList(GraphLayer(out, self.split[-1], k == layers - 1) for k in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Return the states of the atoms, `(B, T, D)`, zero elsewhere, and which tokens are atoms, `(B, T)` bool.

        Masked values are not read if they are zero, as `Tokens.where_present` leaves them.
        """
        is_atom, is_bond, first, second, features, bonds = tokens.values.split(self.split, -1)  # type: ignore[no-untyped-call]
        atoms = (is_atom[..., 0] > 0.5) & tokens.mask  # (B, T)
        here = atoms[..., None].to(features.dtype)
        (one, begins), (other, ends) = (named(first[..., 0], atoms, own[..., 0]) for own in (first, second))
        row, bond = torch.nonzero((is_bond[..., 0] > 0.5) & tokens.mask & begins & ends, as_tuple=True)
        places = row * atoms.shape[1] + one[row, bond], row * atoms.shape[1] + other[row, bond]
        states: Tensor = self.entrance(features) * here
        for layer in self.rounds:
            states = layer(self.dropout(states), bonds[row, bond], places) * here
        return states, atoms


class GraphsAndMeans(nn.Module):
    """Mean over the modalities present of linear maps: of a graph's atoms, summed, or of other tokens' mean.

        e = mean over present m of W_m r_m + b_m,    r_m = sum over atoms of x_i / 32,  or mean of LN(V_t x_t + c_t)

    Tokens are mapped to the width D before they are normed and their mean is taken, those with places each by a map of
    its own: a number in a token of width one would be lost in the norm.

    Args:
        shapes: (width, slots) of each modality's tokens.
        graphs: the modalities whose tokens are atoms and bonds.
        atom: number of features of an atom.
        latent_width: D of states and embedding.
        layers: rounds of a graph.
        dropout: dropout between the rounds, and on the embedding.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        graphs: Collection[str],
        *,
        atom: int,
        latent_width: int,
        layers: int = 5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.readers = nn.ModuleList(
            AtomGraphs(shapes[name][0], atom, latent_width, layers, dropout)
            if name in graphs
            else TokenEntrance(*shapes[name], latent_width)
            for name in self.names
        )
        self.maps = nn.ModuleList(nn.Linear(latent_width, latent_width) for _ in self.names)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        parts = []
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            parts.append(self.maps[m](self._read(m, own)))
        here = present.to(parts[0].dtype)[..., None]  # (B, M, 1)
        return Fused(self.dropout((torch.stack(parts, 1) * here).sum(1) / here.sum(1).clamp_min(1)))

    def _read(self, m: int, tokens: Tokens) -> Tensor:
        reader = self.readers[m]
        if isinstance(reader, AtomGraphs):
            return summed(reader(tokens)[0])
        return masked_mean(reader(tokens), tokens.mask)


def named(names: Tensor, atoms: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the place of the atom that has each wanted number, `(B, T)` int64, and whether exactly one has it.

    Args:
        names, atoms: `(B, T)`, the numbers, and which tokens are atoms: those of others are not read.
        wanted: `(B, T)`.
    """
    ordered, places = names.masked_fill(~atoms, torch.inf).sort(1)
    first = torch.searchsorted(ordered, wanted.contiguous())
    after = torch.searchsorted(ordered, wanted.contiguous(), right=True)
    return places.gather(1, first.clamp_max(max(names.shape[1] - 1, 0))), (after - first == 1) & wanted.isfinite()


def summed(states: Tensor) -> Tensor:
    """Return the sum over the atoms `(B, T, D)`, over 32: `(B, D)`. A mean would not tell a molecule from two."""
    return states.sum(1) / TYPICAL
