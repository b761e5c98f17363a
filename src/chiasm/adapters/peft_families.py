"""Adapter families from the peft library: LoRA, IA3, norm tuning, prompts and prefixes, with the supported options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from torch import nn

from chiasm.adapters.part import refuse
from chiasm.artifact import storable
from chiasm.readers.registry import missing

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TASKS = {"features": "FEATURE_EXTRACTION", "classes": "SEQ_CLS", "causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}
Task = Literal["features", "classes", "causal", "seq2seq"]


@runtime_checkable
class PeftAdapter(Protocol):
    """Adapter family of peft with its options, which `attach` accepts like any other."""

    @property
    def groups(self) -> int: ...

    def peft_config(self, sites: Mapping[str, nn.Module]) -> Any:
        """Return peft's configuration for these sites; raise `ValueError` naming a site that cannot be adapted."""
        ...


def peft() -> Any:
    """Import peft on first use; raise an error with the installation command if it is missing."""
    try:
        import peft
    except ImportError:
        raise missing("peft", "adapters", "LoRA, IA3, tuned norms and prompts") from None
    return peft


@storable("adapter-lora")
@dataclass(frozen=True)
class LoRA:
    """LoRA: `y = W x + sum_g (alpha / rank) B_g A_g x`; A is random and B zero, so a fresh adapter is the identity.

    Sites are Linear and Conv1d to Conv3d without groups.

    Args:
        rank: rows of A; a Linear has `rank * (in + out)` parameters.
        alpha: scale; the factor is alpha / rank.
        groups: number of parallel pairs; PEGO trains more than one, see `orthogonality`.

    Source: Hu et al., LoRA, ICLR 2022, arXiv 2106.09685; peft.
    Deviation: a MultiheadAttention is refused, because peft would add to its weights and subtract again in every call,
    which does not restore them bitwise; use `AttentionLoRA` there.
    """

    rank: int = 8
    alpha: float = 8.0
    groups: int = 1

    def __post_init__(self) -> None:
        if self.rank < 1 or self.groups < 1:
            raise ValueError(f"rank {self.rank} and groups {self.groups} must be 1 or more")

    def peft_config(self, sites: Mapping[str, nn.Module]) -> Any:
        for name, site in sites.items():
            if not isinstance(site, (nn.Linear, *_CONVOLUTIONS)):
                raise refuse(name, site, "Linear and Conv1d to Conv3d")
            if getattr(site, "groups", 1) > 1:
                raise ValueError(f"the site '{name}' convolves in groups, and peft cannot merge into it: leave it out")
            smallest = min(site.weight.shape[0], site.weight[0].numel())
            if self.rank > smallest:
                raise ValueError(f"the site '{name}' has rank {smallest} at most: {self.rank} is no low rank there")
        return peft().LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=_exactly(sites))


@storable("adapter-ia3")
@dataclass(frozen=True)
class IA3:
    """IA3: `y = l * (W x + b)`, or `y = W (l * x) + b` with `inputs`; one scale per channel, 1 at first.

    Args:
        inputs: True, or the names of the sites whose input is scaled; at other sites the output is scaled.

    Source: Liu et al., IA3, NeurIPS 2022, arXiv 2205.05638; peft. Linear, Conv2d and Conv3d.
    """

    inputs: bool | tuple[str, ...] = False
    groups: Literal[1] = 1

    def peft_config(self, sites: Mapping[str, nn.Module]) -> Any:
        for name, site in sites.items():
            if not isinstance(site, nn.Linear | nn.Conv2d | nn.Conv3d):
                raise refuse(name, site, "Linear, Conv2d and Conv3d")
        names = list(sites)
        scaled = self._scaled_inputs(names)
        return peft().IA3Config(target_modules=_exactly(names), feedforward_modules=_exactly(scaled) if scaled else [])

    def _scaled_inputs(self, names: list[str]) -> list[str]:
        if isinstance(self.inputs, bool):
            return names if self.inputs else []
        return [name for name in names if name in self.inputs]


@storable("adapter-norm-tuning")
@dataclass(frozen=True)
class NormTuning:
    """Tuning of the scale and shift of LayerNorms, on a copy that replaces the norm when merged.

    Source: Zhao et al., Tuning LayerNorm in Attention, ICLR 2024, arXiv 2312.11420; peft.
    """

    groups: Literal[1] = 1

    def peft_config(self, sites: Mapping[str, nn.Module]) -> Any:
        for name, site in sites.items():
            if not isinstance(site, nn.LayerNorm) or site.weight is None:
                raise refuse(name, site, "LayerNorm with a weight")
        return peft().LNTuningConfig(target_modules=_exactly(sites))


@storable("adapter-prompt")
@dataclass(frozen=True)
class Prompt:
    """Prompt tuning: `tokens` learned vectors before the embedded input of a transformers model.

    The only site is the whole model. A fresh prompt is not the identity, because the input becomes longer.

    Source: Lester et al., EMNLP 2021, arXiv 2104.08691; peft.
    """

    keeps_rows: ClassVar[bool] = True

    tokens: int = 8
    task: Task = "features"
    groups: Literal[1] = 1

    def peft_config(self, sites: Mapping[str, nn.Module]) -> Any:
        _whole(sites)
        return peft().PromptTuningConfig(task_type=_TASKS[self.task], num_virtual_tokens=self.tokens)


@storable("adapter-prefix")
@dataclass(frozen=True)
class Prefix:
    """Prefix tuning: `tokens` learned keys and values before those of every layer of a transformers model.

    The only site is the whole model, which must accept a key/value cache (decoders do). A fresh prefix is not the
    identity.

    Source: Li and Liang, ACL 2021, arXiv 2101.00190, without its reparametrisation; peft.
    """

    keeps_rows: ClassVar[bool] = True

    tokens: int = 8
    task: Task = "causal"
    groups: Literal[1] = 1

    def peft_config(self, sites: Mapping[str, nn.Module]) -> Any:
        _whole(sites)
        return peft().PrefixTuningConfig(task_type=_TASKS[self.task], num_virtual_tokens=self.tokens)


def _exactly(names: Iterable[str]) -> str:
    """Build a regex for exactly these modules; given a list, peft matches every module with such a name ending."""
    return "|".join(map(re.escape, names))


def _whole(sites: Mapping[str, nn.Module]) -> None:
    if list(sites) != [""]:
        raise ValueError("a prompt belongs to the whole model: its one site is the root, whose name is ''")
    if not hasattr(sites[""], "config"):
        raise ValueError("a prompt needs a model of the library transformers: this network has no `config`")
