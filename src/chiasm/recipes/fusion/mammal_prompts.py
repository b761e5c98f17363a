"""What `mammal` needs for prompts that the user wrote: what of them cannot be learned, sizes, levels of the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders import encoder_of
from chiasm.encoders.sequence.prompt_encoder import Prompts, PromptTokens
from chiasm.encoders.sequence.prompt_pieces import MOST, PromptPieces, slots_in, tasks_in
from chiasm.encoders.sequence.prompts import Slot
from chiasm.errors import count
from chiasm.fitting.base import LEAST_PATIENTS, choice
from chiasm.fitting.neural import Prepared, Shapes, check_size, check_sizes
from chiasm.fusion.raw_prompts import MIXED, RawPromptFusion
from chiasm.fusion.transformer import check_heads
from chiasm.protocols import Encoder

ANSWERS = ("classes", "labels", "numbers", MIXED)


@storable("mammal-prompts")
@dataclass(frozen=True)
class RawPromptDesign:
    """Sizes of MAMMAL's network on prompts of the user; see `RawPromptFusion`.

    Args:
        outputs, answers, width, depth, heads: K, how they are answered, D, layers, heads.
        prompts: name of the modality of prompts.
        vocabulary: N.
        tasks: ids that name a task.
        placed: modalities whose tokens stand in the prompts.
    """

    outputs: int
    answers: str
    width: int
    depth: int
    heads: int
    prompts: str
    vocabulary: int
    tasks: tuple[int, ...] = ()
    placed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_size("outputs", self.outputs)
        check_size("vocabulary", self.vocabulary, MOST)
        choice("answers", self.answers, ANSWERS)
        check_sizes(1, self.width, self.depth, self.heads)
        check_heads(self.width, self.heads)
        if len(set(self.tasks)) < len(self.tasks) or not all(0 <= own < self.vocabulary for own in self.tasks):
            raise ValueError("each task has an id of the vocabulary, and no other task has it")

    @property
    def latent_width(self) -> int:
        """Always 0: the fusion returns the link itself."""
        return 0

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> RawPromptFusion:
        """Create a fresh fusion module of these sizes."""
        return RawPromptFusion(
            shapes, outputs=self.outputs, answers=self.answers, prompts=self.prompts, vocabulary=self.vocabulary,
            tasks=self.tasks, placed=self.placed, latent_width=self.width, depth=self.depth, heads=self.heads,
            dropout=dropout,
        )  # fmt: skip


def prompts_of(cohort: Cohort, names: tuple[str, ...]) -> dict[str, Encoder]:
    """Return a fresh encoder, token by token, of each modality that the manifest encodes by `prompts`."""
    own = {name: encoder_of(cohort, name) for name in names}
    return {name: PromptTokens(it.longest, it.unknown) for name, it in own.items() if isinstance(it, Prompts)}


def require_prompts(cohort: Cohort, names: tuple[str, ...]) -> None:
    """Refuse prompts of which nothing could be learned, before anything is computed.

    Args:
        names: the modalities of prompts that are read.

    Raises:
        Unsupported: two modalities of prompts, a task with fewer than ten prompts, or a place of embeddings that is of
            no modality, or of one with another encoder.
    """
    if len(names) > 1:
        raise Unsupported(f"reads one modality of prompts, and {', '.join(names)} are: write them as one prompt")
    for name in names:
        prompts = list(cohort.raw(name))
        rare = sum(times < LEAST_PATIENTS for task, times in tasks_in(prompts).items() if task)
        if rare:
            raise Unsupported(
                f"{count(rare, 'task')} of modality '{name}' with fewer than {LEAST_PATIENTS} prompts: nothing can be "
                "learned of it, leave its prompts out"
            )
        for slot in slots_in(prompts):
            _require_modality(cohort, name, slot)


def _require_modality(cohort: Cohort, name: str, slot: Slot) -> None:
    others = [own for own in cohort.modalities if own != name]
    if slot.key not in others:
        raise Unsupported(
            f"prompts of modality '{name}' have places for embeddings of a modality that the cohort does not have: "
            f"write 'encoder:modality:length', of {', '.join(others) or 'which there is no other here'}"
        )
    encoding = cohort.encodings.get(slot.key)
    own = cohort.kinds[slot.key] if encoding is None else encoding.encoder.partition(":")[0]
    if slot.encoder != own:
        raise Unsupported(
            f"prompts of modality '{name}' ask for embeddings of '{slot.key}' by another encoder than it has: write "
            f"'{own}:{slot.key}' and the number of its tokens"
        )


def placed_in(pieces: PromptPieces, encoders: Mapping[str, Encoder]) -> tuple[str, ...]:
    """Return the modality of each place of embeddings.

    Raises:
        Unsupported: a place has another number of tokens than the modality.
    """
    for slot in pieces.placed:
        own = encoders.get(slot.key)
        if own is not None and slot.length != max(1, own.slots):
            raise Unsupported(
                f"prompts have {count(slot.length, 'place')} for embeddings of '{slot.key}', which has "
                f"{count(max(1, own.slots), 'token')}: write the same number"
            )
    return tuple(slot.key for slot in pieces.placed)


def levels_of(data: Prepared, name: str, pieces: PromptPieces) -> Tensor:
    """Return centre and scale of the answers of each task, and whether it is spoken, `(tasks + 2, 3)`.

    A task is spoken whose answers are 0 and 1 alone. The first row is of prompts that name no task and of patients
    without a prompt, the last one of all patients.
    """
    task = np.zeros(len(data.cohort), np.int64)
    task[data.cohort.rows_of(name)] = pieces.tasks_of(list(data.cohort.raw(name)))
    value, rows = np.asarray(data.outcome.value, np.float64), []
    for number in range(len(pieces.tasks) + 1):
        own = value[task == number]
        if number and len(own) and np.isin(own, (0.0, 1.0)).all():
            rows.append((0.0, 1.0, 1.0))
        else:
            spread = float(own.std()) if len(own) else 0.0
            rows.append((float(own.mean() if len(own) else value.mean()), spread or float(data.scale), 0.0))
    return torch.tensor([*rows, (float(data.centre), float(data.scale), 0.0)], dtype=torch.float32)
