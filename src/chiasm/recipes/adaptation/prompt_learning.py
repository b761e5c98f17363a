"""`prompt-learning`: clinical prompt learning (arXiv 2205.05535), a frozen language model with words as classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from chiasm.adapters import Prompt
from chiasm.adapters.language_trunk import Template, verbalizer_of
from chiasm.cohort import Cohort, Target, Unsupported, class_names
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.encoders.registry import columns_among
from chiasm.encoders.text.hub import speaks
from chiasm.encoders.text.huggingface import HuggingFace
from chiasm.encoders.text.transformer_trunks import KEPT
from chiasm.fitting.base import Training, choice
from chiasm.fitting.neural import new_network, prepare
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe
from chiasm.recipes.adaptation.prompt_design import PromptDesign
from chiasm.recipes.adaptation.trunks import with_others
from chiasm.tokens import Tokens

SHORTEST = 8  # smallest window, in word pieces, that a text encoder accepts


@dataclass(frozen=True)
class PromptLearning(AdaptedRecipe):
    """Prompt learning: classes are scored by the model's words at a template's `{mask}`, or by a map of its state.

    Args:
        prompts: number of learned vectors before the text; 0: the template alone.
        template: text pattern with `{text}` and `{mask}` once each.
        words: words of the classes, `no=healthy/well;yes=ill`; "": the class names.
        verbalizer: "manual" (by words) or "soft" (learned).
        latent_width: width of the pooled other modalities.
    """

    learning_rate: float = 1e-2
    prompts: int = 8
    template: str = "{text} the outcome is {mask} ."
    words: str = ""
    verbalizer: str = "manual"

    row: ClassVar[Row] = ROWS["prompt-learning"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("verbalizer", self.verbalizer, ("manual", "soft"))
        if self.prompts < 0 or self.template.count("{text}") != 1 or self.template.count("{mask}") != 1:
            raise ValueError("prompts is 0 or more, and a template holds {text} and {mask} once each")

    def adapted(self, cohort: Cohort) -> dict[str, InputsAsTheyAre]:
        """Return the texts whose model folder includes the language-modelling head."""
        found = {}
        for name, own in super().adapted(cohort).items():
            encoder = own.encoder() if own.kind == "text" else None
            if isinstance(encoder, HuggingFace) and speaks(encoder.folder):
                found[name] = own
        return found

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` without classes or a language model, or if words or windows do not fit the model."""
        if cohort.target is not None and not cohort.target.has_classes:
            raise Unsupported("words stand for classes: take a classification target")
        super().supports(cohort)
        texts = self.adapted(cohort.with_modalities(self.modalities(cohort)))
        if not texts or cohort.target is None:
            raise Unsupported(
                "no text is encoded by a language model with its head: hf:folder, the folder saved from transformers' "
                "...ForMaskedLM or ...ForCausalLM, and encoded with inputs=True"
            )
        self.worded(cohort.target, texts)

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Prepend learned vectors to the input of the whole model."""
        return self._prompts("masked")

    def tried(self, trunk: Trunk, made: Adaptation, inputs: Tokens) -> None:
        """Skip the trial run, because the trunk is not the network that runs; `worded` checks the fit instead."""

    def worded(self, target: Target, texts: dict[str, InputsAsTheyAre]) -> PromptDesign:
        """Tokenise templates and words for the model of each text.

        Raises:
            Unsupported: `words` names an unknown class, a model does not know a word, or windows leave no room for the
                template.
        """
        names = class_names(target)
        words: dict[str, list[str]] = {name: [name] for name in names}
        for part in filter(None, self.words.split(";")):
            name, _, given = part.partition("=")
            if name not in words or not given:
                raise Unsupported("words= names classes of the target, each with its words: no=healthy/well;yes=ill")
            words[name] = given.split("/")
        templates, verbalizers, adaptations = {}, {}, {}
        for name, own in texts.items():
            encoder = own.encoder()
            kind = speaks(encoder.folder)
            templates[name] = Template.of(self.template, encoder.read, kind == "causal")
            adaptations[name] = self._prompts(kind)
            if self.verbalizer == "manual":
                verbalizers[name] = verbalizer_of(words, encoder.read)
            most = encoder.positions - self.prompts - len(templates[name]) + sum(templates[name].special)
            if own.width - KEPT > most:
                way = f"encode '{name}' with hf:...,length={most}" if most >= SHORTEST else "take fewer prompts"
                raise Unsupported(
                    f"windows of {own.width - KEPT} pieces leave no room for the template and {self.prompts} prompts "
                    f"before the model's {encoder.positions}: {way}"
                )
        return PromptDesign(texts, templates, verbalizers, len(names), adaptations, self.latent_width)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the network if it has trainable parameters, and calibrate; a template alone is only calibrated."""
        cohort = training.cohort
        texts = self.adapted(cohort)
        data = prepare(training, with_others(cohort, texts))
        design = replace(self.worded(training.target, texts), columns=columns_among(data.encoders))
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def _prompts(self, kind: str) -> Adaptation:
        if not self.prompts:
            return Adaptation()
        return Adaptation(Prompt(self.prompts, "causal" if kind == "causal" else "features"), ("",))
