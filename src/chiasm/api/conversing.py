"""Public functions to talk with a synthetic patient, in writing or aloud, and to score the conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.language.conversation import persona as persona_
from chiasm.language.conversation.persona import Persona, read_persona
from chiasm.language.conversation.rubric import Score, score
from chiasm.language.conversation.speech import Listener, Voice, WordErrors, total, word_errors
from chiasm.language.conversation.talk import Conversation, Speaker
from chiasm.language.speaking.speaker import Manner, NotSaid

MANNER = Manner(tokens=96)
"""How a language model speaks for a patient: the likeliest words, up to the end of a line."""
EXAMPLE = Path(persona_.__file__).with_name("chest_pressure.toml")
"""The persona that comes with chiasm."""


def synthetic_patient(
    persona: Path | str | Persona | None = None, *, speaker: Speaker | str | None = None
) -> Conversation:
    """Begin a conversation with a synthetic patient: `hear` says something to it and returns the turn.

    The persona's states and facts decide what is told; see docs/language.md. A synthetic patient is a made-up one to
    practise a conversation with, and says nothing about real ones.

    Args:
        persona: a TOML file, or what was read from one; None: the persona that comes with chiasm.
        speaker: a callable that says it in its own words, given a prompt; what leaves out a fact that was asked for,
            or tells one too early, is replaced by the persona's own words and counted. Or who speaks, as for
            `chiasm.prompted`: `lm:FOLDER`, `lm:FILE.gguf`, `chat:http://127.0.0.1:8000/v1`. None: these words alone.

    Raises:
        PersonaError: the file is no persona.
        ValueError, Unsupported: nobody of this kind can speak, or the model cannot be opened.
    """
    own = persona if isinstance(persona, Persona) else read_persona(EXAMPLE if persona is None else persona)
    return Conversation(own, patient_speaker(speaker) if isinstance(speaker, str) else speaker)


def patient_speaker(named: str) -> Speaker:
    """Open a language model that speaks for a patient, a line at a time; one that fails says nothing.

    Raises:
        ValueError, Unsupported: nobody of this kind can speak, or the model cannot be opened.
    """
    from chiasm.bench.candidates.prompted import open_speaker

    own, _ = open_speaker(named)

    def speak(prompt: str) -> str:
        try:
            return own.say(prompt, MANNER).text
        except NotSaid:
            return ""

    return speak


def conversation_score(conversation: Conversation) -> Score:
    """Score a conversation by the rubric of its persona: `points` `of` all, and the turn that met each criterion."""
    return score(conversation)


@dataclass(frozen=True)
class Spoken:
    """A conversation that was held aloud.

    Args:
        conversation: what was understood and answered.
        score: by the rubric of the persona.
        errors: words that went wrong between what was said and what was heard, turn by turn; empty where what was
            said is not known.
        answers: what the patient answered, as recordings; empty without a voice.
    """

    conversation: Conversation
    score: Score
    errors: tuple[WordErrors, ...]
    answers: tuple[bytes, ...]

    @property
    def word_errors(self) -> WordErrors:
        """The errors of all turns together."""
        return total(self.errors)

    def as_json(self) -> dict[str, Any]:
        """The conversation, its score and the word errors as JSON can hold it."""
        found = {**self.conversation.as_json(), "score": self.score.as_json()}
        if self.errors:
            own = self.word_errors
            found["word_errors"] = {**vars(own), "rate": own.rate}
        return found


def talk_aloud(
    conversation: Conversation,
    recordings: Sequence[bytes | Path],
    listener: Listener,
    *,
    said: Sequence[str] = (),
    voice: Voice | None = None,
) -> Spoken:
    """Hold a conversation with recordings: each is heard, said to the patient, and answered.

    Args:
        conversation: with a synthetic patient.
        recordings: WAV files of 16 bits, or their content, one a turn.
        listener: turns a recording into words, as `whisper_listener` of a folder does.
        said: what was truly said in each, from which word errors are counted.
        voice: turns the answers into recordings, as `piper_voice` of a file does.

    Raises:
        ValueError: a recording cannot be read or holds no word, or there are not as many texts as recordings.
    """
    if said and len(said) != len(recordings):
        raise ValueError(f"{len(said)} texts for {len(recordings)} recordings: give one for each")
    errors, answers = [], []
    for number, recording in enumerate(recordings):
        heard = listener(recording.read_bytes() if isinstance(recording, Path) else recording)
        if not heard.strip():
            raise ValueError(f"no word was heard in recording {number + 1}")
        turn = conversation.hear(heard)
        if said:
            errors.append(word_errors(said[number], heard))
        if voice is not None:
            answers.append(voice(turn.says))
    return Spoken(conversation, score(conversation), tuple(errors), tuple(answers))
