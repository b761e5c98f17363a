"""MolFM: a molecule's structure, text about it and what is known of it, read together (arXiv 2307.09484)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.fusion.aligned import MOST
from chiasm.fusion.attention import TokenEntrance
from chiasm.fusion.graphs import AtomGraphs, summed
from chiasm.fusion.pooled import masked_mean
from chiasm.fusion.transformer import TransformerLayer
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

Part = tuple[Tensor, Tensor]
"""Tokens `(B, T, D)` and their mask `(B, T)`."""


class Facts(nn.Module):
    """What is known of a patient's entity: its vector, and those of the entities that triples join with it.

    Args:
        neighbours: `(E, N)` int64, the entities that each one is joined with; -1 where there are fewer.
        relations: R.
        width: D.
    """

    neighbours: Tensor

    def __init__(self, neighbours: Tensor, relations: int, width: int) -> None:
        super().__init__()
        self.register_buffer("neighbours", neighbours, persistent=False)
        self.entities = nn.Parameter(functional.normalize(torch.randn(len(neighbours), width), dim=1))
        self.relations = nn.Parameter(functional.normalize(torch.randn(relations, width), dim=1))
        self.map = nn.Linear(width, width)
        self.roles = nn.Parameter(torch.randn(2, width) * 0.02)  # of the entity itself, and of a neighbour

    def forward(self, tokens: Tokens) -> Part:
        """Return `(B, 1 + N, D)` tokens and their mask; a patient's one token holds the place of the entity."""
        own = tokens.values[:, 0, 0].round().long().clamp(0, len(self.neighbours) - 1)
        places = torch.cat([own[:, None], self.neighbours[own]], 1)  # (B, 1 + N)
        mask = (places >= 0) & tokens.mask
        vectors = functional.normalize(functional.embedding(places.clamp_min(0), self.entities), dim=2)
        made = self.map(vectors) + torch.cat([self.roles[:1], self.roles[1:].expand(places.shape[1] - 1, -1)])
        return torch.where(mask[..., None], made, torch.zeros_like(made)), mask


