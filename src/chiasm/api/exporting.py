"""Public function that writes a model as one ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chiasm.api.models import load_model
from chiasm.artifact import Given
from chiasm.errors import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.models.export.export import Exported, export
from chiasm.protocols import Model

__all__ = ["Exported", "export_onnx"]


def export_onnx(
    model: Model | Path | str,
    out: Path | str,
    *,
    with_training_rows: bool = False,
    trusted: Sequence[Given] | None = None,
) -> Exported:
    """Write a fitted model as one ONNX file, which takes a patient's own columns and gives the columns of `predict`.

    Everything that was fitted is inside: scaling, one-hot columns, components, the model, its calibration. Inputs are
    named `<modality>.<part>`, with a free first axis B of patients:

    - `present` `(B,)` bool: who has the modality; whatever stands in the others then changes nothing
    - `numbers` `(B, F)` float64: columns of numbers in their own units, NaN where a cell is empty
    - `words` `(B, C)` text: columns of categories as written, empty where a cell is
    - `tokens` `(B, T, D)` float32 with `mask` `(B, T)` bool: of bags, and of files what their encoder gives

    Outputs are the columns of a prediction, `(B,)` float64 each, and `pattern_known` bool: if training patients had
    just these modalities. Who has none of them gets NaN where the model refuses. The property `chiasm` of the file says
    in JSON which columns, levels and encoders these are, what it holds of training patients, and what it is not for.

    The file is there once onnxruntime gave what the model gives, to 1e-5 (relative above one), on made patients of
    every pattern of modalities.

    Args:
        model: a fitted model, or its folder.
        out: the file, as in `model.onnx`; one that exists is replaced.
        with_training_rows: also write a model that keeps training patients row by row, as a kernel does.
        trusted: public keys, one of which has to have signed the model's folder, as for `load_model`.

    Raises:
        Unsupported: the model has no form in ONNX, or keeps training patients row by row and nobody said that these
            may be passed on; or a prediction differs, and nothing is written.
        ArtifactError: the folder is not a model, is damaged, or was changed.
    """
    fitted = load_model(model, trusted) if isinstance(model, Path | str) else model
    if not isinstance(fitted, FittedModel):
        raise Unsupported(f"a model of {type(fitted).__name__} has no form in ONNX: fit a recipe of chiasm")
    return export(fitted, Path(out), with_training_rows=with_training_rows)
