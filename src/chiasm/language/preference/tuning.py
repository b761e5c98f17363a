"""Training on pairs by trl: an adapter of a causal language model learns what was preferred, its base stays as it is.

The trainers are trl's: `DPOTrainer` for DPO, R-DPO and IPO, `KTOTrainer` and, from `trl.experimental`, `ORPOTrainer`.
What trl lacks is R-DPO's price of length: the reference's log-probabilities, which trl computes before the first step,
are priced (`losses.priced`) as each batch is put together, which makes every loss with a reference the one with a
price. Robust DPO, not the conservative one, is what smooths labels, since trl's DPO leaves smoothing out in silence.
Nothing is written: trl's checkpoints are pickled, and the folder that it asks for is a temporary one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

import torch

from chiasm.compute.isolation import own_randomness
from chiasm.encoders.text.causal import reach_of
from chiasm.language.preference.completions import require_room, split_tokens
from chiasm.language.preference.losses import DPO, IPO, KTO, ORPO, R_DPO, Preference, priced
from chiasm.language.preference.pairs import Pair
from chiasm.readers.registry import missing

PAID = {
    "ref_chosen_logps": ("completion_mask", 0),
    "ref_rejected_logps": ("completion_mask", 1),
    "ref_logps": ("completion_mask", None),
    "ref_KL_logps": ("KL_completion_mask", None),
}
"""Log-probabilities of trl's batches: the mask whose sum is the number of tokens, and which half of it, or all."""


@dataclass(frozen=True)
class Schedule:
    """How long is trained, and how fast.

    Args:
        epochs: passes over the pairs.
        batch: pairs in a step (of KTO, completions), each used once in an epoch, the last ones too.
        learning_rate: of AdamW, constant; CheXalign's 1e-6 is for all weights of a large model, an adapter takes more.
    """

    epochs: int = 1
    batch: int = 8
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"epochs={self.epochs} and batch={self.batch} must be 1 or more")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate} must be above 0")


def prefer_pairs(
    network: Any, words: Any, pairs: Sequence[Pair], own: Preference, schedule: Schedule | None = None, *, seed: int = 0
) -> list[float]:
    """Train what is trainable of a network on pairs, and return the loss of each step.

    Args:
        network: a causal language model of transformers, an adapter attached to it; what it says at the beginning is
            the reference, which a fresh adapter makes that of its base.
        words: its tokenizer.

    Raises:
        Unsupported: trl is not installed.
        ValueError: nothing is trainable, there is no pair, one is longer than the model can read, or the head is
            adapted, which trl would not train.
    """
    schedule = schedule or Schedule()
    if not pairs:
        raise ValueError("there is no pair to learn from: draw more candidates, or take a smaller gap")
    if own.loss == KTO and schedule.batch < 2:
        raise ValueError("KTO reads completions under other prompts of the batch: give batch=2 or more")
    if not any(one.requires_grad for one in network.parameters()):
        raise ValueError("no parameter of the model is trainable: attach LoRA, or another adapter of peft, to it first")
    head = network.get_output_embeddings()
    if head is not None and any(name.startswith("lora_") for name, _ in head.named_children()):
        raise ValueError(
            "trl reads the weight of the model's head without its adapter: leave the head out of the sites"
        )
    cut = [split_tokens(words, one.prompt, text) for one in pairs for text in (one.chosen, one.rejected)]
    sizes = [len(before) + len(after) for before, after in cut]
    require_room(network, [max(pair) for pair in zip(sizes[::2], sizes[1::2], strict=True)])
    with (
        TemporaryDirectory() as folder,
        as_it_was(network, words),
        own_randomness(seed, str(network.device)),
        quiet(),
    ):
        trainer = trainer_of(network, words, pairs, own, schedule, folder, seed)
        trainer.remove_callback(_printer())
        trainer.train()
        return [float(step["loss"]) for step in trainer.state.log_history if "loss" in step]


