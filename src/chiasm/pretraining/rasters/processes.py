"""A pretraining shared by several processes, each with a part of every step, by Lightning Fabric."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chiasm.cohort import Unsupported
from chiasm.pretraining.rasters.learner import Learner, RasterMethod
from chiasm.pretraining.rasters.options import RasterOptions
from chiasm.pretraining.rasters.together import Together, precise_in
from chiasm.readers.registry import missing

Sharing = Callable[[Learner], Together]
Run = Callable[[Sharing | None, Path | None, str, bool], None]
"""A pretraining, of: how steps are shared, its checkpoint, its device, and whether it is the process that tells."""


class Shared(Together):
    """A step of which each process runs a part; gradients are averaged by torch's DistributedDataParallel.

    Args:
        fabric: of this process.
        learner: what is trained.
        precision: "32" or "bf16".
    """

    def __init__(self, fabric: Any, learner: Learner, precision: str) -> None:
        self.fabric, self.precision = fabric, precision
        self.index, self.processes = int(fabric.global_rank), int(fabric.world_size)
        self.wrapped = fabric.setup_module(learner)

    def loss(self, learner: Learner, *given: Any) -> Tensor:
        """Run the learner on this process's part."""
        found: Tensor = self.wrapped(*given)
        return found

    def total(self, value: float) -> float:
        """Return the sum of a number over all processes."""
        return float(self.fabric.all_reduce(torch.tensor(value, dtype=torch.float64), reduce_op="sum"))

    def precise(self) -> Any:
        """Return the context in which the learner runs in training."""
        return precise_in(self.precision, str(self.fabric.device))


def require_shareable(method: str, how: RasterMethod, options: RasterOptions, processes: int) -> None:
    """Refuse what several processes do not share.

    Raises:
        Unsupported: the method compares the items of a step with each other.
        ValueError: fewer than one process, or fewer items a step than two for each.
    """
    if processes < 1 or (processes > 1 and options.batch < 2 * processes):
        raise ValueError(f"{processes} processes share a step of {options.batch}: two items for each are the fewest")
    if processes > 1 and not how.alone:
        raise Unsupported(f"'{method}' compares the items of a step, which several processes do not share: take one")


def shared(processes: int, precision: str, device: str, checkpoint: Path, run: Run) -> None:
    """Run a pretraining in several processes, forked from this one; the first one tells and writes its checkpoint.

    Of the same draws each process takes its part, so that they learn what one process learns, to rounding.

    Raises:
        Unsupported: Lightning Fabric is not installed.
    """
    try:
        from lightning_fabric import Fabric  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise missing("lightning-fabric", "scale", "a pretraining in several processes") from None

    def part(fabric: Any) -> None:
        rank = int(fabric.global_rank)
        own = checkpoint if rank == 0 else checkpoint.with_name(f"{checkpoint.name}.{rank}")
        if rank:
            own.unlink(missing_ok=True)
            if checkpoint.exists():
                shutil.copyfile(checkpoint, own)
        fabric.barrier()  # nobody writes before all have read
        try:
            run(lambda learner: Shared(fabric, learner, precision), own, str(fabric.device), rank == 0)
        finally:
            if rank:
                own.unlink(missing_ok=True)

    kind = "cuda" if device.startswith("cuda") else "cpu"
    Fabric(accelerator=kind, devices=processes, strategy="ddp_fork").launch(part)
