"""`staged`: each modality trained alone, then all together (ML4H 2023), on the step budget of one joint training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from chiasm.fitting.base import Training, choice
from chiasm.fitting.neural import Design, Prepared, finish
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.balance import ROWS
from chiasm.recipes.balance.concatenated import ConcatenatedRecipe
from chiasm.training import History, Network, Phase
from chiasm.training.alone import OnlyAlone
from chiasm.training.options import check_chance
from chiasm.training.rebuilding import Rebuilding

JOINT = ("all", "fusion")


@dataclass(frozen=True)
class StagedRecipe(ConcatenatedRecipe):
    """Stages of one training: branches on their own tokens, if asked; each branch on the target; all of the network.

    The branches share no parameter, and in the second stage learn side by side, each on its own loss. All stages
    together have the epochs of one training, and so its steps; what they took is in the model's notes. The first stage
    is left out where no patient has two tokens of a modality, one of which could be hidden.

    Args:
        modality: the one modality to read, which is trained alone and then with the head; empty: all.
        latent_width, dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in
            `ConcatenatedRecipe`; `epochs` is the number of all stages together.
        unimodal: share of the epochs in which each modality is trained alone, with a head of its own.
        rebuild: share of the epochs, before these, in which branches rebuild hidden tokens and read no outcome.
        joint: what the last stage trains: "all", or the "fusion" layer and the head, on frozen branches.
    """

    unimodal: float = 0.5
    rebuild: float = 0.0
    joint: str = "all"

    row: ClassVar[Row] = ROWS["staged"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_chance("unimodal", self.unimodal)
        check_chance("rebuild", self.rebuild)
        choice("joint", self.joint, JOINT)
        if sum(self._shares()) >= self.epochs:
            raise ValueError(f"unimodal and rebuild leave none of the {self.epochs} epochs for the joint stage")
        if self.joint == "fusion" and not self._shares()[1]:
            raise ValueError(
                "joint=fusion leaves branches untrained that no stage has trained: raise unimodal or epochs"
            )

    def _shares(self) -> tuple[int, int]:
        """Return the epochs of the two stages before the joint one."""
        return round(self.epochs * self.rebuild), round(self.epochs * self.unimodal)

    def branches_have_heads(self) -> bool:
        """Return True if there is a stage in which each modality is trained alone."""
        return self._shares()[1] > 0

    def branches_rebuild(self, data: Prepared) -> bool:
        """Return True if there is a stage of rebuilding, and a patient with two tokens of a modality, one to hide."""
        return self._shares()[0] > 0 and any((packed.lengths > 1).any() for packed in data.tokens.values())

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the stages that have an epoch; the joint one, which is always there, has what they leave."""
        first, second = self._shares()
        first = first if self.branches_rebuild(data) else 0
        before = replace(self.training_options, modality_dropout=0.0)
        stages = (
            ("rebuild", first, Rebuilding(), _starts("entrances", "branches", "rebuild")),
            ("alone", second, OnlyAlone(), _starts("entrances", "branches", "alone")),
        )
        found = [
            Phase(replace(before, epochs=epochs), objective, own, name=name)
            for name, epochs, objective, own in stages
            if epochs
        ]
        unused = _starts("alone", "rebuild", *(("entrances", "branches") if self.joint == "fusion" else ()))
        rest = replace(self.training_options, epochs=self.epochs - first - second)
        return (*found, Phase(rest, trainable=lambda name: not unused(name), name="joint"))

    def trained(
        self, training: Training, data: Prepared, design: Design, network: Network
    ) -> tuple[Predictor, Response]:
        """Train stage by stage, and note the steps that each took of the budget."""
        phases = self.phases(data)
        histories = self.run(training, data, network, phases)
        return finish(training, data, network, design, steps_of(phases, histories, self.epochs))


def steps_of(phases: tuple[Phase, ...], histories: tuple[History, ...], epochs: int) -> dict[str, float]:
    """Return the steps by which each phase changed something, their sum, and the budget: those of so many epochs."""
    taken = [float(own.steps - own.skipped_steps) for own in histories]
    notes = {f"steps of {phase.name}": own for phase, own in zip(phases, taken, strict=True)}
    run = [own for own in histories if own.validation]
    each = run[0].steps / len(run[0].validation) if run else 0.0
    return {**notes, "steps taken": sum(taken), "step budget": epochs * each}


def _starts(*parts: str) -> Callable[[str], bool]:
    """Tell the parameters of these parts of the fusion by their names."""
    return lambda name: any(name.startswith(f"fusion.{part}.") for part in parts)
