"""Cheap changes to a frozen network: attached where you say, trained alone, saved alone, merged or removed."""

from chiasm.adapters.attach import Attached, attach
from chiasm.adapters.bottleneck import Bottleneck
from chiasm.adapters.part import Adapter, Part
from chiasm.adapters.peft_attached import PeftAttached
from chiasm.adapters.peft_families import IA3, LoRA, NormTuning, PeftAdapter, Prefix, Prompt
from chiasm.adapters.saved import restore_adapter, save_adapter
from chiasm.adapters.scale_shift import ScaleShift

__all__ = [
    "IA3",
    "Adapter",
    "Attached",
    "Bottleneck",
    "LoRA",
    "NormTuning",
    "Part",
    "PeftAdapter",
    "PeftAttached",
    "Prefix",
    "Prompt",
    "ScaleShift",
    "attach",
    "restore_adapter",
    "save_adapter",
]
