"""Find the files of a cohort, always inside the folder of its manifest."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.bag_files import BAG_SUFFIXES, CONVERT, PICKLES
from chiasm.errors import CohortError, Problem, count, error, first_rows, warning

LEAVES = "the path leaves the folder of the cohort"
LONGEST_NAME, LONGEST_PATH = 255, 2000  # of a file system
STAY_INSIDE = "a cohort's files lie in the folder of its manifest: move the file there"


def inside(folder: Path, name: str, modality: str | None = None) -> Path:
    """Return the path of a file that a manifest names; raises CohortError if it leaves the folder, or is too long."""
    if any(len(part.encode(errors="replace")) > LONGEST_NAME for part in name.split("/")) or len(name) > LONGEST_PATH:
        what = f"the path, or a name in it, is longer than {LONGEST_NAME} bytes, which no file has"
        raise CohortError(
            [error(what, "name a file in the folder of the manifest", modality=modality, finding="path-too-long")]
        )
    if _leaves(folder, name):
        raise CohortError(
            [
                error(
                    "the path leaves the folder of the cohort",
                    STAY_INSIDE,
                    path=name,
                    modality=modality,
                    finding="path-outside",
                )
            ]
        )
    return folder / name


def _leaves(folder: Path, name: str) -> bool:
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.is_absolute() or windows.drive or ".." in posix.parts or ".." in windows.parts:
        return True
    if "\0" in name:
        return True
    return not (folder / name).resolve().is_relative_to(folder)


def find_files(
    folder: Path, template: str, ids: NDArray[np.str_], file_rows: NDArray[np.int_], modality: str, kind: str
) -> tuple[list[Path], NDArray[np.int_], list[Problem]]:
    """Find the patients' files; return them, each patient's index among them (-1 if none), and the problems.

    `template` contains `{id}`. A record of several files (WFDB: .hea and .dat) is found by its header. A path that
    leaves the folder is a problem, and so is a pipe, a device or a socket, which nobody opens and which counts as
    absent, as a folder in place of a bag does.
    """
    if kind == "bag" and not template.lower().endswith(BAG_SUFFIXES):
        what, fix = f"a bag is read from {', '.join(BAG_SUFFIXES)}", "write the bags as one of these"
        if template.lower().endswith(PICKLES):
            what, fix = f"{what}, never from a pickle, which can run code when it is read", CONVERT
        raise CohortError([error(what, fix, path=template, modality=modality, finding="file-kind")])
    if _leaves(folder, template.replace("{id}", "_")):
        raise CohortError([error(LEAVES, STAY_INSIDE, path=template, modality=modality, finding="path-outside")])
    paths: list[Path] = []
    rows = np.full(len(ids), -1)
    outside: list[int] = []
    odd: dict[str, list[int]] = {}
    for i, identifier in enumerate(ids):
        name = template.replace("{id}", str(identifier))
        path = folder / name
        header = path.with_name(path.name + ".hea") if path.name else path
        found = path if _exists(path) else header if _exists(header) else None
        if found is None and ".." not in PurePosixPath(name).parts:
            continue
        if _leaves(folder, name):
            outside.append(int(file_rows[i]))
            continue
        if found is None:
            continue
        if what := _is_no_file(found, kind):
            odd.setdefault(what, []).append(int(file_rows[i]))
            continue
        rows[i] = len(paths)
        paths.append(path)
    problems = []
    if outside:
        outside.sort()
        many = f" for {count(len(outside), 'patient')} ({first_rows(outside)})" if len(outside) > 1 else ""
        problems.append(
            error(LEAVES + many, STAY_INSIDE, path=template, row=outside[0], modality=modality, finding="path-outside")
        )
    for what, where in odd.items():
        where.sort()
        said = f"{what} in place of {count(len(where), 'file')} ({first_rows(where)}): taken as absent"
        fix = "put the file itself there"
        problems.append(warning(said, fix, path=template, row=where[0], modality=modality, finding="broken-file"))
    return paths, rows, problems


def _is_no_file(path: Path, kind: str) -> str:
    """Say what stands in place of a file, if it is none and no folder that may hold several; "" if all is well."""
    if path.is_file() or (path.is_dir() and kind != "bag"):
        return ""
    return "a folder" if path.is_dir() else "a pipe, a device or a socket"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # an identifier that cannot be a file name: too long, or with a NUL
        return False


def manifest_file(path: str | os.PathLike[str]) -> Path:
    """Return the manifest: the file that is named, or `cohort.toml` in the folder that is.

    Raises:
        CohortError: this is no path, but a cohort or a frame in memory.
    """
    if not isinstance(path, str | os.PathLike):
        what = f"this is a {type(path).__name__} in memory, and no path of a manifest"
        fix = 'write its tables to files and name them in a cohort.toml, as in docs/first_steps.md, "From files"'
        raise CohortError([error(what, fix, path="cohort", finding="unfit-kind")])
    file = Path(path)
    return file / "cohort.toml" if file.is_dir() else file
