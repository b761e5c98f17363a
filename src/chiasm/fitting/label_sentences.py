"""Sentences of a target's labels as tokens: what they are read by, and who has which label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from chiasm.cohort import Cohort, Outcome, Target, Unsupported
from chiasm.encoders.choice import choose
from chiasm.fitting.language import TEXT, is_text
from chiasm.protocols import Encoder
from chiasm.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is written of the labels of a training set.

    Args:
        tokens: of P sentences; None where nothing is written.
        owners: `(P,)` int64, the label of each.
        labels: `(B, K)` float32, 1 for each label that a patient has; K is 0 where the target has none.
    """

    tokens: Tokens | None
    owners: torch.Tensor
    labels: NDArray[np.float32]

    def on(self, device: torch.device) -> Tokens:
        """Return the tokens of the sentences on a device.

        Raises:
            ValueError: nothing is written.
        """
        if self.tokens is None:
            raise ValueError("nothing is written of the labels")
        return Tokens(self.tokens.values.to(device), self.tokens.mask.to(device))


def labels_of(target: Target, outcome: Outcome) -> NDArray[np.float32]:
    """Return `(B, K)`, 1 for each class or label that a patient has; K is 0 for other kinds of target.

    A label that is not known counts as one that a patient does not have.
    """
    if target.has_labels:
        return np.nan_to_num(np.asarray(outcome.value, np.float32))
    if not target.has_classes:
        return np.zeros((len(outcome.value), 0), np.float32)
    made = np.zeros((len(outcome.value), len(target.names)), np.float32)
    made[np.arange(len(made)), outcome.value.astype(int)] = 1.0
    return made


@dataclass(frozen=True, eq=False)
class Unscaled:
    """Tokens `(P, T, D)` as an encoder that is fitted on stored tokens reads them."""

    tokens: Tokens

    def __len__(self) -> int:
        return len(self.tokens.values)

    def batch(self, rows: NDArray[np.int_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return values and mask of these rows."""
        return self.tokens.values.numpy()[rows].copy(), self.tokens.mask.numpy()[rows].copy()


def lesson_of(
    target: Target, outcome: Outcome, written: Sequence[Sequence[str]], encoder: str, through: Encoder | None = None
) -> Lesson:
    """Read the sentences of each label; without any, or without labels, there is nothing to read.

    Args:
        encoder: frozen encoder of text.
        through: what was fitted on the tokens of a modality of language, and reads the sentences' after it; None:
            each token is centred and scaled by itself.

    Raises:
        Unsupported: the encoder reads no text, or is fitted on a cohort.
    """
    labels = labels_of(target, outcome)
    texts = [text for own in written for text in own] if labels.shape[1] else []
    owners = [place for place, own in enumerate(written) for _ in own] if texts else []
    tokens = read_sentences(texts, encoder, through=through) if texts else None
    return Lesson(tokens, torch.tensor(owners, dtype=torch.int64), labels)


def read_sentences(texts: Sequence[str], encoder: str, identity: str = "", through: Encoder | None = None) -> Tokens:
    """Return the tokens of sentences, read by a frozen encoder of text.

    Args:
        identity: of the encoder at the fit; empty: not asked.
        through: as for `lesson_of`.

    Raises:
        Unsupported: the encoder is fitted on a cohort, or is not the one of the fit.
    """
    chosen = choose(TEXT, encoder)
    if chosen.encoder.fitted_on_cohort:
        raise Unsupported(f"'{encoder}' is fitted on a cohort: name a frozen encoder of text as `encoder`")
    if identity and chosen.identity != identity:
        raise Unsupported(f"the weights of '{encoder}' are not those of the fit: install the release of the fit")
    tokens: Tokens = chosen.encoder.encode(list(texts))
    if through is not None:
        return through.encode(Unscaled(tokens))
    scaled = functional.layer_norm(tokens.values, tokens.values.shape[2:]) * tokens.mask[..., None]
    return Tokens(scaled, tokens.mask)


def encoder_identity(encoder: str) -> str:
    """Return the identity of an encoder of text, by which another one is told later."""
    return choose(TEXT, encoder).identity


def frozen_language(cohort: Cohort, name: str) -> str:
    """Return the encoder that read a modality of language, as it was chosen; empty if sentences cannot be read so."""
    own = cohort.encodings.get(name)
    if own is None or not is_text(own.kind) or choose(own.kind, own.encoder).encoder.fitted_on_cohort:
        return ""
    return own.encoder
