"""SAM of transformers: a small one of its own sizes, or that of a local folder at another size of image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.cohort import Unsupported

PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
Config = dict[str, dict[str, Any]]


def small_config(size: int, patch: int, width: int, depth: int) -> Config:
    """Sizes of a SAM that trains from nothing, on images of `size` pixels a side in patches of `patch`."""
    heads = max(1, width // 16)
    seen = {"image_size": size, "patch_size": patch}
    return {
        "vision_config": {
            **seen, "hidden_size": width, "output_channels": width, "num_hidden_layers": depth,
            "num_attention_heads": heads, "mlp_ratio": 2.0, "window_size": 4, "initializer_range": 0.02,
            "global_attn_indexes": list(range(1, depth, 2)), "num_pos_feats": width // 2,
        },
        "prompt_encoder_config": {**seen, "hidden_size": width, "mask_input_channels": 16},
        "mask_decoder_config": {
            "hidden_size": width, "mlp_dim": 2 * width, "num_attention_heads": heads, "iou_head_hidden_dim": width,
        },
    }  # fmt: skip


def local_config(folder: Path, size: int = 0) -> Config:
    """Sizes of the SAM whose weights lie in a local folder, for images of another size where one is named.

    Raises:
        Unsupported: there is none in it, or the size is no whole number of its patches.
    """
    configs, _ = _classes()
    try:
        if not (folder / "config.json").is_file():  # of a folder without one transformers says the largest sizes
            raise OSError("no config.json")
        found = configs.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as fault:
        raise Unsupported(f"weights='{folder.name}' holds no network of transformers: name its folder") from fault
    if found.model_type != configs.model_type:
        raise Unsupported(f"weights='{folder.name}' is of kind '{found.model_type}', and no SAM")
    held: Config = {}
    for name in PARTS:
        own = getattr(found, name).to_diff_dict()
        for key in ("model_type", "transformers_version", "torch_dtype", "dtype", "image_embedding_size", "scale"):
            own.pop(key, None)
        held[name] = own
    patch = int(found.vision_config.patch_size)
    if size % patch:
        raise Unsupported(f"size={size} is no whole number of the patches of weights='{folder.name}', of {patch} each")
    for name in PARTS[:2] if size else ():
        held[name]["image_size"] = size
    return held


def build_sam(config: Config) -> Any:
    """Build a fresh SAM of these sizes, a `SamModel`, whose code of places is not trained.

    It begins as Meta's, with torch's own first weights; those of transformers are so small that a SAM which trains from
    nothing hears nothing of what it is asked for hundreds of steps.

    Raises:
        Unsupported: transformers is not installed.
    """
    configs, models = _classes()
    own = models(configs(**{name: dict(config[name]) for name in PARTS}))
    for module in own.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            module.reset_parameters()
    code = own.shared_image_embedding.positional_embedding
    code.requires_grad_(False)
    with torch.no_grad():  # of a deviation of one, as Meta's; transformers' grows with the width
        code.normal_()
    own.prompt_encoder.shared_embedding.positional_embedding = code
    return own


def load_weights(own: Any, folder: Path) -> None:
    """Copy the weights of a local folder, safetensors alone; codes of places are stretched to another size of image.

    Raises:
        Unsupported: the folder has none that can be read, or one of another shape.
    """
    _, models = _classes()
    try:
        held = models.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).state_dict()
    except (OSError, ValueError) as fault:
        raise Unsupported(f"weights='{folder.name}' has no file model.safetensors that can be read") from fault
    wanted = own.state_dict()
    for name, value in wanted.items():
        if name not in held:
            raise Unsupported(f"weights='{folder.name}' has no '{name}': it is another network")
        held[name] = stretched(held[name], value.shape, name)
        if held[name].shape != value.shape:
            raise Unsupported(f"'{name}' of weights='{folder.name}' has another shape than the network")
    own.load_state_dict({name: held[name] for name in wanted})


def stretched(value: Tensor, shape: torch.Size, name: str) -> Tensor:
    """Codes of absolute or relative places for another number of patches a side; everything else as it is."""
    if value.shape == shape:
        return value
    if name.endswith("pos_embed") and value.ndim == 4:
        grid = value.movedim(-1, 1)
        return functional.interpolate(grid, size=shape[1:3], mode="bicubic", antialias=True).movedim(1, -1)
    if name.endswith(("rel_pos_h", "rel_pos_w")):
        return functional.interpolate(value.T[None], size=shape[0], mode="linear")[0].T
    return value


def frozen(module: nn.Module) -> None:
    """Let no parameter of a module be trained."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)


def _classes() -> tuple[Any, Any]:
    try:
        import transformers
    except ImportError:
        raise Unsupported("SAM of transformers needs that package: pip install 'chiasm[hub]'") from None
    return transformers.SamConfig, transformers.SamModel
