"""Tuned norms (ICLR 2024, arXiv 2312.11420): the scale and the shift of every norm of an encoder, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.adapters import ScaleShift
from chiasm.adapters.sites import norms
from chiasm.encoders.adaptable import Trunk
from chiasm.protocols import Citation
from chiasm.recipes.adapted import Adaptation, AdaptedRecipe


@dataclass(frozen=True)
class NormTuningRecipe(AdaptedRecipe):
    """`gamma' * n(x) + beta'` for every norm n: what peft's `NormTuning` learns on LayerNorms, for all norms."""

    id: ClassVar[str] = "norm-tuning"
    paper: ClassVar[Citation] = Citation(
        "Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning",
        "ICLR",
        2024,
        "https://arxiv.org/abs/2312.11420",
    )

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """At every layer, group and batch norm."""
        found = norms(trunk.network)
        if not found:
            raise ValueError("it has no layer, group or batch norm with weights")
        return Adaptation(ScaleShift(), found)