class Molfm(nn.Module):
    """Text attends to a molecule's atoms and to what is known of it, layer by layer; `e` is the norm of a first token.

        q = [first; text],    q <- self-attention(q),    q <- attention(q to [atoms; facts; other modalities])

    `Fused.extras["vectors"]` are unit vectors of the structure and the text, `(B, 2, D)`, zeros where absent: maps of
    the sum over the atoms of a graph isomorphism network, over 32, and of the mean token of the text. A mean over the
    atoms would not tell a molecule from two. What was read of either stands under `structure:values` and
    `text:values`. Any part may be absent; without text q is the first token alone.

    Deviations: the text's tokens are those of a frozen encoder, which is not trained; other modalities may stand beside
    the facts, other molecules among them, each as a graph. A pair of structure and text is compared without them.

    Args:
        shapes: (width, slots) of each modality's tokens, and of `knowledge` if there is any.
        structure, text, knowledge: their names; empty where a model has none.
        graphs: the other molecules, whose tokens are atoms and bonds too.
        atom: number of features of an atom.
        neighbours, relations: of the facts, as in `Facts`; needed with knowledge.
        latent_width, depth, heads: D, layers, and attention heads.
        layers: rounds of a graph.
        dropout: dropout within the graphs, the entrances and the layers.
        temperature: the first one of the contrast, which is learned.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        structure: str,
        text: str,
        knowledge: str,
        atom: int,
        neighbours: Tensor,
        relations: int,
        latent_width: int,
        depth: int = 1,
        heads: int = 4,
        layers: int = 5,
        dropout: float = 0.0,
        temperature: float = 0.07,
        graphs: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.names, width = sorted(shapes), latent_width
        self.structure, self.text = structure, text
        self.knowledge = knowledge if knowledge in shapes else ""
        self.first = nn.Parameter(torch.randn(width) * 0.02)
        if structure:
            self.graph = AtomGraphs(shapes[structure][0], atom, width, layers, dropout)
        if self.knowledge:
            self.facts = Facts(neighbours, relations, width)
        self.entrances = nn.ModuleDict(
            {
                str(m): AtomGraphs(shapes[name][0], atom, width, layers, dropout)
                if name in graphs
                else TokenEntrance(*shapes[name], width, dropout)
                for m, name in enumerate(self.names)
                if name not in (structure, self.knowledge)
            }
        )
        self.within, self.across = (
            nn.ModuleList(TransformerLayer(width, heads=heads, dropout=dropout) for _ in range(depth)) for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)
        if structure and text:
            self.pairs = nn.ModuleDict(
                {
                    "structure": nn.Linear(width, width),
                    "text": nn.Linear(width, width),
                    "match": nn.Linear(width, 1),
                    "rebuild": nn.Linear(width, shapes[text][0]),
                }
            )
            self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
            self.hidden = nn.Parameter(torch.randn(width) * 0.02)  # stands for a token of the text that is hidden

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse what is present; `present` is `(B, M)` bool, in the order of the names."""
        parts: dict[str, Part] = {}
        others: list[Part] = []
        extras: dict[str, Tensor] = {}
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            if name == self.structure:
                parts["structure"] = self.graph(own)
                extras["structure:values"] = own.values
            elif name == self.knowledge:
                parts["facts"] = self.facts(own)
            elif name == self.text:
                parts["text"] = self._entered(m, own)
                extras["text:values"] = own.values
            else:
                others.append(self._entered(m, own))
        for name, (values, mask) in parts.items():
            extras |= {name: values, f"{name}:mask": mask}
        if "structure" in parts and "text" in parts:
            extras["vectors"] = torch.stack([self._vector(own, parts[own]) for own in ("structure", "text")], 1)
        context = [parts[own] for own in ("structure", "facts") if own in parts] + others
        query = parts.get("text")
        states = self.encoded(present.shape[0], query, context)
        return Fused(self.norm(states[:, 0]), extras=extras)

    def encoded(self, patients: int, text: Part | None, context: list[Part]) -> Tensor:
        """Return the states `(B, 1 + T, D)` of the first token and the text, which attend to the context."""
        first = self.first.expand(patients, 1, -1)
        seen = torch.ones(patients, 1, dtype=torch.bool, device=first.device)
        states = first if text is None else torch.cat([first, text[0]], 1)
        mask = seen if text is None else torch.cat([seen, text[1]], 1)
        for within, across in zip(self.within, self.across, strict=True):
            states = within(states, mask)
            if context:
                joined = torch.cat([own for own, _ in context], 1), torch.cat([own for _, own in context], 1)
                states = cast(TransformerLayer, across).across(states, *joined)
        return states

    def matched(self, extras: Mapping[str, Tensor], structures: Tensor, texts: Tensor) -> Tensor:
        """Return the logit of each pair, `(n,)`: of the structures and facts of some patients, and texts of others."""
        text = extras["text"][texts], extras["text:mask"][texts]
        states = self.encoded(len(texts), text, self._about(extras, structures))
        return cast(Tensor, self.pairs["match"](self.norm(states[:, 0]))[:, 0])

    def rebuilt(self, extras: Mapping[str, Tensor], rows: Tensor, hidden: Tensor) -> Tensor:
        """Return what stands at each token of the text, `(n, T, width)`, of `rows`, with those in `hidden` unseen."""
        text, mask = extras["text"][rows], extras["text:mask"][rows]
        text = torch.where(hidden[..., None], self.hidden, text)
        states = self.encoded(len(rows), (text, mask), self._about(extras, rows))
        return cast(Tensor, self.pairs["rebuild"](self.norm(states[:, 1:])))

    def scale(self) -> Tensor:
        """Return the scale of the contrast, `exp(log_scale)`, at most 100."""
        return self.log_scale.exp().clamp_max(MOST)

    def _about(self, extras: Mapping[str, Tensor], rows: Tensor) -> list[Part]:
        return [(extras[own][rows], extras[f"{own}:mask"][rows]) for own in ("structure", "facts") if own in extras]

    def _entered(self, m: int, tokens: Tokens) -> Part:
        entrance = self.entrances[str(m)]
        if isinstance(entrance, AtomGraphs):
            return cast(Part, entrance(tokens))
        made = entrance(tokens)
        return torch.where(tokens.mask[..., None], made, torch.zeros_like(made)), tokens.mask

    def _vector(self, name: str, part: Part) -> Tensor:
        read = summed(part[0]) if name == "structure" else masked_mean(*part)
        vector = functional.normalize(self.pairs[name](read), dim=1)
        return torch.where(part[1].any(1, keepdim=True), vector, torch.zeros_like(vector))
