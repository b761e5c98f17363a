"""Hidden states of a frozen network as tokens, computed once per patient and kept in the token store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk, runs
from chiasm.store.token_store import TokenStore
from chiasm.tokens import Tokens

HELD_BYTES = 64 * 2**20  # bytes collected before they are written to the store


def layer_tokens(trunk: Trunk, tokens: Tokens, blocks: Sequence[str]) -> list[Tokens]:
    """Compute the encoder's tokens as if its network ended after each block: `(B, T, D)` per block, without gradients.

    The state after a block passes through whatever follows the last block (a norm, the mean over a window, the
    selection of positions), so that the tokens of all layers correspond. Those of the last block are the encoder's own.

    Args:
        tokens: inputs `(B, T, P)`.
        blocks: names in `trunk.network`, each called once per run.

    Raises:
        ValueError: blocks return different shapes.
    """
    states: dict[str, list[Any]] = {name: [] for name in blocks}

    def keep(name: str) -> Any:
        return lambda module, given, output: states[name].append(output)

    modules = {name: trunk.network.get_submodule(name) for name in blocks}
    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    with torch.no_grad():
        try:
            last = trunk(tokens)
        finally:
            for hook in hooks:
                hook.remove()
        shapes = {tuple(_state(output).shape for output in own) for own in states.values()}
        if len(shapes) != 1:
            raise ValueError("its blocks answer in different shapes: their states cannot stand for one another")
        found = []
        for name in blocks[:-1]:
            with _answering(modules, states[name]):
                found.append(trunk(tokens))
    return [*found, last]


@storable("encoder-hidden-states")
@dataclass(frozen=True)
class HiddenStates(InputsAsTheyAre):
    """Encoder that returns the tokens after each block, concatenated to `(T, L D)` and computed once per patient.

    Args:
        spec, kind, identity, width, token_width: as in `InputsAsTheyAre`; the width is L D.
        blocks: names of the L blocks.
        most: maximum number of tokens per patient; more are averaged over this many runs of neighbours.
    """

    blocks: tuple[str, ...] = ()
    most: int = 64

    version: ClassVar[str] = "1"

    @property
    def kept_as(self) -> str:
        """Identity under which the hidden states are kept in the store."""
        return f"{self.identity}|hidden/{self.version}(blocks={'+'.join(self.blocks)},most={self.most})"

    def read(self, cohort: Cohort, modality: str) -> Any:
        """Return `StoredTokens` of the patients who have the modality; run the network where the store lacks them."""
        inputs = super().read(cohort, modality)
        store, contents = TokenStore(inputs.folder), inputs.contents
        _, first = np.unique(contents, return_index=True)
        lacking = np.sort(first[store.missing(self.kept_as, [contents[int(k)] for k in first])])
        trunk = self.trunk() if len(lacking) else None
        held: dict[str, np.ndarray] = {}
        for k in lacking:  # one by one, so that a patient's result does not depend on the others bitwise
            if trunk is not None:
                held[contents[int(k)]] = self._made(trunk, inputs, int(k))
            if sum(values.nbytes for values in held.values()) >= HELD_BYTES:
                store.put(self.kept_as, list(held), list(held.values()))
                held = {}
        store.put(self.kept_as, list(held), list(held.values()))
        return store.open(self.kept_as, contents)

    def _made(self, trunk: Trunk, inputs: Any, row: int) -> np.ndarray:
        """Compute the hidden states of one patient, `(T, L D)`."""
        values, mask = inputs.batch([row])
        try:
            found = layer_tokens(trunk, Tokens(torch.from_numpy(values), torch.from_numpy(mask)), self.blocks)
        except ValueError as error:
            raise Unsupported(f"the hidden states of '{self.spec}' cannot be read: {error}") from error
        whole = runs(Tokens(torch.cat([own.values for own in found], 2), found[-1].mask), self.most)
        return np.ascontiguousarray(whole.values[whole.mask].numpy())


def _state(output: Any) -> Tensor:
    state: Tensor = output[0] if isinstance(output, tuple) else output
    return state


@contextmanager
def _answering(modules: dict[str, nn.Module], outputs: list[Any]) -> Iterator[None]:
    """Make every block return these outputs in turn, without computation."""

    def stub(left: Iterator[Any]) -> Any:
        return lambda *args, **kwargs: next(left)

    for module in modules.values():
        module.__dict__["forward"] = stub(iter(outputs))
    try:
        yield
    finally:
        for module in modules.values():
            del module.__dict__["forward"]