def trainer_of(
    network: Any, words: Any, pairs: Sequence[Pair], own: Preference, schedule: Schedule, folder: str, seed: int
) -> Any:
    """Create trl's trainer for a loss, with a price of length where there is one."""
    trl, datasets = _trl(), import_module("datasets")
    common = {
        "output_dir": folder, "num_train_epochs": schedule.epochs, "per_device_train_batch_size": schedule.batch,
        "learning_rate": schedule.learning_rate, "lr_scheduler_type": "constant", "beta": own.beta, "max_length": None,
        "save_strategy": "no", "logging_steps": 1, "report_to": "none", "disable_tqdm": True, "seed": seed,
        "bf16": False, "gradient_checkpointing": False, "use_cpu": str(network.device) == "cpu",
    }  # fmt: skip
    if own.loss == ORPO:
        experimental = import_module("trl.experimental.orpo")
        rows = [{"prompt": one.prompt, "chosen": one.chosen, "rejected": one.rejected} for one in pairs]
        config = experimental.ORPOConfig(
            **{**common, "max_length": min(reach_of(network), 1 << 20)}, remove_unused_columns=False
        )
        return experimental.ORPOTrainer(
            model=network, args=config, train_dataset=datasets.Dataset.from_list(rows), processing_class=words
        )
    if own.loss == KTO:
        unpaired: list[dict[str, str | bool]] = [
            {"prompt": one.prompt, "completion": text, "label": liked}
            for one in pairs
            for text, liked in ((one.chosen, True), (one.rejected, False))
        ]
        config = trl.KTOConfig(**common, precompute_ref_log_probs=True)
        trainer = trl.KTOTrainer(
            model=network, args=config, train_dataset=datasets.Dataset.from_list(unpaired), processing_class=words
        )
    else:
        rows = [{"prompt": one.prompt, "chosen": one.chosen, "rejected": one.rejected} for one in pairs]
        named = {DPO: "sigmoid", R_DPO: "sigmoid", IPO: "ipo"}[own.loss]
        config = trl.DPOConfig(
            **common,
            loss_type=["robust" if own.smoothing else named],
            label_smoothing=own.smoothing,
            precompute_ref_log_probs=True,
        )
        trainer = trl.DPOTrainer(
            model=network, args=config, train_dataset=datasets.Dataset.from_list(rows), processing_class=words
        )
    trainer.data_collator = collated(trainer.data_collator, own)
    return trainer


def collated(collate: Callable[[Any], dict[str, Any]], own: Preference) -> Callable[[Any], dict[str, Any]]:
    """A collator of trl whose log-probabilities of the reference have their price of length."""
    if not own.price:
        return collate

    def with_price(examples: Any) -> dict[str, Any]:
        batch = collate(examples)
        for name, (mask, half) in PAID.items():
            if name in batch:
                lengths = batch[mask].sum(1)
                lengths = lengths if half is None else lengths.chunk(2)[half]
                batch[name] = priced(own, batch[name], lengths)
        return batch

    return with_price


def _trl() -> Any:
    """Import trl on first use."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    try:
        return import_module("trl")
    except ImportError:
        raise missing("trl", "preference", "Losses of preference") from None


def _printer() -> Any:
    return import_module("transformers.trainer_callback").PrinterCallback


@contextmanager
def as_it_was(network: Any, words: Any) -> Iterator[None]:
    """Give back what trl changes on a network and its tokenizer beside the weights: forward, padding, dropout, tags."""
    kept = network.config.pad_token_id, network.generation_config.pad_token_id, words.pad_token
    tags = list(network.model_tags) if network.model_tags else network.model_tags
    dropouts = [(one, one.p) for one in network.modules() if isinstance(one, torch.nn.Dropout)]
    modes = [(one, one.training) for one in network.modules()]
    patched = network.__dict__.get("forward")
    if words.pad_token is None:
        words.pad_token = words.eos_token
    try:
        yield
    finally:
        network.config.pad_token_id, network.generation_config.pad_token_id, words.pad_token = kept
        network.model_tags = tags
        for one, p in dropouts:
            one.p = p
        for one, training in modes:
            one.training = training
        if patched is None:
            network.__dict__.pop("forward", None)
        else:
            network.forward = patched
        for one in network.parameters():
            one.grad = None


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bars and the log lines of trl, transformers and datasets."""
    datasets = import_module("datasets")
    logging = import_module("transformers.utils").logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    own = datasets.is_progress_bar_enabled()
    told = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if own:
            datasets.enable_progress_bars()
        os.environ.pop("TQDM_DISABLE") if told is None else os.environ.update(TQDM_DISABLE=told)
