"""UniPT side network: a small network that reads the hidden states of a frozen one without gradients into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.adapters.part import Part, channels_of
from chiasm.artifact import storable


class SideNetwork(nn.Module):
    """Network that aggregates the hidden states of all layers, guided by the last one.

    With `G_l = norm(down_l(H_l))`, the last layer's G as the anchor A:
    `W_l = l1(relu(A G_l')) + I`, `M_l = W_l G_l`, `c = softmax_l(w . (mean(A) * mean(G_l)))`,
    `out = up(relu(A + norm(proj(sum_l c_l M_l))))`; l1 makes rows sum to one, l runs over all layers but the last.

    Args:
        widths: width of each layer's hidden state, in layer order; two layers or more.
        narrow: width of the side network.
        out: width of the output.

    Source: Diao et al., UniPT, CVPR 2024, arXiv 2308.14316 and its released code.
    Deviation: padded positions give zero, and a patient without a token gives zeros instead of NaN.
    """

    def __init__(self, widths: Sequence[int], narrow: int, out: int) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError(f"a side network reads two layers or more, not {len(widths)}")
        self.down = nn.ModuleList(nn.Sequential(nn.Linear(width, narrow), nn.LayerNorm(narrow)) for width in widths)
        self.project = nn.Sequential(nn.Linear(narrow, narrow), nn.LayerNorm(narrow))
        self.confidence = nn.Linear(narrow, 1)
        self.up = nn.Sequential(nn.ReLU(), nn.Linear(narrow, out))

    def forward(self, hidden: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
        """Map hidden states `(B, T, D_l)` and `mask` `(B, T)`, True = a real token, to `(B, T, out)`."""
        narrowed, merged, shares = self._aggregate(hidden, mask)
        output: Tensor = self.up(narrowed[-1] + self.project((merged * shares[:, :, None, None]).sum(1)))
        return output if mask is None else output * mask[..., None]

    def shares(self, hidden: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
        """Return each patient's weights of all layers but the last, `(B, layers - 1)`; rows sum to one."""
        return self._aggregate(hidden, mask)[2]

    def _aggregate(self, hidden: Sequence[Tensor], mask: Tensor | None) -> tuple[list[Tensor], Tensor, Tensor]:
        if len(hidden) != len(self.down):
            raise ValueError(f"{len(self.down)} layers at first and {len(hidden)} hidden states now")
        keep = torch.ones(hidden[0].shape[:2], dtype=torch.bool, device=hidden[0].device) if mask is None else mask
        zero = torch.zeros((), dtype=hidden[0].dtype, device=hidden[0].device)
        clean = [torch.where(keep[..., None], state.detach(), zero) for state in hidden]
        narrowed = [down(state) * keep[..., None] for down, state in zip(self.down, clean, strict=True)]
        number = keep.sum(1, keepdim=True).clamp_min(1)
        means = [state.sum(1) / number for state in narrowed]  # (B, R)
        anchor, merged, scores = narrowed[-1], [], []
        for state, mean in zip(narrowed[:-1], means[:-1], strict=True):
            weights = torch.relu(anchor @ state.transpose(1, 2))  # (B, T, T)
            weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-8)
            merged.append(weights @ state + state)
            scores.append(self.confidence(means[-1] * mean))
        return narrowed, torch.stack(merged, 1), torch.softmax(torch.cat(scores, 1), 1)


@storable("adapter-unipt")
@dataclass(frozen=True)
class UniPT:
    """UniPT as an adapter: a `SideNetwork` over the sites, whose output replaces that of the last site.

    The sites' outputs are read detached, so that no gradient enters the base and none of its activations is kept. For
    stored or padded tokens, use `SideNetwork` itself on the output of `hidden_states`. A fresh adapter is not the
    identity.

    Args:
        narrow: width of the side network.
    """

    narrow: int = 16

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        widths = [channels_of(name, site)[1] for name, site in sites.items()]
        held: list[Tensor] = []
        last = _SidePart(SideNetwork(widths, self.narrow, widths[-1]), held)
        return {name: _TapPart(held) if i + 1 < len(sites) else last for i, name in enumerate(sites)}


class _TapPart(Part):
    def __init__(self, held: list[Tensor]) -> None:
        super().__init__()
        self.held = held

    def forward(self, given: Tensor, output: Tensor) -> Tensor:
        self.held.append(output.detach())
        return output


class _SidePart(Part):
    def __init__(self, network: SideNetwork, held: list[Tensor]) -> None:
        super().__init__()
        self.network, self.held = network, held

    def forward(self, given: Tensor, output: Tensor) -> Tensor:
        hidden = [*self.held[-(len(self.network.down) - 1) :], output.detach()]
        self.held.clear()
        answer: Tensor = self.network(hidden)
        return answer


def hidden_states(model: nn.Module, where: Callable[[str, nn.Module], bool], *args: Any, **kwargs: Any) -> list[Tensor]:
    """Return the sites' outputs in `model(*args, **kwargs)`, in call order, without gradients and in evaluation mode.

    They may be stored: training a side network on stored states is bitwise the same as on live ones.
    """
    found: list[Tensor] = []

    def keep(module: nn.Module, given: Any, output: Any) -> None:
        found.append((output[0] if isinstance(output, tuple) else output).detach())

    modes = [(module, module.training) for module in model.modules()]
    hooks = [module.register_forward_hook(keep) for name, module in model.named_modules() if where(name, module)]
    if not hooks:
        raise ValueError("no submodule is a site: `where` was false for all of them")
    try:
        model.eval()
        with torch.no_grad():
            model(*args, **kwargs)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return found
