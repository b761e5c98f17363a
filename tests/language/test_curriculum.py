"""A stage changes exactly what it names; the language model stays the same to the byte, or is found out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from chiasm.heads.head import Head
from chiasm.language.connected import Connected, ConnectedDesign
from chiasm.language.curriculum import ADAPTER, CONNECTOR, LANGUAGE, TOWER, Stage, digests, moved, named, run_stages
from chiasm.language.tiny import TinyLanguage, TinyWords
from chiasm.tokens import PackedTokens
from chiasm.training import Examples, Network, TargetTensors, TrainOptions

OPTIONS = TrainOptions(1, 1, 4, 1e-2, 0.0)


def examples(n: int = 8) -> Examples:
    rng, rows = np.random.default_rng(0), np.arange(8)
    made = [rng.normal(size=(3, 4)).astype(np.float32) for _ in rows]
    answers = np.array([[0, 5], [0, 0], [1, 6], [1, 0]], dtype=np.float32)
    prompts = [np.array([[2], [-1], [9]], dtype=np.float32)] * n
    tokens = {
        "image": PackedTokens.scatter(made, rows, n, 4),
        " prompt": PackedTokens.scatter(prompts, rows, n, 1),
        " answers": PackedTokens.scatter([answers] * n, rows, n, 2),
    }
    target = TargetTensors(torch.arange(n).float() % 2, torch.zeros(n, dtype=torch.bool))
    return Examples(tokens, np.ones((n, 1), bool), target, rows < 2)


def network(tune: str = "none", tower: bool = False, held: bool = False) -> Network:
    torch.manual_seed(0)
    language = TinyLanguage(TinyWords(()), width=16, depth=1, heads=2, reach=32).open()
    fusion = Connected(language, {"image": (4, 0)}, 2, tower=tower, tune=tune, rank=2, held=held)
    return Network(fusion, Head(0, 2, "classification"))


def trained(own: Network, *stages: Stage) -> Any:
    return run_stages(own, stages, seed=0)


@pytest.mark.parametrize(("tune", "tower"), [("none", False), ("lora", True), ("whole", True)])
def test_a_stage_changes_exactly_its_set(tune: str, tower: bool) -> None:
    own = network(tune, tower)
    fusion = own.fusion
    assert isinstance(fusion, Connected)
    before = digests(fusion.everything())
    first, second = ("align", (CONNECTOR,)), ("all", (CONNECTOR, TOWER, ADAPTER, LANGUAGE))
    done = trained(own, *(Stage(name, trains, examples(), OPTIONS) for name, trains in (first, second)))
    every = {name for name, tensor in fusion.named_parameters() if tensor.requires_grad}
    asked = {name for name in every if named(name, (CONNECTOR,))}
    assert set(done[0].changed) == asked
    unused = {name for name in every if named(name, ("towers.*",)) and "exit" not in name}  # behind a map of zeros yet
    assert every - unused <= set(done[1].changed) <= every
    language = {name for name in moved(before, digests(fusion.everything())) if named(name, (LANGUAGE,))}
    assert bool(language) == (tune == "whole")


def test_a_language_model_that_stays_where_it_is_is_no_part_of_the_state_and_is_watched() -> None:
    own = network(held=True)
    assert not any("language" in name for name in own.state_dict())
    fusion = own.fusion
    assert isinstance(fusion, Connected) and fusion.frozen_parameters > 0
    assert {name.split(".")[0] for name, _ in fusion.everything()} == {"connectors", "language"}

    def touched(model: Any, given: Any) -> None:
        model.norm.bias.data.add_(1e-3)

    fusion.language.register_forward_pre_hook(touched)
    with pytest.raises(RuntimeError, match=r"stage 'align' changed 'language\.norm\.bias', which it does not train"):
        trained(own, Stage("align", (CONNECTOR,), examples(), OPTIONS))


def test_two_stages_of_one_name_and_one_that_trains_nothing_are_refused() -> None:
    stage = Stage("align", (CONNECTOR,), examples(), OPTIONS)
    with pytest.raises(ValueError, match="different names"):
        trained(network(), stage, stage)
    with pytest.raises(ValueError, match="trains no parameter"):
        trained(network(), Stage("tune", (ADAPTER,), examples(), OPTIONS))


def test_a_design_refuses_what_cannot_be() -> None:
    language = TinyLanguage(TinyWords(()))
    for options in ({"connector": "glue"}, {"tune": "some"}, {"soft": 0}):
        with pytest.raises(ValueError, match=r"lies between|is one of"):
            ConnectedDesign(language, 2, **options)  # type: ignore[arg-type]
