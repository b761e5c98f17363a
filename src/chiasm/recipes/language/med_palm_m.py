"""`med-palm-m`: Med-PaLM M (NEJM AI 2024, arXiv 2307.14334), a mixture of tasks, each with one exemplar in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from chiasm.compute.isolation import seeded
from chiasm.fitting.base import Training
from chiasm.fitting.row import Row
from chiasm.language.asked import TEXT_SLOT, asked_in_words
from chiasm.language.curriculum import ADAPTER, CONNECTOR, LANGUAGE, Stage
from chiasm.language.language_model import LanguageModel
from chiasm.language.mixture import drawn
from chiasm.recipes.language import ROWS
from chiasm.recipes.language.connected import ConnectedRecipe, Questions

MOST_TASKS = 32


@dataclass(frozen=True)
class MedPalmM(ConnectedRecipe):
    """One stage, in which connector and language model learn a mixture of tasks; a task is a question that many have.

    Before each prompt stands one exemplar of its task: the question of a training patient with the right answer, in
    words alone, `<image>` standing for the modalities. Where more than 32 different questions are asked they are one
    task, without exemplar.

    Args:
        temperature: of the mixture; 1 draws each patient as often, above it small tasks come more often.
        exemplar: "one", or "none".
    """

    temperature: float = 2.0
    exemplar: str = "one"

    row: ClassVar[Row] = ROWS["med-palm-m"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature < 1:
            raise ValueError(f"temperature={self.temperature} must be 1 or more")
        if self.exemplar not in ("one", "none"):
            raise ValueError(f"exemplar={self.exemplar!r} is not known: choose one of one, none")

    def questions(self, training: Training) -> Questions:
        """Return the training patients as questions, each task's with its exemplar."""
        own = super().questions(training)
        if self.exemplar == "none":
            return own
        rng, tasks = np.random.default_rng(seeded(training.seed, "exemplars")), own.tasks
        if len(set(tasks)) > MOST_TASKS:
            return own
        found = {}
        for task in sorted(set(tasks)):
            rows = [row for row in own.learned.tolist() if tasks[row] == task]
            if rows:
                row = int(rng.choice(rows))
                right = own.answers[row][int(own.right[row])]
                found[task] = f"{TEXT_SLOT}\n{asked_in_words(task)} {right}"
        return replace(own, asked=replace(own.asked, exemplars=found))

    def stages(self, asked: Questions, language: LanguageModel, soft: int) -> list[Stage]:
        """Train on as many questions as there are, drawn by the mixture; those held out stay as they are."""
        tasks = asked.tasks
        tasks = tasks if len(set(tasks)) <= MOST_TASKS else [""] * len(tasks)
        seed = seeded(asked.seed, "mixture")
        rows = asked.learned
        chosen = rows[drawn([tasks[row] for row in rows.tolist()], len(rows), seed=seed, temperature=self.temperature)]
        every = np.concatenate([chosen, np.flatnonzero(asked.held_out)])
        examples = asked.examples(language, soft, every)
        return [Stage("mixture", (CONNECTOR, ADAPTER, LANGUAGE), examples, self.options(self.learning_rate))]
