"""Finders that predict boxes as a set: RT-DETR and YOLOS of transformers, small or of local weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.cohort import Unsupported

RT_DETR, YOLOS = "rt-detr", "yolos"
NETWORKS = (RT_DETR, YOLOS)
STEPS = {RT_DETR: 32, YOLOS: 8}
"""Pixels of which an image's side is a multiple."""
Config = dict[str, Any]


class SetFinder(nn.Module):
    """Finder of a network of transformers for object detection.

    Args:
        model: the network, which reads `pixel_values` and computes its own loss from labels and boxes.
        labels: K.
        exclusive: True if each query has one label or none (softmax); False if labels are independent (sigmoid).
    """

    def __init__(self, model: nn.Module, labels: int, exclusive: bool) -> None:
        super().__init__()
        self.model, self.labels, self.exclusive = model, labels, exclusive

    def losses(self, images: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        """Return the network's own loss, after boxes were matched with queries (Hungarian)."""
        told = []
        for own in boxes:
            kept = own[~own.isnan().any(1)]
            middle, size = (kept[:, 1:3] + kept[:, 3:]) / 2, kept[:, 3:] - kept[:, 1:3]
            told.append({"class_labels": kept[:, 0].long(), "boxes": torch.cat([middle, size], 1)})
        return {"set": self.model(pixel_values=images, labels=told).loss}

    def found(self, images: Tensor) -> Tensor:
        """Return a box of every query, `(B, M, 6)`, with its surest label, the surest first."""
        said = self.model(pixel_values=images)
        p = said.logits.softmax(-1)[..., : self.labels] if self.exclusive else said.logits.sigmoid()
        score, label = p.max(-1)
        order = score.argsort(dim=1, descending=True, stable=True)
        middle, size = said.pred_boxes[..., :2], said.pred_boxes[..., 2:]
        corners = torch.cat([middle - size / 2, middle + size / 2], 2).clamp(0.0, 1.0)
        found = torch.cat([label[..., None].to(corners), score[..., None], corners], 2)
        return found.gather(1, order[..., None].expand_as(found))


def small_config(network: str, size: int, width: int, queries: int) -> Config:
    """Sizes of a network that trains from nothing on images of `size` pixels a side."""
    if network == YOLOS:
        return {
            "hidden_size": width, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 2 * width,
            "image_size": [size, size], "patch_size": STEPS[YOLOS], "num_detection_tokens": queries,
            "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        }  # fmt: skip
    channels = [width // 4, width // 2, width, 2 * width]
    return {
        "backbone_config": {
            "model_type": "rt_detr_resnet", "embedding_size": width // 4, "hidden_sizes": channels,
            "depths": [1, 1, 1, 1], "layer_type": "basic", "out_features": ["stage2", "stage3", "stage4"],
        },
        "encoder_in_channels": channels[1:], "encoder_hidden_dim": width, "d_model": width,
        "encoder_ffn_dim": 2 * width, "decoder_ffn_dim": 2 * width, "decoder_in_channels": [width] * 3,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "decoder_layers": 2, "num_queries": queries,
        "num_denoising": 20, "hidden_expansion": 0.5, "freeze_backbone_batch_norms": False,
    }  # fmt: skip


def local_config(network: str, folder: Path) -> Config:
    """Sizes of the network whose weights lie in a local folder.

    Raises:
        Unsupported: there is no such network in it.
    """
    configs, _ = _classes(network)
    try:
        found = configs.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as fault:
        raise Unsupported(f"weights='{folder.name}' holds no network of transformers: name its folder") from fault
    if found.model_type != configs.model_type:
        raise Unsupported(f"weights='{folder.name}' is of kind '{found.model_type}', and no {network}")
    held: Config = found.to_diff_dict()
    for key in ("architectures", "id2label", "label2id", "num_labels", "transformers_version", "torch_dtype", "dtype"):
        held.pop(key, None)
    return held


def build_finder(network: str, config: Config, channels: int, labels: int) -> SetFinder:
    """Build a fresh network of these sizes.

    Raises:
        Unsupported: transformers is not installed.
    """
    configs, models = _classes(network)
    known = dict(config)
    if network == YOLOS:
        known["num_channels"] = channels
    elif isinstance(known.get("backbone_config"), dict):
        known["backbone_config"] = {**known["backbone_config"], "num_channels": channels}
    return SetFinder(models(configs(**known, num_labels=labels)), labels, network == YOLOS)


def load_weights(finder: SetFinder, network: str, folder: Path) -> None:
    """Copy the weights of a local folder, safetensors alone, where the shapes agree; the rest stays fresh.

    Raises:
        Unsupported: the folder has none, or none of them fits.
    """
    _, models = _classes(network)
    own = finder.model
    try:
        made, told = models.from_pretrained(
            str(folder), config=own.config, local_files_only=True, use_safetensors=True, ignore_mismatched_sizes=True,
            output_loading_info=True, dtype=torch.float32,
        )  # fmt: skip
    except (OSError, ValueError) as fault:
        raise Unsupported(f"weights='{folder.name}' has no file model.safetensors that can be read") from fault
    held = made.state_dict()
    other = [key[0] if isinstance(key, tuple) else key for key in told["mismatched_keys"]]
    fresh = {*told["missing_keys"], *other}
    if not held.keys() - fresh:
        raise Unsupported(f"no weight of weights='{folder.name}' fits a {network} of its own sizes")
    own.load_state_dict({name: value for name, value in held.items() if name not in fresh}, strict=False)


def _classes(network: str) -> tuple[Any, Any]:
    try:
        import transformers
    except ImportError:
        raise Unsupported("a detector of transformers needs that package: pip install 'chiasm[hub]'") from None
    if network == YOLOS:
        return transformers.YolosConfig, transformers.YolosForObjectDetection
    return transformers.RTDetrConfig, transformers.RTDetrForObjectDetection
