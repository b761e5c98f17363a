"""EHRMamba: a record of events as a sequence that a causal stack reads, between two tokens that name the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.fusion.attention import TokenEntrance
from chiasm.fusion.spans import mean_token, packed_left
from chiasm.protocols import EMBEDDING, Fused
from chiasm.tokens import Tokens

CONCEPT, TYPE, AGE, VISIT, SEGMENT, AFTER = range(6)
MOST_VISITS = 512
PIECE = 64  # tokens read at once
NARROWEST = -2.0  # logarithm of the smallest spread of a time: times on a grid have none, and would outweigh all else


@dataclass(frozen=True)
class Vocabulary:
    """How many concepts and types the events of a modality have, 0 for none included."""

    concepts: int
    types: int


class Told(NamedTuple):
    """What was told of the next events of a batch, of N events row by row.

    Args:
        concept, wait: `(N,)` negative log-likelihoods of the concept and of the time, in nats.
        answer: `(N,)` concepts that came; waited: `(N,)` `log(1 + hours)` to them.
        states: `(B, T, D)` of the events in their order; mask: `(B, T)` bool.
    """

    concept: Tensor
    wait: Tensor
    answer: Tensor
    waited: Tensor
    states: Tensor
    mask: Tensor


class Time2Vec(nn.Module):
    """`t -> [w_0 t + b_0, sin(w_k t + b_k)]`, `(...)` to `(..., D)`. Source: Kazemi et al., arXiv 1907.05321."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width) * 0.1)
        self.bias = nn.Parameter(torch.randn(width) * 0.1)

    def forward(self, time: Tensor) -> Tensor:
        turned = time[..., None] * self.weight + self.bias
        return torch.cat([turned[..., :1], turned[..., 1:].sin()], dim=-1)


