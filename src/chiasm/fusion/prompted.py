"""MAMMAL's encoder-decoder: a prompt of spans, one for each modality present, and an answer that a decoder gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import TokenEntrance
from chiasm.fusion.spans import mean_token, packed_left
from chiasm.protocols import EMBEDDING, Fused
from chiasm.tokens import Tokens

START = 0.05  # spread of the tokens' vectors at the start


class PromptedT5(nn.Module):
    """T5 that reads vectors in place of ids, so that a number or another encoder's token can stand in a prompt.

    A number s at a place is `E[<SCALAR>] + w s + b`, and an embedding v there `E[<EMBEDDINGS>] + v`. What the decoder
    says next is `h E' / sqrt(D)`; a number is said by a small network on the encoder's first place.

    Source: MAMMAL, Shoshan et al., arXiv 2410.22367, with the code of biomed-multi-alignment 33ba431.

    Args:
        tokens: N, the size of the vocabulary.
        width: D, a multiple of `heads`.
        depth: layers of the encoder, and of the decoder.
        heads: of each layer.
        dropout: in all layers.
        numbers: how many numbers are said at once; 0: none.
    """

    def __init__(
        self, tokens: int, *, width: int = 32, depth: int = 2, heads: int = 4, dropout: float = 0.0, numbers: int = 1
    ) -> None:
        super().__init__()
        from transformers import T5Config, T5Model

        config = T5Config(
            vocab_size=tokens, d_model=width, d_kv=width // heads, d_ff=4 * width, num_layers=depth,
            num_decoder_layers=depth, num_heads=heads, dropout_rate=dropout, use_cache=False,
        )  # fmt: skip
        self.t5 = T5Model(config)
        nn.init.normal_(self.t5.shared.weight, std=START)
        self.scalar = nn.Linear(1, width)
        self.number = (
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, numbers)) if numbers else nn.Identity()
        )

    @property
    def vectors(self) -> Tensor:
        """`(N, D)`, the vector of each token."""
        weight: Tensor = self.t5.shared.weight
        return weight

    def embedded(self, ids: Tensor, scalars: Tensor, is_scalar: Tensor, added: Tensor | None = None) -> Tensor:
        """Return the vectors of a prompt, `(B, T, D)`.

        Args:
            ids: `(B, T)` int64.
            scalars, is_scalar: `(B, T)` float and bool: numbers, and where they stand.
            added: `(B, T, D)`, embeddings of other encoders at their places, zeros elsewhere.
        """
        numbers = self.scalar(torch.where(is_scalar, scalars, 0.0)[..., None])
        hidden = self.vectors[ids] + torch.where(is_scalar[..., None], numbers, 0.0)
        return hidden if added is None else hidden + added

    def encode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Run the encoder on vectors `(B, T, D)` of which those in `mask` `(B, T)` are read; return `(B, T, D)`."""
        states: Tensor = self.t5.encoder(inputs_embeds=hidden, attention_mask=mask.long()).last_hidden_state
        return states

    def said(self, asked: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Return logits of the token after each of `asked`, `(B, S, N)`; later ones of these are never looked at.

        Args:
            asked: `(B, S)` int64, from `<DECODER_START>` on.
            states, mask: of the encoder.
        """
        hidden = self.t5.decoder(
            input_ids=asked, encoder_hidden_states=states, encoder_attention_mask=mask.long()
        ).last_hidden_state
        logits: Tensor = hidden @ self.vectors.T * hidden.shape[-1] ** -0.5
        return logits

    def numbers(self, states: Tensor) -> Tensor:
        """Return the numbers said at the encoder's first place, `(B, K)`."""
        said: Tensor = self.number(states[:, 0])
        return said


class PromptFusion(nn.Module):
    """A prompt written from a patient's modalities, and the link that `PromptedT5` answers.

        <TASK k><SENTINEL> <ENTITY><KIND m><START> tokens of m <END> ... <EOS>

    A modality that is absent has no span, and the prompt is as if it had never been named. Tokens of fixed places enter
    in their order, each with a map of its own; of a bag, which has no order, the mean enters as one.

    `classes`: the decoder reads `<DECODER_START><SENTINEL>` and the link is its logits of the K answers. `labels`: one
    task for each of K labels in the same weights, and the link is the logit of `<1>` less that of `<0>`. `numbers`: the
    link is said at the encoder's first place, where the task stands.

    Deviations: trained on the one target from random weights; tokens of an encoder stand where the paper's stand for
    letters (one-hot letters give the same: a linear map of them is a table of vectors); a gain on the link, 1, which
    `start_at_zero` sets to 0 upon another model.

    Args:
        shapes: (width, slots) of each modality's tokens.
        outputs: K.
        answers: see above.
        latent_width, depth, heads, dropout: as in `PromptedT5`.
        more: further tokens of the vocabulary, of a fusion that writes more into the prompt.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        outputs: int,
        answers: str = "numbers",
        latent_width: int = 32,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        more: int = 0,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.answers, self.outputs = answers, outputs
        self.tasks = outputs if answers == "labels" else 1
        said = {"classes": outputs, "labels": 2, "numbers": 0, "mixed": 2}[answers]
        fixed = ("decoder", "sentinel", "entity", "start", "end", "eos")
        self.places = {name: k for k, name in enumerate(fixed)}
        self.first_task, self.first_kind = len(fixed), len(fixed) + self.tasks
        self.first_answer = self.first_kind + len(self.names)
        self.first_more = self.first_answer + said
        self.model = PromptedT5(
            self.first_more + more, width=latent_width, depth=depth, heads=heads, dropout=dropout,
            numbers=outputs if answers in ("numbers", "mixed") else 0,
        )  # fmt: skip
        self.entrances = nn.ModuleList(TokenEntrance(*shapes[name], latent_width, dropout) for name in self.names)
        self.bags = [shapes[name][1] == 0 for name in self.names]
        self.gain = nn.Parameter(torch.ones(()))

    def start_at_zero(self) -> None:
        """Let every link be zero, as where the network is added to another model's link."""
        nn.init.zeros_(self.gain)

    def prompt(self, tokens: dict[str, Tokens], present: Tensor, task: int = 0) -> tuple[Tensor, Tensor]:
        """Write the prompt of a task as vectors `(B, T, D)` with their mask `(B, T)`, what is absent left out."""
        n = present.shape[0]
        everybody = present.new_ones(n, 1)
        parts = [self._vectors(n, self.first_task + task, self.places["sentinel"])]
        masks = [everybody.expand(n, 2)]
        for m in range(len(self.names)):
            own, read = self.span(m, tokens, present)
            parts += own
            masks += read
        parts.append(self._vectors(n, self.places["eos"]))
        return packed_left(torch.cat(parts, 1), torch.cat([*masks, everybody], 1))

    def span(self, m: int, tokens: dict[str, Tokens], present: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return what stands in the prompt of one modality, vectors `(B, t, D)` and their masks `(B, t)`."""
        hidden, mask = self.entered(m, tokens, present)
        n, here = len(hidden), mask.any(1, keepdim=True)
        opening = self._vectors(n, self.places["entity"], self.first_kind + m, self.places["start"])
        return [opening, hidden, self._vectors(n, self.places["end"])], [here.expand(n, 3), mask, here]

    def entered(self, m: int, tokens: dict[str, Tokens], present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors of a modality's tokens `(B, t, D)`, of a bag their mean, with their mask `(B, t)`."""
        own = tokens[self.names[m]].where_present(present[:, m])
        hidden: Tensor = self.entrances[m](own)
        return mean_token(hidden, own.mask) if self.bags[m] else (hidden, own.mask)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return the link `(B, K)` in place of an embedding, and the first place's state `(B, D)` as an extra."""
        read = [self._answer(*self.prompt(tokens, present, task)) for task in range(self.tasks)]
        link = torch.cat([own for own, _ in read], 1)
        return Fused(self.gain * link, extras={EMBEDDING: torch.stack([first for _, first in read]).mean(0)})

    def _answer(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.model.encode(hidden, mask)
        if self.answers == "numbers":
            return self.model.numbers(states), states[:, 0]
        logits = self._said(states, mask)
        return (logits if self.answers == "classes" else logits[:, 1:] - logits[:, :1]), states[:, 0]

    def _said(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the logits of the answers at the sentinel, `(B, A)`."""
        asked = torch.tensor([self.places["decoder"], self.places["sentinel"]], device=states.device)
        logits = self.model.said(asked.expand(len(states), 2), states, mask)
        return logits[:, 1, self.first_answer : self.first_more]

    def _vectors(self, n: int, *ids: int) -> Tensor:
        own: Any = self.model.vectors[list(ids)]
        vectors: Tensor = own.expand(n, -1, -1)
        return vectors
