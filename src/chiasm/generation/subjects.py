"""A condition that stands for one subject, learnt from few of its images while the diffusion model stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.generation.diffusion import Predict, Prediction, Schedule, q_sample, target_of


class StepEmbedding(nn.Module):
    """A condition for each stretch of the schedule, since coarse steps and fine ones need other words for a subject.

    With one stretch it is the one embedding of textual inversion (Gal et al., arXiv 2208.01618).

    Args:
        initial: `(C,)`, where all of them begin, as the condition of the class that the subject is of.
        schedule: whose S steps are divided.
        stretches: G, from 1 to S, of as many steps each as can be.

    Raises:
        ValueError: `stretches` is out of range.
    """

    def __init__(self, initial: Tensor, schedule: Schedule, stretches: int = 10) -> None:
        super().__init__()
        if not 1 <= stretches <= schedule.steps:
            raise ValueError(f"{stretches} stretches do not divide {schedule.steps:,} steps: give 1 to as many")
        self.steps = schedule.steps
        self.values = nn.Parameter(initial.detach().repeat(stretches, 1))  # (G, C)

    def forward(self, t: Tensor) -> Tensor:
        """Return the condition `(B, C)` at steps t `(B,)`."""
        return self.values[t * len(self.values) // self.steps]


def masked_noise_loss(said: Tensor, wanted: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of `(said - wanted)^2` over the pixels of the mask; what lies outside has no gradient.

    Args:
        mask: bool or weights from 0 to 1, broadcast to the image; None: all pixels.
    """
    off = said - wanted
    if mask is None:
        return off.square().mean()
    inside = mask.to(off).expand_as(off)
    return (inside * torch.where(inside > 0, off, 0.0).square()).sum() / inside.sum()


def fit_subject(
    predict: Predict, images: Tensor, initial: Tensor, schedule: Schedule, *, masks: Tensor | None = None,
    stretches: int = 10, keep: float = 0.0, updates: int = 500, batch: int = 8, learning_rate: float = 5e-3,
    prediction: Prediction = "epsilon", generator: torch.Generator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> StepEmbedding:  # fmt: skip
    """Learn the condition under which a diffusion model draws a subject; the model has no gradient and stays as it is.

        loss = mean over the mask of (predict(x_t, t, s_t) - e)^2 + keep mean (s - s_0)^2

    Source: Wang et al., HiFi Tuner (arXiv 2312.00079): embeddings of steps, loss within the mask, embeddings held near
    where they began. Deviations: steps are drawn at random and learnt together, not one after the other from the last
    on; conditions are vectors, so that its mask of attention is `masked_condition`.

    An embedding is learnt from one person's images and draws images like them: keep it as you keep the images.

    Args:
        predict: what the network says; a condition is `(B, C)`.
        images: `(n, ...)`, one or more.
        initial: `(C,)`.
        masks: `(n, ...)` bool, broadcast to the images, True at the subject; None: everywhere.
        keep: weight of staying near `initial`, 0 or more.
        generator: of which images, steps and noise are drawn.

    Raises:
        ValueError: no image, a mask marks no pixel, or an option is out of range.
    """
    if not len(images) or updates < 1 or batch < 1 or keep < 0 or not learning_rate > 0:
        raise ValueError(
            "give one image or more, updates and batch of 1 or more, keep of 0 or more, learning_rate above 0"
        )
    if masks is not None and not bool(masks.reshape(len(masks), -1).any(1).all()):
        raise ValueError("a mask marks no pixel: nothing is learnt from its image")
    own = StepEmbedding(initial, schedule, stretches).to(images.device)
    optimizer = torch.optim.Adam(own.parameters(), lr=learning_rate)
    for update in range(updates):
        rows = torch.randint(len(images), (batch,), generator=generator)
        t = torch.randint(schedule.steps, (batch,), generator=generator)
        noise = torch.randn(batch, *images.shape[1:], generator=generator, dtype=images.dtype).to(images.device)
        x0 = images[rows.to(images.device)]
        said = predict(q_sample(x0, t, noise, schedule), t.to(images.device), own(t))
        wanted = target_of(x0, t, noise, schedule, prediction)
        loss = masked_noise_loss(said, wanted, None if masks is None else masks[rows.to(masks.device)])
        loss = loss + keep * (own.values - initial).square().mean()
        own.values.grad = torch.autograd.grad(loss, own.values)[0]
        optimizer.step()
        if progress is not None:
            progress(update + 1, updates)
    return own.requires_grad_(False)


def with_subject(predict: Predict, subject: StepEmbedding) -> Predict:
    """What a network says of a subject: wherever a condition is given, the embedding of the step stands for it."""

    def told(x: Tensor, t: Tensor, condition: Any, /) -> Tensor:
        return predict(x, t, None if condition is None else subject(t))

    return told


def masked_condition(predict: Predict, mask: Tensor) -> Predict:
    """What a network says where a condition holds within a mask alone, and no condition outside of it."""

    def told(x: Tensor, t: Tensor, condition: Any, /) -> Tensor:
        if condition is None:
            return predict(x, t, None)
        return torch.where(mask, predict(x, t, condition), predict(x, t, None))

    return told
