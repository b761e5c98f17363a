"""TIES: trim each task vector, elect a sign for each entry, average those that agree (arXiv 2306.01708)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.citation import Citation
from chiasm.merging.task_arithmetic import TaskArithmetic


@dataclass(frozen=True)
class Ties(TaskArithmetic):
    """TIES merge `theta_0 + scale tau`: `tau` averages, entry by entry, the trimmed vectors with the majority sign.

    `gamma = sgn(sum_i w_i trim(tau_i))`, `tau = sum_{i: sgn = gamma} w_i tau_i / sum_{i: sgn = gamma} w_i`. Where the
    mass cancels, `sgn(0) = 0` elects no sign, as in the paper's formula; peft and mergekit take the positive ones.

    Args:
        density: the share of each vector's entries, of largest magnitude, that is kept; the paper's 0.2.
        scale: factor of the merged vector, the paper's lambda.
        normalize: divide by the weights of those that agree.
        granularity: unit of the density: tensor (as peft and mergekit), row, or model (the paper's code).
    """

    density: float = 0.2

    id: ClassVar[str] = "ties"
    elects: ClassVar[bool] = True
    paper: ClassVar[Citation] = Citation(
        "TIES-Merging: Resolving Interference When Merging Models", "NeurIPS", 2023, "https://arxiv.org/abs/2306.01708"
    )
