"""Multi-task loss: the mean over tokens, rows or tasks, with task weights that do not depend on the batch."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Mode = Literal["tokens", "rows", "task-tokens", "task-rows"]


def balanced_loss(losses: Tensor, known: Tensor, task: Tensor, mode: Mode, weights: Tensor | None = None) -> Tensor:
    """Average the known losses of a batch to a scalar, zero with zero gradient if none is known.

    With `l` the losses and `R` the rows with a known one: "tokens" `Σ l / #l`; "rows" the mean over `R` of each row's
    own mean; "task-tokens" `1/|P| Σ_{k in P} (w_k / mean(w)) mean_k`, over the tasks `P` of the batch, `mean_k` being
    "tokens" of task k's rows; "task-rows" the same with "rows". These are cases 1, 2, 3 and 4 of the code of MFTCoder
    (arXiv 2311.02303), which recommends 3.

    Args:
        losses: `(B, T)`, or `(B,)` with one loss per row; any value, also NaN, where not known.
        known: bool, of the same shape: False for padding and missing labels.
        task: `(B,)` integer, the task of each row.
        mode: see above.
        weights: `(K,)`, at least 0 and not all 0; None for equal ones. Only for the modes by task.

    Raises:
        ValueError: differing shapes, an unknown mode, weights in a mode without tasks, a task without a weight.

    Deviation: MFTCoder divides by the weights of the tasks in the batch, so the weight cancels in a batch of one task;
    here a weight means the same in every batch, and with all tasks present both are equal. Its means are NaN for a row
    or a task without a label, and its cases 1 and 2 ignore weights.
    """
    if losses.shape != known.shape or losses.ndim not in (1, 2) or task.shape != losses.shape[:1]:
        raise ValueError(f"losses {(*losses.shape,)}, known {(*known.shape,)} and task {(*task.shape,)} do not fit")
    if mode not in get_args(Mode):
        raise ValueError(f"no mode '{mode}': one of {', '.join(get_args(Mode))}")
    if weights is not None:
        if not mode.startswith("task-"):
            raise ValueError(f"mode '{mode}' has no tasks to weight: use 'task-tokens' or 'task-rows'")
        if len(task) and not 0 <= int(task.min()) <= int(task.max()) < len(weights):
            raise ValueError(f"a row names a task outside the {len(weights)} that have a weight")
        if not bool(torch.isfinite(weights).all()) or float(weights.min()) < 0 or float(weights.sum()) <= 0:
            raise ValueError("weights of tasks are finite, at least 0 and not all 0")
    total, number = _by_row(losses, known)
    if mode.endswith("rows"):
        total, number = total / number.clamp_min(1), (number > 0).to(total)
    if not mode.startswith("task-"):
        return total.sum() / number.sum().clamp_min(1)
    kinds, place = torch.unique(task, return_inverse=True)
    sums, counts = (total.new_zeros(len(kinds)).index_add(0, place, each) for each in (total, number))
    share = torch.ones_like(sums) if weights is None else (weights / weights.mean()).to(sums)[kinds]
    return (share * sums / counts.clamp_min(1)).sum() / (counts > 0).sum().clamp_min(1)


def losses_of_tasks(losses: Tensor, known: Tensor, task: Tensor, tasks: int) -> Floats:
    """Compute each task's mean known loss, `(K,)` float64, NaN for a task without one; the input of `CoBa.after`."""
    total, number = (each.detach().double() for each in _by_row(losses, known))
    sums, counts = (each.new_zeros(tasks).index_add(0, task.long(), each) for each in (total, number))
    return np.asarray(torch.where(counts > 0, sums / counts, torch.nan).cpu().numpy())


def _by_row(losses: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the sum and the number of the known losses of each row, `(B,)`."""
    safe = torch.where(known, losses, 0.0)
    return (safe.sum(1), known.sum(1).to(safe)) if losses.ndim == 2 else (safe, known.to(safe))
