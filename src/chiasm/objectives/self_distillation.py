"""Self-distillation of DINO: views are told a teacher's soft choice among K outputs, centred and sharpened."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def self_distillation(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    centre: Tensor,
    *,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Tensor:
    """Compute the mean cross entropy `H(softmax((t_a - c) / tau_t), softmax(s_b / tau_s))` over views a != b, a scalar.

    The teacher reads the first views alone, the student all of them, in the same order. Teacher and centre have no
    gradient. Centring alone makes all choices uniform and sharpening alone makes all of them one; together neither.

    Source: Caron et al., DINO (ICCV 2021), arXiv 2104.14294, eq. 1 and algorithm 1.

    Args:
        student: of each view `(B, K)`, two views or more.
        teacher: of each of the first views `(B, K)`.
        centre: c, `(K,)`.

    Raises:
        ValueError: the teacher has more views than the student, or there is no pair of different views.
    """
    if len(teacher) > len(student) or not teacher or len(student) < 2:
        raise ValueError(f"{len(student)} views of the student and {len(teacher)} of the teacher are no pairs of views")
    said = [functional.log_softmax(own / student_temperature, 1) for own in student]
    terms = []
    for a, own in enumerate(teacher):
        wanted = functional.softmax((own.detach() - centre.detach()) / teacher_temperature, 1)
        terms += [-(wanted * told).sum(1).mean() for b, told in enumerate(said) if b != a]
    return torch.stack(terms).mean()


def moved_centre(centre: Tensor, teacher: Sequence[Tensor], momentum: float = 0.9) -> Tensor:
    """Return the centre moved towards the mean of the teacher's outputs, `m c + (1 - m) mean(t)`, `(K,)`.

    Source: the same paper, eq. 4. A momentum of 1 leaves centring out.
    """
    return momentum * centre + (1.0 - momentum) * torch.cat([own.detach() for own in teacher]).mean(0)
