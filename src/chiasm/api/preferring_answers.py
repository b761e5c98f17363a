"""Public function that teaches a fitted model, which writes of patients, what a scorer prefers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chiasm import artifact
from chiasm.api.external import prepare_new, require_shared_modality
from chiasm.api.updating import fitted_model, parent_of
from chiasm.cohort import Unsupported
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.preparing import warn_of_findings
from chiasm.evaluation.external import scored_patients
from chiasm.fitting.history import PREFER, Step
from chiasm.fitting.model import FittedModel
from chiasm.language.predictor import ConnectedPredictor
from chiasm.language.preference.answers import PreferredAnswers
from chiasm.language.preference.answers import prefer_answers as _prefer_answers
from chiasm.language.preference.completions import Sampling
from chiasm.language.preference.losses import R_DPO, Preference
from chiasm.language.preference.preferring import Written
from chiasm.language.preference.scorers import Scorer, scorer_of
from chiasm.language.preference.tuning import Schedule
from chiasm.language.unread import ConnectedOrPrior
from chiasm.models.same_target import as_at_the_fit
from chiasm.protocols import Model


@dataclass(frozen=True)
class PreferredModel:
    """A model that learned what a scorer prefers.

    Args:
        model: the newer model, which predicts, is stored and validated like any other.
        learned: pairs, and what it writes of patients who were held out, before and after.
        left_out: number of patients left out, by the reason.
    """

    model: FittedModel = field(repr=False)
    learned: PreferredAnswers
    left_out: dict[str, int]

    @property
    def told(self) -> str:
        """What happened to score and length, in a few sentences."""
        return self.learned.told

    def as_json(self) -> dict[str, Any]:
        """The same for machines: counts and means, and nobody's text."""
        own = self.learned
        chosen, rejected = own.pairs.words
        return {
            "told": self.told, "pairs": len(own.pairs), "prompts": own.pairs.prompts, "alike": own.pairs.alike,
            "words_chosen": chosen, "words_rejected": rejected, "agreed": own.agreed, "left_out": self.left_out,
            **{name: _told(own) for name, own in (("before", own.before), ("after", own.after))},
            "history": [step.sentence for step in self.model.history],
        }  # fmt: skip


def prefer_answers(
    model: Model | Path | str,
    cohort: Given,
    *,
    scorer: str | Scorer | None = None,
    entities: Sequence[str] = (),
    loss: str = R_DPO,
    beta: float = 0.1,
    alpha: float | None = None,
    smoothing: float = 0.0,
    candidates: int = 4,
    tokens: int | None = None,
    temperature: float = 1.0,
    gap: float = 1e-8,
    epochs: int = 1,
    batch: int = 8,
    learning_rate: float = 1e-4,
    held_out: float = 0.2,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
    trusted: Sequence[artifact.Given] | None = None,
) -> PreferredModel:
    """Draw texts of each patient, pair the best with the worst by a scorer, and train connectors and adapters on it.

    The model writes texts of what it is connected to, as `llava-med` does of a target of texts. Its language model is
    left as it is where the recipe left it so. The newer model is a model like any other.

    Args:
        model: a model folder, or a fitted model.
        cohort: patients with texts, those of the fit or others; or the path of their manifest.
        scorer: a scorer of text targets, or a callable of a text and its reference; None: that of the cohort's target.
        entities: names that `entity_f1` looks for, unless the target has them.
        loss: `dpo`, `r-dpo`, `ipo` or `orpo`; beta, alpha (what a token costs) and smoothing are its numbers.
        candidates, temperature: how texts are drawn; tokens: the most of one, as many as the model writes unless given.
        gap: best and worst make a pair where their scores lie further apart.
        epochs, batch, learning_rate: of the training.
        held_out: share of the patients who say before and after what was learned.
        progress: called with (modality, finished, all) sources.
        trusted: public keys, one of which has to have signed the model's folder, as for `load_model`.

    Raises:
        Unsupported: the model writes no texts of its own, or the cohort has no such target.
        ValueError: an option that makes no sense, or nothing to learn from.
    """
    fitted, parent = fitted_model(model, trusted), parent_of(model)
    predictor = fitted.predictor.predictor if isinstance(fitted.predictor, ConnectedOrPrior) else fitted.predictor
    if not isinstance(predictor, ConnectedPredictor) or not predictor.longest:
        raise Unsupported(
            "the model writes no texts of its own, among which a scorer could choose: fit a target of kind text with "
            "llava-med or another recipe that connects a language model"
        )
    own = Preference(loss, beta, alpha, smoothing)
    sampling = Sampling(candidates, predictor.longest if tokens is None else tokens, temperature)
    opened = as_at_the_fit(fitted, as_cohort(cohort))
    require_shared_modality(fitted, opened)
    assert opened.outcome is not None and opened.outcome.texts is not None  # the model's own kind
    texts = opened.outcome.texts
    score = scorer_of(texts.scorer if scorer is None else scorer, entities or texts.entities)
    ready = prepare_new(opened, fitted, progress=progress)
    warn_of_findings(ready.checked)
    used, left_out = scored_patients(ready.cohort)
    assert used.outcome is not None and used.outcome.texts is not None  # of who is scored
    found = _prefer_answers(
        predictor, used.with_target(None, None), used.outcome.texts.references.tolist(), score, own, sampling=sampling,
        schedule=Schedule(epochs, batch, learning_rate), gap=gap, held_out=held_out, seed=seed,
    )  # fmt: skip
    newer: Any = found.predictor
    if isinstance(fitted.predictor, ConnectedOrPrior):
        newer = replace(fitted.predictor, predictor=newer)
    learned = {"patients": len(found.pairs)}
    step = Step(PREFER, parent, f"Taught what a scorer prefers ({loss}).", learned, used.name, fitted.response)
    return PreferredModel(replace(fitted, predictor=newer, history=(*fitted.history, step)), found, left_out)


def _told(own: Written | None) -> dict[str, Any] | None:
    return None if own is None else dict(vars(own))
