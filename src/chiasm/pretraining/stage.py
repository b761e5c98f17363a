"""The stage: sequences without outcomes to a network that tells their letters, stopped by held-out patients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from chiasm.cohort import Unsupported
from chiasm.compute.isolation import own_randomness, seeded
from chiasm.encoders.sequence.alphabets import END, UNKNOWN
from chiasm.encoders.sequence.network import SequenceConfig, SequenceNetwork, untrained
from chiasm.errors import count
from chiasm.heads.head import Head
from chiasm.objectives.icl_pack import icl_packs, joined
from chiasm.pretraining.corpus import Corpus
from chiasm.pretraining.judging import Judged, judged
from chiasm.pretraining.objective import COLUMNS, NAME, TellingLetters
from chiasm.pretraining.options import PretrainOptions
from chiasm.pretraining.tasks import METHODS, all_turns, letters_of
from chiasm.readers.reading import ReadError
from chiasm.tokens import PackedTokens
from chiasm.training import Examples, History, Network, Phase, TargetTensors, train
from chiasm.training.batches import MOST_STEPS
from chiasm.training.network import READING_BATCH

BYTES_EACH = {"gru": 40, "mamba": 510, "mamba2": 220, "mlstm": 360, "xlstm": 360}
"""Bytes that a step keeps for its gradient, for each letter, number of the width and layer: measured as the sizes of
the tensors that torch saves, at widths of 32 and 64, 2 and 4 layers, 128 and 512 letters; a new cell counts as the
dearest."""
ROUNDS = 4  # how often sequences are dealt to packs


@dataclass(frozen=True, repr=False)
class Pretraining:
    """A network that was pretrained, and how that went.

    Args:
        network: in evaluation mode, at the epoch with the smallest held-out loss.
        history: of the training.
        curve: one row an epoch: its losses of training and of held-out letters in nats, and the signs of a collapse.
        judged: the held-out perplexity beside what letters alone tell.
        letters: number of letters read in training; foreign: those that are none of the alphabet.
    """

    network: SequenceNetwork
    history: History
    curve: tuple[dict[str, float], ...]
    judged: Judged
    letters: int
    foreign: int


def pretrained_on(
    corpus: Corpus,
    config: SequenceConfig,
    options: PretrainOptions,
    *,
    groups: Sequence[str] = (),
    unknown: bool = False,
    seed: int = 0,
    checkpoint: Path | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda finished, everything: None,
) -> Pretraining:
    """Pretrain a network on the items of a corpus; those held out choose the epoch and nothing else.

    Args:
        groups: of each item the group whose sequences are joined, with `icl`; "" of none.
        unknown: read letters outside the alphabet as one that is unknown; else they are refused.
        checkpoint: file that is written after each epoch, and gone on from if it exists.
        progress: called with (finished, all) epochs.

    Raises:
        Unsupported: a letter outside the alphabet, or none within it, a sequence longer than `options.longest`, a batch
            that memory does not hold, or nothing to pack.
        ValueError: the loss is not finite.
        ArtifactError: the checkpoint is of another pretraining.
    """
    network = untrained(config, seeded(seed, "network"))
    numbers = tokenized(network, corpus.items, unknown, options)
    require_memory(config, options, max(map(len, numbers)))
    rows, held_out = packed(numbers, corpus, options, groups, seed) if groups else (numbers, corpus.held_out)
    letters = letters_of(network)
    numbered = [own for own, apart in zip(numbers, corpus.held_out, strict=True) if apart]
    trained = [own for own, apart in zip(numbers, corpus.held_out, strict=True) if not apart]
    others = _letters_in(trained, letters, "trained on", config)
    _letters_in(numbered, letters, "held out", config)
    parts = [own.astype(np.float32)[:, None] for own in rows]
    tokens = PackedTokens.scatter(parts, np.arange(len(parts)), len(parts), 1)
    nothing = TargetTensors(torch.zeros(len(parts)), torch.zeros(len(parts), dtype=torch.bool))
    examples = Examples({NAME: tokens}, np.ones((len(parts), 1), bool), nothing, held_out)
    objective = TellingLetters(
        options.method, others.tolist(), options.drawn_share, options.batch, digest_of(config, rows),
        lambda epochs: progress(epochs, options.epochs),
    )  # fmt: skip
    whole = Network(network, cast(Head, nn.Identity()))  # nothing is predicted
    phase = Phase(options.training(), objective, name="pretrain")
    (history,) = train(whole, examples, [phase], seed=seed, checkpoint=checkpoint, device=device)
    with torch.inference_mode(), own_randomness(seed):
        told = list(objective.held_out(whole, examples.held_out_batches(READING_BATCH, "cpu")))
    curve = tuple(dict(zip(COLUMNS, map(float, row), strict=True)) for row in objective.curve)
    as_read, beside = (all_turns(network, own, METHODS[options.method].looks_back) for own in (trained, numbered))
    found = judged(told, as_read, beside, letters, options.method)
    foreign = sum(int((own == UNKNOWN).sum()) for own in trained)
    return Pretraining(network, history, curve, found, sum(map(len, trained)), foreign)


def tokenized(
    network: SequenceNetwork, items: Sequence[str], unknown: bool, options: PretrainOptions
) -> list[np.ndarray]:
    """Return the numbers of each item's tokens; refuse letters outside the alphabet, and what is too long."""
    found, foreign = [], 0
    for item in items:
        try:
            found.append(network.alphabet.ids(item, unknown))
        except ReadError:
            foreign += 1
    if foreign:
        raise Unsupported(
            f"{count(foreign, 'sequence')} of {len(items):,} hold letters outside the alphabet "
            f"'{network.config.alphabet[:40]}': correct them, name another by --network gru:alphabet=..., or read them "
            "as unknown (unknown)"
        )
    long = [len(own) for own in found if len(own) > options.longest]
    if long:
        raise Unsupported(
            f"{count(len(long), 'sequence')} of {len(items):,} are longer than {options.longest:,} letters, the "
            f"longest {max(long):,}: raise `longest`, as far as memory goes, or cut them"
        )
    return found