class EventEmbedding(nn.Module):
    """EHRMamba's embedding of an event: `LN(tanh(W [concept, type, t2v(time), t2v(age), visit, segment]))`.

    Time counts in days from the first event, age in decades. Source: Fallahpour et al., arXiv 2405.14567, section 3.1,
    and odyssey's `embeddings.py`.

    Args:
        vocabulary: of the modality.
        width: D.
    """

    def __init__(self, vocabulary: Vocabulary, width: int) -> None:
        super().__init__()
        part = max(4, width // 4)
        self.concept = nn.Embedding(vocabulary.concepts, width)
        self.kind = nn.Embedding(vocabulary.types, part)
        self.visit, self.segment = nn.Embedding(MOST_VISITS + 1, part), nn.Embedding(3, part)
        self.time, self.age = Time2Vec(part), Time2Vec(part)
        self.joined = nn.Linear(width + 5 * part, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor, hours: Tensor) -> Tensor:
        """Embed events `(B, T, 6)` at `hours` `(B, T)` since the first; return `(B, T, D)`.

        Raises:
            IndexError: a concept or a type that the vocabulary does not have.
        """
        ids = values.long()
        parts = (
            self.concept(ids[..., CONCEPT]), self.kind(ids[..., TYPE]), self.time(hours / 24),
            self.age(values[..., AGE] / 10), self.visit(ids[..., VISIT].clamp(max=MOST_VISITS)),
            self.segment(ids[..., SEGMENT]),
        )  # fmt: skip
        embedded: Tensor = self.norm(torch.tanh(self.joined(torch.cat(parts, dim=-1))))
        return embedded


class RecordSequence(nn.Module):
    """A causal stack on `<TASK k> tokens of other modalities, events in their order <TASK k>`; the last one is read.

    One vector a task and one linear map for all of them: with K labels the sequence is read K times and the link of
    each is the same map of its own reading (multitask prompted finetuning); for K classes, or a number, there is one
    task and the map gives K. What is absent is left out; who has no events is read by the rest. `losses` of `next` hold
    the cross-entropy of the next concept and of the time to it, in the first phase.

    Source: EHRMamba, arXiv 2405.14567, sections 3.2 and 3.3. Deviations: any causal stack in the place of Mamba; other
    modalities' tokens before the events; the time to the next event is learned too.

    Args:
        shapes: (width, slots) of each modality's tokens.
        vocabularies: of the modalities that are events.
        stack: makes the causal stack, whose `scan` maps `(B, t, D)` and a state to both.
        outputs: K.
        labels: True for one task a label.
        latent_width: D.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        vocabularies: Mapping[str, Vocabulary],
        stack: Callable[[], Any],
        *,
        outputs: int,
        labels: bool = False,
        latent_width: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.events = [name for name in self.names if name in vocabularies]
        self.tasks = nn.Parameter(torch.randn(outputs if labels else 1, latent_width) * 0.1)
        self.entrances = nn.ModuleDict(
            {str(m): EventEmbedding(vocabularies[name], latent_width) if name in vocabularies
             else TokenEntrance(*shapes[name], latent_width, dropout) for m, name in enumerate(self.names)}
        )  # fmt: skip
        self.bags = [name not in vocabularies and shapes[name][1] == 0 for name in self.names]
        self.stack = stack()
        self.read = nn.Linear(latent_width, 1 if labels else outputs)
        self.concepts = nn.ModuleDict(
            {str(m): nn.Linear(latent_width, vocabularies[name].concepts + 3) for m, name in enumerate(self.names)
             if name in vocabularies}
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)

    def start_at_zero(self) -> None:
        """Let every link be zero, as where the network is added to another model's link."""
        nn.init.zeros_(self.read.weight)
        nn.init.zeros_(self.read.bias)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return the link `(B, K)` in place of an embedding, and the last state `(B, D)` as an extra."""
        hidden, mask = self.sequence(tokens, present)
        count = mask.sum(1)  # (B,)
        links, states = [], []
        for task in self.tasks:
            ends = task.expand(len(hidden), 1, -1)
            whole = torch.cat([ends, hidden, torch.zeros_like(ends)], 1)
            last = (torch.arange(whole.shape[1], device=whole.device) == count[:, None] + 1)[..., None]
            read = self.scanned(torch.where(last, ends, whole))
            state = read.gather(1, (count + 1)[:, None, None].expand(-1, 1, read.shape[2]))[:, 0]
            links.append(self.read(self.dropout(state)))
            states.append(state)
        return Fused(torch.cat(links, 1), extras={EMBEDDING: torch.stack(states).mean(0)})

    def scanned(self, hidden: Tensor) -> Tensor:
        """Read a sequence from left to right in pieces, `(B, T, D)` to `(B, T, D)`."""
        state, parts = None, []
        for piece in torch.split(hidden, PIECE, dim=1):
            found, state = self.stack.scan(piece, state)
            parts.append(found)
        return torch.cat(parts, dim=1)

    def sequence(self, tokens: dict[str, Tokens], present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens of all modalities, events last, what is absent left out: `(B, T, D)` and `(B, T)`."""
        parts, masks = [], []
        order = sorted(range(len(self.names)), key=lambda m: self.names[m] in self.events)
        for m in order:
            hidden, mask = self._entered(m, tokens[self.names[m]].where_present(present[:, m]))
            parts.append(hidden)
            masks.append(mask)
        return packed_left(torch.cat(parts, 1), torch.cat(masks, 1))

    def next_losses(self, tokens: dict[str, Tokens], present: Tensor) -> dict[str, Tensor]:
        """Losses of what comes next, means over events: cross-entropy of the concept, and of the time to it.

        The next event has the same time with a probability of its own, or `log(1 + hours) ~ N(m, exp(s))`, its negative
        log-likelihood without the constant. A batch without two events of a patient has losses of 0.
        """
        found: dict[str, Tensor] = {}
        for m, name in enumerate(self.names):
            if name not in self.events:
                continue
            told = self.told(name, tokens[name].where_present(present[:, m]))
            concept, time = (own.mean() if len(own) else own.sum() for own in (told.concept, told.wait))
            found |= {f"next {name}": concept, f"wait {name}": time}
        return found

    def told(self, name: str, tokens: Tokens) -> Told:
        """Tell of each event but the last of a patient which concept comes next, and when.

        Args:
            name: of a modality of events.
            tokens: its events, zeros where masked.
        """
        m = str(self.names.index(name))
        own = in_order(tokens)
        states = self.scanned(self.entrances[m](own.values, since_first(own)))
        both = own.mask[:, 1:] & own.mask[:, :-1]
        said, coming = self.concepts[m](states[:, :-1][both]), own.values[:, 1:][both]
        logits, (later, mean, spread) = said[:, :-3], said[:, -3:].unbind(1)
        answer, waited = coming[:, CONCEPT].long(), coming[:, AFTER].clamp(min=0).log1p()
        concept = functional.cross_entropy(logits, answer, reduction="none")
        is_later, spread = waited > 0, spread.clamp(NARROWEST, -NARROWEST)
        apart = 0.5 * ((waited - mean) / spread.exp()).square() + spread
        wait = functional.binary_cross_entropy_with_logits(later, is_later.to(later.dtype), reduction="none")
        wait = wait + torch.where(is_later, apart, 0.0)
        return Told(concept, wait, answer, waited, states, own.mask)

    def _entered(self, m: int, own: Tokens) -> tuple[Tensor, Tensor]:
        if self.names[m] in self.events:
            own = in_order(own)
            return self.dropout(self.entrances[str(m)](own.values, since_first(own))), own.mask
        hidden, mask = self.entrances[str(m)](own), own.mask
        return mean_token(hidden, mask) if self.bags[m] else (hidden, mask)


def in_order(own: Tokens) -> Tokens:
    """Return events by their times, what is masked last with zeros; of one time in the order of their concepts."""
    if own.times is None:
        if bool(own.mask.any()):
            raise ValueError("events have no times: encode them with event tokens")
        return Tokens(torch.zeros_like(own.values), own.mask, torch.zeros_like(own.mask, dtype=torch.float32))
    late = torch.where(own.mask, own.times.double(), torch.inf)
    by_concept = torch.argsort(torch.where(own.mask, own.values[..., CONCEPT], torch.inf), dim=1, stable=True)
    order = by_concept.gather(1, torch.argsort(late.gather(1, by_concept), dim=1, stable=True))
    mask = own.mask.gather(1, order)
    values = own.values.gather(1, order[..., None].expand(-1, -1, own.values.shape[2]))
    times = torch.where(mask, own.times.gather(1, order), 0.0)
    return Tokens(torch.where(mask[..., None], values, 0.0), mask, times)


def since_first(own: Tokens) -> Tensor:
    """Return hours since the first event of each patient, `(B, T)`, 0 where masked; events are in order."""
    assert own.times is not None  # in_order raised otherwise
    return torch.where(own.mask, own.times - own.times[:, :1], 0.0)
