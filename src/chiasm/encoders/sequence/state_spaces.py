"""Mamba and Mamba-2: recurrences whose decay depends on the token, read in pieces on any device, without a kernel."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

EXPAND = 2
STATES = 16  # N, numbers that each channel keeps
KERNEL = 4
STEP_MIN, STEP_MAX, STEP_FLOOR = 1e-3, 1e-1, 1e-4


class Mamba(nn.Module):
    """A selective state space: with `d, B, C` linear in the token and `A < 0`, each channel x keeps N numbers h.

        h_t = exp(d_t A) h_{t-1} + d_t B_t x_t,    y_t = C_t h_t + D x_t

    around it a convolution over four tokens and a gate. Source: Gu and Dao, Mamba (COLM 2024, arXiv:2312.00752),
    algorithm 2. The parameters have the names and the initial values of transformers' `MambaMixer`, so that weights of
    one are those of the other; unlike that one, it goes on from a state after any number of tokens.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        inside, rank = EXPAND * width, math.ceil(width / 16)
        self.rank = rank
        self.in_proj = nn.Linear(width, 2 * inside, bias=False)
        self.conv1d = nn.Conv1d(inside, inside, KERNEL, groups=inside, padding=KERNEL - 1)
        self.x_proj = nn.Linear(inside, rank + 2 * STATES, bias=False)
        self.dt_proj = nn.Linear(rank, inside)
        self.A_log = nn.Parameter(torch.arange(1.0, STATES + 1).log().expand(inside, -1).clone())
        self.D = nn.Parameter(torch.ones(inside))
        self.out_proj = nn.Linear(inside, width, bias=False)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            self.dt_proj.bias.copy_(_first_steps(inside))

    def scan(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read `(B, t, D)`; the state is the last three inputs of the convolution, and h `(B, 2 D, N)`."""
        before, kept = state if state is not None else (None, x.new_zeros(len(x), *self.A_log.shape))
        inside, gate = self.in_proj(x).chunk(2, dim=-1)  # (B, t, E)
        mixed, after = convolved(self.conv1d, inside, before)
        step, written, read = torch.split(self.x_proj(mixed), [self.rank, STATES, STATES], dim=-1)
        step = functional.softplus(self.dt_proj(step))  # (B, t, E)
        decay = (step[..., None] * -self.A_log.exp()).exp()  # (B, t, E, N)
        added = (step * mixed)[..., None] * written[:, :, None]
        states = []
        for place in range(x.shape[1]):
            kept = decay[:, place] * kept + added[:, place]
            states.append(kept)
        found = (torch.stack(states, 1) * read[:, :, None]).sum(-1) + self.D * mixed  # (B, t, E)
        return self.out_proj(found * functional.silu(gate)), (after, kept)


class Mamba2(nn.Module):
    """State space duality: as `Mamba`, with one decay for a whole head, so that a piece is two products of matrices.

        y_t = sum_{s <= t} exp(a_{s+1} + ... + a_t) (C_t B_s) d_s x_s + exp(a_1 + ... + a_t) C_t h_0 + D x_t,   a = d A

    Source: Dao and Gu, Transformers are SSMs (ICML 2024, arXiv:2405.21060), section 6. The parameters have the names
    and the initial values of transformers' `Mamba2Mixer` with one group.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        inside = EXPAND * width
        self.heads, self.inside = heads, inside
        self.in_proj = nn.Linear(width, 2 * inside + 2 * STATES + heads, bias=False)
        mixed = inside + 2 * STATES
        self.conv1d = nn.Conv1d(mixed, mixed, KERNEL, groups=mixed, padding=KERNEL - 1)
        self.dt_bias = nn.Parameter(_first_steps(heads))
        self.A_log = nn.Parameter(torch.arange(1.0, heads + 1).log())
        self.D = nn.Parameter(torch.ones(heads))
        self.norm = nn.RMSNorm(inside, eps=1e-5)
        self.out_proj = nn.Linear(inside, width, bias=False)

    def scan(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read `(B, t, D)`; the state is the last three inputs of the convolution, and h `(B, heads, N, P)`."""
        before, kept = state if state is not None else (None, None)
        widths = [self.inside, self.inside + 2 * STATES, self.heads]
        gate, inside, step = torch.split(self.in_proj(x), widths, dim=-1)
        mixed, after = convolved(self.conv1d, inside, before)
        values, written, read = torch.split(mixed, [self.inside, STATES, STATES], dim=-1)
        values = values.view(*values.shape[:2], self.heads, -1)  # (B, t, H, P)
        if kept is None:
            kept = x.new_zeros(len(x), self.heads, STATES, values.shape[-1])
        step = functional.softplus(step + self.dt_bias)  # (B, t, H)
        total = (step * -self.A_log.exp()).cumsum(1)
        earlier = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        between = total[:, :, None] - total[:, None]  # (B, t, s, H)
        between = between.masked_fill(~earlier[..., None], -torch.inf).exp()
        given = values * step[..., None]
        weights = (read @ written.transpose(1, 2))[..., None] * between
        found = torch.einsum("btsh,bshp->bthp", weights, given)
        found = found + torch.einsum("btn,bhnp,bth->bthp", read, kept, total.exp())
        found = found + self.D[:, None] * values
        last = (total[:, -1:] - total).exp()
        kept = total[:, -1].exp()[..., None, None] * kept + torch.einsum("bsn,bsh,bshp->bhnp", written, last, given)
        hidden = self.norm(found.flatten(2) * functional.silu(gate))
        return self.out_proj(hidden), (after, kept)


class Block(nn.Module):
    """`x + mixer(RMSNorm(x))`."""

    def __init__(self, width: int, mixer: Mamba | Mamba2) -> None:
        super().__init__()
        self.norm, self.mixer = nn.RMSNorm(width, eps=1e-5), mixer

    def scan(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read `(B, t, D)`; the state is the mixer's."""
        own, after = self.mixer.scan(self.norm(x), state)
        return x + own, after


class StateSpaceStack(nn.Module):
    """Blocks, and a last norm; the parameters have the names of transformers' `MambaModel`."""

    mixer: type[Mamba] | type[Mamba2] = Mamba

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(width, self.mixer(width, heads)) for _ in range(depth))
        self.norm_f = nn.RMSNorm(width, eps=1e-5)

    def scan(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read `(B, t, D)`; the state is that of each layer's mixer."""
        after = []
        for place, layer in enumerate(self.layers):
            x, last = layer.scan(x, None if state is None else state[place])  # type: ignore[operator]
            after.append(last)
        return self.norm_f(x), after


class Mamba2Stack(StateSpaceStack):
    """A `StateSpaceStack` of Mamba-2."""

    mixer = Mamba2


def convolved(layer: nn.Conv1d, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the SiLU of a causal convolution over `(B, t, E)`, and the inputs that the next piece begins with."""
    wide = layer.kernel_size[0] - 1
    whole = torch.cat([x.new_zeros(len(x), wide, x.shape[-1]) if before is None else before, x], dim=1)
    found = functional.conv1d(whole.transpose(1, 2), layer.weight, layer.bias, groups=layer.groups)
    return functional.silu(found.transpose(1, 2)), whole[:, -wide:]


def _first_steps(count: int) -> Tensor:
    """Draw step sizes log-uniformly between 0.001 and 0.1, and return what softplus makes them of: `(count,)`."""
    drawn = torch.rand(count) * math.log(STEP_MAX / STEP_MIN) + math.log(STEP_MIN)
    step = drawn.exp().clamp(min=STEP_FLOOR)
    return step + torch.log(-torch.expm1(-step))
