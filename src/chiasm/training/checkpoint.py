"""Checkpoints of a training: everything from which it goes on as if it had not been interrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import ArtifactError, load_checkpoint, save_checkpoint
from chiasm.training.adamw import AdamW
from chiasm.training.network import Network
from chiasm.training.phase import Phase

FORMAT = 3  # the first one knew no phases
State = dict[str, Tensor]


@dataclass(frozen=True)
class History:
    """Training history of one phase.

    Args:
        validation: held-out loss after each epoch.
        best_epoch: number of the epoch, from 1, to which the network returned; 0: it was not trained.
        steps: number of steps taken; the sum over the phases is the budget that the training used.
        skipped_steps: number of them that changed nothing, because the gradient was zero or not finite.
    """

    validation: tuple[float, ...]
    best_epoch: int
    steps: int
    skipped_steps: int


@dataclass
class Progress:
    """Where a phase stands: the state of the best epoch, losses so far, and steps."""

    best: State
    losses: list[float] = field(default_factory=list)
    steps: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Running:
    """The parts of a running phase that a checkpoint holds besides the progress."""

    network: Network
    phase: Phase
    optimiser: AdamW
    generator: torch.Generator


@dataclass(frozen=True)
class Checkpoint:
    """The file of a training's checkpoint.

    Args:
        path: the file.
        names: names of all phases of the training.
        made_for: seed, options and a digest of the patients of the training, which another one does not share.
    """

    path: Path
    names: Sequence[str]
    made_for: str

    def write(self, running: Running, progress: Progress, finished: Sequence[History]) -> None:
        """Write the state after an epoch; `finished` are the phases before this one."""
        save_checkpoint(
            self.path,
            {
                "format": FORMAT,
                "phases": list(self.names),
                "made_for": self.made_for,
                "finished": [{**asdict(history), "validation": np.array(history.validation)} for history in finished],
                "network": dict(running.network.state_dict()),
                "best": dict(progress.best),
                "optimiser": {str(index): dict(state) for index, state in sorted(running.optimiser.moments.items())},
                "generator": running.generator.get_state(),
                "torch_state": torch.get_rng_state(),
                "device_state": torch.cuda.get_rng_state() if _on_cuda(running.network) else None,
                "losses": np.array(progress.losses),  # JSON has no NaN
                "steps": progress.steps,
                "skipped": progress.skipped,
                "objective": running.phase.objective.state(),
                "hooks": [hook.state() for hook in running.phase.hooks],
            },
        )

    def read(self) -> dict[str, Any] | None:
        """Return what was written last; None if there is no file.

        Raises:
            ArtifactError: the file is broken, or of another version or of another training.
        """
        if not self.path.exists():
            return None
        state = load_checkpoint(self.path)
        if state.get("format") != FORMAT:
            raise ArtifactError(
                f"the checkpoint '{self.path.name}' was written by another version of chiasm: delete it, and the "
                "training starts anew"
            )
        if state["phases"] != list(self.names):
            raise ArtifactError(
                f"the checkpoint '{self.path.name}' is of a training with the phases {', '.join(state['phases'])}, and "
                f"this one has {', '.join(self.names)}: delete it, and the training starts anew"
            )
        if state["made_for"] != self.made_for:
            raise ArtifactError(
                f"the checkpoint '{self.path.name}' is of a training with another seed, other options or other "
                "patients: delete it, and the training starts anew"
            )
        return state


def finished_phases(state: Mapping[str, Any]) -> list[History]:
    """Return the histories of the phases before the one in which the checkpoint was written."""
    return [History(**{**each, "validation": tuple(map(float, each["validation"]))}) for each in state["finished"]]


def restore(running: Running, state: Mapping[str, Any]) -> Progress:
    """Restore a running phase from what `Checkpoint.read` returned, and return its progress."""
    running.network.load_state_dict(_tensors(state["network"]))
    running.optimiser.restore({int(index): _tensors(moments) for index, moments in state["optimiser"].items()})
    running.generator.set_state(torch.from_numpy(state["generator"]))
    torch.set_rng_state(torch.from_numpy(state["torch_state"]))
    if state["device_state"] is not None and _on_cuda(running.network):
        torch.cuda.set_rng_state(torch.from_numpy(state["device_state"]))
    running.phase.objective.restore(state["objective"])
    for hook, own in zip(running.phase.hooks, state["hooks"], strict=True):
        hook.restore(own)
    losses = [float(loss) for loss in state["losses"]]
    return Progress(_tensors(state["best"]), losses, int(state["steps"]), int(state["skipped"]))


def _on_cuda(network: Network) -> bool:
    return next(network.parameters()).is_cuda


def _tensors(arrays: Mapping[str, Any]) -> State:
    return {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}
