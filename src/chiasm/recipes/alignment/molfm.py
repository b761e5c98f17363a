"""`molfm`: structure, text and knowledge of molecules aligned and matched, then the target (arXiv 2307.09484)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.knowledge import Knowledge
from chiasm.encoders.knowledge import KNOWLEDGE, Entities
from chiasm.encoders.molecule.bonds import graphs_of
from chiasm.encoders.molecule.molecules import ATOM
from chiasm.fitting.base import Training, require_pairs
from chiasm.fitting.language import languages
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_size, check_sizes, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.molfm import Molfm
from chiasm.fusion.transformer import check_heads
from chiasm.heads.response import Response
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.alignment import ROWS
from chiasm.recipes.alignment.molfm_losses import Facts, embedded, paired_losses
from chiasm.recipes.fusion.gin import require_graph, with_graphs
from chiasm.training import Phase
from chiasm.training.unlabelled import Unlabelled

NEIGHBOURS = 4  # of an entity, as many as the paper samples


@storable("molfm")
@dataclass(frozen=True)
class MolfmDesign:
    """Sizes of the network, the modalities that are structure, text and graphs, and the entities joined with each."""

    structure: str
    text: str
    neighbours: NDArray[np.int64]
    relations: int
    latent_width: int
    depth: int
    heads: int
    layers: int
    temperature: float
    graphs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_sizes(1, self.latent_width, self.depth, self.heads)
        check_size("layers", self.layers, 64)
        check_heads(self.latent_width, self.heads)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> Molfm:
        """Create a fresh fusion module of these sizes."""
        return Molfm(
            shapes, structure=self.structure, text=self.text, knowledge=KNOWLEDGE, atom=ATOM,
            neighbours=torch.from_numpy(self.neighbours.copy()), relations=self.relations,
            latent_width=self.latent_width, depth=self.depth, heads=self.heads, layers=self.layers, dropout=dropout,
            temperature=self.temperature, graphs=self.graphs,
        )  # fmt: skip


@dataclass(frozen=True)
class MolfmRecipe(NetworkRecipe):
    """MolFM: contrast, matching, hidden text and the knowledge graph in the first phase, the target in the second.

    The first phase reads no outcome. Where no two training patients have both structure and text, all epochs are the
    second's. The one-modality form is the same network on one modality and the knowledge, on as many epochs: what is
    gained by knowledge is no gain of combining. It has no first phase, in which triples are learned.

    Args:
        latent_width, depth, heads: D, layers of the encoder that joins text and structure, heads of every attention.
        layers: rounds of the graph.
        structure, text: the modalities; empty: the only one of its kind.
        share: share of the epochs without the target.
        temperature: the first one of the contrast, which is learned.
        margin: of the knowledge graph's loss.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`; the
            epochs are those of both phases together, and modalities are dropped in the second alone.
    """

    depth: int = 1
    heads: int = 4
    layers: int = 5
    structure: str = ""
    text: str = ""
    share: float = 0.5
    temperature: float = 0.07
    margin: float = 1.0

    row: ClassVar[Row] = ROWS["molfm"]
    reads_knowledge: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design_for("", "", (), None)  # refuses invalid sizes
        if not 0.0 < self.share < 1.0 or self.epochs < 2:
            raise ValueError("share lies between 0 and 1 and epochs are 2 or more: both phases have a part")
        if not 0.01 <= self.temperature <= 10.0 or not 0.0 < self.margin <= 100.0:
            raise ValueError("temperature lies between 0.01 and 10, margin above 0 and up to 100")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also without a molecule as a graph, text, ten with both, or with knowledge of nobody."""
        super().supports(cohort)
        if self.modality:
            return
        require_graph(cohort, "clip-pairs", "late-fusion")
        roles = [self.one_of("structure", graphs_of(cohort)), self.one_of("text", tuple(languages(cohort)))]
        both = np.asarray(cohort.present[:, [cohort.modalities.index(own) for own in roles]].all(1))
        require_pairs(cohort, of=both, what="structure and text")
        known = cohort.knowledge
        if known is not None and not (known.named >= 0).any():
            raise Unsupported(
                f"the knowledge names no patient's '{known.column}': write both alike, or take [knowledge] out; "
                "gin and clip-pairs read none"
            )

    def one_of(self, role: str, found: tuple[str, ...]) -> str:
        """Return the modality that has a role.

        Raises:
            Unsupported: none has, the named one is not among them, or several are and none is named.
        """
        named = self.structure if role == "structure" else self.text
        if named in found or (not named and len(found) == 1):
            return named or found[0]
        if not found:
            raise Unsupported("no modality is text: name one of kind 'text', or use gin, which needs none")
        raise Unsupported(f"name one of {', '.join(found)} as `{role}`, or use gin, which reads all of them")

    def role(self, role: str, cohort: Cohort) -> str:
        """Return the modality of a training set that has a role; empty where it has been left out of it."""
        found = graphs_of(cohort) if role == "structure" else languages(cohort)
        named = self.structure if role == "structure" else self.text
        return named if named in found else found[0] if len(found) == 1 and not named else ""

    def design_for(self, structure: str, text: str, graphs: tuple[str, ...], known: Knowledge | None) -> MolfmDesign:
        """Return the sizes of the network for these modalities and this knowledge."""
        near = np.zeros((0, NEIGHBOURS), np.int64) if known is None else neighbours_of(known, NEIGHBOURS)
        return MolfmDesign(
            structure, text, near, 0 if known is None else len(known.relations), self.latent_width, self.depth,
            self.heads, self.layers, self.temperature, graphs,
        )  # fmt: skip

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network for what the training set has, train and calibrate it."""
        cohort, data = training.cohort, self.prepared(training)
        structure, text = self.role("structure", cohort), self.role("text", cohort)
        graphs = tuple(name for name in graphs_of(cohort) if name != structure)
        design = self.design_for(structure, text, graphs, cohort.knowledge)
        network = new_network(training, data, design, self.dropout)
        if not self.pairs(data).any():
            for name, parameter in network.fusion.named_parameters():
                if name.startswith(("pairs.", "log_scale", "hidden", "facts.relations")):
                    parameter.requires_grad_(False)
        return self.trained(training, data, design, network)

    def prepared(self, training: Training) -> Prepared:
        """Encode a training set, and what is known of its patients as one modality more, the last."""
        data, known = prepare(training, with_graphs(training.cohort)), training.cohort.knowledge
        if known is None:
            return data
        entities = Entities(known.entities)
        tokens = entities.packed(training.cohort)
        return replace(
            data, encoders={**data.encoders, KNOWLEDGE: entities}, tokens={**data.tokens, KNOWLEDGE: tokens},
            present=np.column_stack([data.present, tokens.lengths > 0]),
        )  # fmt: skip

    def pairs(self, data: Prepared) -> NDArray[np.bool_]:
        """Return who of the patients `(B,)` is trained on and has both; nobody where it is one patient alone."""
        names = data.cohort.modalities
        roles = [self.role(role, data.cohort) for role in ("structure", "text")]
        if not all(roles):
            return np.zeros(len(data.present), bool)
        both = ~data.held_out & data.present[:, [names.index(own) for own in roles]].all(1)
        return np.asarray(both & (both.sum() > 1))

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the phase without the target and that on it, or the latter alone where nobody has both."""
        options = self.training_options
        if not self.pairs(data).any():
            return (Phase(options, name="target"),)
        own = min(max(round(self.epochs * self.share), 1), self.epochs - 1)
        known = data.cohort.knowledge if KNOWLEDGE in data.tokens else None
        facts = None if known is None else Facts.of(known, self.margin)

        def loss(fusion: Any, fused: Fused, present: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
            assert isinstance(fusion, Molfm)  # of the design
            graph = {} if facts is None else {"knowledge": embedded(fusion, facts, generator)}
            return paired_losses(fusion, fused, generator) | graph

        return (
            Phase(
                replace(options, epochs=own, modality_dropout=0.0),
                Unlabelled(loss, self.name if known is None else f"{self.name} on {known.digest}"),
                lambda name: not name.startswith("head."),
                name="molecules",
            ),
            Phase(replace(options, epochs=self.epochs - own), trainable=of_the_target, name="target"),
        )


def of_the_target(name: str) -> bool:
    """Tell if the target trains a parameter: all but those of the losses without it."""
    return not name.startswith(("fusion.pairs.", "fusion.log_scale", "fusion.hidden", "fusion.facts.relations"))


def neighbours_of(known: Knowledge, most: int) -> NDArray[np.int64]:
    """Return up to `most` entities that triples join with each, in the order of their names: `(E, most)`, else -1."""
    ends = np.concatenate([known.triples[:, [0, 2]], known.triples[:, [2, 0]]])
    ends = np.unique(ends[ends[:, 0] != ends[:, 1]], axis=0)
    first = np.searchsorted(ends[:, 0], np.arange(len(known.entities)))
    rank = np.arange(len(ends)) - first[ends[:, 0]]
    kept = rank < most
    near = np.full((len(known.entities), most), -1, np.int64)
    near[ends[kept, 0], rank[kept]] = ends[kept, 1]
    return near
