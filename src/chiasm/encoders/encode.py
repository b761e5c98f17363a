"""Every source of a cohort decoded and encoded once; one that cannot be read is collected and taken as absent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, CohortError, Encoding, Items, Problem, Unsupported, Values
from chiasm.encoders.catalogue import DEFAULTS, make_encoder
from chiasm.encoders.findings import IN_MEMORY, collected
from chiasm.encoders.frozen import Frozen
from chiasm.encoders.store import TokenStore
from chiasm.encoders.work import Done, Part, Work, run_part
from chiasm.readers import Reader, ReadError, reader_for

CHUNK = 16  # sources in a task
HELD_BYTES = 64 << 20  # tokens gathered before they are written
HELD_SECONDS = 60.0  # so that no more than a minute's work is lost with the process

Execute = Callable[[Callable[[Any, Any], Any], Any, Sequence[Any], int], Iterator[Any]]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Count:
    """Sources of one modality: all of them, the distinct ones; of those encoded now and found in the store; refused.

    What is fitted on the cohort is only decoded: nothing of it is encoded now or stored.
    """

    sources: int
    distinct: int
    encoded: int
    stored: int
    refused: int


@dataclass(frozen=True)
class Encoded:
    """A cohort whose every modality can be fitted on, what could not be read, and what the work was."""

    cohort: Cohort
    problems: tuple[Problem, ...] = ()
    counts: dict[str, Count] = field(default_factory=dict)


def one_after_another(
    function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int
) -> Iterator[Any]:
    """The plainest way to execute tasks."""
    for task in tasks:
        yield function(context, task)


def encode_cohort(
    cohort: Cohort,
    encoders: Mapping[str, str] | None = None,
    *,
    store: TokenStore,
    jobs: int = 1,
    execute: Execute = one_after_another,
    progress: Progress = lambda modality, finished, everything: None,
) -> Encoded:
    """The cohort with tokens, or decoded values, in place of files, cells and events.

    A frozen encoder runs once for each content that the store does not hold yet, however many patients share it. What
    is fitted on the cohort (events, cells) is only decoded here, and fitted inside each fold.

    Args:
        encoders: modality to a name of `list_encoders` with options; else the manifest's choice, else the default.
        store: where tokens are kept.
        execute: how tasks are run: here, in processes, on a cluster.
        progress: called with (modality, finished, all) sources.

    Raises:
        Unsupported: there is no such encoder, or a package is missing.
        CohortError: no source of a modality can be read.
    """
    problems: list[Problem] = []
    counts: dict[str, Count] = {}
    choices = {**cohort.encoders, **(encoders or {})}
    waiting = [name for name in cohort.modalities if _waits(cohort, name)]
    # all of them first: a wrong name is an error before any compute
    chosen = {name: choose(cohort.kinds[name], choices.get(name)) for name in waiting}
    for modality in waiting:
        kind, (spec, reader, encoder, identity) = cohort.kinds[modality], chosen[modality]
        items: Items = cohort.raw(modality)
        run = _Run(items, reader, modality, jobs, execute, progress)
        if encoder.fitted_on_cohort:
            values, refused = run.decode()
            kept = np.array([number not in refused for number in range(len(items))], dtype=bool)
            encoding = Encoding(kind, spec, identity, len(refused))
            cohort = cohort.with_values(
                modality, kind, Values([values[int(k)] for k in np.flatnonzero(kept)]), kept, encoding
            )
            counts[modality] = Count(len(items), len(items), 0, 0, len(refused))
        else:
            keys = content_keys(cohort, modality, items)
            counts[modality], refused = run.encode(encoder, identity, keys, store)
            kept = np.array([number not in refused for number in range(len(items))], dtype=bool)
            tokens = store.open(identity, [str(key) for key in keys[kept]])
            encoding = Encoding(kind, spec, identity, len(refused))
            cohort = cohort.with_values(modality, "tokens", tokens, kept, encoding)
        found = collected(items, refused, modality)
        if len(items) and len(refused) == len(items):
            raise CohortError([Problem("error", p.row, p.modality, p.path, p.what, p.fix) for p in found])
        problems += found
    return Encoded(cohort, tuple(problems), counts)


class Choice(NamedTuple):
    """What reads and encodes a modality, and the identity that its tokens are kept under."""

    spec: str
    reader: Reader
    encoder: Any
    identity: str


def choose(kind: str, spec: str | None = None) -> Choice:
    """The reader of a kind, and an encoder by its name and options; None takes the default of the kind.

    Raises:
        Unsupported: nothing reads the kind, there is no such encoder, its weights or a package are missing.
        ValueError: an option that it does not have.
    """
    spec = spec or DEFAULTS.get(kind, kind)
    reader, encoder = reader_for(kind), make_encoder(spec, kind)
    identity = f"{kind}/{reader.version}"
    return Choice(spec, reader, encoder, identity if encoder.fitted_on_cohort else f"{identity}|{encoder.identity}")


def require_same(cohort: Cohort, encodings: Mapping[str, Encoding]) -> None:
    """The modalities that a model reads are encoded, or would be, as at its fit; asked before anything is encoded.

    Raises:
        Unsupported: a modality is of another kind, or its encoder or the encoder's weights differ.
    """
    for name in sorted(set(encodings) & set(cohort.modalities)):
        wanted, own = encodings[name], cohort.encodings.get(name)
        kind = own.kind if own else cohort.kinds[name]
        if kind != wanted.kind:
            raise Unsupported(f"modality '{name}' was of kind '{wanted.kind}' at fit and is of kind '{kind}' now")
        if (own.identity if own else choose(kind, wanted.encoder).identity) != wanted.identity:
            raise Unsupported(
                f"modality '{name}' was encoded by '{wanted.encoder}' at fit, and its encoder or the encoder's "
                "weights differ now: bring the same weights, or fit again"
            )


def _waits(cohort: Cohort, modality: str) -> bool:
    return modality not in cohort.encodings and cohort.kinds[modality] not in IN_MEMORY


class _Run:
    """The sources of one modality on their way to tokens."""

    def __init__(
        self, items: Items, reader: Reader, modality: str, jobs: int, execute: Execute, progress: Progress
    ) -> None:
        self.items = items
        self.reader = reader
        self.modality = modality
        self.jobs = jobs
        self.execute = execute
        self.progress = progress

    def decode(self) -> tuple[dict[int, Any], dict[int, ReadError]]:
        """The value of every source, and the error of those that have none."""
        values: dict[int, Any] = {}
        refused: dict[int, ReadError] = {}
        for done in self._execute(Work(self.reader, None), range(len(self.items)), 4 * CHUNK):
            for number, found in zip(done.numbers, done.found, strict=True):
                if isinstance(found, ReadError):
                    refused[number] = found
                else:
                    values[number] = found
        return values, refused

    def encode(
        self, encoder: Frozen, identity: str, keys: NDArray[np.str_], store: TokenStore
    ) -> tuple[Count, dict[int, ReadError]]:
        """Put into the store what it lacks; the first source of each content stands for all that share it."""
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        lacking = store.missing(identity, [str(key) for key in unique])
        refused: dict[int, ReadError] = {}
        held: list[tuple[str, NDArray[np.float32], NDArray[np.float32] | None]] = []
        size, written = 0, time.monotonic()
        numbers = first[lacking]
        if len(numbers):
            store.prepare(identity)
        for done in self._execute(Work(self.reader, encoder), numbers.tolist(), max(CHUNK, encoder.batch)):
            for number, found, times in zip(done.numbers, done.found, done.times, strict=True):
                if isinstance(found, ReadError):
                    refused[number] = found
                    continue
                held.append((str(keys[number]), found, times))
                size += found.nbytes
            if size >= HELD_BYTES or time.monotonic() - written >= HELD_SECONDS:
                _write(store, identity, held, encoder.slots)
                held, size, written = [], 0, time.monotonic()
        _write(store, identity, held, encoder.slots)
        broken = {
            int(position): refused[int(first[position])] for position in np.flatnonzero(np.isin(first, list(refused)))
        }
        everybody = {
            number: broken[int(position)]
            for number, position in enumerate(inverse.reshape(-1))
            if int(position) in broken
        }
        count = Count(len(keys), len(unique), len(numbers) - len(refused), int((~lacking).sum()), len(everybody))
        return count, everybody

    def _execute(self, work: Work, numbers: Sequence[int], size: int) -> Iterator[Done]:
        size = max(1, min(size, -(-len(numbers) // max(1, self.jobs))))
        starts = range(0, len(numbers), size)
        parts = [tuple(int(number) for number in numbers[start : start + size]) for start in starts]
        tasks = [Part(part, tuple(self.items[number] for number in part)) for part in parts]
        finished = 0
        self.progress(self.modality, finished, len(numbers))
        for done in self.execute(run_part, work, tasks, self.jobs):
            finished += len(done.numbers)
            self.progress(self.modality, finished, len(numbers))
            yield done


def _write(
    store: TokenStore,
    identity: str,
    held: Sequence[tuple[str, NDArray[np.float32], NDArray[np.float32] | None]],
    slots: int,
) -> None:
    if held:
        times = [when for _, _, when in held if when is not None]
        keys, arrays = [key for key, _, _ in held], [array for _, array, _ in held]
        store.put(identity, keys, arrays, times if len(times) == len(held) else None, slots=slots)


def contents(cohort: Cohort) -> set[str]:
    """What the tokens of a cohort's files, cells and events are kept under, whatever encodes them."""
    chosen = [
        name for name in cohort.modalities if cohort.kinds[name] not in IN_MEMORY and name not in cohort.encodings
    ]
    return {str(key) for name in chosen for key in content_keys(cohort, name, cohort.raw(name))}


def content_keys(cohort: Cohort, modality: str, items: Items) -> NDArray[np.str_]:
    """(n,) what the tokens of each source are kept under: its content, with what else its reader looks at.

    Beside the content of the files: the header of a record, and the names of the files of a volume's contrasts.
    """
    digests = cohort.sources[modality].digests(cohort.source_rows[modality][cohort.rows_of(modality)])
    keys = digests.copy()
    for number in range(len(items)) if items.kind in ("ecg", "signal", "volume") else ():
        path = items[number]
        if not isinstance(path, Path):
            continue
        more = b""
        header = path.with_name(path.name + ".hea")
        if items.kind == "volume" and path.is_dir():
            more = "\0".join(sorted(file.name for file in path.rglob("*"))).encode()
        elif items.kind != "volume" and header.is_file():
            lines = header.read_bytes().splitlines()
            more = b"\n".join(line.partition(b" ")[2] for line in lines if not line.startswith(b"#"))
        if more:
            keys[number] = hashlib.blake2b(str(digests[number]).encode() + more, digest_size=16).hexdigest()
    return keys
