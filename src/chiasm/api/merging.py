"""Public function to merge models without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chiasm import artifact
from chiasm.api.models import load_model
from chiasm.cohort import Problem
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.preparing import prepare, warn_of_findings
from chiasm.merging.methods import require_base
from chiasm.merging.tensors import require_weights
from chiasm.models.merged import Merged, merge_fitted, method_of, require_alike
from chiasm.models.merged_blocks import block_method_of, hold_blocks, merge_blocks, require_blocks
from chiasm.models.merged_outlines import hold_outlines, merge_outlines, require_outlines
from chiasm.models.merged_scores import primary_of, recalibrated, scores_of
from chiasm.models.merged_singles import hold_singles, merge_singles, require_singles
from chiasm.protocols import Model


def merge(
    models: Sequence[Path | str | Model],
    method: str | None = None,
    *,
    weights: Sequence[float] | None = None,
    base: Path | str | Model | None = None,
    cohort: Given | None = None,
    checked: Sequence[Problem] | None = None,
    trusted: Sequence[artifact.Given] | None = None,
) -> Merged:
    """Merge models into one without training: networks of one recipe and encoders, or models of different modalities.

    Networks that draw label maps merge where they read on one scale: tunings of one start, or fits on one cohort.

    Blocks of `lego-merge` and models of `single` are of different modalities, each trained where it is measured, and no
    patient needs two of them. Models that do not fit are refused before any weight is read.

    Args:
        models: folders, or fitted models.
        method: for networks linear (the default), slerp, task-arithmetic, ties, dare, dare-ties or breadcrumbs, with
            options as in "ties:density=0.5"; see `chiasm.merging`. For blocks mean (the default), harmonic, geometric
            or product, optionally with the method for heads, as in "mean:head=linear": slerp (the default), linear or
            ot. For `single` and `late-fusion` mean.
        weights: one number >= 0 for each model; None: equal.
        base: the model from which all were fine-tuned, for methods that need it.
        cohort: a cohort with the target, on which every model and the merged one are scored, and the merged one is then
            calibrated. Choose patients on whom no model was fitted: on training patients, models look better than they
            are.
        checked: the result of `check_cohort`, if the cohort was checked already.
        trusted: as for `load_model`: public keys, one of which has to have signed each folder.

    Returns:
        The merged model, even if another scores better; see `Merged.best` and `Merged.warning`.

    Raises:
        Unsupported: models that are not networks, or differ in more than their weights.
        ValueError: differing tensors or shapes, an unknown method or option, or invalid weights.
        ArtifactError: a folder is not a model, or is damaged.
    """
    given = [*models, *([] if base is None else [base])]
    if not models:
        raise ValueError("there is no model to merge: give one or more")
    share = [1.0] * len(models) if weights is None else list(weights)
    require_weights(share, len(models))
    names = [f"model {number}" for number in range(1, len(models) + 1)]
    names = [
        f"{name} ({Path(own).name})" if isinstance(own, str | Path) else name
        for name, own in zip([*names, "the base"], given, strict=False)
    ]
    outlined = [artifact.outline(own) if isinstance(own, str | Path) else artifact.outline_of(own) for own in given]
    blocks, singles, outlines = hold_blocks(outlined), hold_singles(outlined), hold_outlines(outlined)
    if (blocks or singles) and base is not None:
        raise ValueError("models of different modalities have no base to merge from: leave it out")
    if blocks:
        joining = block_method_of(method or "mean")
        require_blocks(outlined, names, share, joining)
    elif singles:
        require_singles(outlined, names, share, method)
    else:
        chosen = method_of(method or "linear")
        require_base(chosen, base is not None)
        (require_outlines if outlines else require_alike)(outlined, names)
    loaded: list[Any] = [load_model(own, trusted) if isinstance(own, str | Path) else own for own in given]
    parents, origin = loaded[: len(models)], loaded[-1] if base is not None else None
    if blocks:
        merged = merge_blocks(parents, share, joining)
    elif outlines:
        merged = merge_outlines(parents, names, share, chosen, origin)
    else:
        merged = merge_singles(parents) if singles else merge_fitted(parents, names, share, chosen, origin)
    if cohort is None:
        return Merged(merged, primary_of(merged), {}, calibrates=not outlines)
    ready = prepare(as_cohort(cohort), model=merged, checked=checked, tolerated=["modality-of-nobody"])
    warn_of_findings(ready.checked)
    used = ready.cohort
    scores = scores_of({**dict(zip(names, parents, strict=False)), "merged": merged}, used)
    fitted, patients = (merged, 0) if outlines else recalibrated(merged, used)
    return Merged(fitted, primary_of(merged), scores, patients, not outlines)
