"""SegBook's claims, computed anew from its released results: when pretraining on CT pays in segmentation."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.bench.reading import found_file, json_of, sha256, text_of
from chiasm.citation import Citation

SOURCE = "https://github.com/uni-medical/SegBook"
TARGETS, DATASETS = "segbook_results.json", "STU_Benchmark_Information.csv"
SIZES = ("base", "large", "huge")
LESIONS = re.compile(
    r"tumou?r|cancer|lesion|edema|cyst|nodule|infarct|stroke|hemorrhage|haemorrhage|aneurysm|schwannoma|metasta|"
    r"necrosis|covid|pneumonia|infection|polyp|carcinoma|glioma|disease|scar|hyperintensity|encephalopathy|pathology|GTV",
    re.IGNORECASE,
)
"""Words of a target that is a lesion; all others are structures."""
PAPER = Citation(
    "SegBook: A Simple Baseline and Cookbook for Volumetric Medical Image Segmentation",
    *("arXiv", 2024, "https://arxiv.org/abs/2411.14525"),
)
LEAST = 5


@dataclass(frozen=True)
class SegBook:
    """Gains by fine-tuning a pretrained STU-Net over training it from scratch, in Dice.

    Args:
        gains: a row for each target or data set and size of the network: `name`, `size`, `scratch`, `tuned`, `gain`,
            and for data sets `cases` to train on and `modality`.
        claims: a row a claim: `claim`, `group`, `n`, `gain`, `low`, `high`, `holds` (`yes`, `no`, `cannot tell`).
        files: name to SHA-256.
    """

    gains: pd.DataFrame
    claims: pd.DataFrame
    files: dict[str, str]


def segbook_claims(folder: Path | str, *, draws: int = 2000, seed: int = 0) -> SegBook:
    """Compute SegBook's claims from its released results.

    Fine-tuning gains over training from scratch: for each size of the network; for structures and for lesions; on MRI
    though pretrained on CT; and by thirds of the number of training cases, where the paper says that the middle gains
    least.
    The mean gain is over targets, or data sets, the three sizes of each averaged but for the first claim; whole ones
    are drawn. A claim holds where the interval lies above zero, and does not where it lies below.

    Deviation: which targets are lesions is told by words of their names, since the release files some of both together.

    Args:
        folder: holds `segbook_results.json` (group to target to Dice of `nnunet`, `base`, `base_ft` and so on), or
            `STU_Benchmark_Information.csv` (a row a data set: `Modality`, `Train cases`, `Dice base`, `Dice base_ft`,
            ...), or both.
        draws, seed: of the bootstrap.

    Raises:
        ValueError: neither file is there, or one is of another schema.
    """
    place = Path(folder)
    found_file(place, TARGETS, DATASETS, source=SOURCE)
    parts, claims, files = [], list[dict[str, Any]](), dict[str, str]()
    rng = np.random.default_rng(seed)
    if (place / TARGETS).is_file():
        targets = _targets(place / TARGETS)
        files[TARGETS] = sha256(place / TARGETS)
        parts.append(targets)
        for size in SIZES:
            claims.append(_claim("fine-tuning gains", f"{size} network, targets", _each(targets, size), rng, draws))
        lesions = targets["name"].str.contains(LESIONS)
        claims.append(_claim("structures gain", "structures", _each(targets[~lesions]), rng, draws))
        claims.append(_claim("lesions gain", "lesions", _each(targets[lesions]), rng, draws))
    if (place / DATASETS).is_file():
        datasets = _datasets(place / DATASETS)
        files[DATASETS] = sha256(place / DATASETS)
        parts.append(datasets)
        mri, ct = (datasets["modality"].str.contains(name) for name in ("MR", "CT"))
        claims.append(_claim("CT to CT gains", "data sets of CT", _each(datasets[ct]), rng, draws))
        claims.append(_claim("CT to MRI gains", "data sets of MRI", _each(datasets[mri]), rng, draws))
        claims += _by_size(datasets, rng, draws)
    return SegBook(pd.concat(parts, ignore_index=True), pd.DataFrame(claims), files)


def _targets(path: Path) -> pd.DataFrame:
    content = json_of(path)
    if not isinstance(content, dict) or not all(isinstance(own, dict) for own in content.values()):
        raise ValueError(f"'{path.name}' does not map groups to targets: fetch it again")
    rows = [
        {"kind": "target", "name": str(name).partition("--")[0], "dice": values, "cases": np.nan, "modality": ""}
        for own in content.values()
        for name, values in own.items()
        if isinstance(values, dict)
    ]
    return _gains(path, rows)


def _datasets(path: Path) -> pd.DataFrame:
    rows = []
    for row in csv.DictReader(StringIO(text_of(path))):
        if not {"Dataset", "Modality", "Train cases"} <= set(row):
            raise ValueError(f"'{path.name}' lacks Dataset, Modality or Train cases: it is another version")
        dice = {key.removeprefix("Dice "): value for key, value in row.items() if key and key.startswith("Dice ")}
        cases = _number(row["Train cases"])
        rows.append(
            {"kind": "data set", "name": row["Dataset"], "dice": dice, "cases": cases, "modality": row["Modality"]}
        )
    return _gains(path, rows)


def _gains(path: Path, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A row for each target and size that has both scores; the release's empty ones are left out."""
    found = []
    for row in rows:
        dice = row.pop("dice")
        for size in SIZES:
            scratch, tuned = _number(dice.get(size)), _number(dice.get(f"{size}_ft"))
            if np.isfinite(scratch) and np.isfinite(tuned):
                found.append({**row, "size": size, "scratch": scratch, "tuned": tuned, "gain": tuned - scratch})
    if not found:
        raise ValueError(
            f"'{path.name}' has no Dice of a network both from scratch and fine-tuned: it is another version"
        )
    return pd.DataFrame(found)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _each(gains: pd.DataFrame, size: str | None = None) -> pd.Series[float]:
    """Mean gain of each target or data set, over its sizes or of one."""
    own = gains if size is None else gains[gains["size"] == size]
    return own.groupby("name")["gain"].mean()


