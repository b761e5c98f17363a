"""MAMMAL on prompts that the user wrote: they are read as they are, and each answers the task that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from chiasm.fusion.prompted import PromptFusion
from chiasm.protocols import EMBEDDING, Fused
from chiasm.tokens import Tokens

MIXED = "mixed"
TASK, NUMBER, SAID = "task", "number", "said"
ID, SCALAR, IS_SCALAR, SLOT, PLACE = range(5)


class RawPromptFusion(PromptFusion):
    """A `PromptFusion` in which one modality is a prompt already, whose tokens stand where the others have spans.

        <TASK k><SENTINEL> the patient's prompt ... spans of other modalities ... <EOS>

    A token is `E[id]`, a number s there adds `w s + b`, and at a place of embeddings stands the token of another
    modality, which then has no span of its own; where the patient lacks it, nothing is added.

    `mixed`, for a number: the prompt's own task says how it is answered. Tasks that are spoken have the answers 0 and
    1, written at the sentinel: the link is the probability of `<1>`. The others' are said at the first place, each in
    the standard units of its own task. All of it is trained in one set of weights, by cross-entropy and squared error.

    Args:
        shapes, outputs, latent_width, depth, heads, dropout: as in `PromptFusion`.
        answers: also `mixed`.
        prompts: name of the modality of prompts, whose tokens are those of `PromptTokens`.
        vocabulary: N, the number of ids in them.
        tasks: the ids that name a task.
        placed: the modalities whose tokens stand at places of the prompt, by the number that the place has, from 1.
    """

    task_of: Tensor
    levels: Tensor

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        outputs: int,
        prompts: str,
        vocabulary: int,
        answers: str = "numbers",
        tasks: Sequence[int] = (),
        placed: Sequence[str] = (),
        latent_width: int = 32,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            shapes, outputs=outputs, answers=answers, latent_width=latent_width, depth=depth, heads=heads,
            dropout=dropout, more=vocabulary,
        )  # fmt: skip
        self.prompts, self.placed = prompts, tuple(placed)
        self.entrances[self.names.index(prompts)] = nn.Identity()
        task_of = torch.zeros(vocabulary, dtype=torch.long)
        task_of[list(tasks)] = torch.arange(1, len(tasks) + 1)
        self.register_buffer("task_of", task_of, persistent=False)
        levels = torch.tensor([0.0, 1.0, 0.0]).repeat(len(tasks) + 2, 1)
        self.register_buffer("levels", levels)  # of no task, of each, and of the target: centre, scale, spoken

    def set_levels(self, levels: Tensor) -> None:
        """Set centre and scale of each task's answers, and whether it is spoken, `(tasks + 2, 3)`.

        The first row is of prompts that name no task, the last one the centre and the scale of the link.
        """
        self.levels.copy_(levels)

    def span(self, m: int, tokens: dict[str, Tokens], present: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return what stands in the prompt of one modality: the user's own prompt as it is written."""
        if self.names[m] in self.placed:
            return [], []
        if self.names[m] != self.prompts:
            return super().span(m, tokens, present)
        own = tokens[self.prompts].where_present(present[:, m])
        ids = self.first_more + own.values[..., ID].long()
        added = self._added(own, tokens, present)
        here = own.values[..., IS_SCALAR] > 0.5
        return [self.model.embedded(ids, own.values[..., SCALAR], here, added)], [own.mask]

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return the link `(B, K)`, and with `mixed` the extras `task`, `number` and `said`, `(B,)`, of the loss."""
        if self.answers != MIXED:
            return super().forward(tokens, present)
        hidden, mask = self.prompt(tokens, present)
        states = self.model.encode(hidden, mask)
        logits = self._said(states, mask)
        said, number = logits[:, 1] - logits[:, 0], self.model.numbers(states)[:, 0]
        task = self.task(tokens[self.prompts].where_present(present[:, self.names.index(self.prompts)]))
        centre, scale, spoken = self.levels[task].unbind(1)
        answer = torch.where(spoken > 0.5, torch.sigmoid(said), centre + scale * number)
        link = (answer - self.levels[-1, 0]) / self.levels[-1, 1]
        return Fused(link[:, None], extras={EMBEDDING: states[:, 0], TASK: task, NUMBER: number, SAID: said})

    def task(self, own: Tokens) -> Tensor:
        """Return the task that each prompt names first, `(B,)` from 1; 0 where it names none."""
        named = torch.where(own.mask, self.task_of[own.values[..., ID].long()], 0)  # (B, T)
        first = (named > 0).long().argmax(1, keepdim=True)
        return named.gather(1, first)[:, 0] if named.shape[1] else named.sum(1)

    def _added(self, own: Tokens, tokens: dict[str, Tokens], present: Tensor) -> Tensor | None:
        """Return the embeddings of other modalities at their places, `(B, T, D)`; None where there are none."""
        if not self.placed:
            return None
        added = self.model.vectors.new_zeros(*own.mask.shape, self.model.vectors.shape[1])
        place = own.values[..., PLACE].long()
        for number, name in enumerate(self.placed, start=1):
            if name not in self.names:
                continue
            hidden, mask = self.entered(self.names.index(name), tokens, present)
            if not hidden.shape[1]:
                continue
            at = place.clamp(max=hidden.shape[1] - 1)
            found = hidden.gather(1, at[..., None].expand(-1, -1, hidden.shape[2]))
            here = (own.values[..., SLOT].long() == number) & mask.gather(1, at) & (place < hidden.shape[1])
            added = added + torch.where(here[..., None], found, 0.0)
        return added
