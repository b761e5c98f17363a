"""Encoding of a cohort: each source is decoded and encoded once; unreadable ones are reported and taken as absent."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Bags, Cohort, CohortError, Encoding, Items, Problem, Unsupported, Values
from chiasm.cohort.digests import Digests, as_digests
from chiasm.cohort.kinds import as_read
from chiasm.cohort.modality_checks import read_shapes
from chiasm.encoders.adaptable import Inputs, is_adaptable
from chiasm.encoders.choice import choose
from chiasm.encoders.frozen import Frozen
from chiasm.encoding.findings import collected, parts_left_out
from chiasm.encoding.source_digests import Progress, source_digests, unseen, waits_for_encoding
from chiasm.encoding.store_keys import store_keys
from chiasm.encoding.work import Done, Part, Work, run_part
from chiasm.readers import Reader, ReadError
from chiasm.readers.reading import Events, require_of
from chiasm.store.known_digests import add_digests
from chiasm.store.token_store import TokenStore

CHUNK = 16  # target number of sources per task
HELD_BYTES = 64 << 20  # tokens gathered before they are written
HELD_SECONDS = 60.0  # bounds the work that is lost if the process dies

Execute = Callable[[Callable[[Any, Any], Any], Any, Sequence[Any], int], Iterator[Any]]


@dataclass(frozen=True)
class Count:
    """Counts of a modality's sources: all, distinct contents, of these newly encoded and already stored; and refused.

    Modalities whose encoder is fitted on the cohort are only decoded: none of their sources is encoded or stored.
    """

    sources: int
    distinct: int
    encoded: int
    stored: int
    refused: int


@dataclass(frozen=True)
class Encoded:
    """The result of encoding: a cohort ready for fitting, the sources that could not be read, and counts of sources."""

    cohort: Cohort
    problems: tuple[Problem, ...] = ()
    counts: dict[str, Count] = field(default_factory=dict)


def one_after_another(
    function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int
) -> Iterator[Any]:
    """Execute tasks sequentially in this process."""
    for task in tasks:
        yield function(context, task)


def encode_cohort(
    cohort: Cohort,
    encoders: Mapping[str, str] | None = None,
    *,
    store: TokenStore,
    inputs: bool = False,
    jobs: int = 1,
    execute: Execute = one_after_another,
    progress: Progress = unseen,
) -> Encoded:
    """Replace a cohort's files, cells and events by tokens, or by decoded values for encoders fitted on the cohort.

    A frozen encoder runs once for each content that the store does not hold yet, however many patients share it.
    Modalities whose encoder is fitted on the cohort (events, cells) are only decoded here, and fitted inside each fold.

    Args:
        encoders: encoder per modality, a name of `list_encoders` with options; else the manifest's, else the default.
        store: the token store.
        inputs: also store the network inputs of adaptable encoders.
        jobs: number of parallel jobs, passed to `execute`.
        execute: runs the tasks: in this process, in worker processes or on a cluster.
        progress: called with (modality, finished, all) sources; if reading their content takes over a second, before
            that with ("<modality>, content", read, all).

    Raises:
        Unsupported: there is no such encoder, or a package is missing.
        CohortError: no source of a modality can be read.
    """
    problems: list[Problem] = []
    counts: dict[str, Count] = {}
    choices = {**cohort.encoders, **(encoders or {})}
    waiting = [name for name in cohort.modalities if waits_for_encoding(cohort, name)]
    for name in sorted(set(encoders or {}) & set(cohort.modalities) - set(waiting) - set(cohort.encodings)):
        raise Unsupported(
            f"modality '{name}' is of kind '{cohort.kinds[name]}', which takes no encoder: recipes read it as it is"
        )
    # choose all encoders first, so that a wrong name is an error before any compute
    chosen = {name: choose(cohort.kinds[name], choices.get(name)) for name in waiting}
    for modality in cohort.modalities:
        if cohort.kinds[modality] == "bag" and modality not in cohort.headers_read:
            cohort, found = without_broken_bags(cohort, modality)
            problems += found
    for modality in waiting:
        kind, (spec, reader, encoder, identity) = cohort.kinds[modality], chosen[modality]
        items: Items = cohort.raw(modality)
        run = _Run(items, reader, modality, jobs, execute, progress)
        if encoder.fitted_on_cohort:
            values, refused = run.decode(encoder)
            kept = np.array([number not in refused for number in range(len(items))], dtype=bool)
            encoding = Encoding(kind, spec, identity, len(refused))
            cohort = cohort.with_values(
                modality, kind, Values([values[int(k)] for k in np.flatnonzero(kept)]), kept, encoding
            )
            counts[modality] = Count(len(items), len(items), 0, 0, len(refused))
            left_out = Counter[str]()
            for value in values.values():
                left_out.update(dict(value.left_out if isinstance(value, Events) else ()))
            problems += parts_left_out(left_out, items, modality)
        else:
            digests = source_digests(cohort, modality, store, progress)
            keys = store_keys(items, digests)
            counts[modality], refused = run.encode(encoder, identity, keys, store)
            if (known := cohort.sources[modality].known) is not None:
                add_digests(store.folder, known)
            own = Inputs(encoder) if inputs and is_adaptable(encoder) else None
            if own is not None:
                refused |= run.encode(own, own.identity, keys, store)[1]
            kept = np.array([number not in refused for number in range(len(items))], dtype=bool)
            mine = digests[kept]
            names = mine if keys is digests else keys[kept]
            tokens = store.open(identity, names)
            read = None if own is None else store.open(own.identity, names)
            encoding = Encoding(kind, spec, identity, len(refused))
            written = Values([items[int(k)] for k in np.flatnonzero(kept)]) if as_read(kind) == "text" else None
            cohort = cohort.with_values(modality, "tokens", tokens, kept, encoding, mine, read, written)
        found = collected(items, refused, modality)
        if len(items) and len(refused) == len(items):
            raise CohortError(found)
        problems += found
    return Encoded(cohort, tuple(problems), counts)


def without_broken_bags(cohort: Cohort, modality: str) -> tuple[Cohort, list[Problem]]:
    """Mark bags whose headers cannot be read as absent; return the cohort and the problems.

    Raises:
        CohortError: a problem of the bags is an error, as when none can be read.
    """
    bags = cohort.raw(modality)
    if not isinstance(bags, Bags):
        return cohort, []
    shapes, problems = read_shapes(bags)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise CohortError(errors)
    cohort = cohort.without(modality, cohort.rows_of(modality)[shapes[:, 1] < 0])
    return replace(cohort, headers_read=cohort.headers_read | {modality}), problems


class _Run:
    """Decoding and encoding of the sources of one modality."""

    def __init__(
        self, items: Items, reader: Reader, modality: str, jobs: int, execute: Execute, progress: Progress
    ) -> None:
        self.items = items
        self.reader = reader
        self.modality = modality
        self.jobs = jobs
        self.execute = execute
        self.progress = progress

    def decode(self, encoder: Any) -> tuple[dict[int, Any], dict[int, ReadError]]:
        """Decode every source; return the values and the errors, of the encoder's refusals too, by source number."""
        values: dict[int, Any] = {}
        refused: dict[int, ReadError] = {}
        for done in self._execute(Work(self.reader, None), range(len(self.items))):
            for number, found in zip(done.numbers, done.found, strict=True):
                if isinstance(found, ReadError):
                    refused[number] = found
                    continue
                try:
                    require_of(encoder, found)
                    values[number] = found
                except ReadError as fault:
                    refused[number] = fault
        return values, refused

    def encode(
        self, encoder: Frozen, identity: str, keys: Digests, store: TokenStore
    ) -> tuple[Count, dict[int, ReadError]]:
        """Encode contents that the store lacks, each from its first source; return counts and errors of all sources."""
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        lacking = store.missing(identity, unique)
        refused: dict[int, ReadError] = {}
        held: list[tuple[bytes, NDArray[np.float32], NDArray[np.float32] | None]] = []
        size, written = 0, time.monotonic()
        numbers = np.sort(first[lacking])  # in the cohort's order, as tokens are read later
        if len(numbers):
            store.prepare(identity)
        for done in self._execute(Work(self.reader, encoder), numbers.tolist()):
            for number, found, times in zip(done.numbers, done.found, done.times, strict=True):
                if isinstance(found, ReadError):
                    refused[number] = found
                    continue
                held.append((keys[number], found, times))
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

    def _execute(self, work: Work, numbers: Sequence[int]) -> Iterator[Done]:
        tasks = _Parts(self.items, numbers, 1 if work.encoder is None else work.encoder.batch, self.jobs)
        finished = 0
        self.progress(self.modality, finished, len(numbers))
        for done in self.execute(run_part, work, tasks, self.jobs):
            finished += len(done.numbers)
            self.progress(self.modality, finished, len(numbers))
            yield done


