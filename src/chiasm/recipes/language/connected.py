"""Base of recipes that connect the modalities of a cohort to a causal language model, which then answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch

from chiasm.cohort import Cohort, Target, Unsupported, holdout
from chiasm.compute.isolation import seeded
from chiasm.encoders import fit_encoders, pack
from chiasm.fitting.base import Training, choice
from chiasm.fitting.language import languages
from chiasm.fitting.neural import HELD_TO_ONE, VALIDATION, build, parameter_count, state_of
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fusion.connector import CONNECTORS
from chiasm.heads.head import Head
from chiasm.heads.response import Response
from chiasm.language.asked import Asked, first_texts, packed_prompts, right_answers
from chiasm.language.connected import TUNES, Connected, ConnectedDesign
from chiasm.language.curriculum import LANGUAGE, Stage, named, run_stages
from chiasm.language.facts import Facts
from chiasm.language.language_model import LanguageFile, LanguageModel, language_file
from chiasm.language.predictor import ConnectedPredictor, presence
from chiasm.language.taught import lessons
from chiasm.language.tiny import TinyLanguage, TinyWords
from chiasm.protocols import Encoder, Predictor
from chiasm.targets import Outcome
from chiasm.targets.options import MOST_OPTIONS
from chiasm.tokens import Packed
from chiasm.training import Examples, Network, TargetTensors, TrainOptions, predict_link

TINY = "tiny"
IMAGES = ("own", "shuffled")
CONTROLS = ("shuffled", "none")


@dataclass(frozen=True)
class Questions:
    """Training patients as questions, with what a stage may need of them.

    Args:
        cohort: the B training patients.
        asked: how they are asked.
        tokens: of the modalities that have a slot.
        present: `(B, M)` bool.
        answers: of each patient; of a text its first reference alone.
        right: `(B,)` number of the right one.
        held_out: `(B,)` bool.
        seed: of the fit.
    """

    cohort: Cohort
    asked: Asked
    encoders: dict[str, Encoder]
    tokens: dict[str, Packed]
    present: np.ndarray
    answers: list[tuple[str, ...]]
    right: np.ndarray
    held_out: np.ndarray
    seed: int

    @property
    def learned(self) -> np.ndarray:
        """Rows of the patients who are not held out."""
        return np.flatnonzero(~self.held_out)

    @property
    def tasks(self) -> list[str]:
        """Return the task of each patient, which is the question that he is asked."""
        return self.asked.texts(self.cohort)[0]

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Width and number of places of the tokens of each modality that has a slot."""
        return {name: (own.width, own.slots) for name, own in self.encoders.items()}

    def examples(self, language: LanguageModel, soft: int, rows: np.ndarray | None = None) -> Examples:
        """Return the patients `rows`, all unless given, as examples; a patient may stand there several times."""
        every = np.arange(len(self.cohort)) if rows is None else rows
        words = self.asked.packed(self.cohort, language.words, language.reach, soft, self.answers)
        return self.on({name: own.subset(every) for name, own in words.items()}, every, self.right[every])

    def about(self, facts: Facts, language: LanguageModel, soft: int) -> Examples:
        """Return questions about columns of tables as examples, each with the modalities of its patient."""
        words, whole = language.words, replace(self.asked, most=0)
        prompts = [whole.prompt(question, (), words) for question in facts.questions]
        packed = packed_prompts(prompts, facts.answers, words, language.reach, soft)
        return self.on(packed, facts.rows, facts.right)

    def on(self, words: Mapping[str, Packed], rows: np.ndarray, right: np.ndarray) -> Examples:
        """Return prompts and answers with the modalities of the patients `rows`."""
        tokens = {name: own.subset(rows) for name, own in self.tokens.items()}
        target = TargetTensors(torch.from_numpy(right.astype(np.float32)), torch.zeros(len(rows), dtype=torch.bool))
        return Examples({**tokens, **words}, self.present[rows], target, self.held_out[rows])


