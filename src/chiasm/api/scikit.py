"""Public function that makes a recipe of a scikit-learn pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
import pandas as pd

from chiasm.recipes.baselines.pipeline import Pipeline


def from_sklearn(estimator: Any, *, name: str | None = None, modalities: Iterable[str] = ()) -> Pipeline:
    """Make a recipe of an estimator or pipeline of scikit-learn, or an estimator of scikit-survival.

    `chiasm.evaluate(cohort, ["late-fusion", chiasm.from_sklearn(pipeline)])` fits it on the same folds as every other
    recipe, and its one-modality forms with it; one that names columns of several modalities has no such forms, and is
    shown without a say in the verdict. It sees one frame with the columns of all its modalities, NaN where a
    patient lacks one; how it fills them is its own affair. The fitted model predicts, and cannot be saved.

    Args:
        estimator: not fitted, with `predict_proba` for a classification or labels; it is cloned for each fit.
        name: name in the trial; by default that of the last step's class, as in `LogisticRegression`.
        modalities: the tables and omics blocks that it reads; all of the cohort's by default.

    Raises:
        TypeError: this is no estimator.
        ValueError: the name cannot name a recipe.
    """
    steps = getattr(estimator, "steps", None)
    last = steps[-1][1] if steps else estimator
    named = type(last).__name__ if name is None else name
    return Pipeline(estimator, named, tuple(modalities), described(estimator))


def described(part: Any) -> str:
    """Describe an estimator by its class and all its parameters, whole, and the same in every process.

    Arrays and frames are described by a digest, functions by where they are defined.
    """
    kind = f"{type(part).__module__}.{type(part).__qualname__}"
    if part is None or isinstance(part, bool | int | float | complex | str | bytes | np.generic):
        return repr(part)
    if isinstance(part, np.ndarray | pd.DataFrame | pd.Series | pd.Index):
        content = bytes_of(part)
        return f"{kind}({hashlib.sha256(content).hexdigest()})"
    if isinstance(part, Mapping):
        return f"{kind}({', '.join(f'{described(key)}: {described(own)}' for key, own in part.items())})"
    if isinstance(part, list | tuple | set | frozenset):
        inside = [described(own) for own in part]
        return f"{kind}({', '.join(inside if isinstance(part, list | tuple) else sorted(inside))})"
    if isinstance(part, partial):
        return f"partial({described(part.func)}, {described(part.args)}, {described(part.keywords)})"
    if isinstance(part, FunctionType):  # a lambda has no name of its own
        code = hashlib.sha256(part.__code__.co_code + repr(part.__code__.co_consts).encode()).hexdigest()
        return f"{part.__module__}.{part.__qualname__}({code if '<' in part.__qualname__ else ''})"
    if isinstance(part, type) or (callable(part) and hasattr(part, "__qualname__")):
        return f"{part.__module__}.{part.__qualname__}"
    if isinstance(part, np.random.RandomState):
        return f"{kind}({described(part.get_state(legacy=False))})"
    if not hasattr(part, "get_params"):
        return f"{kind}({described(vars(part)) if hasattr(part, '__dict__') else ''})"
    return f"{kind}({', '.join(f'{key}={described(own)}' for key, own in sorted(part.get_params(deep=False).items()))})"


def bytes_of(part: Any) -> bytes:
    """Bytes of an array or frame: its shape, its types and its values as text."""
    array = np.asarray(part)
    values = array.tobytes() if array.dtype != object else repr(array.tolist()).encode("utf-8", "surrogatepass")
    names = list(part.columns) if isinstance(part, pd.DataFrame) else []
    return f"{array.shape}{array.dtype}{names}".encode("utf-8", "surrogatepass") + values