def _drawn(gains: pd.Series[float], rng: np.random.Generator, draws: int) -> Any:
    values = gains.to_numpy(dtype=np.float64)
    return values[rng.integers(0, len(values), (draws, len(values)))].mean(axis=1)


def _claim(claim: str, group: str, gains: pd.Series[float], rng: np.random.Generator, draws: int) -> dict[str, Any]:
    nan = float("nan")
    if len(gains) < LEAST:
        return {
            "claim": claim,
            "group": group,
            "n": len(gains),
            "gain": nan,
            "low": nan,
            "high": nan,
            "holds": "too few",
        }
    low, high = np.quantile(_drawn(gains, rng, draws), [0.025, 0.975])
    return _row(claim, group, len(gains), float(gains.mean()), float(low), float(high))


def _by_size(datasets: pd.DataFrame, rng: np.random.Generator, draws: int) -> list[dict[str, Any]]:
    """The gain in each third of data sets by training cases, and the outer thirds less the middle one."""
    cases = datasets.groupby("name")["cases"].first().dropna()
    if len(cases) < 3 * LEAST:
        return []
    third = pd.qcut(cases, 3, labels=["few", "middle", "many"])
    each = _each(datasets)
    parts = {name: each[third.index[third == name]] for name in ("few", "middle", "many")}
    rows = [_claim("gain by training cases", f"{name} cases", own, rng, draws) for name, own in parts.items()]
    if any(len(own) < LEAST for own in parts.values()):
        return rows
    outer = pd.concat([parts["few"], parts["many"]])
    drawn = _drawn(outer, rng, draws) - _drawn(parts["middle"], rng, draws)
    low, high = np.quantile(drawn, [0.025, 0.975])
    apart = float(outer.mean() - parts["middle"].mean())
    return [
        *rows,
        _row("the middle gains least", "few and many less middle", len(each), apart, float(low), float(high)),
    ]


def _row(claim: str, group: str, n: int, gain: float, low: float, high: float) -> dict[str, Any]:
    holds = "yes" if low > 0 else "no" if high < 0 else "cannot tell"
    return {"claim": claim, "group": group, "n": n, "gain": gain, "low": low, "high": high, "holds": holds}