@dataclass(frozen=True)
class ConnectedRecipe(OneOrAll):
    """A causal language model that reads the modalities as soft tokens among the words of a prompt, and answers.

    Texts are read as words, everything else by a connector. The answer is the option, the label or the text that is
    right; options and labels are scored by their likelihood one by one, so that their order decides nothing.

    Args:
        modality: the one modality to read; empty: all.
        model: a folder that transformers saved, or a .gguf file; "tiny": a small one made of training patients' words,
            which knows nothing else.
        question: the modality that is the question; empty: the one that is text and is called so, or the only one.
        connected: texts that are read by the connector and not as words, joined by `+`, as long abstracts; empty: none.
        connector, soft: "linear", "mlp" or "resampler", and the most soft tokens of a modality.
        tune: how the language model is changed in stages that change it: "lora", "whole", or "none".
        rank: of the low-rank updates.
        images: "own"; "shuffled" gives each training patient another's, the control that no image can help.
        control: "shuffled" adds that control to a trial and judges the pair, "none" does not.
        most: tokens that are kept of each text, the question too, from its begin; 0: all.
        longest: most tokens of an answer that is a text.
        epochs, patience, batch, learning_rate: of each stage; one of several that tunes the language model has
            `tuned_rate`, and a single stage that trains connector and language model together `learning_rate`.
        lessons: epochs in which a tiny model learns to read.
    """

    least_modalities: ClassVar[int] = 1

    model: str = TINY
    question: str = ""
    connected: str = ""
    connector: str = "mlp"
    soft: int = 8
    tune: str = "lora"
    rank: int = 8
    images: str = "own"
    control: str = "shuffled"
    most: int = 0
    longest: int = 48
    epochs: int = 30
    patience: int = 6
    batch: int = 32
    learning_rate: float = 2e-3
    tuned_rate: float = 5e-4
    lessons: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("connector", self.connector, CONNECTORS)
        choice("tune", self.tune, TUNES)
        choice("images", self.images, IMAGES)
        choice("control", self.control, CONTROLS)
        for name, value in (("soft", self.soft), ("rank", self.rank), ("longest", self.longest)):
            if not 1 <= value <= 1024:
                raise ValueError(f"{name}={value} lies outside 1 to 1,024")
        if self.most < 0 or self.lessons < 0:
            raise ValueError("most and lessons are 0 or more")
        _ = self.options(self.learning_rate), self.options(self.tuned_rate)

    # What a recipe says

    @abstractmethod
    def stages(self, asked: Questions, language: LanguageModel, soft: int) -> list[Stage]:
        """Return the stages of the training."""

    @property
    def tower(self) -> bool:
        """True if a layer between tokens and connector stands for the encoder's last ones."""
        return False

    # What is common

    @property
    def borrows(self) -> bool:
        """False: no source is read."""
        return False

    @property
    def against(self) -> str:
        """The same recipe trained with other patients' images, with which a trial compares it; empty: none."""
        return "" if self.modality or self.images != "own" or self.control == "none" else self.compared_with.name

    @property
    def compared_with(self) -> Self:
        """The control that `against` names."""
        return replace(self, images="shuffled")

    def options(self, rate: float, share: float = 1.0) -> TrainOptions:
        """Return the options of a stage that trains at this rate, for a share of the epochs."""
        return TrainOptions(max(1, round(self.epochs * share)), self.patience, self.batch, rate, 0.0)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` unless the target is a choice, a class or a text, and something is connected."""
        if not self.modality and cohort.modalities and not self.slots(cohort):
            raise Unsupported(
                "connects modalities to a language model, and all of this cohort are read as words: add one that is no "
                "text, name a text by connected=..., or ask the model by `chiasm bench`"
            )
        unknown = set(filter(None, self.connected.split("+"))) - set(cohort.modalities)
        if unknown and not self.modality:
            raise Unsupported(f"the cohort has no modality '{sorted(unknown)[0]}', which `connected` names")
        super().supports(cohort)
        self.supports_target(cohort.target)
        assert cohort.target is not None  # as was required
        self.asked(cohort, cohort.target)

    def supports_target(self, target: Target | None) -> None:
        """Raise `Unsupported` unless the target is a choice, a class or a text."""
        super().supports_target(target)
        if target is None or not (target.has_options or target.has_texts or target.has_classes):
            raise Unsupported("answers in words: take a target of kind choice, classification or text")

    def slots(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that are read as soft tokens: all that are no text, and texts that are connected."""
        words = self.words(cohort)
        return tuple(name for name in self.modalities(cohort) if name not in words)

    def words(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that are read as words."""
        connected = set(filter(None, self.connected.split("+")))
        return tuple(name for name in languages(cohort) if name not in connected)

    def asked(self, cohort: Cohort, target: Target) -> Asked:
        """Return how patients of such a cohort are asked.

        Raises:
            Unsupported: the modality of the question is not there, or several might be.
        """
        words = [name for name in self.modalities(cohort) if name in self.words(cohort)]
        if self.question and self.question not in cohort.modalities and not self.modality:
            raise Unsupported(f"the cohort has no modality '{self.question}': name the one that is the question")
        if self.question and self.question not in words and not self.modality:
            raise Unsupported(f"'{self.question}' is not read as words: name a text as the question by question=...")
        named = [name for name in words if name == (self.question or "question")] or (words if len(words) == 1 else [])
        if len(words) > 1 and not named:
            raise Unsupported(f"which of {', '.join(words)} is the question? name it by question=...")
        question = named[0] if named else ""
        column = target.columns[0] if target.has_classes and target.columns else ""
        default = f"what is {column.replace('_', ' ')}?" if column else "what is the answer?"
        labels = tuple(target.names) if target.has_classes else ()
        context = tuple(name for name in words if name != question)
        return Asked(self.slots(cohort), context, question, default, labels, most=self.most)

    def encoders(self, cohort: Cohort) -> dict[str, Encoder]:
        """Fit the encoders of the modalities that have a slot on training patients."""
        return fit_encoders(cohort)

    def questions(self, training: Training) -> Questions:
        """Return the training patients as questions."""
        cohort, target = training.cohort, training.target
        asked = self.asked(cohort, target)
        read = cohort.with_modalities(list(asked.slots))
        encoders = self.encoders(read) if asked.slots else {}
        tokens: dict[str, Packed] = dict(pack(read, encoders))
        held_out = holdout(cohort, VALIDATION, seed=training.seed)
        if self.images == "shuffled":
            rng = np.random.default_rng(seeded(training.seed, "images"))
            tokens = {name: own.subset(exchanged(own.lengths > 0, rng)) for name, own in tokens.items()}
        answers = first_texts(training.outcome) if target.has_texts else asked.options(cohort)
        return Questions(
            cohort, asked, encoders, tokens, presence(tokens, list(asked.slots), len(cohort)), answers,
            right_answers(target, training.outcome), held_out, training.seed,
        )  # fmt: skip

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the connector and what else the stages name."""
        asked, target = self.questions(training), training.target
        most = len(target.names) if target.has_classes else max(map(len, asked.answers))
        design = ConnectedDesign(
            self.language(asked), most, self.connector, self.soft, self.tower, self.tune, self.rank
        )
        fusion = build(lambda: design.fusion(asked.shapes), seeded(training.seed, "fusion"))
        soft = design.soft_tokens(asked.shapes)
        notes: dict[str, float] = {}
        if isinstance(design.language, TinyLanguage):
            self.teach(training, asked, design, fusion, soft)
        network = Network(fusion, Head(0, most, target.kind))
        stages = [own for own in self.stages(asked, fusion.language, soft) if trains_something(own, fusion)]
        done = run_stages(
            network, stages, seed=training.seed, device=training.device,
            checkpoint=lambda stage: training.file(f"{self.id}-{stage}"),
        )  # fmt: skip
        for own in done:
            notes[f"tensors changed in stage {own.name}"] = float(len(own.changed))
            notes[f"steps of stage {own.name}"] = float(own.history.steps)
        slope, response = self.response(training, asked, network, soft)
        longest = self.longest if target.has_texts else 0
        taught = fusion.frozen_parameters if design.tiny and self.lessons else 0
        predictor = ConnectedPredictor(
            asked.asked, asked.encoders, asked.shapes, design, target.kind, state_of(network),
            parameter_count(network) + taught, slope, longest, notes,
        )  # fmt: skip
        return predictor, response

    def language(self, asked: Questions) -> LanguageFile | TinyLanguage:
        """Return which language model is connected."""
        if self.model != TINY:
            return language_file(self.model)
        questions, context = asked.asked.texts(asked.cohort)
        told = [*asked.asked.exemplars.values(), *questions, *(own for several in context for own in several)]
        told += [text for own in asked.answers for text in own] + ["Question: Answer:"] * 8
        words = TinyWords.fit(told)
        longest = max(len(own) for own in asked.asked.prompts(asked.cohort, words))
        said = max((len(words.ids(text)) for own in asked.answers for text in own), default=1)
        soft = max(2 * self.soft * max(1, len(asked.asked.slots)), said)  # a lesson tells an answer in their place
        room = longest + soft + max(said, self.longest) + 8
        return TinyLanguage(words, reach=min(8192, 64 * -(-room // 64)))

    def teach(
        self, training: Training, asked: Questions, design: ConnectedDesign, fusion: Connected, soft: int
    ) -> None:
        """Teach a tiny language model to read, before anything is connected to it."""
        if not self.lessons:
            return
        alone = replace(design, tune="whole")
        pupil = build(lambda: alone.fusion({}), seeded(training.seed, "pupil"))
        words = pupil.language.words
        prompts = asked.asked.prompts(asked.cohort, words)
        lessons_ = lessons(
            prompts, asked.answers, asked.right, asked.held_out, words, number=max(512, len(prompts)), most=soft,
            seed=seeded(training.seed, "lessons"),
        )  # fmt: skip
        stage = Stage("words", (LANGUAGE,), lessons_, TrainOptions(self.lessons, self.lessons, self.batch, 3e-3, 0.0))
        run_stages(
            Network(pupil, Head(0, design.outputs, training.target.kind)), [stage], seed=training.seed,
            device=training.device, checkpoint=lambda name: training.file(f"{self.id}-{name}"),
        )  # fmt: skip
        fusion.language.load_state_dict(pupil.language.state_dict())

    def response(self, training: Training, asked: Questions, network: Network, soft: int) -> tuple[float, Response]:
        """Return the slope of the logits from held-out patients, and the response, which holds that of classes."""
        target, nothing = training.target, np.zeros(0)
        if target.has_texts:
            return 1.0, Response(target.kind, ("1",), (), 1.0, 0.0, nothing, nothing)
        rows = np.flatnonzero(asked.held_out) if asked.held_out.any() else np.arange(len(asked.cohort))
        fusion = network.fusion
        assert isinstance(fusion, Connected)
        own = asked.examples(fusion.language, soft, rows)
        link = predict_link(network, own.tokens, own.present)
        outcome, calibrate = training.outcome.take(rows), bool(asked.held_out.any())
        if target.has_classes:
            return 1.0, Response.fit(target, link, outcome, calibrate=calibrate, held_to_one=HELD_TO_ONE)
        learned = target.along(link.shape[1])  # an option is its own place
        found = Response.fit(
            learned, link, by_places(outcome, link.shape[1]), calibrate=calibrate, held_to_one=HELD_TO_ONE
        )
        places = tuple(str(place + 1) for place in range(MOST_OPTIONS))
        return found.slope, Response(target.kind, places, (), 1.0, 0.0, nothing, nothing)

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """Return the model unchanged: of one modality too it is asked, and answers from the words that are left."""
        return predictor, response

    def in_terms(self, predictor: Predictor, response: Response, whole: Training) -> tuple[Predictor, Response]:
        """Return the model unchanged: it scores options and writes texts itself, and no point of a space."""
        return predictor, response


def exchanged(has: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return of whom each patient gets a modality, `(B,)`: of another who has it; who lacks it keeps lacking it."""
    found, rows = np.arange(len(has)), np.flatnonzero(has)
    order = rng.permutation(rows)
    found[order] = np.roll(order, 1)
    return found


def by_places(outcome: Outcome, most: int) -> Outcome:
    """Return the outcome of a choice whose options have their own place as their feature, `(B, K, K)`."""
    assert outcome.options is not None  # a choice
    options = outcome.options
    values = np.eye(options.most, most)[None] * options.inside[..., None]
    return replace(outcome, options=replace(options, values=values))


def trains_something(stage: Stage, fusion: Connected) -> bool:
    """True unless a stage names nothing that can be trained, as adapters where there are none."""
    return any(own.requires_grad and named(name, stage.trains) for name, own in fusion.named_parameters())
