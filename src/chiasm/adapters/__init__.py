"""Parameter-efficient adapters for a frozen network: attach at chosen sites, train, save, merge or remove them."""

from chiasm.adapters.attach import Attached, attach
from chiasm.adapters.attention_lora import AttentionLoRA, low_rank
from chiasm.adapters.bottleneck import Bottleneck
from chiasm.adapters.channel_spatial import ChannelSpatial
from chiasm.adapters.dynamic_prompt import DynamicPrompt
from chiasm.adapters.noise_mask import BetaMaskPolicy, noise_mask_losses, policy_loss
from chiasm.adapters.part import Adapter, Part
from chiasm.adapters.peft_attached import PeftAttached
from chiasm.adapters.peft_families import IA3, LoRA, NormTuning, PeftAdapter, Prefix, Prompt
from chiasm.adapters.pego import orthogonality
from chiasm.adapters.saved import restore_adapter, save_adapter
from chiasm.adapters.scale_shift import ScaleShift
from chiasm.adapters.side_network import SideNetwork, UniPT, hidden_states
from chiasm.adapters.site_search import pareto_front, search_sites
from chiasm.adapters.sparse_delta import SparseDelta, compose, delta_of
from chiasm.adapters.sparse_masks import lottery_ticket, most_moved, narrow, narrowed, nuclear_norm, small_weights
from chiasm.adapters.together import Together
from chiasm.adapters.verbalizer import SoftVerbalizer, Verbalizer, score_at, score_labels

__all__ = [
    "IA3",
    "Adapter",
    "Attached",
    "AttentionLoRA",
    "BetaMaskPolicy",
    "Bottleneck",
    "ChannelSpatial",
    "DynamicPrompt",
    "LoRA",
    "NormTuning",
    "Part",
    "PeftAdapter",
    "PeftAttached",
    "Prefix",
    "Prompt",
    "ScaleShift",
    "SideNetwork",
    "SoftVerbalizer",
    "SparseDelta",
    "Together",
    "UniPT",
    "Verbalizer",
    "attach",
    "compose",
    "delta_of",
    "hidden_states",
    "lottery_ticket",
    "low_rank",
    "most_moved",
    "narrow",
    "narrowed",
    "noise_mask_losses",
    "nuclear_norm",
    "orthogonality",
    "pareto_front",
    "policy_loss",
    "restore_adapter",
    "save_adapter",
    "score_at",
    "score_labels",
    "search_sites",
    "small_weights",
]
