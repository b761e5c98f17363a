"""Noise put into values and taken out again: schedules, what a network predicts, steps of DDPM and of DDIM.

All are functions of tensors and of `predict(x, t, condition)`, which may be a network or a formula.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

Kind = Literal["linear", "scaled_linear", "cosine"]
Prediction = Literal["epsilon", "v", "x0"]
CLEAN = -1
"""The step before the first one, at which no noise is left."""
COSINE_OFFSET, GREATEST_BETA = 0.008, 0.999
FEWEST_STEPS = 2


class Predict(Protocol):
    """What a trained network says of `x` `(B, ...)` at steps `t` `(B,)`, given a condition or None: as x in shape."""

    def __call__(self, x: Tensor, t: Tensor, condition: Any, /) -> Tensor: ...


@dataclass(frozen=True)
class Schedule:
    """How much noise is in values at each of S steps: `sqrt(a_t) x_0 + sqrt(1 - a_t) e`, a_t the product of 1 - b to t.

    `linear`: b from `low` to `high`; `scaled_linear`: their roots are evenly spaced (latent diffusion takes .00085 and
    .012); `cosine`: `a_t = cos^2((t / S + .008) / 1.008 pi / 2)`, each b at most .999, and no `low` and `high`.

    Source: Ho et al. 2020 (arXiv 2006.11239); Nichol and Dhariwal 2021 (arXiv 2102.09672); numbers as in diffusers.

    Raises:
        ValueError: no such kind; fewer than two steps; `low` and `high` not in order within 0 and 1.
    """

    kind: Kind = "linear"
    steps: int = 1000
    low: float = 1e-4
    high: float = 0.02

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "scaled_linear", "cosine"):
            raise ValueError(f"no schedule is called '{self.kind}': there are linear, scaled_linear and cosine")
        if self.steps < FEWEST_STEPS:
            raise ValueError(f"a schedule of {self.steps} steps is too short: give {FEWEST_STEPS} or more")
        if not 0 < self.low < self.high < 1:
            raise ValueError(f"noise from {self.low:g} to {self.high:g} is no schedule: give 0 < low < high < 1")

    @property
    def betas(self) -> Tensor:
        """`(S,)` float64, the variance that each step adds."""
        return _betas(self.kind, self.steps, self.low, self.high)

    @property
    def alpha_bar(self) -> Tensor:
        """`(S,)` float64, the share of the variance that is still the values' own."""
        return _alpha_bar(self.kind, self.steps, self.low, self.high)

    def at(self, t: Tensor | int, like: Tensor) -> Tensor:
        """`a_t` of steps `(B,)` or of one, 1 where a step is `CLEAN`; shaped `(B, 1, ...)` and typed as `like`."""
        steps = torch.as_tensor(t, dtype=torch.long, device="cpu").reshape(-1)
        found = torch.where(steps < 0, torch.ones(()).double(), self.alpha_bar[steps.clamp_min(0)])
        return found.to(like).reshape(-1, *[1] * (like.ndim - 1))

    def descending(self, n: int) -> list[int]:
        """The n steps, evenly spaced and from the last on, by which values are drawn from noise.

        Raises:
            ValueError: n is not from 1 to S.
        """
        if not 1 <= n <= self.steps:
            raise ValueError(f"{n} steps cannot be taken of a schedule of {self.steps}: give 1 to {self.steps}")
        return [round(self.steps * (n - k) / n) - 1 for k in range(n)]


@lru_cache(maxsize=32)
def _betas(kind: str, steps: int, low: float, high: float) -> Tensor:
    if kind == "linear":
        return torch.linspace(low, high, steps, dtype=torch.float64)
    if kind == "scaled_linear":
        return torch.linspace(low**0.5, high**0.5, steps, dtype=torch.float64) ** 2
    share = (torch.arange(steps + 1, dtype=torch.float64) / steps + COSINE_OFFSET) / (1 + COSINE_OFFSET)
    bar = torch.cos(share * torch.pi / 2) ** 2
    return (1 - bar[1:] / bar[:-1]).clamp_max(GREATEST_BETA)


