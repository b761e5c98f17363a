"""Public function that teaches a causal language model what a scorer prefers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chiasm.adapters.saved import save_adapter
from chiasm.encoders.text.causal import causal_model
from chiasm.language.preference.completions import Sampling
from chiasm.language.preference.losses import R_DPO, Preference
from chiasm.language.preference.preferring import Preferred
from chiasm.language.preference.preferring import prefer as _prefer
from chiasm.language.preference.scorers import Scorer, scorer_of
from chiasm.language.preference.tuning import Schedule
from chiasm.targets.texts import TOKEN_F1


def prefer(
    model: str | Path | tuple[Any, Any],
    prompts: Sequence[str],
    references: Sequence[str],
    *,
    scorer: str | Scorer = TOKEN_F1,
    entities: Sequence[str] = (),
    loss: str = R_DPO,
    beta: float = 0.1,
    alpha: float | None = None,
    smoothing: float = 0.0,
    candidates: int = 4,
    tokens: int = 64,
    temperature: float = 1.0,
    gap: float = 1e-8,
    epochs: int = 1,
    batch: int = 8,
    learning_rate: float = 1e-4,
    held_out: float = 0.2,
    seed: int = 0,
    out: str | Path | None = None,
) -> Preferred:
    """Draw candidates of each prompt, pair the best with the worst by a scorer, and train an adapter on the pairs.

    Args:
        model: a folder that transformers saved, a .gguf file, or a network and its tokenizer.
        references: for each prompt what its candidates are held against.
        scorer: a scorer of text targets (`entity_f1` with `entities`), or a callable of a text and its reference.
        loss: `dpo`, `r-dpo`, `ipo`, `kto` or `orpo`; beta, alpha (what a token costs) and smoothing are its numbers.
        candidates, tokens, temperature: how candidates are drawn.
        gap: best and worst make a pair where their scores lie further apart.
        epochs, batch, learning_rate: of the training, by trl.
        held_out: share of the prompts that say before and after what was learned.
        out: folder for the adapter, without the model, which `chiasm.adapters.saved.restore_adapter` attaches again.

    Raises:
        Unsupported: trl, peft or transformers is not installed, or the model is no causal language model.
        ValueError: an option that makes no sense, or nothing to learn from.
    """
    score = scorer_of(scorer, entities)
    own = Preference(loss, beta, alpha, smoothing)
    sampling, schedule = Sampling(candidates, tokens, temperature), Schedule(epochs, batch, learning_rate)
    network, words = model if isinstance(model, tuple) else causal_model(Path(model))[:2]
    found = _prefer(
        network, words, prompts, references, score, own,
        sampling=sampling, schedule=schedule, gap=gap, held_out=held_out, seed=seed,
    )  # fmt: skip
    if out is not None:
        save_adapter(out, found.attached)
    return found
