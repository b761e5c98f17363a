"""`urfound`: hidden tokens rebuilt and a text told from what was seen, without labels, then the target (UrFound)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.units import units_of
from chiasm.compute.isolation import seeded
from chiasm.fitting.base import Training
from chiasm.fitting.card import (
    TOLD_DIFFERENCE,
    TOLD_ERROR,
    TOLD_PATIENTS,
    TOLD_SHARE,
    TOLD_SHUFFLED,
    TOLD_UNCERTAINTY,
)
from chiasm.fitting.language import language_of
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Design, Prepared, Shapes, check_size, check_sizes, finish, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.told_trunk import READS_NO_TARGET, ToldTrunk
from chiasm.fusion.transformer import check_heads
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.recipes.fusion.bm_mae import spreads
from chiasm.training import Examples, Network, Phase
from chiasm.training.told_text import ToldText, knowledge_transfer

HIDDEN, HIDDEN_TEXT = 0.75, 0.5  # the paper's shares of patches and of words
COMPARED = 256  # patients


@storable("urfound")
@dataclass(frozen=True)
class UrFoundDesign:
    """Sizes of the network, the modality that is told (empty: none), and whether the others are rebuilt."""

    latent_width: int
    depth: int
    heads: int
    decoder_depth: int
    text: str = ""
    rebuilds: bool = True

    def __post_init__(self) -> None:
        check_sizes(1, self.latent_width, self.depth, self.heads)
        if self.decoder_depth:  # 0: there is no decoder
            check_size("decoder_depth", self.decoder_depth, 64)
        check_heads(self.latent_width, self.heads)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> ToldTrunk:
        """Create a fresh fusion module of these sizes."""
        return ToldTrunk(
            shapes, text=self.text, latent_width=self.latent_width, depth=self.depth, heads=self.heads,
            decoder_depth=self.decoder_depth, dropout=dropout, rebuilds=self.rebuilds,
        )  # fmt: skip


@dataclass(frozen=True)
class UrFound(NetworkRecipe):
    """Masked rebuilding of all modalities but a text, whose hidden tokens are told from them; then the target.

    The first phase reads no label. The model's notes tell how much of what is told of the text is owed to the others.

    Args:
        modality: the one modality to read, whose tokens are rebuilt; empty: all.
        text: the modality that is told; empty: the only one that is text, or encoded from it.
        hidden, hidden_text: shares of the tokens of a modality, and of the text, that are hidden in the first phase.
        base_epochs: epochs of the first phase; 0 leaves it out.
        latent_width, depth, heads: D, layers of the trunk, and attention heads of a layer.
        decoder_depth: layers of the decoder and of the writer.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    depth: int = 2
    heads: int = 4
    decoder_depth: int = 1
    text: str = ""
    hidden: float = HIDDEN
    hidden_text: float = HIDDEN_TEXT
    base_epochs: int = 40

    row: ClassVar[Row] = ROWS["urfound"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("decoder_depth", self.decoder_depth, 64)
        _ = self.design()  # refuses invalid sizes
        for name, share in (("hidden", self.hidden), ("hidden_text", self.hidden_text)):
            if not 0 < share < 1:
                raise ValueError(f"{name}={share} is not known: it lies between 0 and 1, both left out")
        _ = replace(self.training_options, epochs=self.base_epochs)  # refuses a negative number

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if it is not clear which modality is told."""
        super().supports(cohort)
        if not self.modality:
            self.told(cohort)

    def told(self, cohort: Cohort) -> str:
        """Return the modality that is told; raises as `language_of`."""
        return language_of(cohort, self.text, "text", "bm-mae, which rebuilds all")

    def design(self) -> UrFoundDesign:
        """Return the sizes of the network."""
        return UrFoundDesign(self.latent_width, self.depth, self.heads, self.decoder_depth)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network, with a decoder where there is something to rebuild or to tell, train and calibrate it."""
        data = prepare(training)
        text = self.text_of(data)
        design = replace(self.design(), text=text, rebuilds=self.rebuilds(data, text))
        if not self.base_epochs or not (design.rebuilds or text):
            design = replace(self.design(), decoder_depth=0)
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def text_of(self, data: Prepared) -> str:
        """Return the modality that is told in this training set; empty where too few have it, or anything else."""
        if len(data.cohort.modalities) < 2:
            return ""
        try:
            return self.told(data.cohort)
        except Unsupported:  # too few of these patients have it
            return ""

    def rebuilds(self, data: Prepared, text: str) -> bool:
        """Return whether there is something to rebuild: of a modality but the text, a patient from whom one is hidden.

        Of the text one token at least is hidden, of all others one stays visible.
        """
        others = [packed.lengths for name, packed in data.tokens.items() if name != text]
        return any(bool((np.minimum(np.round(self.hidden * own), own - 1) > 0).any()) for own in others)

    def trained(
        self, training: Training, data: Prepared, design: Design, network: Network
    ) -> tuple[Predictor, Response]:
        """Train without labels and on the target; note between the two how much of the text is told from the others."""
        assert isinstance(network.fusion, ToldTrunk)
        first, target = self.phases(data)
        if network.fusion.decoder is None and network.fusion.writer is None:
            self.run(training, data, network, (target,))
            return finish(training, data, network, design)
        self.run(training, data, network, (first,), "-first")
        assert isinstance(first.objective, ToldText)
        notes = owed(data, network, first.objective, seeded(training.seed, "owed"))
        self.run(training, data, network, (target,))
        return finish(training, data, network, design, notes)

    def phases(self, data: Prepared) -> tuple[Phase, Phase]:
        """Return the phase without labels, which drops no modality, and that on the target."""
        base = replace(self.training_options, epochs=self.base_epochs, modality_dropout=0.0)
        options = f"text={self.text_of(data)}, heads={self.heads}, dropout={self.dropout}"
        objective = ToldText(self.hidden, self.hidden_text, spreads(data), options)
        return (
            Phase(base, objective, trainable=lambda name: name.startswith("fusion."), name="tell"),
            Phase(self.training_options, trainable=lambda name: not name.startswith(READS_NO_TARGET), name="target"),
        )


def owed(data: Prepared, network: Network, objective: ToldText, seed: int) -> dict[str, float]:
    """Return what the others tell of the text, as notes; none where it cannot be measured.

    It is measured on held-out patients who have the text and another modality, at most 256 that are drawn; they also
    chose the epoch.
    """
    fusion = network.fusion
    assert isinstance(fusion, ToldTrunk)
    text = [name == fusion.text for name in fusion.names]
    both = data.present[:, text].any(1) & data.present[:, np.logical_not(text)].any(1)
    rows = np.flatnonzero(data.held_out & both)
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:COMPARED])
    units = units_of(data.cohort, None, group_duplicates=False)
    groups = rows if units is None else np.asarray(units)[rows]
    tokens = {name: data.tokens[name] for name in fusion.names}
    batch = Examples(tokens, data.present, data.target, data.held_out).batch(rows, "cpu")
    found = knowledge_transfer(network, objective, batch, groups, seed=seed) if len(rows) > 1 else None
    if found is None:
        return {}
    share = {} if found.share is None else {TOLD_SHARE: found.share}
    return share | {
        TOLD_ERROR: float(found.paired.mean()),
        TOLD_SHUFFLED: float(found.shuffled.mean()),
        TOLD_DIFFERENCE: found.difference,
        TOLD_UNCERTAINTY: found.uncertainty,
        TOLD_PATIENTS: float(len(rows)),
    }