class _Parts(Sequence[Part]):
    """Lazy sequence of tasks, each of whole encoder batches; the first two tasks have one batch each.

    Tasks start at multiples of the batch, so that batches, and the bits of tokens, do not depend on the number of jobs
    (unless `run_part` splits the batches of large sources).
    """

    def __init__(self, items: Items, numbers: Sequence[int], batch: int, jobs: int) -> None:
        self.items = items
        self.numbers = numbers
        share = -(-(len(numbers) - 2 * batch) // max(1, jobs))
        size = max(1, -(-min(CHUNK, share) // batch)) * batch
        starts = [0, batch, *range(2 * batch, len(numbers), size)]
        self.bounds = [start for start in starts if start < len(numbers)] + [len(numbers)]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, index: int) -> Part: ...
    @overload
    def __getitem__(self, index: slice) -> list[Part]: ...
    def __getitem__(self, index: int | slice) -> Part | list[Part]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        numbers = tuple(int(number) for number in self.numbers[self.bounds[index] : self.bounds[index + 1]])
        return Part(numbers, tuple(self.items[number] for number in numbers))


def _write(
    store: TokenStore,
    identity: str,
    held: Sequence[tuple[bytes, NDArray[np.float32], NDArray[np.float32] | None]],
    slots: int,
) -> None:
    if held:
        times = [when for _, _, when in held if when is not None]
        keys, arrays = as_digests(key for key, _, _ in held), [array for _, array, _ in held]
        store.put(identity, keys, arrays, times if len(times) == len(held) else None, slots=slots)
