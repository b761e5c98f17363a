"""Modalities connected to a causal language model: soft tokens in a prompt, and the likelihood of each answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from chiasm.adapters import Attached, PeftAttached, attach, low_rank
from chiasm.adapters.sites import projections
from chiasm.artifact import storable
from chiasm.encoders.adaptable import runs
from chiasm.fitting.neural import Shapes
from chiasm.fusion.connector import CONNECTORS, Connector, Tower
from chiasm.language.asked import ANSWERS, PROMPT
from chiasm.language.language_model import LanguageModel, named_tensors
from chiasm.language.spliced import Spliced, joined, splice
from chiasm.language.tiny import TinyLanguage
from chiasm.protocols import Fused
from chiasm.tokens import Tokens
from chiasm.training import Batch, Computed, Network, Objective
from chiasm.training.objective import mean_over_patients

READ_AT_ONCE = 64  # sequences of a pass without gradients
TUNES = ("none", "lora", "whole")


class Connected(nn.Module):
    """A language model with a connector for each modality, as a fusion whose output is the link itself.

    Args:
        language: the language model; frozen unless `tune` is "whole".
        shapes: modality to (width, slots) of its tokens, of those that have a slot.
        outputs: K, the most answers of a patient.
        connector, soft: kind of connector, and the most soft tokens of a modality.
        tower: put a `Tower` between tokens and connector.
        tune: "none", "lora" or "whole": how the language model may be changed.
        rank: of the low-rank updates.
        held: the language model is not part of this module's state, since its files stay where they are.
    """

    def __init__(
        self, language: LanguageModel, shapes: Shapes, outputs: int, *, connector: str = "mlp", soft: int = 16,
        tower: bool = False, tune: str = "none", rank: int = 8, held: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.names, self.outputs, self.soft = sorted(shapes), outputs, soft
        language.requires_grad_(tune == "whole")
        own = [shapes[name] for name in self.names]
        size = language.size
        self.connectors = nn.ModuleList(
            Connector(width, slots, language.width, connector, soft, size) for width, slots in own
        )
        self.towers = nn.ModuleList(Tower(width, slots) for width, slots in own) if tower else nn.ModuleList()
        self.attached: Attached | PeftAttached | None = None
        if tune == "lora":
            self.attached = _adapted(language, rank)
            self.adapted = _tensors_of(self.attached)
        if held and tune != "whole":
            self.__dict__["language"] = language  # not registered: neither trained nor stored
        else:
            self.language = language

    @property
    def frozen_parameters(self) -> int:
        """Number of parameters that run but are not trained."""
        return sum(own.numel() for own in self.language.parameters() if not own.requires_grad)

    def everything(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each parameter and buffer once by name, those of a language model that is not stored among them."""
        seen = set[int]()
        for name, own in named_tensors(self):
            seen.add(id(own))
            yield name, own
        for name, own in named_tensors(self.language) if "language" in self.__dict__ else ():
            if id(own) not in seen:  # adapters of peft stand in the network too
                yield f"language.{name}", own

    def softened(self, tokens: dict[str, Tokens], present: Tensor) -> list[Tokens]:
        """Return the soft tokens `(B, K, W)` of each modality, none for who lacks it."""
        made = []
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            own = Tokens(own.values.to(next(self.connectors[m].parameters()).dtype), own.mask)
            own = self.towers[m](own) if len(self.towers) else own
            made.append(runs(self.connectors[m](own), self.soft))
        return made

    def spliced(self, soft: Sequence[Tokens], ids: Tensor, mask: Tensor) -> Spliced:
        """Return prompts with their soft tokens as embeddings."""
        words = self.language.embed(ids.clamp_min(0))
        return splice(words, ids, mask, soft, self.language.width)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return log p of each answer given the prompt, `(B, K)`; zero where a patient has fewer."""
        rows, numbers, found = self.likelihoods(tokens, present)
        link = found.new_zeros((len(present), self.outputs))
        return Fused(link.index_put((rows, numbers), found[:, 0]))

    def likelihoods(
        self, tokens: dict[str, Tokens], present: Tensor, only: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-likelihoods of answers: `(S,)` patient and number of each, `(S, 2)` its log p and its number of tokens.

        Args:
            only: `(B,)` number of the one answer of each patient that is wanted; None: all.
        """
        rows, numbers, said = _answers(tokens[ANSWERS], only)
        soft = self.softened(tokens, present)
        prompt = tokens[PROMPT]
        first = prompt.values[..., 0].long()
        index = torch.tensor(rows, device=first.device)
        step = len(rows) if torch.is_grad_enabled() else READ_AT_ONCE
        parts = [
            self._scored(soft, first, prompt.mask, index[start : start + step], said[start : start + step])
            for start in range(0, len(rows), step)
        ]
        return index, torch.tensor(numbers, device=first.device), torch.cat(parts)

    def _scored(
        self, soft: Sequence[Tokens], first: Tensor, mask: Tensor, rows: Tensor, said: Sequence[Sequence[int]]
    ) -> Tensor:
        ids, real = joined(first, mask, rows, said)
        own = [Tokens(each.values[rows], each.mask[rows]) for each in soft]
        read = self.spliced(own, ids, real)
        begins = mask.sum(1)[rows][:, None]
        answer = read.source[:, 1:] >= begins  # (S, L - 1) the word after this place is of the answer
        words = ids.gather(1, read.source.clamp_min(0))[:, 1:][answer]
        begun = int(answer.any(0).nonzero()[0, 0])  # before it no place is asked for a word
        logits = self.language(read.embedded, read.mask, read.embedded.shape[1] - begun)
        each = torch.log_softmax(logits[:, :-1][answer[:, begun:]], -1).gather(1, words[:, None])[:, 0]
        which = answer.nonzero()[:, 0]
        found = each.new_zeros((len(rows), 2)).index_add(0, which, torch.stack([each, torch.ones_like(each)], 1))
        return found

    @torch.no_grad()
    def written(self, tokens: dict[str, Tokens], present: Tensor, most: int) -> list[str]:
        """Return what the model writes after each prompt, greedily, up to its end or `most` tokens.

        A prompt is read alone, so that who else is in the batch changes nothing.
        """
        soft, prompt = self.softened(tokens, present), tokens[PROMPT]
        found = []
        for row in range(len(present)):
            ids = prompt.values[row : row + 1, :, 0].long()[:, prompt.mask[row]]
            own = [Tokens(each.values[row : row + 1], each.mask[row : row + 1]) for each in soft]
            begun = self.spliced(own, ids, torch.ones_like(ids, dtype=torch.bool)).embedded
            said: list[int] = []
            while len(said) < most and begun.shape[1] < self.language.reach:
                word = self.language(begun, begun.new_ones(begun.shape[:2], dtype=torch.bool), 1)[:, -1].argmax(-1)
                if int(word) == self.language.words.end:
                    break
                said.append(int(word))
                begun = torch.cat([begun, self.language.embed(word)[:, None]], 1)
            found.append(self.language.words.text(said))
        return found

    @torch.no_grad()
    def drawn(
        self, tokens: dict[str, Tokens], present: Tensor, count: int, most: int, heat: float, source: torch.Generator
    ) -> list[str]:
        """Draw `count` texts of at most `most` tokens behind the prompt of one patient, at temperature `heat`."""
        soft, prompt = self.softened(tokens, present), tokens[PROMPT]
        ids = prompt.values[:1, :, 0].long()[:, prompt.mask[0]]
        begun = self.spliced(soft, ids, torch.ones_like(ids, dtype=torch.bool)).embedded.repeat(count, 1, 1)
        said, ended = list[Tensor](), torch.zeros(count, dtype=torch.bool)
        while len(said) < most and begun.shape[1] < self.language.reach and not bool(ended.all()):
            logits = self.language(begun, begun.new_ones(begun.shape[:2], dtype=torch.bool), 1)[:, -1]
            word = torch.multinomial(torch.softmax(logits / heat, -1), 1, generator=source)[:, 0]
            ended = ended | (word == self.language.words.end)
            said.append(torch.where(ended, -1, word))
            begun = torch.cat([begun, self.language.embed(word)[:, None]], 1)
        rows = torch.stack(said, 1).tolist() if said else [[]] * count
        return [self.language.words.text([word for word in own if word >= 0]) for own in rows]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        if "language" in self.__dict__:
            self.__dict__["language"]._apply(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


class AnswerLikelihood(Objective):
    """Next-word cross entropy of the right answer alone: the mean of -log p over the tokens of a batch's answers."""

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Run the language model on each patient's prompt with the right answer behind it."""
        fusion = cast(Connected, network.fusion)
        _, _, found = fusion.likelihoods(batch.tokens, batch.present, batch.target.value.long())
        loss = -found[:, 0].sum() / found[:, 1].sum().clamp_min(1)
        return Computed({"answer": loss}, found[:, :1], Fused(found[:, :1]))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the loss of each batch of held-out patients, averaged by their numbers of patients."""
        return mean_over_patients(batches, lambda batch: self(network, batch).losses)


@storable("connected-design")
@dataclass(frozen=True)
class ConnectedDesign:
    """What a connected language model is made of; see `Connected`.

    Args:
        language: a `LanguageFile`, which stays where it is, or a `TinyLanguage`, whose weights are stored.
    """

    language: Any
    outputs: int
    connector: str = "mlp"
    soft: int = 16
    tower: bool = False
    tune: str = "none"
    rank: int = 8

    def __post_init__(self) -> None:
        if self.connector not in CONNECTORS or self.tune not in TUNES:
            raise ValueError(f"connector is one of {', '.join(CONNECTORS)}, and tune one of {', '.join(TUNES)}")
        if not (1 <= self.soft <= 1024 and 1 <= self.rank <= 256 and 1 <= self.outputs <= 4096):
            raise ValueError("soft lies between 1 and 1,024, rank between 1 and 256, and outputs between 1 and 4,096")

    @property
    def tiny(self) -> bool:
        """True if the language model is made of training patients' words."""
        return isinstance(self.language, TinyLanguage)

    def soft_tokens(self, shapes: Shapes) -> int:
        """Return the most soft tokens that a patient may have."""
        fixed = self.connector != "resampler"
        return sum(min(slots, self.soft) if slots and fixed else self.soft for _, slots in shapes.values())

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> Connected:
        """Create it with fresh connectors; raises as `LanguageFile.open`."""
        return Connected(
            self.language.open(shared=self.tune == "none"), shapes, self.outputs, connector=self.connector,
            soft=self.soft, tower=self.tower, tune=self.tune, rank=self.rank, held=not self.tiny,
        )  # fmt: skip


def _adapted(language: LanguageModel, rank: int) -> Attached | PeftAttached:
    """Attach low-rank updates to the attention of a language model, seeded by torch's generator."""
    trunk = language.get_submodule(language.trunk)
    sites = projections(trunk, rank)
    seed = int(torch.randint(2**31, ()))
    found = attach(trunk, low_rank(trunk, sites, rank, 2.0 * rank), lambda name, _: name in sites, seed=seed)
    setattr(language, language.trunk, found.model)
    return found


def _answers(given: Tokens, only: Tensor | None) -> tuple[list[int], list[int], list[list[int]]]:
    """Patient and number of each answer, and its words."""
    rows: list[int] = []
    numbers: list[int] = []
    said: list[list[int]] = []
    for row, (values, mask) in enumerate(zip(given.values.long().cpu(), given.mask.cpu(), strict=True)):
        own: dict[int, list[int]] = {}
        for number, word in values[mask].tolist():
            own.setdefault(number, []).append(word)
        for number in own if only is None else [int(only[row])]:
            rows.append(row)
            numbers.append(number)
            said.append(own[number])
    return rows, numbers, said


def _tensors_of(attached: Attached | PeftAttached) -> nn.Module:
    """The trained parameters of an adapter as a module."""
    if isinstance(attached, Attached):
        return nn.ModuleList(attached.parts.values())
    return nn.ParameterDict({name.replace(".", "/"): own for name, own in attached.named_parameters()})
