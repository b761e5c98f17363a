"""ScaleShift against its formula, channel by channel."""

from __future__ import annotations

import pytest
import torch

from bases import BASES
from chiasm.adapters import ScaleShift, attach

CHANNELS = {
    "Linear": 11,
    "Conv1d": 10,
    "Conv2d": 10,
    "Conv3d": 10,
    "LayerNorm": 6,
    "BatchNorm2d": 6,
    "MultiheadAttention": 24,
    "out_proj": 8,
}


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize("shift", [True, False])
def test_the_count_is_a_scale_and_a_shift_a_channel(kind: str, shift: bool) -> None:
    base = BASES[kind]
    attached = attach(base.model(), ScaleShift(shift=shift), base.where)
    assert attached.count() == CHANNELS[kind] * (1 + shift)


@pytest.mark.parametrize(
    "kind", ["Linear", "Conv1d", "Conv2d", "Conv3d", "LayerNorm", "BatchNorm-plain", "BatchNorm3d"]
)
def test_a_site_answers_gamma_times_its_output_plus_beta(kind: str) -> None:
    base = BASES[kind]
    model, plain = base.model(), base.model()
    attached = attach(model, ScaleShift(start="paper"), base.where)
    inputs = {}
    for site in base.sites:
        model.get_submodule(site).register_forward_hook(
            lambda _, args, out, site=site: inputs.update({site: (args, out)})
        )
    model(base.input())
    for site, (args, out) in inputs.items():
        part = attached.parts[site]
        channel = -1 if kind in ("Linear", "LayerNorm", "BatchNorm-plain") else 1
        expected = plain.get_submodule(site)(*args).movedim(channel, -1) * part.scale + part.shift
        torch.testing.assert_close(out.movedim(channel, -1), expected, rtol=1e-5, atol=1e-5)


def test_the_start_of_the_paper_is_drawn_round_the_identity() -> None:
    big = torch.nn.Sequential(torch.nn.Linear(1, 4000))
    part = attach(big, ScaleShift(start="paper"), lambda name, module: name == "0").parts["0"]
    for tensor, centre in ((part.scale, 1), (part.shift, 0)):
        assert tensor.mean().item() == pytest.approx(centre, abs=2e-3)
        assert tensor.std().item() == pytest.approx(0.02, rel=0.1)
