"""Knowledge distillation: a loss that combines labels with a teacher's probabilities (soft) or decisions (hard)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.objectives.weighted import weighted_cross_entropy

Kind = Literal["soft", "hard"]


def distillation_loss(
    logits: Tensor,
    codes: Tensor,
    teacher: Tensor,
    *,
    kind: Kind,
    alpha: float = 0.5,
    temperature: float = 1.0,
    distilled: Tensor | None = None,
) -> Tensor:
    """Compute the distillation loss `(1 - α) CE(logits, codes) + α D(distilled, teacher)`, a scalar.

    Soft: `D = τ² KL(softmax(teacher / τ) || softmax(distilled / τ))`, the mean over patients (Hinton et al., arXiv
    1503.02531; Touvron et al., DeiT, arXiv 2012.12877, eq. 2). Hard: `D = CE(distilled, argmax teacher)` (DeiT, eq. 3,
    with `α = 1/2`); of equal teacher logits the first counts. `α = 0` is cross entropy, and the teacher is not read.

    A patient without a label counts in the second term only, one with a teacher logit that is not finite in the first
    only; a term without patients is zero, with zero gradient. The teacher gets no gradient.

    Args:
        logits: `(B, K)` of the student.
        codes: `(B,)` class codes, NaN or negative for a missing label.
        teacher: `(B, K)` logits of the teacher.
        kind: "soft" or "hard".
        alpha: from 0 to 1.
        temperature: τ, above 0; must be 1 for the hard kind.
        distilled: `(B, K)` logits of the student's distillation token; None for `logits`.

    Raises:
        ValueError: an unknown kind, a number outside its range, or differing shapes.

    Deviation: the published DeiT code divides the soft term by `B K`, so that its weight falls with the number of
    classes; here, as in the equation, it is divided by the number of patients.
    """
    distilled = logits if distilled is None else distilled
    if kind not in get_args(Kind):
        raise ValueError(f"no kind '{kind}' of distillation: 'soft' or 'hard'")
    if not 0.0 <= alpha <= 1.0 or not 0.0 < temperature < float("inf"):
        raise ValueError(f"alpha lies between 0 and 1 and the temperature above 0, not at {alpha} and {temperature}")
    if kind == "hard" and temperature != 1.0:
        raise ValueError("hard distillation takes the teacher's decision, which has no temperature: leave it at 1")
    if logits.shape != teacher.shape or logits.shape != distilled.shape:
        raise ValueError(
            f"student {tuple(logits.shape)}, its distillation token {tuple(distilled.shape)} and teacher "
            f"{tuple(teacher.shape)} have logits for other patients or classes"
        )
    labelled = weighted_cross_entropy(logits, codes, torch.ones(logits.shape[1]))
    if alpha == 0.0:
        return labelled
    teacher = teacher.detach()
    taught = torch.isfinite(teacher).all(1)
    decision = torch.where(taught, torch.nan_to_num(teacher).argmax(1), -1)
    if kind == "hard" or not bool(taught.any()):
        learned = weighted_cross_entropy(distilled, decision, torch.ones(logits.shape[1]))
    else:
        student = functional.log_softmax(distilled[taught] / temperature, 1)
        target = functional.log_softmax(teacher[taught] / temperature, 1)
        learned = temperature**2 * functional.kl_div(student, target, reduction="batchmean", log_target=True)
    return (1.0 - alpha) * labelled + alpha * learned
