"""`portllm`: a low-rank patch, learned on an older base, put on the base that came after it (arXiv 2410.10870)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from chiasm.adapters import LoRA, attach
from chiasm.adapters.peft_families import peft
from chiasm.cohort import Cohort
from chiasm.fitting.neural import seeded
from chiasm.fitting.row import Row
from chiasm.merging.patch import LIMIT, DriftError, Patch, apply_patch, drift, make_patch
from chiasm.recipes.tunings import ROWS
from chiasm.recipes.tunings.tuned import State, TunedRecipe, Tuner, weights


@dataclass(frozen=True)
class PortLLM(TunedRecipe):
    """`newer + (tuned - older)`: the older base knows half of the patients, the newer one went on with the others.

    Args:
        rank: of the patch, LoRA on the linear layers of the fusion.
        limit: how far the base may have moved, as a share of its norm, for the patch to be carried over.
    """

    rank: int = 4
    limit: float = LIMIT

    row: ClassVar[Row] = ROWS["portllm"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.rank <= self.latent_width:
            raise ValueError(f"rank={self.rank} is no low rank for a network of width {self.latent_width}")
        if not self.limit >= 0:
            raise ValueError(f"limit={self.limit} is a share of the norm, zero or more")

    def supports(self, cohort: Cohort) -> None:
        """As every recipe, and peft is installed."""
        peft()
        super().supports(cohort)

    @property
    def settings(self) -> int:
        """With the patch and without."""
        return 2

    def merged(self, tuner: Tuner) -> tuple[State, dict[str, float]]:
        """The patched newer base; the newer base as it is where it has drifted too far, or does better without."""
        first, second = tuner.parts(2)
        older = tuner.base(first)
        newer = tuner.tuned("newer", older, rows=second, modality_dropout=self.base_dropout)
        patch = self.patch(tuner, older)
        moved = drift(patch, older, newer)
        notes = {"drift": moved.whole, "drift_of_patch": min(moved.of_patch, 1e9), "score_newer": tuner.score(newer)}
        try:
            ported = apply_patch(patch, newer, older, limit=self.limit)
        except DriftError:
            return newer, notes | {"ported": 0.0}
        notes["score_ported"] = tuner.score(ported)
        if notes["score_ported"] > notes["score_newer"]:
            return ported, notes | {"ported": 1.0}
        return newer, notes | {"ported": 0.0}

    def patch(self, tuner: Tuner, older: State) -> Patch:
        """LoRA tuned on the older base with all that its patients have, merged, less that base."""
        network = tuner.network(older)
        adapter = LoRA(rank=self.rank, alpha=float(self.rank))

        def linear(name: str, module: nn.Module) -> bool:
            return (
                isinstance(module, nn.Linear) and name.startswith("fusion.") and min(module.weight.shape) >= self.rank
            )

        attached = attach(network, adapter, linear, seed=seeded(tuner.training.seed, "lora"))
        tuner.train(network, "patch", self.tuning_options(), rows=tuner.parts(2)[0])
        attached.merge()
        return make_patch(older, weights(network))
