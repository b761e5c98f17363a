"""Phases: what one trains and what it leaves, hooks between backward and step, and a resume in any of them."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chiasm.artifact import ArtifactError, load_checkpoint, save_checkpoint
from chiasm.heads.head import Head
from chiasm.protocols import Fused
from chiasm.tokens import PackedTokens, Tokens
from chiasm.training import (
    Batch,
    Computed,
    Examples,
    History,
    Hook,
    Network,
    Objective,
    Phase,
    Step,
    TargetTensors,
    TrainOptions,
    train,
)
from chiasm.training.from_teacher import TaughtTargets

N, EPOCHS = 40, 3
OPTIONS = TrainOptions(epochs=EPOCHS, patience=EPOCHS, batch=8, learning_rate=1e-2, modality_dropout=0.2)
STEPS = EPOCHS * 4  # 32 patients are trained on


class Normed(nn.Module):
    """A batch norm and a map with dropout; each patient's squared width is an extra, and a term."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.3))
        self.above = nn.Linear(6, 5)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the one modality there is."""
        (own,) = tokens.values()
        made = self.above(self.below(own.where_present(present[:, 0]).values.mean(1)))
        size = made.square().mean(1)
        return Fused(made, losses={"size": 0.01 * size.mean()}, extras={"size": size})


class Twice(Objective):
    """The head's loss at twice its weight; its state is how often it was validated."""

    def __init__(self) -> None:
        self.seen = 0

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the one term."""
        return {"twice": 2 * network.head.loss(link, batch.target.value, batch.target.event)}

    def validated(self, network: Network, link: Tensor, target: TargetTensors) -> float:
        """Return a loss that depends on the state: each epoch is a little better."""
        self.seen += 1
        return super().validated(network, link, target) - 0.1 * self.seen

    def state(self) -> Any:
        """Return the count."""
        return self.seen

    def restore(self, state: Any) -> None:
        """Restore the count."""
        self.seen = state


class Shrinking(Hook):
    """Noise on the gradients of a part, smaller from step to step; its state is the number of steps."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, step: Step) -> None:
        """Add the noise."""
        self.steps += 1
        for parameter in step.network.fusion.above.parameters():
            assert parameter.grad is not None
            parameter.grad.add_(torch.randn_like(parameter) / self.steps)

    def state(self) -> Any:
        """Return the number of steps."""
        return {"steps": self.steps}

    def restore(self, state: Any) -> None:
        """Restore the number of steps."""
        self.steps = state["steps"]


class At(Hook):
    """Does something at one step, counted over all phases that share it."""

    def __init__(self, step: int, then: Any) -> None:
        self.left, self.then = step, then

    def __call__(self, step: Step) -> None:
        """Count down."""
        self.left -= 1
        if self.left == 0:
            self.then()


class Stopped(BaseException):
    """The power went off."""


def examples() -> Examples:
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(N, 4)).astype(np.float32))
    target = TargetTensors((values[:, 0] > 0).float(), torch.zeros(N, dtype=torch.bool))
    return Examples({"m": PackedTokens(values, np.arange(N + 1), 1)}, np.ones((N, 1), bool), target, np.arange(N) < 8)


def fresh() -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network(Normed(), Head(5, 2, "classification"))


def two(*more: Hook) -> tuple[Phase, ...]:
    """A phase of all, with a stateful hook, and one of what is above, with a stateful objective."""
    return (
        Phase(OPTIONS, hooks=(Shrinking(), *more), name="whole"),
        Phase(OPTIONS, Twice(), above, (Shrinking(), *more), name="above"),
    )


def above(name: str) -> bool:
    return not name.startswith("fusion.below")


def state(network: Network) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def same(one: Network, other: Network) -> bool:
    return all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def run(*more: Hook, file: Path | None = None) -> tuple[Network, tuple[History, ...]]:
    network = fresh()
    return network, train(network, examples(), two(*more), seed=3, checkpoint=file)


def test_a_phase_leaves_what_it_does_not_train_byte_identical_buffers_too() -> None:
    network = fresh()
    network.head.norm.requires_grad_(False)
    before = state(network)
    (history,) = train(network, examples(), (Phase(OPTIONS, trainable=above),), seed=0)
    assert history.best_epoch > 0
    moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"fusion.above.weight", "fusion.above.bias", "head.linear.weight", "head.linear.bias"}
    frozen = {name for name, own in network.named_parameters() if not own.requires_grad}
    assert frozen == {"head.norm.weight", "head.norm.bias"}, "what a phase froze is thawed after it, and nothing else"


def test_the_steps_of_all_phases_are_counted() -> None:
    _, (whole, part) = run()
    assert (whole.steps, part.steps) == (STEPS, STEPS) and len(whole.validation) == len(part.validation) == EPOCHS


def test_a_phase_starts_at_the_best_epoch_of_the_one_before() -> None:
    network, other = fresh(), fresh()
    first, second = two()
    train(network, examples(), (first,), seed=3)
    (_, history) = train(other, examples(), (two()[0], replace(second, options=replace(OPTIONS, epochs=0))), seed=3)
    assert same(network, other) and history.best_epoch == history.steps == 0


