"""Net1D: the published network number by number, and an encoder that refuses other weights."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.signal.net1d import SMALL, EcgNet, Net1D, Net1DConfig, prepared, untrained
from chiasm.encoders.signal.rocket import STANDARD_LEADS
from chiasm.readers.reading import ReadError, Signal
from chiasm.testing import check_encoder

# counted from the published code (github.com/PKUDigitalHealth/ECGFounder, revision 04edac7), with 150 diagnoses
PUBLISHED = {12: 30_819_014, 1: 30_807_750}
RANDOM = EcgNet(random=True, size="small")


def record(seed: int, seconds: float = 2.0, hz: float = 250.0, leads: tuple[str, ...] = STANDARD_LEADS) -> Signal:
    values = np.random.default_rng(seed).normal(0, 0.2, (len(leads), round(seconds * hz)))
    return Signal(values.astype(np.float32), leads, hz, ("mV",) * len(leads))


def small_weights(leads: int = 12) -> dict[str, Tensor]:
    return untrained(Net1D(replace(SMALL, leads=leads, classes=3)).state_dict())


def saved(path: Path, state: dict[str, Tensor]) -> str:
    save_file(state, path)
    return str(path)


def by_hand(config: Net1DConfig) -> int:
    """Weights, biases and norms, layer by layer."""
    total = config.leads * config.stem * config.kernel + config.stem + 2 * config.stem
    before = config.stem
    for width, blocks in zip(config.filters, config.blocks, strict=True):
        for _ in range(blocks):
            total += before * width + width  # 1 wide
            total += width * config.group * config.kernel + width  # grouped
            total += width * width + width  # 1 wide
            total += 2 * (before + width + width)  # norms
            total += width * (width // 2) + width // 2 + (width // 2) * width + width  # squeeze and excite
            before = width
    return total + before * config.classes + config.classes


@pytest.mark.parametrize("leads", [12, 1])
def test_it_has_the_parameters_of_the_published_network(leads: int) -> None:
    config = Net1DConfig(leads=leads)
    with torch.device("meta"):
        net = Net1D(config)
    assert sum(tensor.numel() for tensor in net.parameters()) == by_hand(config) == PUBLISHED[leads]


def test_it_gives_what_the_published_code_gives() -> None:
    """Weights from a formula, an odd length, two widths; the numbers were computed by the published code."""
    net = Net1D(Net1DConfig(leads=2, stem=16, filters=(16, 48), blocks=(2, 1), classes=3)).eval()
    state = net.state_dict()
    for name, tensor in state.items():
        if "bn" not in name:
            steps = torch.arange(tensor.numel(), dtype=torch.float64)
            wave = torch.sin(1.7 * steps + len(name)) / max(1, tensor[0].numel()) ** 0.5
            state[name] = wave.reshape(tensor.shape).float()
    net.load_state_dict(state)
    with torch.no_grad():
        found = net(torch.cos(torch.arange(74.0).reshape(1, 2, 37) * 0.9))
    np.testing.assert_allclose(found[0].numpy(), [-0.7598846555, -0.9224373698, 0.6363946795], atol=1e-5)


def test_the_input_is_prepared_as_published() -> None:
    """Samples of two seconds after the published filters and standardising, computed by the published code."""
    s = np.arange(1000) / 500
    waves = [np.sin(10 * np.pi * s) + s, np.cos(2 * np.pi * (3 + 8 * s) * s) + 0.3 * np.sin(100 * np.pi * s)]
    found = prepared(np.stack(waves))[:, [0, 100, 333, 500, 900]]
    expected = [
        [0.5559529242, 0.0226459080, 1.1770976748, -0.0065656999, 0.1044122670],
        [0.3266364684, 1.1715362655, -1.1639070398, 1.2661042545, 0.0246967011],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_baseline_mains_and_amplitude_are_taken_away() -> None:
    signal = record(0, 4.0, 500.0).values.astype(np.float64)
    s = np.arange(signal.shape[1]) / 500
    plain, drifting = prepared(signal), prepared(3 * (signal + 0.5 * np.sin(0.4 * np.pi * s) + 7))
    assert np.abs(plain - drifting)[:, 250:-250].max() < 0.1
    humming = prepared(signal + 0.2 * np.sin(100 * np.pi * s))
    assert np.abs(plain - humming)[:, 500:-500].max() < 0.05


def test_the_laws_of_an_encoder_hold() -> None:
    check_encoder(RANDOM, [record(k, 1.0 + 0.6 * k, 100.0 + 80 * k) for k in range(6)])


def test_a_token_is_half_a_second_and_a_long_recording_gives_windows_spread_over_it() -> None:
    assert RANDOM.slots == 0 and RANDOM.width == 256
    assert RANDOM.encode([record(0, 10.0, 100.0)]).values.shape == (1, 20, 256)
    signal = record(1, 60.0, 100.0)
    encoder = replace(RANDOM, windows=2)
    both = encoder.encode([signal]).values[0]
    ends = [replace(signal, values=signal.values[:, part]) for part in (slice(0, 1000), slice(5000, 6000))]
    for row, end in enumerate(ends):
        alone = encoder.encode([end]).values[0]
        torch.testing.assert_close(both[20 * row : 20 * (row + 1)], alone, atol=1e-5, rtol=1e-5)


def test_leads_are_found_by_name_and_all_must_be_there() -> None:
    signal = record(2)
    order = list(range(12))[::-1]
    turned = Signal(signal.values[order], tuple(signal.leads[k].upper() for k in order), signal.hz)
    assert torch.equal(RANDOM.encode([signal]).values, RANDOM.encode([turned]).values)
    with pytest.raises(ReadError, match="lacks a lead"):
        RANDOM.encode([Signal(signal.values[:-1], signal.leads[:-1], signal.hz)])
    one = replace(RANDOM, leads="I")
    watch = Signal(signal.values[:1], ("wrist",), signal.hz)
    assert torch.equal(one.encode([signal]).values, one.encode([watch]).values)


def test_a_flat_window_is_left_out_and_short_or_rateless_records_are_refused() -> None:
    signal = record(3, 30.0, 100.0)
    values = signal.values.copy()
    values[8, :1000] = np.nan
    assert RANDOM.encode([replace(signal, values=values)]).values.shape[1] == 40
    for wrong in (record(4, 0.5), replace(signal, hz=0.0), replace(signal, hz=float("nan"))):
        with pytest.raises(ReadError, match="shorter than a second"):
            RANDOM.encode([wrong])


def test_weights_are_loaded_and_named_by_their_hash(tmp_path: Path) -> None:
    state = small_weights()
    one = EcgNet(weights=saved(tmp_path / "a.safetensors", state), size="small")
    assert torch.equal(one.encode([record(5)]).values, RANDOM.encode([record(5)]).values)
    bare = {name: tensor for name, tensor in state.items() if "bn" not in name and not name.startswith("dense")}
    same = EcgNet(weights=saved(tmp_path / "b.safetensors", bare), size="small")
    assert one.identity == same.identity and str(tmp_path) not in one.identity
    bare["first_conv.conv.bias"] = bare["first_conv.conv.bias"] + 1
    other = EcgNet(weights=saved(tmp_path / "c.safetensors", bare), size="small")
    assert len({one.identity, other.identity, RANDOM.identity, replace(RANDOM, windows=2).identity}) == 4
    saved(tmp_path / "b.safetensors", bare)
    assert same.identity == other.identity, "a file that is written again is read again"
    assert len(pickle.dumps(same)) < 1000, "an encoder is sent to another process without its network"
    single = EcgNet(weights=saved(tmp_path / "d.safetensors", small_weights(1)), size="small", leads="I")
    assert single.encode([record(5)]).values.shape[2] == 256


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    good = small_weights()
    lacking = {name: tensor for name, tensor in good.items() if name != "stage_list.0.block_list.1.se_fc1.weight"}
    text = tmp_path / "text.safetensors"
    text.write_bytes(b"\xff" * 64)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(Path(saved(tmp_path / "whole.safetensors", good)).read_bytes()[:-10])
    broken = {
        "se_fc1.weight": saved(tmp_path / "lacking.safetensors", lacking),
        "'stage_list.9.x'": saved(tmp_path / "more.safetensors", good | {"stage_list.9.x": torch.zeros(1)}),
        "check the file, leads": saved(tmp_path / "lead.safetensors", small_weights(1)),
        "not finite": saved(tmp_path / "nan.safetensors", good | {"first_conv.conv.bias": torch.full((16,), np.nan)}),
        "not a safetensors file": str(text),
        "copy them again": str(cut),
        "are missing": str(tmp_path / "planted-name.safetensors"),
        "or are not a": str(tmp_path),
    }
    for message, path in broken.items():
        with pytest.raises(ValueError, match=message) as caught:
            EcgNet(weights=path, size="small").encode([record(0)])
        assert "planted" not in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_it_starts_with_weights_or_with_the_word_random() -> None:
    wrong: list[dict[str, Any]] = [{}, {"weights": "a", "random": True}, {"random": True, "size": "huge"}]
    for options in [*wrong, {"random": True, "windows": 0}]:
        with pytest.raises(ValueError, match="net1d"):
            EcgNet(**options)
    made = make_encoder("net1d:random=true,size=small,leads=I+II", "ecg")
    assert made.encode([record(6)]).values.shape[2] == 256
    with pytest.raises(ValueError, match="groups divide"):
        Net1D(Net1DConfig(filters=(60,), blocks=(1,)))
