"""`mammal` on prompts that the user wrote: several tasks in one table, what is refused, and a stored model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.recipes.fusion.mammal_prompts import RawPromptDesign

SMALL = "mammal:modality=prompt,latent_width=8,depth=1,heads=2,epochs=1,dropout=0.0,modality_dropout=0.0"
TRAINED = (
    "mammal:modality=prompt,latent_width=16,depth=1,heads=2,epochs=80,patience=80,batch=32,learning_rate=0.01,"
    "dropout=0.0,modality_dropout=0.0"
)


def made(n: int, seed: int = 0, swapped: bool = False) -> pd.DataFrame:
    """Toxic or not by two letters, and a solubility of 100 + 20 s - 30 toxic, s a number in the prompt."""
    rng, rows = np.random.default_rng(seed), []
    for row in range(n):
        letters, toxic, number = "".join(rng.choice(list("ACDEFGHIKL"), 8)), bool(rng.random() < 0.5), rng.normal()
        letters = letters[:3] + "WW" + letters[5:] if toxic else letters
        asked = row % 2 == 0
        task = "<TOXIC>" if asked != swapped else "<SOLUBLE>"
        prompt = (
            f"<@TOKENIZER-TYPE=AA>{task}<SENTINEL_ID_0><SEQUENCE_NATURAL_START>{letters}<SEQUENCE_NATURAL_END>"
            f"<@TOKENIZER-TYPE=SCALARS_LITERALS>{number:.3f}<@TOKENIZER-TYPE=AA><EOS>"
        )
        answer = float(toxic) if asked else 100 + 20 * number - 30 * toxic
        rows.append((f"p{row:03d}", prompt, answer, task))
    return pd.DataFrame(rows, columns=["id", "prompt", "answer", "task"]).set_index("id")


def cohort_of(table: pd.DataFrame, **more: pd.DataFrame) -> Cohort:
    cohort = chiasm.cohort_from_frames(
        table[["answer", "task"]], {"prompt": table[["prompt"]], **more}, target=chiasm.Regression("answer"),
        kinds={"prompt": "text"}, subgroups=["task"],
    )  # fmt: skip
    return chiasm.encode(cohort, {"prompt": "prompts"}).cohort


def test_a_stored_model_answers_as_before_and_refuses_a_task_that_it_never_saw(tmp_path: Path) -> None:
    table = made(40)
    model = chiasm.fit(cohort_of(table), SMALL, seed=0)
    said = model.predict(cohort_of(table))["prediction"].to_numpy()
    assert ((said[::2] > 0) & (said[::2] < 1)).all() and (said[1::2] > 1).all()
    model.save(tmp_path / "model")
    again = chiasm.load_model(tmp_path / "model").predict(cohort_of(table))["prediction"].to_numpy()
    np.testing.assert_array_equal(said, again)
    table["prompt"] = table["prompt"].str.replace("<TOXIC>", "<UNHEARD>")
    with pytest.raises(chiasm.Unsupported, match=r"20 prompts with a task.*the tasks are <SOLUBLE>, <TOXIC>"):
        model.predict(cohort_of(table))


def test_what_cannot_be_learned_is_refused_before_the_fit() -> None:
    table = made(40)
    rare = table.copy()
    rare.iloc[:3, 0] = rare.iloc[:3, 0].str.replace("<TOXIC>", "<RARE>").str.replace("<SOLUBLE>", "<RARE>")
    span = "<@TOKENIZER-TYPE=EXTERNAL_EMBEDDINGS_FROM_DICT>{}<@TOKENIZER-TYPE=AA><EOS>"
    age = pd.DataFrame({"age": np.random.default_rng(0).normal(60, 9, 40)}, index=table.index)

    def placed(what: str) -> Cohort:
        return cohort_of(table.assign(prompt=table["prompt"].str.replace("<EOS>", span.format(what))), clinical=age)

    for cohort, recipe, match in (
        (cohort_of(rare), SMALL, "1 task of modality 'prompt' with fewer than 10 prompts"),
        (cohort_of(table), SMALL + ",upon=late", "leave upon out"),
        (placed("table:ages"), SMALL.replace("modality=prompt,", ""), "a modality that the cohort does not have"),
        (placed("other:clinical"), SMALL.replace("modality=prompt,", ""), "write 'table:clinical'"),
        (placed("table:clinical:7"), SMALL.replace("modality=prompt,", ""), "7 places for embeddings of 'clinical'"),
    ):
        with pytest.raises(chiasm.Unsupported, match=match):
            chiasm.fit(cohort, recipe, seed=0)


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="each task has an id"):
        RawPromptDesign(1, "mixed", 8, 1, 2, "prompt", 10, (3, 3))


@pytest.mark.nightly
def test_both_tasks_beat_their_null_and_the_other_task_gives_the_other_answer() -> None:
    model = chiasm.fit(cohort_of(made(240)), TRAINED, seed=0)
    table = made(80, seed=1)
    said, answer = (own.to_numpy() for own in (model.predict(cohort_of(table))["prediction"], table["answer"]))
    assert ((said[::2] > 0.5) == answer[::2]).mean() > 0.85
    assert 1 - ((said - answer)[1::2] ** 2).mean() / answer[1::2].var() > 0.8
    other = model.predict(cohort_of(made(80, seed=1, swapped=True)))["prediction"].to_numpy()
    assert (other[::2] > 1).all() and ((other[1::2] >= 0) & (other[1::2] <= 1)).all()
