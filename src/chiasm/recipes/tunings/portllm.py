"""`portllm`: a low-rank patch learned on an older base and applied to a newer base (arXiv 2410.10870)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from chiasm.adapters import LoRA, attach
from chiasm.adapters.peft_families import peft
from chiasm.cohort import Cohort
from chiasm.compute.isolation import seeded
from chiasm.fitting.row import Row
from chiasm.merging.patch import LIMIT, DriftError, Patch, apply_patch, drift, make_patch
from chiasm.recipes.tunings import ROWS
from chiasm.recipes.tunings.tuned import State, TunedRecipe, Tuner, weights
from chiasm.training import Phase


@dataclass(frozen=True)
class PortLLM(TunedRecipe):
    """Port a patch: `newer + (tuned - older)`; the older base is trained on half of the patients, the newer continues.

    The newer base is the older one trained further on the other half.

    Args:
        rank: rank of the patch, LoRA on the linear layers of the fusion.
        limit: largest drift of the base, as a share of its norm, at which the patch is still applied.
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
        """Raise `Unsupported` also if peft is not installed."""
        peft()
        super().supports(cohort)

    @property
    def settings(self) -> int:
        """Number of candidates: with and without the patch, and of settings that a start tries."""
        return 2 + super().settings - 1

    def merged(self, tuner: Tuner) -> tuple[State, dict[str, float]]:
        """Return the patched newer base, or the newer base alone if it drifted too far or scores no worse unpatched."""
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
        """Tune LoRA on the older base's patients without modality dropout; return the weight change as a patch."""
        network = tuner.network(older)
        adapter = LoRA(rank=self.rank, alpha=float(self.rank))

        def linear(name: str, module: nn.Module) -> bool:
            return (
                isinstance(module, nn.Linear) and name.startswith("fusion.") and min(module.weight.shape) >= self.rank
            )

        attached = attach(network, adapter, linear, seed=seeded(tuner.training.seed, "lora"))
        tuner.train(network, Phase(self.tuning_options(), name="patch"), tuner.parts(2)[0])
        attached.merge()
        return make_patch(older, weights(network))
