"""Films of a blob that moves to the left or to the right, a small denoiser of their frames, and who tells the two."""

from __future__ import annotations

from collections.abc import Callable

import torch
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

from chiasm.generation.diffusion import Schedule, q_sample

FRAMES, SIDE = 4, 8
SCHEDULE = Schedule("cosine", 100)


def films(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`(n, F, 1, side, side)` from -1 to 1, and `(n, 2)` whether the words say left, right; a pixel each frame."""
    right = torch.rand(n, generator=generator) < 0.5
    start = torch.rand(n, generator=generator) * 3 + torch.where(right, 0.5, 3.5)
    across = start[:, None] + torch.where(right, 1.0, -1.0)[:, None] * torch.arange(FRAMES)
    down = (torch.rand(n, generator=generator) * 4 + 1.5)[:, None, None]
    place = torch.arange(SIDE).float()
    rows, columns = (place - down) ** 2, (place - across[..., None]) ** 2
    pictures = 2 * torch.exp(-(rows[..., None] + columns[..., None, :]) / 2 / 0.9**2) - 1
    return pictures[:, :, None], torch.stack([~right, right], 1).float()


class TinyDenoiser(nn.Module):
    """Four convolutions that know the step and where a pixel is; the condition is not read."""

    def __init__(self, width: int, seed: int = 0) -> None:
        super().__init__()
        self.width = width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.time = nn.Sequential(nn.Linear(16, width), nn.SiLU(), nn.Linear(width, 3 * width))
            self.first = nn.Conv2d(3, width, 3, padding=1)
            self.middle = nn.Conv2d(width, width, 3, padding=1)
            self.wider = nn.Conv2d(width, width, 3, padding=2, dilation=2)
            self.last = nn.Conv2d(width, 1, 3, padding=1)
            self.norms = nn.ModuleList(nn.GroupNorm(4, width) for _ in range(3))

    def forward(self, x: Tensor, t: Tensor, condition: object) -> Tensor:
        angles = t[:, None] / SCHEDULE.steps * 2 ** torch.arange(8)
        shifts = self.time(torch.cat([angles.sin(), angles.cos()], 1)).chunk(3, 1)
        side = torch.linspace(-1, 1, SIDE)
        places = torch.stack(torch.meshgrid(side, side, indexing="ij")).expand(len(x), 2, SIDE, SIDE)
        h: Tensor | None = None
        for part, norm, shift in zip((self.first, self.middle, self.wider), self.norms, shifts, strict=True):
            own = functional.silu(norm(part(torch.cat([x, places], 1) if h is None else h)) + shift[..., None, None])
            h = own if h is None else h + own
        said: Tensor = self.last(h)
        return said


def trained_denoiser(pictures: Tensor, generator: torch.Generator, updates: int = 800, width: int = 24) -> TinyDenoiser:
    """A denoiser of the frames, each alone."""
    own, frames = TinyDenoiser(width), pictures.flatten(0, 1)
    optimizer = torch.optim.AdamW(own.parameters(), lr=3e-3)
    for update in range(updates):
        rows = torch.randint(len(frames), (64,), generator=generator)
        t = torch.randint(SCHEDULE.steps, (64,), generator=generator)
        noise = torch.randn(64, *frames.shape[1:], generator=generator)
        loss = functional.mse_loss(own(q_sample(frames[rows], t, noise, SCHEDULE), t, None), noise)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - update / updates)
    return own


def told_right(pictures: Tensor, told: Tensor) -> Callable[[Tensor], Tensor]:
    """A logistic regression that says `(n,)` whether a film goes to the right, by how frames match when shifted."""

    def matches(own: Tensor) -> Tensor:
        across = ((own[:, :, 0] + 1) / 2).sum(2)  # (n, F, side)
        across = across - across.mean(2, keepdim=True)
        shifted = [(across[:, :-1] * across[:, 1:].roll(-lag, 2)).sum(2) for lag in (-2, -1, 0, 1, 2)]
        return torch.cat(shifted, 1)

    fitted = LogisticRegression(max_iter=2000).fit(matches(pictures).numpy(), told[:, 1].numpy())
    return lambda own: torch.from_numpy(fitted.predict(matches(own).numpy()) > 0.5)
