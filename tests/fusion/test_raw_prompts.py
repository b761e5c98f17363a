"""Prompts that the user wrote: tasks of two kinds in one set of weights, places of embeddings, what is absent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chiasm.encoders.sequence.prompt_encoder import PromptTokens
from chiasm.fusion.raw_prompts import RawPromptFusion
from chiasm.heads.head import Head
from chiasm.tokens import Tokens
from chiasm.training import Batch, Network, TargetTensors
from chiasm.training.prompt_answers import PromptAnswers

TASKS = ("<SPOKEN>", "<TOLD>")


def prompt(task: str, letters: str, number: float) -> str:
    return (
        f"<@TOKENIZER-TYPE=AA><{task}><SENTINEL_ID_0>{letters}<@TOKENIZER-TYPE=SCALARS_LITERALS>{number:.2f}"
        "<@TOKENIZER-TYPE=AA><EOS>"
    )


def made(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Half of the prompts ask whether a letter is W; half ask for a number, 100 + 20 s."""
    rng = np.random.default_rng(seed)
    prompts, answers = [], []
    for row in range(n):
        has, number = bool(rng.random() < 0.5), float(rng.normal())
        spoken = row % 2 == 0
        prompts.append(prompt("SPOKEN" if spoken else "TOLD", "W" if has else "K", number))
        answers.append(float(has) if spoken else 100 + 20 * number)
    return prompts, np.array(answers)


def fusion_of(encoder: PromptTokens, **options: object) -> RawPromptFusion:
    assert encoder.pieces is not None
    return RawPromptFusion(
        {"prompt": (encoder.width, 0), "table": (3, 2)}, outputs=1, answers="mixed", prompts="prompt",
        vocabulary=len(encoder.pieces.vocabulary), tasks=encoder.pieces.task_ids, latent_width=16, depth=1, heads=2,
        **options,
    )  # type: ignore[arg-type]  # fmt: skip


def nothing(n: int) -> Tokens:
    return Tokens(torch.full((n, 2, 3), torch.nan), torch.zeros(n, 2, dtype=torch.bool))


@pytest.fixture(scope="module")
def learned() -> tuple[PromptTokens, Network]:
    prompts, answers = made(64, seed=0)
    encoder = PromptTokens().fit(prompts)
    assert encoder.pieces is not None and encoder.pieces.tasks == TASKS
    torch.manual_seed(0)
    network = Network(fusion_of(encoder), Head(0, 1, "regression"))
    centre, scale = answers.mean(), answers.std()
    told = answers[1::2]
    network.fusion.set_levels(
        torch.tensor([[centre, scale, 0], [0, 1, 1], [told.mean(), told.std(), 0], [centre, scale, 0]])
    )
    values = torch.from_numpy((answers - centre) / scale).float()
    present = torch.tensor([[True, False]]).expand(len(prompts), -1)
    target = TargetTensors(values, torch.zeros(len(prompts), dtype=torch.bool))
    batch = Batch({"prompt": encoder.encode(prompts), "table": nothing(len(prompts))}, present, target)
    steps, objective = torch.optim.Adam(network.parameters(), 0.015), PromptAnswers()
    for _ in range(60):
        steps.zero_grad()
        objective(network, batch).total.backward()
        steps.step()
    return encoder, network.eval()


def answered(learned: tuple[PromptTokens, Network], prompts: list[str]) -> np.ndarray:
    encoder, network = learned
    present = torch.tensor([[True, False]]).expand(len(prompts), -1)
    with torch.inference_mode():
        link, _ = network({"prompt": encoder.encode(prompts), "table": nothing(len(prompts))}, present)
    levels = network.fusion.levels[-1]
    return (link[:, 0] * levels[1] + levels[0]).numpy()


def test_a_class_and_a_number_are_learned_in_one_set_of_weights(learned: tuple[PromptTokens, Network]) -> None:
    prompts, answers = made(80, seed=1)
    said = answered(learned, prompts)
    assert ((said[::2] > 0.5) == answers[::2]).mean() > 0.95
    assert 1 - ((said - answers)[1::2] ** 2).mean() / answers[1::2].var() > 0.8


def test_another_task_flips_the_answer(learned: tuple[PromptTokens, Network]) -> None:
    tasks = [answered(learned, [prompt(task, "W", 1.0)])[0] for task in ("SPOKEN", "TOLD")]
    assert 0.5 < tasks[0] <= 1
    assert tasks[1] > 100


def test_who_else_is_asked_and_what_is_absent_change_nothing(learned: tuple[PromptTokens, Network]) -> None:
    prompts = [prompt("SPOKEN", "W", 1.0), prompt("TOLD", "AKAAKAAKAAKAAKA", -2.0)]
    together = answered(learned, prompts)
    np.testing.assert_allclose(together, [answered(learned, [own])[0] for own in prompts], rtol=1e-5)


def test_a_token_of_another_modality_stands_at_its_place_alone() -> None:
    span = "<@TOKENIZER-TYPE=EXTERNAL_EMBEDDINGS_FROM_DICT>table:table:2"
    prompts = [f"<@TOKENIZER-TYPE=AA><TASK>A{span}<@TOKENIZER-TYPE=AA>K<EOS>", "<@TOKENIZER-TYPE=AA><TASK>AK<EOS>"]
    encoder = PromptTokens().fit([*prompts, *prompts])
    torch.manual_seed(0)
    fusion = fusion_of(encoder, placed=("table",)).eval()
    read, table = encoder.encode(prompts), Tokens(torch.randn(2, 2, 3), torch.ones(2, 2, dtype=torch.bool))
    both = torch.ones(2, 2, dtype=torch.bool)
    hidden, mask = fusion.prompt({"prompt": read, "table": table}, both)
    bare, _ = fusion.prompt({"prompt": read, "table": nothing(2)}, torch.tensor([[True, False]]).expand(2, -1))
    assert mask.sum(1).tolist() == [2 + 6 + 1, 2 + 4 + 1]  # no span of its own
    apart = (hidden - bare)[0]
    torch.testing.assert_close(apart[4:6], fusion.entrances[1](table)[0], atol=1e-6, rtol=0)
    assert not apart[:4].any() and not apart[6:].any() and torch.equal(hidden[1], bare[1])
