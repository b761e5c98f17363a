"""AdamW as `torch.optim.AdamW`, bit for bit, by torch's functional form, which imports no compiler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

BETAS, EPSILON = (0.9, 0.999), 1e-8


class AdamW:
    """Decoupled weight decay regularisation (Loshchilov and Hutter, ICLR 2019, algorithm 2).

    `torch.optim.AdamW` imports `torch._dynamo`, and sympy with it, in each process that makes one, for the sake of
    `torch.compile`: more than a second, and many small fits have one process each. Here nothing is compiled.

    Args:
        groups: for each group a mapping with its `params`; its other entries replace the options below.
        lr: the learning rate, which may be changed in `param_groups` before each step.
        weight_decay: by which, times the rate, every weight shrinks in each step.
        fused: one kernel for all parameters, on a CPU.

    Raises:
        ValueError: a parameter is in two groups.
    """

    def __init__(
        self, groups: Iterable[Mapping[str, Any]], *, lr: float, weight_decay: float, fused: bool = False
    ) -> None:
        options = {"lr": lr, "weight_decay": weight_decay}
        self.param_groups = [{**options, **group, "params": list(group["params"])} for group in groups]
        if len({id(own) for own in self.parameters}) < len(self.parameters):
            raise ValueError("a parameter is in two groups: list it once")
        self.fused = fused
        self.moments: dict[int, dict[str, Tensor]] = {}  # by the number of the parameter

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of all groups, in their order."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change each parameter that has a gradient."""
        first = 0
        for group in self.param_groups:
            numbered = [(first + k, own) for k, own in enumerate(group["params"]) if own.grad is not None]
            first += len(group["params"])
            if not numbered:
                continue
            moments = [self._moments(number, own) for number, own in numbered]
            adamw(
                [own for _, own in numbered],
                [own.grad for _, own in numbered],
                [own["exp_avg"] for own in moments],
                [own["exp_avg_sq"] for own in moments],
                [],
                [own["step"] for own in moments],
                fused=self.fused,
                has_complex=any(torch.is_complex(own) for _, own in numbered),
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=EPSILON,
                maximize=False,
            )

    def _moments(self, number: int, parameter: nn.Parameter) -> dict[str, Tensor]:
        if number not in self.moments:
            self.moments[number] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device if self.fused else "cpu"),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
        return self.moments[number]

    def restore(self, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Go on from stored moments, by the number of the parameter."""
        parameters = self.parameters
        self.moments = {
            number: {
                key: value if key == "step" else value.to(parameters[number].device, parameters[number].dtype)
                for key, value in own.items()
            }
            for number, own in moments.items()
        }
