"""Locate or download a transformers model at a fixed commit, check its folder, and load it without running its code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from chiasm.cohort import Unsupported
from chiasm.encoders.weights import PICKLED, frozen, seeded
from chiasm.readers.registry import missing

SILENT = 50  # logging level CRITICAL
REVISION = re.compile(r"[0-9a-f]{40}")
SPEAKERS = {"masked": ("ForMaskedLM",), "causal": ("ForCausalLM", "LMHeadModel")}  # kind -> ends of class names
WANTED = ("*.safetensors", "*.json", "vocab.txt", "merges.txt", "*.model")
CONVERT = (
    'where you trust them, write them anew: python -c "from transformers import AutoModel as A; '
    "A.from_pretrained('OLD').save_pretrained('NEW')\", and copy the tokenizer's and the preprocessor's files along"
)


def model_folder(name: str, revision: str = "") -> Path:
    """Return the local folder `name`, or the snapshot of the hub's `owner/name` at a commit.

    Raises:
        Unsupported: the revision is not a commit hash, the hub cannot be reached, the weights are pickled or lie
            outside the folder, or the model requires custom code.
    """
    folder = Path(name)
    if not folder.is_dir():
        if not REVISION.fullmatch(revision):
            raise Unsupported(
                "no such local folder; a model on the hub is named with the commit that was looked at, its 40 hex "
                "digits: hf:owner/name@0123456789abcdef0123456789abcdef01234567"
            )
        folder = _snapshot(name, revision)
    if not (folder / "config.json").is_file():
        raise Unsupported("the folder holds no config.json: it is not a model that transformers saved")
    if not any(folder.glob("*.safetensors")):
        if any(file.suffix in PICKLED for file in folder.iterdir()):
            raise Unsupported(f"the model's weights are pickled, which can run code when they are read; {CONVERT}")
        raise Unsupported("the folder holds no safetensors weights: copy the whole model")
    if any(_names_code(file, *_stamp(file)) for file in folder.glob("*.json") if file.is_file()):
        raise Unsupported(
            "the model names code of its own (auto_map), which is never run: where transformers knows its architecture "
            "too, take the entry out of the JSON of a copy and name that"
        )
    for index in folder.glob("*.index.json"):
        shards = read_json(index)
        shards = shards.get("weight_map", {}) if isinstance(shards, dict) else {}
        if any(not isinstance(shard, str) or shard != Path(shard).name for shard in dict(shards).values()):
            raise Unsupported(f"'{index.name}' names weights outside the folder: copy the model again")
    return folder


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=256)
def _names_code(file: Path, *stamp: int) -> bool:
    """Whether a JSON file names code of its own, read once until it changes: a tokenizer's has a megabyte."""
    content = read_json(file)
    return isinstance(content, dict) and "auto_map" in content


@lru_cache(maxsize=8)
def _snapshot(name: str, revision: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise missing("huggingface_hub", "hub", "models on the hub") from None
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(WANTED)))
    except Exception as error:  # many libraries raise here: offline, no such model, no such revision, no access
        raise Unsupported(
            f"the model is not in the local cache and was not fetched from the hub ({type(error).__name__}): check its "
            "name, the revision and the network, or copy its folder here and name that"
        ) from None


def model_files(folder: Path) -> tuple[Path, ...]:
    """List all files in the folder that determine the model's output: weights, configuration, tokenizer."""
    return tuple(sorted({file for pattern in WANTED for file in folder.glob(pattern) if file.is_file()}))


def read_json(file: Path) -> Any:
    """Read a JSON file of a model's folder, {} if it does not exist."""
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise ValueError(f"'{file.name}' of the model is damaged (not JSON): copy the model again") from None


@lru_cache(maxsize=8)
def configuration(folder: Path, stamp: str) -> Any:
    """Load the model's configuration with defaults filled in; `stamp`, the hash of the files, keys the cache."""
    with _refused():
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(folder, local_files_only=True)


@lru_cache(maxsize=2)
def network(folder: Path, stamp: str) -> Any:
    """Load the frozen network, or only its encoder if it also has a decoder.

    Raises:
        Unsupported: transformers is missing or does not know the architecture, or the model is a masked autoencoder.
        ValueError: the weights do not match the architecture that the configuration names.
    """
    model, found = _loaded("AutoModel", folder)
    if hasattr(model.config, "mask_ratio"):
        raise Unsupported(
            "a masked autoencoder hides patches at random, also when it encodes: load its folder as ViTModel of "
            "transformers, and name the folder that this saves"
        )
    spare = ("decoder.",) if hasattr(model, "decoder") and hasattr(model, "encoder") else ()
    _complete(found, lambda name: "pooler" in name or name.startswith(spare))
    return frozen(model.get_encoder() if spare else model)


def speaks(folder: Path) -> str:
    """Return "masked" or "causal" if the folder holds a language-model head, "" otherwise."""
    given = read_json(folder / "config.json")
    names = [str(name) for name in given.get("architectures") or []] if isinstance(given, dict) else []
    return next((kind for kind, ends in SPEAKERS.items() if any(name.endswith(ends) for name in names)), "")


@lru_cache(maxsize=2)
def language_model(folder: Path, stamp: str) -> Any:
    """Load the frozen network together with its language-model head, which `network` leaves out.

    Raises:
        Unsupported: the folder holds no head, transformers is missing or does not know the architecture.
        ValueError: a weight is missing, including those of the head.
    """
    kind = speaks(folder)
    if not kind:
        raise Unsupported(
            "the folder holds no language model's head: save it from transformers' ...ForMaskedLM or ...ForCausalLM"
        )
    model, found = _loaded("AutoModelForMaskedLM" if kind == "masked" else "AutoModelForCausalLM", folder)
    _complete(found, lambda name: False)
    return frozen(model)


def _loaded(kind: str, folder: Path) -> tuple[Any, Any]:
    """Load a network with the transformers class `kind`; return it and the loading report."""
    with _refused(), seeded(0):
        import transformers

        model, found = getattr(transformers, kind).from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    return model, found


def _complete(found: Any, spare: Callable[[str], bool]) -> None:
    """Refuse weights in which a tensor is missing or misshapen, except tensors that `spare` accepts."""
    lost = sorted(name for name in found["missing_keys"] if not spare(name))
    lost += sorted(str(entry[0]) for entry in found["mismatched_keys"])
    if lost:
        raise ValueError(f"the weights lack '{lost[0][:80]}', or have it in another shape: copy the whole model again")


@lru_cache(maxsize=4)
def tokenizer(folder: Path, stamp: str) -> Any:
    """Load the tokenizer from the model's folder."""
    with _refused():
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@contextmanager
def _refused() -> Iterator[None]:
    """Silence transformers' output, and turn its long errors, which name paths, into a one-sentence `Unsupported`."""
    try:
        from transformers.utils import logging
    except ImportError:
        raise missing("transformers", "hub", "Hugging Face models") from None
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(SILENT)
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # from many libraries: a tokenizer's package, safetensors, a config's own checks
        raise Unsupported(
            f"transformers does not load this model without running code that comes with it ({type(error).__name__}): "
            "the installed version does not know its architecture, or a file of the folder is missing or damaged"
        ) from None
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