@lru_cache(maxsize=32)
def _alpha_bar(kind: str, steps: int, low: float, high: float) -> Tensor:
    return torch.cumprod(1 - _betas(kind, steps, low, high), 0)


def q_sample(x0: Tensor, t: Tensor | int, noise: Tensor, schedule: Schedule) -> Tensor:
    """Put noise into values: `sqrt(a_t) x_0 + sqrt(1 - a_t) e`, t `(B,)` or one step for all."""
    a = schedule.at(t, x0)
    return a.sqrt() * x0 + (1 - a).sqrt() * noise


def target_of(x0: Tensor, t: Tensor | int, noise: Tensor, schedule: Schedule, prediction: Prediction) -> Tensor:
    """What a network should say: the noise e, the values x_0, or `v = sqrt(a_t) e - sqrt(1 - a_t) x_0`."""
    if prediction == "epsilon":
        return noise
    if prediction == "x0":
        return x0
    a = schedule.at(t, x0)
    return a.sqrt() * noise - (1 - a).sqrt() * x0


def clean_and_noise(
    x: Tensor, t: Tensor | int, said: Tensor, schedule: Schedule, prediction: Prediction = "epsilon",
    clip: float | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The values and the noise that `x` at step t is made of, by what a network said of it.

    Args:
        clip: values are held within this, and the noise is what is left of x then; None: they are not.
    """
    a = schedule.at(t, x)
    kept, spread = a.sqrt(), (1 - a).sqrt()
    if prediction == "epsilon":
        x0, noise = (x - spread * said) / kept, said
    elif prediction == "x0":
        x0, noise = said, (x - kept * said) / spread
    else:
        x0, noise = kept * x - spread * said, kept * said + spread * x
    if clip is None:
        return x0, noise
    x0 = x0.clamp(-clip, clip)
    return x0, (x - kept * x0) / spread


def ddpm_step(
    x: Tensor, t: int, before: int, said: Tensor, schedule: Schedule, noise: Tensor | None = None,
    prediction: Prediction = "epsilon", clip: float | None = None,
) -> Tensor:  # fmt: skip
    """One step of ancestral sampling from t to an earlier step: the mean of `q(x_before | x_t, x_0)`, and its spread.

    `mean = (sqrt(a_b) beta x_0 + sqrt(alpha) (1 - a_b) x_t) / (1 - a_t)`, `alpha = a_t / a_b`, `beta = 1 - alpha`; the
    variance is `beta (1 - a_b) / (1 - a_t)`, the smaller of the paper's two.

    Args:
        before: the earlier step, or `CLEAN`.
        noise: standard normal as x; None: the mean alone.
    """
    a, earlier = schedule.at(t, x), schedule.at(before, x)
    alpha = a / earlier
    x0, _ = clean_and_noise(x, t, said, schedule, prediction, clip)
    mean = (earlier.sqrt() * (1 - alpha) * x0 + alpha.sqrt() * (1 - earlier) * x) / (1 - a)
    if noise is None:
        return mean
    return mean + ((1 - alpha) * (1 - earlier) / (1 - a)).sqrt() * noise


def ddim_step(
    x: Tensor, t: int, before: int, said: Tensor, schedule: Schedule, prediction: Prediction = "epsilon",
    eta: float = 0.0, noise: Tensor | None = None, clip: float | None = None,
) -> Tensor:  # fmt: skip
    """One step of DDIM from t to an earlier step: `sqrt(a_b) x_0 + sqrt(1 - a_b - s^2) e + s noise`.

    `s = eta sqrt((1 - a_b) / (1 - a_t) (1 - a_t / a_b))`; with eta 0 nothing is drawn, with eta 1 it is `ddpm_step`.

    Source: Song, Meng and Ermon 2021 (arXiv 2010.02502), equations 12 and 16.

    Raises:
        ValueError: eta is above 0 and no noise is given.
    """
    a, earlier = schedule.at(t, x), schedule.at(before, x)
    x0, own = clean_and_noise(x, t, said, schedule, prediction, clip)
    if not eta:
        return earlier.sqrt() * x0 + (1 - earlier).sqrt() * own
    if noise is None:
        raise ValueError(f"eta {eta:g} draws noise at each step: give it, or set eta 0")
    spread = eta * ((1 - earlier) / (1 - a) * (1 - a / earlier)).sqrt()
    return earlier.sqrt() * x0 + (1 - earlier - spread**2).clamp_min(0).sqrt() * own + spread * noise


def ddim_inverse_step(
    x: Tensor, t: int, after: int, said: Tensor, schedule: Schedule, prediction: Prediction = "epsilon",
    asked: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """One step of DDIM backwards, from t (or `CLEAN`) to a later step: `ddim_step` from there solved for x_after.

    Args:
        said: what the network says at the step `after` of `asked`.
        asked: a guess of x_after, by which the step is exact where it is right; None: x itself, and what is wrong
            goes to 0 with the length of the step.
    """
    a, later = schedule.at(t, x), schedule.at(after, x)
    _, noise = clean_and_noise(x if asked is None else asked, after, said, schedule, prediction)
    ratio = (later / a).sqrt()
    return ratio * x + ((1 - later).sqrt() - ratio * (1 - a).sqrt()) * noise


def guided(predict: Predict, weight: float) -> Predict:
    """Classifier-free guidance: `said(None) + weight (said(condition) - said(None))`; 1 is the condition alone.

    Source: Ho and Salimans 2022 (arXiv 2207.12598), whose w is `weight - 1`.
    """

    def both(x: Tensor, t: Tensor, condition: Any, /) -> Tensor:
        if condition is None or weight == 1:
            return predict(x, t, condition)
        free = predict(x, t, None)
        return free + weight * (predict(x, t, condition) - free)

    return both


def pairs(steps: list[int]) -> Iterator[tuple[int, int]]:
    """Each of some descending steps with the one before it in time, the last with `CLEAN`."""
    yield from zip(steps, [*steps[1:], CLEAN], strict=True)


def sample(
    predict: Predict, x: Tensor, schedule: Schedule, *, steps: int | list[int], condition: Any = None,
    prediction: Prediction = "epsilon", eta: float = 0.0, clip: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:  # fmt: skip
    """Draw values from noise `x` `(B, ...)` by DDIM; with eta 0 the same x gives the same values, with 1 it is DDPM.

    Args:
        steps: how many, or which ones, descending: an edit starts at a middle one.
        generator: of the noise where eta is above 0.
    """
    for t, before in pairs(schedule.descending(steps) if isinstance(steps, int) else steps):
        said = predict(x, _all_at(t, x), condition)
        noise = _normal(x, generator) if eta else None
        x = ddim_step(x, t, before, said, schedule, prediction, eta, noise, clip)
    return x


def invert(
    predict: Predict, x0: Tensor, schedule: Schedule, *, steps: int | list[int], condition: Any = None,
    prediction: Prediction = "epsilon", rounds: int = 0,
) -> Tensor:  # fmt: skip
    """The noise `(B, ...)` from which `sample` with these steps and eta 0 gives `x0`; its error goes to 0 with steps.

    Args:
        steps: how many, or which ones, descending as for `sample`.
        rounds: how often a step is done again from where it led, by which its error shrinks further.
    """
    x = x0
    for after, t in reversed(list(pairs(schedule.descending(steps) if isinstance(steps, int) else steps))):
        asked = x
        for _ in range(rounds + 1):
            said = predict(asked, _all_at(after, x), condition)
            asked = ddim_inverse_step(x, t, after, said, schedule, prediction, asked)
        x = asked
    return x


def _all_at(t: int, x: Tensor) -> Tensor:
    return torch.full((len(x),), t, dtype=torch.long, device=x.device)


def _normal(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise as x, drawn on a CPU so that a seed gives the same one everywhere."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
