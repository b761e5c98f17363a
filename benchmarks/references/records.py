"""H5AD by anndata, MEDS by pandas, FHIR by the models of fhir.resources, bags by NumPy, h5py and safetensors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fhir.resources.R4B.bundle import Bundle
from safetensors.numpy import load_file, save_file
from scipy import sparse

from references.compared import Case, Found, files_below

COUNTS = "X alone, dense"
HOURS = "hours from the first record that is not the birth; sorted by time, code and value"
PREFIXES = {
    "Condition": "CONDITION//", "Procedure": "PROCEDURE//", "Immunization": "IMMUNIZATION//",
    "AllergyIntolerance": "ALLERGY//", "MedicationRequest": "MEDICATION_REQUEST//",
}  # fmt: skip
WHEN = {
    "Observation": "effectiveDateTime", "Condition": "onsetDateTime", "Procedure": "performedDateTime",
    "Immunization": "occurrenceDateTime", "AllergyIntolerance": "recordedDate", "MedicationRequest": "authoredOn",
}  # fmt: skip
MOMENTS = ("2021-03-04", "2021-03-04T05:06:07Z", "2021-03-04T05:06:07+02:00", "2021-03-04T05:06:07.250-05:00")


def cell_cases(folders: Sequence[Path], work: Path) -> Iterator[Case]:
    """Every H5AD of the folders, then what anndata writes of every layout, type, compression and kind of axis."""
    for folder in folders:
        for name, path in files_below(folder, ".h5ad"):
            yield Case("H5AD", name, "singlecell", path, lambda path=path: cells(path), convention=COUNTS)
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    layouts = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}
    grid = product(layouts, ("u1", "i4", "i8", "f4", "f8"), (None, "gzip", "lzf"), (False, True))
    for number, (layout, kind, packed, more) in enumerate(grid):
        counts = rng.poisson(0.7, (23, 31)).astype(kind)
        data = anndata.AnnData(layouts[layout](counts))
        if more:
            data.layers["log"] = np.log1p(counts.astype(float))
            data.raw = data.copy()
            data.obs["cluster"] = pd.Categorical(["a", None, "b"] * 7 + ["a", "b"])
            data.var_names = [f"gene µ{k}" for k in range(31)]
        path = work / f"{number}.h5ad"
        data.write_h5ad(path, compression=packed)
        name = f"written: {layout}, {kind}, {packed or 'plain'}{', layers, raw and obs' if more else ''}"
        yield Case("H5AD", name, "singlecell", path, lambda path=path: cells(path), convention=COUNTS)


def cells(path: Path) -> Found:
    """X and the names of var."""
    data = anndata.read_h5ad(path)
    values = data.X.toarray() if sparse.issparse(data.X) else np.asarray(data.X)
    return {"values": values, "genes": tuple(map(str, data.var_names))}


def meds_cases(work: Path) -> Iterator[Case]:
    """MEDS of every unit of time, type of value and of text, compression and order of rows."""
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    grid = product(
        ("s", "ms", "us", "ns"), ("float32", "float64", "int32"), ("plain", "dictionary"), ("snappy", "zstd")
    )
    for number, (unit, kind, text, packed) in enumerate(grid):
        rows = int(rng.integers(1, 60))
        seconds = rng.integers(0, 10**8, rows).astype("datetime64[s]").astype(f"datetime64[{unit}]")
        codes = pa.array([f"LAB//{k % 7}" for k in range(rows)])
        columns = {
            "subject_id": pa.array(np.full(rows, 7)),
            "time": pa.array(seconds),
            "code": codes.dictionary_encode() if text == "dictionary" else codes,
            "numeric_value": pa.array(rng.normal(size=rows) * 100).cast(kind, safe=False),
            "text_value": pa.array(["note"] * rows),
        }
        table = pa.table(columns)
        if number % 3 == 0:  # a birth, and a fact without a time
            more = pa.table({
                "subject_id": [7, 7], "time": pa.array([datetime(1960, 1, 2), None], pa.timestamp(unit)),
                "code": pa.array(["MEDS_BIRTH", "GENDER//F"]),
                "numeric_value": pa.array([None, None], pa.type_for_alias(kind)),
                "text_value": ["", ""],
            })  # fmt: skip
            table = pa.concat_tables([table.set_column(2, "code", table["code"].cast(pa.string())), more])
        path = work / f"{number}.parquet"
        pq.write_table(table, path, compression=packed)
        name = f"written: time in {unit}, {kind}, {text}, {packed}, {rows} rows"
        yield Case("MEDS", name, "events", path, lambda path=path: meds(path), convention=HOURS)


def meds(path: Path) -> Found:
    """Hours, codes and values, row by row."""
    rows = [row for _, row in pd.read_parquet(path).iterrows()]
    times = [row["time"] for row in rows if row["time"] is not pd.NaT and row["code"] != "MEDS_BIRTH"]
    return _events([
        ((row["time"] - min(times)) / pd.Timedelta(hours=1) if row["time"] is not pd.NaT else 0.0,
         str(row["code"]), float(np.float32(row["numeric_value"])))
        for row in rows
    ])  # fmt: skip


def _events(found: list[tuple[float, str, float]]) -> Found:
    found = sorted(found, key=lambda event: (event[0], event[1], np.nan_to_num(event[2], nan=np.inf)))
    hours, codes, values = zip(*found, strict=True)
    return {"hours": np.array(hours), "codes": np.array(codes), "values": np.array(values, np.float32)}


def fhir_cases(work: Path) -> Iterator[Case]:
    """Bundles and NDJSON of each resource, form of a time, value and coding system."""
    work.mkdir(parents=True, exist_ok=True)
    number = 0
    for kind, moment, packed in product(WHEN, MOMENTS, (".json", ".ndjson")):
        number += 1
        items = [_resource(kind, moment, f"C{number}"), _resource("Observation", "2021-03-04T09:00:00Z", "later")]
        yield _bundle(work, number, items, f"{kind}, {moment}", packed)
    values: tuple[dict[str, Any], ...] = (
        {"valueQuantity": {"value": 6.3, "unit": "mmol/L", "code": "mmol/L"}}, {"valueQuantity": {"value": 1e-7}},
        {"valueInteger": 4}, {"valueBoolean": True}, {"valueQuantity": {"value": -12345.678, "unit": "mg"}},
    )  # fmt: skip
    for value, moment in product(values, MOMENTS[1:]):
        number += 1
        item = _resource("Observation", moment, "8480-6", "http://loinc.org") | value
        yield _bundle(work, number, [item], f"Observation, {next(iter(value))}, {moment}", ".json")


def _resource(kind: str, moment: str, code: str, system: str = "http://snomed.info/sct") -> dict[str, Any]:
    concept = {"coding": [{"system": system, "code": code}]}
    person = {"reference": "Patient/1"}
    named = {"Immunization": "vaccineCode", "MedicationRequest": "medicationCodeableConcept"}.get(kind, "code")
    about = "patient" if kind in ("Immunization", "AllergyIntolerance") else "subject"
    item = {"resourceType": kind, "id": code, named: concept, about: person, WHEN[kind]: moment}
    status = {
        "Observation": "final",
        "Procedure": "completed",
        "Immunization": "completed",
        "MedicationRequest": "active",
    }
    item |= {"status": status[kind]} if kind in status else {}
    return item | ({"intent": "order"} if kind == "MedicationRequest" else {})


def _bundle(work: Path, number: int, items: list[dict[str, Any]], name: str, suffix: str) -> Case:
    whole = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": item} for item in items]}
    path = work / f"{number}{suffix}"
    path.write_text(json.dumps(whole) if suffix == ".json" else "\n".join(map(json.dumps, items)))
    return Case("FHIR R4", f"written: {name}, {suffix[1:]}", "events", path, lambda: fhir(whole), convention=HOURS)


def fhir(whole: dict[str, Any]) -> Found:
    """Hours, codes and values of what fhir.resources parses."""
    systems = {"http://snomed.info/sct": "SNOMED", "http://loinc.org": "LOINC"}
    found = []
    for entry in Bundle.model_validate(whole).entry:
        item = entry.resource
        kind = item.get_resource_type()
        concept = next(
            own for name in ("code", "vaccineCode", "medicationCodeableConcept") if (own := getattr(item, name, None))
        )
        code = f"{PREFIXES.get(kind, '')}{systems[concept.coding[0].system]}//{concept.coding[0].code}"
        time = getattr(item, WHEN[kind])
        moment = (
            time.astimezone(UTC)
            if isinstance(time, datetime)
            else datetime(time.year, time.month, time.day, tzinfo=UTC)
        )
        value = np.nan
        if quantity := getattr(item, "valueQuantity", None):
            value, unit = float(quantity.value), quantity.code or quantity.unit
            code += f"//{unit}" if unit else ""
        elif (whole_number := getattr(item, "valueInteger", None)) is not None:
            value = float(whole_number)
        elif (answer := getattr(item, "valueBoolean", None)) is not None:
            value = float(answer)
        found.append((moment, code, value))
    first = min(moment for moment, _, _ in found)
    return _events([((moment - first).total_seconds() / 3600, code, value) for moment, code, value in found])


def bag_cases(work: Path) -> Iterator[Case]:
    """Bags of every type in every container, by rows and by columns, plain and packed."""
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number, (kind, order) in enumerate(product(("u1", "i2", "i8", "f2", "f4", "f8", ">f4", ">i4", "?"), "CF")):
        values = np.array(rng.integers(0, 2 if kind == "?" else 100, (9, 5)), dtype=kind, order=order)
        np.save(work / f"{number}.npy", values)
        yield _bag(work / f"{number}.npy", f".npy, {kind}, {order}", np.load)
    for number, (kind, packed, chunks) in enumerate(
        product(("u1", "i4", "f2", "f4", "f8"), (None, "gzip", "lzf"), (None, (4, 5)))
    ):
        path = work / f"{number}.h5"
        with h5py.File(path, "w") as file:
            data = rng.integers(0, 100, (9, 5)).astype(kind)
            file.create_dataset("features", data=data, compression=packed, chunks=chunks, shuffle=packed is not None)
        yield _bag(path, f".h5, {kind}, {packed or 'plain'}, {chunks}", _hdf5)
    for number, kind in enumerate(("u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8")):
        path = work / f"{number}.safetensors"
        save_file({"features": rng.integers(0, 100, (9, 5)).astype(kind), "more": np.zeros(3)}, path)
        yield _bag(path, f".safetensors, {kind}", lambda path: load_file(path)["features"])


def _hdf5(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file["features"][()])


def _bag(path: Path, name: str, read: Any) -> Case:
    return Case("bags", f"written: {name}", "bag", path, lambda: {"": read(path)})
