"""A causal language model with its tokenizer, from a folder of transformers or a GGUF file. No code of it runs."""

from __future__ import annotations

from contextlib import redirect_stderr
from inspect import signature
from io import StringIO
from pathlib import Path
from typing import Any

from torch import nn

from chiasm.encoders.text.hub import language_model, model_files, model_folder, speaks, tokenizer
from chiasm.encoders.weights import hash_of
from chiasm.readers.registry import missing

REACHES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
"""How configurations of transformers call the most tokens that a model can read."""


def causal_model(path: Path) -> tuple[Any, Any, str]:
    """Load a causal language model in single precision, frozen: network, tokenizer, hash of its files.

    Raises:
        Unsupported: it is no causal language model, its weights are pickled, or a package lacks.
        ValueError: there is no such folder or file, or it is damaged.
    """
    return from_gguf(path) if path.suffix == ".gguf" else from_folder(path)


def reach_of(network: Any) -> int:
    """Return the most tokens that the model can read; without a limit where its configuration names none."""
    configs = (network.config, getattr(network.config, "text_config", None))
    named = [getattr(own, name, None) for own in configs for name in REACHES]
    return next((int(own) for own in named if isinstance(own, int) and own > 0), 1 << 60)


def cache_name(model: nn.Module) -> str | None:
    """Return the name of a transformers model's key/value cache argument; None if it does not accept one.

    It is `past_key_values`, and `cache` since transformers 5.24.
    """
    known = signature(model.forward).parameters
    return next((name for name in ("past_key_values", "cache") if name in known), None)


def from_folder(path: Path) -> tuple[Any, Any, str]:
    """Load a folder that transformers saved: network, tokenizer, hash of its files. No code of it is run."""
    if not path.is_dir():
        raise ValueError(f"there is no folder '{path.name}': name one that transformers saved, or a .gguf file")
    folder = model_folder(str(path))
    if speaks(folder) != "causal":
        raise ValueError(f"'{path.name}' is no causal language model: save it from transformers' ...ForCausalLM")
    stamp = hash_of(model_files(folder))
    return language_model(folder, stamp), tokenizer(folder, stamp), stamp


def from_gguf(path: Path) -> tuple[Any, Any, str]:
    """Load a GGUF file, its weights in single precision: network, tokenizer, hash of the file."""
    if not path.is_file():
        raise ValueError(f"there is no file '{path.name}': name a .gguf file")
    try:
        import gguf  # noqa: F401
        import transformers
    except ImportError as error:
        raise missing(str(error.name), "hub", "GGUF files") from None
    import torch

    place, name = str(path.parent), path.name
    try:
        with redirect_stderr(StringIO()):  # a bar of its own
            words = transformers.AutoTokenizer.from_pretrained(place, gguf_file=name, local_files_only=True)
            network = transformers.AutoModelForCausalLM.from_pretrained(
                place, gguf_file=name, local_files_only=True, dtype=torch.float32
            )
    except Exception as error:  # of many libraries: a damaged file, an architecture that is not known
        raise ValueError(
            f"'{path.name}' cannot be read as a GGUF file by transformers ({type(error).__name__}): damaged, or of an "
            "architecture that transformers does not know"
        ) from None
    return _unquantised(network).train(False), words, hash_of((path,))


def _unquantised(network: Any) -> Any:
    """Take away the mark of a quantised file: the weights are plain numbers now, to be trained and saved as such."""
    network.is_quantized, network.hf_quantizer = False, None
    if "quantization_config" in vars(network.config):
        del network.config.quantization_config
    return network