def _letters_in(sequences: Sequence[np.ndarray], letters: range, side: str, config: SequenceConfig) -> np.ndarray:
    """Return the numbers of the letters that occur, ascending; refuse sequences that have none."""
    found = np.unique(np.concatenate(sequences))
    found = found[(found >= letters.start) & (found < letters.stop)]
    if not len(found):
        raise Unsupported(
            f"no sequence {side} has a letter of the alphabet '{config.alphabet[:40]}', so there is nothing to tell: "
            "name another by --network gru:alphabet=..."
        )
    return found


def require_memory(config: SequenceConfig, options: PretrainOptions, longest: int) -> None:
    """Refuse a batch whose training takes more memory than the machine has free, before anything is trained.

    Raises:
        Unsupported: it takes more; the message says which batch would fit.
    """
    free = available_bytes()
    joined_to = options.pack if METHODS[options.method].packs else 1
    kept = BYTES_EACH.get(config.cell, max(BYTES_EACH.values())) * (2 if config.bidirectional else 1)
    each = kept * longest * joined_to * config.width * config.depth
    if free is None or each * options.batch <= free:
        return
    fits = free // each
    lower = f"lower batch to {fits:,}" if fits else "cut the sequences, or take a smaller network"
    raise Unsupported(
        f"a batch of {options.batch:,} sequences of {longest:,} letters takes about {each * options.batch / 1e9:,.1f} "
        f"GB in training, and {free / 1e9:,.1f} GB are free: {lower}"
    )


def available_bytes() -> int | None:
    """Memory that is free or can be freed, as Linux tells it; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def packed(
    numbers: Sequence[np.ndarray], corpus: Corpus, options: PretrainOptions, groups: Sequence[str], seed: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Join sequences of one group, those of each side among themselves; return the packs, and which are held out.

    Raises:
        Unsupported: no group has two sequences on either side.
    """
    rng = np.random.default_rng(seeded(seed, "packs"))
    rows, sides = list[np.ndarray](), list[bool]()
    for apart in (False, True):
        here = np.flatnonzero(corpus.held_out == apart).tolist()
        packs = icl_packs([groups[k] for k in here], options.pack, rng, 1 if apart else ROUNDS)
        if not packs:
            side = "held out" if apart else "in training"
            raise Unsupported(
                f"no group has two sequences {side}: hold out a larger share, or name a column with larger groups"
            )
        for pack in packs:
            items = [torch.from_numpy(numbers[here[k]]) for k in pack]
            rows.append(joined(items, END).numpy())
            sides.append(apart)
    return rows, np.array(sides)


def rows_of_training(corpus: Corpus, options: PretrainOptions, groups: Sequence[str] = ()) -> int:
    """Return the number of sequences, or of packs of them where they have groups, that an epoch trains on."""
    here = np.flatnonzero(~corpus.held_out).tolist()
    if not groups:
        return len(here)
    return len(icl_packs([groups[k] for k in here], options.pack, np.random.default_rng(0), ROUNDS))


def digest_of(config: SequenceConfig, rows: Sequence[np.ndarray]) -> str:
    """Return a hash of the network's shape and of what it is trained on."""
    found = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
    for row in rows:
        found.update(len(row).to_bytes(8, "little") + row.astype(np.int64).tobytes())
    return found.hexdigest()


def most_epochs(steps: int, sequences: int, batch: int) -> int:
    """Return the number of epochs that take `steps` steps or more."""
    each = min(MOST_STEPS, max(1, -(-sequences // batch)))
    return max(1, -(-steps // each))
