"""What a model that reads no question can be asked: its prediction of a patient and what it rests on, and itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chiasm.errors import count
from chiasm.fitting.model import FittedModel
from chiasm.language.asking.answer import Answer, Place, not_answered
from chiasm.language.asking.hearing import Heard, Vocabulary, vocabulary
from chiasm.language.asking.topic import Topic, topics_of
from chiasm.models.asked.patient import Patient
from chiasm.models.same_target import FittedFor
from chiasm.protocols import Model, modalities_of
from chiasm.shown import LEAST

DOCUMENT = "model.json"
NEEDS_PATIENT = "This is about one patient: name a cohort and --patient."
CONCEPTS = {
    "target": "predict, predicts, predicted, prediction, target, outcome, risk, probability, chance, answer, odds, "
    "prognosis, expect, expected",
    "likely": "likely, how likely, how high, high, low",
    "patient": "patient, person, case, he, she, him, her, they",
    "sure": "sure, how sure, certain, how certain, interval, uncertainty, confident, how confident, reliable",
    "why": "why, because, reason, rest on, rests on, explain, contribute, contributes, contribution, bring, brings, "
    "drives, drive, matter, matters, influence",
    "help": "help, helps, helped",
    "most": "most, best, strongest",
    "modality": "modality, modalities, data source, source, input",
    "have": "have, has, available, there",
    "lack": "missing, lack, lacks, absent",
    "reads": "read, reads, need, needs, take, takes",
    "many": "how many, number, number of",
    "learned": "learn, learned, trained on, train on, training, fitted on, trained",
    "recipe": "recipe, method, algorithm, kind of model, model",
    "parameter": "parameter",
    "pattern": "pattern",
}


@dataclass
class Asked:
    """A model, and the patient where one was named; `places` are of what was said of the model itself."""

    model: Model
    patient: Patient | None = None
    places: list[Place] = field(default_factory=list)


def _of_patient(name: str) -> Callable[[Asked, Heard], str]:
    def tell(asked: Asked, heard: Heard) -> str:
        if asked.patient is None:
            return ""
        told = str(getattr(asked.patient, name)())
        return " ".join([told, *asked.patient.notes])

    return tell


def _facts(asked: Asked) -> FittedFor | None:
    return asked.model if isinstance(asked.model, FittedFor) else None


def reads(asked: Asked, heard: Heard) -> str | None:
    """Which modalities the model reads."""
    if not isinstance(asked.model, FittedModel):
        return None
    asked.places.append(Place(DOCUMENT, "model.modalities", dict(asked.model.modalities)))
    told = ", ".join(f"'{name}' ({kind})" for name, kind in asked.model.kinds.items())
    return f"The model reads {told}."


def learned(asked: Asked, heard: Heard) -> str | None:
    """How many patients the model learned from."""
    own = _facts(asked)
    if own is None or not own.learned_from:
        return None
    asked.places.append(Place(DOCUMENT, "model.learned_from", dict(own.learned_from)))
    few = f"fewer than {LEAST}"
    told = ", ".join(f"{few if 0 < n < LEAST else f'{n:,}'} {noun}" for noun, n in own.learned_from.items())
    return f"The model learned from {told}."


def target(asked: Asked, heard: Heard) -> str | None:
    """What the model predicts."""
    own = _facts(asked)
    if own is None:
        return None
    asked.places.append(Place(DOCUMENT, "model.target", dict(own.target)))
    classes = own.response.classes
    return f"The model predicts {own.response.kind}" + (f" of {', '.join(classes[:20])}." if classes else ".")


def recipe(asked: Asked, heard: Heard) -> str | None:
    """Which recipe the model is of."""
    own = _facts(asked)
    if own is None:
        return None
    asked.places.append(Place(DOCUMENT, "model.recipe", own.recipe))
    return f"The model was fitted by '{own.recipe}'."


def parameters(asked: Asked, heard: Heard) -> str:
    """How many parameters were trained."""
    number = asked.model.trained_parameters
    asked.places.append(Place(DOCUMENT, "facts.trained_parameters", number))
    return f"The model has {count(number, 'trained parameter')}."


TOPICS = (
    Topic("prediction", "What does the model predict for this patient?", ("target", "patient"), "likely OUTPUT recipe",
          _of_patient("prediction")),
    Topic("prediction", "How likely is it?", ("target|likely|OUTPUT",), "likely patient", _of_patient("prediction")),
    Topic("sureness", "How sure is the prediction?", ("sure",), "target patient OUTPUT recipe",
          _of_patient("sureness")),
    Topic("contributions", "Which modality contributes most?", ("why",),
          "modality MODALITY most target patient OUTPUT likely recipe have many", _of_patient("contributions")),
    Topic("contributions", "Which modality helps most?", ("help", "modality|MODALITY"), "most target recipe",
          _of_patient("contributions")),
    Topic("pattern", "Which modalities does this patient have?", ("modality", "have|lack", "patient"), "",
          _of_patient("pattern")),
    Topic("reads", "What does the model read?", ("modality|reads",), "reads recipe have", reads),
    Topic("learned", "How many patients did the model learn from?", ("learned",), "many patient recipe", learned),
    Topic("target", "What is the target of the model?", ("target", "recipe"), "", target),
    Topic("recipe", "Which recipe is it?", ("recipe",), "", recipe),
    Topic("parameters", "How many parameters does it have?", ("parameter",), "many recipe have learned", parameters),
)  # fmt: skip


def words_of_model(model: Model) -> Vocabulary:
    """The vocabulary in which a model can be asked: the concepts, and the names of its modalities and outputs."""
    outputs = model.response.classes if isinstance(model, FittedFor) else ()
    names = {"MODALITY": sorted(modalities_of(model)), "OUTPUT": list(outputs)}
    return vocabulary(CONCEPTS, {kind: own for kind, own in names.items() if own})


def answer_of_model(asked: Asked, question: str) -> Answer:
    """Answer a question from what a model predicts of a patient and says of itself, or say that it is not answered."""
    for topic, heard in topics_of(question, words_of_model(asked.model), TOPICS):
        told = topic.tell(asked, heard)
        if told == "":
            return Answer(False, NEEDS_PATIENT, topic=topic.name)
        if told is not None:
            places = [*asked.places, *(asked.patient.places if asked.patient is not None else ())]
            return Answer(True, told, tuple(places), topic=topic.name)
    return not_answered("the model", [topic.example for topic in TOPICS])