def test_a_hook_sees_the_step_and_may_change_the_gradients() -> None:
    seen: list[Step] = []

    class Nothing(Hook):
        def __call__(self, step: Step) -> None:
            seen.append(step)
            assert any(float(own.grad.abs().sum()) > 0 for own in step.network.parameters() if own.grad is not None)
            for parameter in step.network.parameters():
                parameter.grad = None

    network = fresh()
    before = state(network)
    (history,) = train(network, examples(), (Phase(OPTIONS, hooks=(Nothing(),)),), seed=0)
    assert history.skipped_steps == history.steps == STEPS == len(seen)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items() if "below.1" not in key)
    step = seen[-1]
    assert step.epoch == EPOCHS - 1 and len(step.batch) == 8 and step.computed.fused.extras["size"].shape == (8,)
    assert step.computed.fused.embedding.shape == (8, 5) and step.computed.link.shape == (8, 2)
    assert set(step.computed.losses) == {"target", "size"}
    assert float(step.computed.total.detach()) == pytest.approx(
        sum(float(loss.detach()) for loss in step.computed.losses.values()), rel=1e-6
    )


def test_an_objective_may_run_the_network_as_it_likes() -> None:
    class Still(Objective):
        """Two passes under dropout agree (as in R-Drop), and no label is read."""

        def __call__(self, network: Network, batch: Batch) -> Computed:
            link, fused = network(batch.tokens, batch.present)
            again, _ = network(batch.tokens, batch.present)
            return Computed({"agreement": (link - again).square().mean()}, link, fused)

        def validation(self, network: Network, batches: Any) -> float:
            return 0.0

    network, other, data = fresh(), fresh(), examples()
    turned = replace(data, target=TargetTensors(1 - data.target.value, data.target.event))
    (history,) = train(network, data, (Phase(OPTIONS, Still()),), seed=0)
    train(other, turned, (Phase(OPTIONS, Still()),), seed=0)
    assert history.skipped_steps == 0 and not same(network, fresh()) and same(network, other)


@pytest.mark.parametrize("step", [1, 2, 5, STEPS, STEPS + 1, STEPS + 6, 2 * STEPS])
def test_stopped_at_any_step_of_any_phase_and_resumed_equals_uninterrupted(step: int, tmp_path: Path) -> None:
    def stop() -> None:
        raise Stopped

    whole, history = run()
    file = tmp_path / "part.safetensors"
    with pytest.raises(Stopped):
        run(At(step, stop), file=file)
    torch.manual_seed(step)  # whatever the next process draws before it resumes
    resumed, found = run(At(0, stop), file=file)
    assert same(whole, resumed) and found == history


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked to be killed")
def test_killed_in_the_second_phase_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole, history = run()
    file = tmp_path / "killed.safetensors"
    child = os.fork()
    if child == 0:
        try:
            run(At(STEPS + 6, lambda: os.kill(os.getpid(), signal.SIGKILL)), file=file)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert load_checkpoint(file)["finished"], "it was killed in the second phase"
    resumed, found = run(At(0, Stopped), file=file)
    assert same(whole, resumed) and found == history


def test_a_finished_training_is_read_and_not_trained_again(tmp_path: Path) -> None:
    file = tmp_path / "done.safetensors"
    whole, history = run(At(0, Stopped), file=file)

    def never() -> None:
        raise AssertionError("a step was taken")

    again, found = run(At(1, never), file=file)
    assert same(whole, again) and found == history


def test_a_checkpoint_of_before_there_were_phases_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.safetensors"
    run(file=file)
    left = load_checkpoint(file)
    save_checkpoint(file, {key: value for key, value in left.items() if key not in ("format", "phases", "finished")})
    with pytest.raises(ArtifactError, match=r"'old\.safetensors' was written by another version of chiasm: delete it"):
        run(file=file)


def test_a_checkpoint_of_other_phases_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    run(file=file)
    with pytest.raises(ArtifactError, match=r"phases whole, above, and this one has train: delete it"):
        train(fresh(), examples(), (Phase(OPTIONS),), seed=3, checkpoint=file)


def test_a_checkpoint_of_other_rates_or_of_another_teacher_is_refused(tmp_path: Path) -> None:
    def groups(network: Network, scale: float) -> list[dict[str, Any]]:
        return [{"params": list(network.parameters()), "scale": scale}]

    def trained(scale: float = 0.5, teacher: float = 0.0) -> None:
        own = examples()
        told = TaughtTargets(own.target.value, own.target.event, torch.full((len(own.present), 2), teacher))
        phase = Phase(replace(OPTIONS, epochs=1), groups=partial(groups, scale=scale))
        train(fresh(), replace(own, target=told), (phase,), seed=3, checkpoint=tmp_path / "own.safetensors")

    trained()
    trained()
    for other in ({"scale": 0.25}, {"teacher": 1.0}):
        with pytest.raises(ArtifactError):
            trained(**other)


def test_an_epoch_whose_loss_is_no_number_can_be_resumed(tmp_path: Path) -> None:
    class Lost(Objective):
        def validated(self, network: Network, link: Tensor, target: TargetTensors) -> float:
            return float("nan")

    file = tmp_path / "nan.safetensors"
    for _ in range(2):
        (history,) = train(fresh(), examples(), (Phase(OPTIONS, Lost()),), seed=0, checkpoint=file)
        assert np.isnan(history.validation).all() and len(history.validation) == EPOCHS


def test_a_phase_trains_something_and_each_loss_has_one_name() -> None:
    with pytest.raises(ValueError, match="the phase 'idle' trains no parameter"):
        train(fresh(), examples(), (Phase(OPTIONS, name="idle", trainable=lambda name: False),), seed=0)

    class Clash(Objective):
        def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
            return {"size": link.mean()}

    with pytest.raises(ValueError, match="both have a loss size"):
        train(fresh(), examples(), (Phase(OPTIONS, objective=Clash()),), seed=0)


@pytest.mark.parametrize("names", [(), ("same", "same")])
def test_phases_have_different_names(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="phases of different names"):
        train(fresh(), examples(), tuple(Phase(OPTIONS, name=name) for name in names), seed=0)
