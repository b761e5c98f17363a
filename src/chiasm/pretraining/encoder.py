"""`pretrained`: an encoder of sequences whose network is pretrained within each fold, on its training patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self
from weakref import ref

import numpy as np

from chiasm.artifact import storable
from chiasm.compute.memo import of_the_last, remember
from chiasm.encoders.sequence.network import SequenceNetwork
from chiasm.encoders.sequence.stored_network import StoredNetwork
from chiasm.encoders.stored import StoredTokensEncoder
from chiasm.encoders.table.scaling import Array
from chiasm.pretraining.corpus import corpus_of, in_order_of_names
from chiasm.pretraining.folder import as_stored
from chiasm.pretraining.options import PretrainOptions, network_config
from chiasm.pretraining.stage import digest_of, pretrained_on
from chiasm.pretraining.states import States, states_of
from chiasm.pretraining.tasks import METHODS
from chiasm.tokens import Tokens

MOST_WINDOWS = 64


@storable("encoder-pretrained")
@dataclass(frozen=True)
class PretrainedInFold:
    """Mean states of a network that was pretrained on the sequences of the training patients, without an outcome.

    Token 0 is the mean of the states of the whole sequence, tokens 1 .. windows are those of `[floor(i n / W),
    ceil((i + 1) n / W))`, first to last. A tenth of the training patients is held out to choose the epoch, and is read
    all the same afterwards. Whom a fold tests is never seen: changing a test patient's sequence changes no weight.

    Args:
        kind: `dna`, `protein` or `molecule`.
        method: causal, masked or fim; see `PretrainOptions`, as for the options down to `longest`.
        cell, hidden, depth, rc: cell, width, depth and strands of the network; see `SequenceConfig`.
        windows: W, 0 to 64.
        seed: seed of initial weights, draws and who is held out.
        stored: the network; None before `fit`.
        scaling: scales and projects its states as the stored tokens of a frozen encoder are; None before `fit`.

    Raises:
        ValueError: an option is out of range.
    """

    kind: str = "dna"
    method: str = "causal"
    cell: str = "gru"
    hidden: int = 64
    depth: int = 1
    rc: str = "none"
    epochs: int = 20
    patience: int = 3
    batch: int = 64
    learning_rate: float = 3e-3
    held_out: float = 0.1
    longest: int = 4096
    windows: int = 4
    seed: int = 0
    stored: StoredNetwork | None = None
    scaling: StoredTokensEncoder | None = None

    id: ClassVar[str] = "pretrained"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.windows <= MOST_WINDOWS:
            raise ValueError(f"option 'windows' of encoder 'pretrained' lies between 0 and {MOST_WINDOWS}")
        options = self._options()  # which refuses what is out of range
        if METHODS[options.method].packs:
            raise ValueError(
                f"option 'method' of encoder 'pretrained' is not '{self.method}': within a fold nobody says which "
                "sequences belong together"
            )

    @property
    def slots(self) -> int:
        return 1 + self.windows

    @property
    def width(self) -> int:
        return self.hidden if self.scaling is None else self.scaling.width

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return "weights of a network that was pretrained on their sequences, which may tell parts of these again"

    def fit(self, raw: Sequence[str], patients: Sequence[str] = ()) -> Self:
        """Pretrain on the sequences of the training patients, and scale its states as they have them.

        The same sequences of the same patients give the same network, which one process trains once.

        Raises:
            Unsupported: fewer than twenty patients, or a sequence that is too long.
            ValueError: the loss is not finite.
        """
        values, names = in_order_of_names([str(own) for own in raw], patients)
        config = network_config(self._spec(), self.kind, self.method)
        options = self._options()

        def pretrain() -> tuple[StoredNetwork, StoredTokensEncoder]:
            corpus = corpus_of(values, names, self.held_out, self.seed)
            found = pretrained_on(corpus, config, options, unknown=True, seed=self.seed)
            stored = as_stored(found, corpus, options, self.kind)
            return stored, StoredTokensEncoder().fit(states_of(found.network, values, self.windows, self.batch))

        told = [f"{field.name}={getattr(self, field.name)}" for field in fields(self)[:-2]]
        scope = digest_of(
            config,
            [np.frombuffer(f"{name}\0{own}".encode(), np.uint8) for name, own in zip(names, values, strict=True)],
        )
        stored, scaling = remember(f"pretrained {scope}", tuple(told), pretrain)
        return replace(self, stored=stored, scaling=scaling)

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode sequences to tokens `(n, 1 + windows, width)`."""
        states, scaling = self._states(raw)
        return scaling.encode(states)

    def features(self, raw: Sequence[str]) -> Array:
        """Compute the features for linear models, `(n, F)` float64, as of the stored tokens of a frozen encoder."""
        states, scaling = self._states(raw)
        return scaling.features(states)

    def _states(self, raw: Sequence[str]) -> tuple[States, StoredTokensEncoder]:
        if self.stored is None or self.scaling is None:
            raise ValueError("the encoder 'pretrained' is not fitted: call fit on training patients first")
        return states_of(_network(self.stored), [str(own) for own in raw], self.windows, self.batch), self.scaling

    def _spec(self) -> str:
        return f"{self.cell}:width={self.hidden},depth={self.depth},rc={self.rc}"

    def _options(self) -> PretrainOptions:
        own = {field.name: getattr(self, field.name) for field in fields(PretrainOptions) if hasattr(self, field.name)}
        return PretrainOptions(**own)


_READING: list[tuple[ref[StoredNetwork], SequenceNetwork]] = []  # one at most, and none whose encoder is gone


def _network(stored: StoredNetwork) -> SequenceNetwork:
    """Return the network; that which was asked last is kept."""
    return of_the_last(_READING, stored, stored.network)
