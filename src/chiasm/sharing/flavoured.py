"""A folder of MLflow around a model folder: its description, the columns it reads, and nothing that is executed."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.cohort import Unsupported
from chiasm.fitting.expected import expected_of
from chiasm.fitting.model import FittedModel

FLAVOUR, LOADER, INSIDE = "chiasm", "chiasm.mlflow_flavour", "model"
BETWEEN = "."  # the name of a modality, and that of a column


def described(model: FittedModel, version: str, identity: str) -> Any:
    """Build MLflow's description of a folder in which the model lies in `model/`.

    It names the module by which MLflow's own `pyfunc` opens the folder, and no pickle, no code and no data: nothing of
    the environment but the release of chiasm is in it, where MLflow by itself would look through what is imported, and
    through the files of the current folder.
    """
    from mlflow.models import Model

    made = Model(signature=signature_of(model), model_uuid=identity[:32])
    made.add_flavor("python_function", loader_module=LOADER, data=INSIDE, python_version=platform.python_version())
    made.add_flavor(
        FLAVOUR,
        data=INSIDE,
        chiasm_version=version,
        recipe=model.recipe,
        target=str(model.target.get("kind", "")),
        modalities=dict(model.kinds),
        sha256=identity,
    )
    return made


def signature_of(model: FittedModel) -> Any:
    """Build MLflow's signature: a column for each of each table and omics block, none of them required.

    Raises:
        Unsupported: two columns would have one name.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    expected = expected_of(model.predictor, model.modalities)
    words = {(name, column) for name, own in expected.items() for column in own.levels}
    specs = [
        ColSpec(DataType.string if (modality, column) in words else DataType.double, name, required=False)
        for name, (modality, column) in flat_names(model.columns).items()
    ]
    return ModelSignature(inputs=Schema(specs)) if specs else None


def flat_names(columns: Mapping[str, list[str]]) -> dict[str, tuple[str, str]]:
    """Map `modality.column` to both.

    Raises:
        Unsupported: two columns would have one name.
    """
    found: dict[str, tuple[str, str]] = {}
    for modality, own in columns.items():
        for column in own:
            name = f"{modality}{BETWEEN}{column}"
            if name in found:
                raise Unsupported(f"two columns would be called '{name}' in one table: rename a modality")
            found[name] = modality, column
    return found


def blocks_of(frame: Any, model: FittedModel) -> dict[str, pd.DataFrame]:
    """Take one table of `modality.column` apart: a frame for each modality, without patients whose cells all lack.

    Raises:
        Unsupported: it is no frame, has a column that the model does not read, or the model reads no columns.
    """
    if not isinstance(frame, pd.DataFrame):
        raise Unsupported("the model reads a frame with a row for each patient and columns named modality.column")
    known = flat_names(model.columns)
    if not known:
        raise Unsupported("the model reads files, which one table cannot hold: load it by chiasm.mlflow_flavour")
    strange = [str(name) for name in frame.columns if name not in known]
    if strange:
        raise Unsupported(f"the model does not read a column '{strange[0]}': columns are named modality.column")
    rows = frame.set_axis([f"{row:09d}" for row in range(len(frame))], axis=0)
    blocks = {}
    for modality in dict.fromkeys(modality for modality, _ in known.values()):
        own = [name for name in rows.columns if known[name][0] == modality]
        block = rows[own].set_axis([known[name][1] for name in own], axis=1).dropna(how="all")
        if len(block):
            blocks[modality] = block
    return blocks


def patients_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the patients of a table, in its order, by the row numbers that `blocks_of` gives them."""
    return pd.DataFrame(index=[f"{row:09d}" for row in range(len(frame))])


def copy_of(folder: Path, out: Path) -> None:
    """Copy the files of a model folder as they are, so that hashes and a signature over them hold."""
    out.mkdir()
    for file in sorted(folder.iterdir()):
        (out / file.name).write_bytes(file.read_bytes())
