"""`mftcoder`: MFTCoder and CoBa (arXiv 2311.02303, EMNLP 2024), balanced multitask training of several labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from chiasm.cohort import Cohort, Unsupported, class_names
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.fitting.base import BaseRecipe, choice
from chiasm.fitting.neural import Prepared
from chiasm.fitting.row import Row
from chiasm.objectives.coba import CoBa
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe
from chiasm.recipes.adaptation.lora import LoRARecipe
from chiasm.training import Phase
from chiasm.training.task_balance import TaskBalance


@dataclass(frozen=True)
class MFTCoderRecipe(AdaptedRecipe):
    """Multilabel model on networks shared by all labels, adapted by LoRA or not; the loss is balanced over the labels.

    Args:
        adapt: "lora" for the networks of encoders whose inputs are kept, or "nothing" for stored tokens.
        rank, alpha: rank and scale of LoRA.
        mode: unit of the mean loss: "token", "sample" or "task".
        focus, gamma: "none", or a focal loss by "sample" or by "task" with exponent gamma.
        weights: weights of the tasks: "equal" or "coba".
        warmup, window, temperature: CoBa's warm-up and window, in epochs, and its temperature.
    """

    adapt: str = "lora"
    rank: int = 8
    alpha: float = 16.0
    mode: str = "task"
    focus: str = "none"
    gamma: float = 2.0
    weights: str = "coba"
    warmup: int = 2
    window: int = 5
    temperature: float = 5.0

    row: ClassVar[Row] = ROWS["mftcoder"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("adapt", self.adapt, ("lora", "nothing"))
        choice("mode", self.mode, ("token", "sample", "task"))
        choice("focus", self.focus, ("none", "sample", "task"))
        choice("weights", self.weights, ("equal", "coba"))
        if self.weights == "coba" and self.mode != "task":
            raise ValueError("CoBa weighs tasks, and this mean has none: mode=task, or weights=equal")
        if self.gamma < 0:
            raise ValueError("gamma is 0 or more")
        self._coba(2)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` unless the target has two labels or more and, with LoRA, a network can be adapted."""
        if cohort.target is None or cohort.target.kind != "multilabel" or len(class_names(cohort.target)) < 2:
            raise Unsupported(
                'balances several labels, and the target is one task: take kind = "multilabel" with two columns or more'
            )
        if self.adapt == "lora":
            super().supports(cohort)
        else:
            BaseRecipe.supports(self, cohort)

    def adapted(self, cohort: Cohort) -> dict[str, InputsAsTheyAre]:
        """Return the modalities whose network runs in training; none with `adapt="nothing"`."""
        return super().adapted(cohort) if self.adapt == "lora" else {}

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt the network as `lora` does."""
        return LoRARecipe(rank=self.rank, alpha=self.alpha).adaptation(trunk)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return one phase on the balanced loss.

        Raises:
            Unsupported: CoBa is used and a label has no known value among the held-out patients.
        """
        if self.weights == "equal":
            return (Phase(self.training_options, TaskBalance(self.mode, self.focus, self.gamma, None)),)
        if bool(torch.isnan(data.target.value[torch.from_numpy(data.held_out)]).all(0).any()):
            raise Unsupported("no held-out patient has a known value of one label, by which CoBa goes: weights=equal")
        balance = TaskBalance(self.mode, self.focus, self.gamma, self._coba(data.target.value.shape[1]))
        return (Phase(self.training_options, balance),)

    def _coba(self, tasks: int) -> CoBa:
        return CoBa(tasks, self.warmup, self.window, self.temperature)
