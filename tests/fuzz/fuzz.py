"""Fuzz the readers, the manifest and the loader of models: each input is read, or refused by an error of chiasm's own.

    python tests/fuzz/fuzz.py --seconds 600 [--targets dicom,edf] [--seed 1] [--engine atheris]

Every target runs in a process of its own, for its share of the seconds, so that a crash of a decoder, a hang or a full
memory ends that one alone; the input lies in a file before it is read, and is printed with what it did. The mutations
are of `fuzz_mutations.py`; with `--engine atheris` (pip install "chiasm[fuzz]") they are those of libFuzzer, which is
told what Python code each input reaches.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

MOST_SECONDS, MOST_MEGABYTES = 5.0, 1000


class BrokenLawError(AssertionError):
    """An input that was neither read nor refused, or took too long."""


def cpu_seconds() -> float:
    """Of this process and of those that it started and that ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def attempt(name: str, data: bytes, folder: Path) -> bool:
    """Return whether one input was read; raise `BrokenLawError` if it was not refused either."""
    from fuzz_target import REFUSALS
    from fuzz_targets import TARGETS

    target = TARGETS[name]
    path = folder / f"x{target.suffix}"
    path.write_bytes(data)
    began = cpu_seconds()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.attempt(path)
        read = True
    except REFUSALS:
        read = False
    except Exception as fault:
        place = "".join(traceback.format_exception(fault)[-3:])
        raise BrokenLawError(f"{name}: {type(fault).__name__}\n{place}") from fault
    if cpu_seconds() - began > MOST_SECONDS:
        raise BrokenLawError(f"{name}: took {cpu_seconds() - began:.1f} s")
    return read


def fuzz(name: str, seconds: float, seed: int, folder: Path, least: int = 0) -> tuple[int, int]:
    """Try inputs for so many seconds of CPU, and `least` of them; how many there were, and how many were read."""
    from fuzz_mutations import mangled
    from fuzz_targets import TARGETS

    target, random = TARGETS[name], Random(seed)
    (folder / "seeds").mkdir(exist_ok=True)
    seeds = target.seeds(folder / "seeds")
    assert any(attempt(name, target.mend(sound), folder) for sound in seeds[:9]), f"{name}: no sound file is read"
    end, tried, read = cpu_seconds() + seconds, 0, 0
    while tried < least or cpu_seconds() < end:
        data = target.mend(mangled(random.choice(seeds), random, seeds))
        read += attempt(name, data, folder)
        tried += 1
    return tried, read


def child(options: argparse.Namespace) -> None:
    limit = int(options.seconds + 60)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    with tempfile.TemporaryDirectory() as own:
        folder = options.folder or Path(own)
        if options.engine == "atheris":
            _with_atheris(options, folder)
        tried, read = fuzz(options.child, options.seconds, options.seed, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.child:12} {tried:7,} inputs, {read:6,} read, peak {peak:.0f} MB", flush=True)
    if peak > MOST_MEGABYTES:
        raise BrokenLawError(f"{options.child}: {peak:.0f} MB")


def _with_atheris(options: argparse.Namespace, folder: Path) -> None:
    """Hand over to libFuzzer, which does not come back."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["chiasm.readers", "chiasm.cohort", "chiasm.artifact"]):
        from fuzz_targets import TARGETS

    corpus = folder / "corpus"
    corpus.mkdir()
    (folder / "seeds").mkdir()
    target = TARGETS[options.child]
    for number, sound in enumerate(target.seeds(folder / "seeds")):
        (corpus / str(number)).write_bytes(sound)
    words = [sys.argv[0], f"-max_total_time={int(options.seconds)}", f"-seed={options.seed}", "-timeout=10"]
    words += [f"-artifact_prefix={folder}/", "-verbosity=0", "-print_final_stats=1", str(corpus)]
    atheris.Setup(words, lambda data: attempt(options.child, target.mend(bytes(data)), folder) and None)
    atheris.Fuzz()


def _forked(options: argparse.Namespace) -> int:
    """Run a target in a fork, which has imported what it needs; its exit code, below zero for a signal."""
    process = os.fork()
    if not process:
        code = 1
        try:
            warnings.simplefilter("ignore")
            child(options)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--targets", default="", help="names of fuzz_targets.TARGETS; all of them without")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return 0
    from fuzz_targets import TARGETS

    names, broken = options.targets.split(",") if options.targets else list(TARGETS), 0
    for name in names:
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
        share = options.seconds / len(names)
        if options.engine == "own":
            code = _forked(argparse.Namespace(**{**vars(options), "child": name, "seconds": share, "folder": folder}))
        else:  # in an interpreter of its own: it imports the package under atheris' eyes
            words = ["--child", name, "--seconds", str(share), "--seed", str(options.seed), "--folder", str(folder)]
            code = subprocess.run([sys.executable, "-W", "ignore", __file__, *words, "--engine", "atheris"]).returncode
        if code:
            broken += 1
            print(f"{name}: ended with {code}; its input is {folder}/x{TARGETS[name].suffix}", flush=True)
        else:
            shutil.rmtree(folder)
    return min(broken, 1)


if __name__ == "__main__":
    sys.exit(main())
