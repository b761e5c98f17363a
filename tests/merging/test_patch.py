"""Portable patches: exact on their own base, refused on another architecture or a base that drifted too far."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from chiasm import artifact
from chiasm.merging.patch import DriftError, apply_patch, architecture_of, content_of, drift, make_patch
from layer_states import MODULES, State, assert_same, draw


def shifted(state: State, by: float) -> State:
    return {key: value + by if value.is_floating_point() else value for key, value in state.items()}


@pytest.mark.parametrize("module", list(MODULES))
def test_on_its_own_base_it_is_the_fine_tuned_model_bit_for_bit(module: str) -> None:
    base, tuned = draw(module, 0), draw(module, 1)
    patch = make_patch(base, tuned)
    counts = {key: value for key, value in base.items() if not value.is_floating_point()}
    assert_same(apply_patch(patch, base), {**tuned, **counts}, exact=True)
    assert drift(patch, base, base).whole == 0.0


def test_it_is_stored_and_holds_only_what_changed(tmp_path: Path) -> None:
    base = draw("linear", 0)
    patch = make_patch(base, {**base, "bias": base["bias"] + 1})
    assert list(patch.delta) == ["bias"]
    artifact.save(tmp_path / "patch", patch)
    found = artifact.load(tmp_path / "patch")
    assert_same(apply_patch(found, base), {**base, "bias": base["bias"] + 1})
    assert (found.architecture, found.base) == (patch.architecture, patch.base)


def test_drift_is_measured_and_limited() -> None:
    base, tuned = draw("linear", 0), draw("linear", 1)
    patch, new = make_patch(base, tuned), {key: value * 1.05 for key, value in base.items()}
    found = drift(patch, base, new)
    assert found.whole == pytest.approx(0.05, rel=1e-4)
    assert found.tensors == {key: pytest.approx(0.05, rel=1e-4) for key in base}
    size = math.sqrt(sum(float(value.square().sum()) for value in base.values()))
    length = math.sqrt(sum(float((tuned[key] - base[key]).square().sum()) for key in base))
    assert found.of_patch == pytest.approx(0.05 * size / length, rel=1e-4)
    assert_same(apply_patch(patch, new, base), {key: new[key] + tuned[key] - base[key] for key in base})
    with pytest.raises(DriftError, match=r"moved by 0.05 of its norm since the patch was made, and the limit is 0.02"):
        apply_patch(patch, new, base, limit=0.02)
    with pytest.raises(DriftError):
        apply_patch(patch, new, base, limit=math.nan)


def test_no_drift_is_ever_taken_on_trust() -> None:
    base, tuned, new = draw("linear", 0), draw("linear", 1), shifted(draw("linear", 0), 1e-3)
    patch = make_patch(base, tuned)
    with pytest.raises(ValueError, match="give that one too"):
        apply_patch(patch, new)
    with pytest.raises(ValueError, match="its values differ"):
        apply_patch(patch, new, new)  # a base that claims not to have moved


def test_another_architecture_is_refused() -> None:
    patch = make_patch(draw("linear", 0), draw("linear", 1))
    for other in (
        draw("layer-norm", 0),
        draw("linear", 0, torch.float64),
        {**draw("linear", 0), "more": torch.ones(1)},
    ):
        with pytest.raises(ValueError, match="other tensors, shapes or dtypes"):
            apply_patch(patch, other)
    with pytest.raises(ValueError, match="the fine-tuned model lacks 'bias'"):
        make_patch(draw("linear", 0), {"weight": draw("linear", 0)["weight"]})
    state = {"index": torch.arange(3)}
    with pytest.raises(ValueError, match="'index' holds integers"):
        make_patch(state, {"index": torch.tensor([0, 2, 1])})


def test_hashes_see_content_and_not_order() -> None:
    state = draw("linear", 0)
    turned = dict(reversed(state.items()))
    assert architecture_of(turned) == architecture_of(state) and content_of(turned) == content_of(state)
    assert content_of(shifted(state, 1e-3)) != content_of(state)
    assert architecture_of(shifted(state, 1e-3)) == architecture_of(state)


def test_the_error_of_porting_is_the_change_of_curvature() -> None:
    """A linear model with a quadratic loss, one gradient step of fine-tuning: the error is known exactly."""
    generator = torch.Generator().manual_seed(0)
    old, step = torch.randn(4, dtype=torch.float64, generator=generator), 0.1
    root = torch.randn(4, 4, dtype=torch.float64, generator=generator)
    target, curvature = torch.randn(4, dtype=torch.float64, generator=generator), root @ root.T
    tuned = old - step * curvature @ (old - target)
    patch = make_patch({"w": old}, {"w": tuned})
    errors = []
    for size in (0.0, 0.01, 0.02, 0.04):
        new = old + size * torch.ones(4, dtype=torch.float64)
        ported = apply_patch(patch, {"w": new}, {"w": old})["w"]
        trained = new - step * curvature @ (new - target)
        torch.testing.assert_close(ported - trained, step * curvature @ (new - old))
        errors.append(float((ported - trained).norm()))
    assert errors[0] == 0 and errors == sorted(errors)
    assert errors[3] == pytest.approx(4 * errors[1])


def test_a_patch_is_a_frozen_value() -> None:
    patch = make_patch(draw("linear", 0), draw("linear", 1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        patch.base = "x"  # type: ignore[misc]
