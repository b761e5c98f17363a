"""A diffusion model of images made one of films: what it knows of a picture stays, and blocks over time are added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.compute.isolation import own_randomness
from chiasm.generation.diffusion import Prediction, Schedule, q_sample, target_of


class TemporalBlock(nn.Module):
    """Attention over the frames at each pixel, added to what an image network says there; at first it adds zero.

        h = norm(x) (1 + S c) + W c + p
        x + W_o gelu(W_1 [attention(h), h] (1 + G c)),  W_o = 0 at the start

    p are waves of the number of the frame, so that films may be of any length; c is what the film is conditioned on.

    Source: factorised blocks of space and time as in Open-Sora and Bora (arXiv 2407.08944), which adds them to an image
    model. Deviation: the condition scales and shifts, where theirs is attended to, word by word.

    Args:
        channels: C of the place in the image network.
        condition: width of the condition.
        heads: of the attention, which divide C.
    """

    def __init__(self, channels: int, condition: int, heads: int = 1) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{heads} heads do not divide {channels} channels: give a divisor")
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.told = nn.Linear(condition, 4 * channels, bias=False)
        self.place = nn.Linear(channels, channels)
        self.inward = nn.Linear(channels, 3 * channels)
        self.hidden = nn.Linear(2 * channels, 2 * channels)
        self.out = nn.Linear(2 * channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, frames: int, condition: Tensor | None) -> Tensor:
        """Return `(B F, C, ...)` given as many, films one after the other, and the condition `(B, W)` or None."""
        batch, channels, sides = len(x) // frames, x.shape[1], x.shape[2:]
        own = x.reshape(batch, frames, channels, -1).permute(0, 3, 1, 2)  # (B, pixels, F, C)
        told = x.new_zeros(batch, 1, 1, 4 * channels) if condition is None else self.told(condition)[:, None, None]
        scale, shift, gate = told.split((channels, channels, 2 * channels), -1)
        tokens = self.norm(own) * (1 + scale) + shift + self.place(waves(frames, channels, x))
        parts = self.inward(tokens).unflatten(-1, (3, self.heads, channels // self.heads))
        query, key, value = parts.permute(3, 0, 1, 4, 2, 5).flatten(1, 2)  # each (B pixels, heads, F, C / heads)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(1, 2).reshape(batch, -1, frames, channels)
        hidden = functional.gelu(self.hidden(torch.cat([mixed, tokens], -1)) * (1 + gate))
        moved: Tensor = self.out(hidden).permute(0, 2, 3, 1).reshape(batch * frames, channels, *sides)
        return x + moved


class Moving(nn.Module):
    """A denoiser of films `(B, F, C, ...)` out of a denoiser of images, which is frozen and keeps its weights.

    Before it is trained each frame is what the image network says of it alone, bit for bit.

    Args:
        image: `image(x, t, condition)`, of images `(B, C, ...)`.
        places: name of a submodule of it, whose output is `(B, C, ...)`, to C; a block is added there.
        condition: width of the film's condition, which the blocks read and the image network does not.
        seed: of the blocks' weights.

    Raises:
        ValueError: there is no place, or no submodule of that name.
    """

    def __init__(
        self, image: nn.Module, places: Mapping[str, int], condition: int, *, heads: int = 1, seed: int = 0
    ) -> None:
        super().__init__()
        known = dict(image.named_modules())
        missing = [name for name in places if name not in known]
        if missing or not places:
            what = f"the image network has no part '{missing[0]}'" if missing else "there is no place for a block"
            raise ValueError(f"{what}: name parts of it whose output has channels")
        self.image = image.requires_grad_(False)
        self.names = tuple(places)
        with own_randomness(seed):
            self.blocks = nn.ModuleList(TemporalBlock(width, condition, heads) for width in places.values())

    def forward(self, x: Tensor, t: Tensor, told: Tensor | None, picture: Tensor | None = None) -> Tensor:
        """Return what is predicted of films at steps t `(B,)`: `(B, F, C, ...)`, as they are.

        Args:
            told: `(B, W)` of the films; None: unconditioned.
            picture: `(B, V)`, what the image network is conditioned on in each frame.
        """
        frames = x.shape[1]

        def added(block: nn.Module) -> Callable[[Any, Any, Tensor], Tensor]:
            return lambda module, given, out: block(out, frames, told)

        with ExitStack() as hooks:
            parts = dict(self.image.named_modules())
            for name, block in zip(self.names, self.blocks, strict=True):
                hooks.callback(parts[name].register_forward_hook(added(block)).remove)
            held = None if picture is None else picture.repeat_interleave(frames, 0)
            said: Tensor = self.image(x.flatten(0, 1), t.repeat_interleave(frames), held)
        return said.view(-1, frames, *said.shape[1:])


def waves(frames: int, width: int, like: Tensor) -> Tensor:
    """`(F, width)` sines and cosines of the number of a frame, of periods from 2 pi frames to some thousands."""
    half = -(-width // 2)
    rates = torch.logspace(0, -3, half, device=like.device, dtype=like.dtype)
    angles = torch.arange(frames, device=like.device, dtype=like.dtype)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :width]


def fit_motion(
    moving: Moving, films: Tensor, told: Tensor, schedule: Schedule, *, updates: int = 1000, batch: int = 16,
    learning_rate: float = 4e-3, unconditioned: float = 0.1, prediction: Prediction = "epsilon",
    generator: torch.Generator | None = None, progress: Callable[[int, int], None] | None = None,
) -> Moving:  # fmt: skip
    """Train the blocks over time by the noise of whole films; the image network stays as it is.

    Args:
        films: `(n, F, C, ...)`.
        told: `(n, W)`, what each is conditioned on.
        unconditioned: share of the batches that are told nothing, for guidance.
        generator: of which films, steps and noise are drawn.

    Raises:
        ValueError: no film, conditions of another number, or an option is out of range.
    """
    if not len(films) or len(films) != len(told):
        raise ValueError(f"there are {len(films):,} films and {len(told):,} conditions: give each film its own")
    if updates < 1 or batch < 1 or not learning_rate > 0 or not 0 <= unconditioned < 1:
        raise ValueError("give updates and batch of 1 or more, learning_rate above 0, unconditioned from 0 to below 1")
    optimizer = torch.optim.AdamW(moving.blocks.parameters(), lr=learning_rate, weight_decay=0.0)
    for update in range(updates):
        rows = torch.randint(len(films), (batch,), generator=generator)
        t = torch.randint(schedule.steps, (batch,), generator=generator)
        noise = torch.randn(batch, *films.shape[1:], generator=generator, dtype=films.dtype)
        silent = bool(torch.rand((), generator=generator) < unconditioned)
        said = moving(q_sample(films[rows], t, noise, schedule), t, None if silent else told[rows])
        loss = functional.mse_loss(said, target_of(films[rows], t, noise, schedule, prediction))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - (update + 1) / updates) + 1e-8
        if progress is not None:
            progress(update + 1, updates)
    return moving
