"""ECGFounder's network, Net1D, and a frozen ECG encoder built on it with user-supplied weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from chiasm.artifact import storable
from chiasm.encoders.adaptable import Trunk
from chiasm.encoders.batches import in_order
from chiasm.encoders.frozen import hash_state, identity_of
from chiasm.encoders.signal.rocket import STANDARD_LEADS, ordered, resampled
from chiasm.readers.reading import ReadError, Signal
from chiasm.tokens import Tokens

HZ = 500.0
SECONDS = 10.0  # the length of recording the network was trained on
SHORTEST_SECONDS = 1.0
BASELINE = 201  # samples of the running median, 0.4 s


@dataclass(frozen=True)
class Net1DConfig:
    """The shape of a Net1D; the defaults are ECGFounder's twelve-lead network with its 150 diagnoses.

    Args:
        leads: input channels.
        stem: filters of the first convolution.
        filters, blocks: number of filters and of blocks in each stage.
        kernel: kernel size of the stem and of the grouped convolutions.
        stride: stride of the first block of each stage.
        group: channels per group.
        classes: number of outputs, 0 for no head.
    """

    leads: int = 12
    stem: int = 64
    filters: tuple[int, ...] = (64, 160, 160, 400, 400, 1024, 1024)
    blocks: tuple[int, ...] = (2, 2, 2, 3, 3, 4, 4)
    kernel: int = 16
    stride: int = 2
    group: int = 16
    classes: int = 150


SMALL = Net1DConfig(stem=16, filters=(16, 32, 32, 80, 80, 256, 256), blocks=(2,) * 7)
SIZES = {"published": Net1DConfig(), "small": SMALL}


class SameConv(nn.Module):
    """A 1-D convolution padded so that `(B, C, T)` becomes `(B, C', ceil(T / stride))`; an odd zero goes to the end."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inside, outside, kernel, stride, groups=groups)
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        steps = -(-x.shape[-1] // self.stride)
        pad = max(0, (steps - 1) * self.stride + self.kernel - x.shape[-1])
        result: Tensor = self.conv(functional.pad(x, (pad // 2, pad - pad // 2)))
        return result


class Block(nn.Module):
    """A bottleneck block: three swish-convolution pairs (1, grouped `kernel`, 1), squeeze-and-excite, shortcut.

    The shortcut is max-pooled where the block strides, and padded with zero channels on both sides where it widens.
    The batch norms are in the published files, but neither the published code nor this one applies them.
    """

    def __init__(self, inside: int, outside: int, stride: int, config: Net1DConfig, first: bool) -> None:
        super().__init__()
        self.stride, self.first, self.wider = stride, first, outside - inside
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm1d(width) for width in (inside, outside, outside))
        self.conv1 = SameConv(inside, outside, 1)
        self.conv2 = SameConv(outside, outside, config.kernel, stride, outside // config.group)
        self.conv3 = SameConv(outside, outside, 1)
        self.se_fc1 = nn.Linear(outside, outside // 2)
        self.se_fc2 = nn.Linear(outside // 2, outside)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(x if self.first else functional.silu(x))
        out = self.conv3(functional.silu(self.conv2(functional.silu(out))))
        gate = torch.sigmoid(self.se_fc2(functional.silu(self.se_fc1(out.mean(-1)))))
        if self.stride > 1:
            x = functional.max_pool1d(functional.pad(x, ((self.stride - 1) // 2, self.stride // 2)), self.stride)
        if self.wider:
            x = functional.pad(x, (0, 0, self.wider // 2, self.wider - self.wider // 2))
        result: Tensor = out * gate[..., None] + x
        return result


class Stage(nn.Module):
    """A sequence of blocks of one width; the first block downsamples."""

    def __init__(self, inside: int, outside: int, blocks: int, config: Net1DConfig, first: bool) -> None:
        super().__init__()
        self.block_list = nn.ModuleList(
            Block(outside if row else inside, outside, 1 if row else config.stride, config, first and not row)
            for row in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block_list:
            x = block(x)
        return x


class Net1D(nn.Module):
    """A one-dimensional RegNet: stem, stages of grouped bottlenecks (each halves time), mean over time, linear head.

    Parameters have the names of the published files, which therefore load unchanged. Source: Li et al., ECGFounder
    (NEJM AI 2025, arXiv:2410.04133), network of Hong et al.; no dropout, since it was trained without.
    """

    def __init__(self, config: Net1DConfig | None = None) -> None:
        super().__init__()
        config = config or Net1DConfig()
        if len(config.filters) != len(config.blocks) or any(width % config.group for width in config.filters):
            raise ValueError("a Net1D has as many filters as blocks, and filters that its groups divide")
        self.first_conv = SameConv(config.leads, config.stem, config.kernel, 2)
        self.first_bn = nn.BatchNorm1d(config.stem)
        inside = (config.stem, *config.filters[:-1])
        self.stage_list = nn.ModuleList(
            Stage(before, width, blocks, config, row == 0)
            for row, (before, width, blocks) in enumerate(zip(inside, config.filters, config.blocks, strict=True))
        )
        self.dense = nn.Linear(config.filters[-1], config.classes) if config.classes else None

    def features(self, x: Tensor) -> Tensor:
        """Map `(B, leads, T)` to features `(B, filters[-1], ceil(T / 256))`, whose mean over time is the embedding."""
        x = functional.silu(self.first_conv(x))
        for stage in self.stage_list:
            x = stage(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, leads, T)` to logits `(B, classes)`, or to the embedding if the network has no head."""
        embedding = self.features(x).mean(-1)
        return embedding if self.dense is None else self.dense(embedding)


@storable("encoder-net1d")
@dataclass(frozen=True)
class EcgNet:
    """ECG encoder with the last feature map of a Net1D: a token of 1,024 per 0.51 s, 20 tokens for ten seconds.

    The input is prepared as in the published code: 500 Hz, a notch at 50 Hz (Q 30) and a Butterworth band-pass of 0.67
    to 40 Hz of order 4, both applied forwards and backwards, minus a running median of 0.4 s, then zero mean and unit
    variance over all leads together. The mean of the tokens of ten seconds is the published embedding. A longer record
    is cut into evenly spread windows of ten seconds; a shorter one is used as it is. We deviate in resampling before
    filtering, with a polyphase filter instead of linear interpolation, and in not stretching a record to ten seconds.

    A twelve-lead network needs all twelve leads and refuses a recording that lacks one: choose the leads that every
    recording has, with weights trained on these.

    Args:
        weights: a safetensors file of the published network's `state_dict`; the head (`dense`) is not needed.
        leads: the leads of the network's input, in order: names joined by `+`, empty for the standard twelve. A
            single-lead network accepts a single-channel record whatever the channel is called.
        windows: maximum number of windows per record.
        size: `published`, or `small` (16 to 256 filters, two blocks per stage) for a network you trained yourself.
        random: use an untrained network, the same in every run, instead of weights.

    Raises:
        ValueError: neither weights nor `random`, an option out of range, or weights of another network.
        ReadError: at `encode`, a record that lacks a lead or is shorter than a second.
    """

    weights: str = ""
    leads: str = ""
    windows: int = 6
    size: str = "published"
    random: bool = False

    id: ClassVar[str] = "net1d"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 8

    def __post_init__(self) -> None:
        if bool(self.weights) == self.random:
            raise ValueError(
                "encoder 'net1d' needs weights=FILE.safetensors, written from the published state_dict, or random=true"
            )
        if self.size not in SIZES or self.windows < 1:
            raise ValueError(f"encoder 'net1d' has a size of {' or '.join(SIZES)}, and at least one window")

    @property
    def width(self) -> int:
        return SIZES[self.size].filters[-1]

    @property
    def slots(self) -> int:
        return 0

    @property
    def identity(self) -> str:
        """Return the encoder's identity, in which the hash of the weights replaces their path.

        Raises:
            ValueError: the weights are missing, damaged or of another network.
        """
        return identity_of(self, self._network[1]).replace(f"weights={self.weights},", "", 1)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    def encode(self, raw: Sequence[Signal]) -> Tokens:
        """Encode recordings to tokens `(B, most tokens, width)`, float32."""
        net, parts = self._network[0], []
        with torch.no_grad():
            for signal in raw:
                found = net.features(torch.from_numpy(self._windows(signal)))  # (windows, D, t)
                parts.append(found.transpose(1, 2).reshape(-1, self.width).numpy())
        return in_order(parts, self.width, 0)

    def inputs(self, raw: Sequence[Signal]) -> Tokens:
        """Return network inputs `(B, windows, 1 + leads x 5000)`: samples per lead, then all leads, zero-padded."""
        room = len(self._names) * round(SECONDS * HZ)
        parts = []
        for signal in raw:
            windows = self._windows(signal)
            part = np.zeros((len(windows), 1 + room), np.float32)
            part[:, 0] = windows.shape[2]
            part[:, 1 : 1 + windows[0].size] = windows.reshape(len(windows), -1)
            parts.append(part)
        return in_order(parts, 1 + room, 0)

    def trunk(self) -> Trunk:
        """Return a trainable copy of the network up to its last feature map."""
        return EcgTrunk(copy.deepcopy(self._network[0]), len(self._names))

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.leads.split("+")) if self.leads else STANDARD_LEADS

    @property
    def _network(self) -> tuple[Net1D, str]:
        changed = Path(self.weights).stat().st_mtime_ns if self.weights and Path(self.weights).is_file() else 0
        return _network(self.weights, changed, self.size, len(self._names))

    def _windows(self, signal: Signal) -> NDArray[np.float32]:
        """Cut a recording into prepared windows `(windows, leads, T)`, in which no sample of a lead is missing.

        They are spread evenly over the recording; where some lie on gaps, over those that begin at a second and are
        whole.
        """
        if not (np.isfinite(signal.hz) and signal.hz > 0) or signal.values.shape[1] / signal.hz < SHORTEST_SECONDS:
            raise ReadError("the recording is shorter than a second or has no sampling rate", "check the file")
        length = min(round(SECONDS * signal.hz), signal.values.shape[1])
        count = min(self.windows, signal.values.shape[1] // length)
        starts = np.linspace(0, signal.values.shape[1] - length, count).astype(int)
        values = np.asarray(signal.values, np.float64)
        there: NDArray[np.bool_] = np.asarray(np.isfinite(values).any(axis=1))
        if len(values) > 1 or len(self._names) > 1:
            values, there = ordered(values, there, signal.leads, self._names)
        lost = np.concatenate(([0], np.cumsum(np.isnan(values).any(axis=0))))
        if (lost[starts + length] - lost[starts]).any():
            every = np.arange(0, values.shape[1] - length + 1, max(1, round(signal.hz)))
            apart, end = list[int](), 0
            for start in every[lost[every + length] == lost[every]].tolist():
                if start >= end:
                    apart, end = [*apart, start], start + length
            starts = np.array(apart, int)[np.linspace(0, len(apart) - 1, min(count, len(apart))).astype(int)]
        found = []
        for start in starts if there.all() else ():
            found.append(prepared(resampled(values[:, start : start + length], signal.hz, HZ)))
        if not found:
            raise ReadError(
                "the recording lacks a lead that the network needs, or ten seconds without a gap",
                "choose its leads, or the encoder rocket",
            )
        return np.stack(found)


class EcgTrunk(Trunk):
    """Trunk that maps ECG windows to the last feature map, one token per 0.51 s."""

    def __init__(self, network: Net1D, leads: int) -> None:
        super().__init__(network)
        self.leads = leads

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map `(N, 1 + leads x samples)` to `(N, t, width)`; windows of equal length run together."""
        lengths = inputs[:, 0].long()
        found: list[Tensor | None] = [None] * len(inputs)
        for length in sorted(set(lengths.tolist())):
            rows = torch.nonzero(lengths == length)[:, 0]
            windows = inputs[rows, 1 : 1 + self.leads * length].reshape(-1, self.leads, length)
            for row, states in zip(rows.tolist(), self.network.features(windows).transpose(1, 2), strict=True):  # type: ignore[operator]
                found[row] = states
        parts = [states for states in found if states is not None]
        count = torch.tensor([len(states) for states in parts], device=inputs.device)
        real = torch.arange(int(count.max()), device=inputs.device) < count[:, None]
        return nn.utils.rnn.pad_sequence(parts, batch_first=True), None if bool(real.all()) else real


@lru_cache(maxsize=2)
def _network(weights: str, changed: int, size: str, leads: int) -> tuple[Net1D, str]:
    """Load the network and the hash of its weights, cached per process: a pickled encoder carries neither."""
    with torch.device("meta"):
        net = Net1D(replace(SIZES[size], leads=leads, classes=0))
    like = net.state_dict()
    state = read_weights(Path(weights), like) if weights else untrained(like)
    net.load_state_dict(state, assign=True)
    return net.requires_grad_(False).eval(), hash_state(state)


def prepared(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Filter an ECG `(L, T)` at 500 Hz, remove its baseline and standardise it over all leads together."""
    from scipy.ndimage import median_filter  # type: ignore[import-untyped]
    from scipy.signal import butter, filtfilt, iirnotch  # type: ignore[import-untyped]

    values = filtfilt(*iirnotch(50, 30, fs=HZ), values, axis=1)
    values = filtfilt(*butter(4, [0.67, 40], btype="bandpass", fs=HZ), values, axis=1)
    values = values - median_filter(values, size=(1, BASELINE), mode="constant")
    standard: NDArray[np.float32] = ((values - values.mean()) / (values.std() + 1e-8)).astype(np.float32)
    return standard


def untrained(like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Draw a fixed random state: weights normal with variance 1 / inputs, biases 0, batch norms the identity."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in like.items():
        if tensor.ndim > 1:
            state[name] = torch.randn(tensor.shape, generator=generator) / tensor[0].numel() ** 0.5
        else:
            one = "bn" in name and name.endswith(("weight", "running_var"))
            state[name] = torch.full(tensor.shape, float(one), dtype=tensor.dtype)
    return state


def read_weights(path: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read a safetensors file whose tensors must have the names and shapes of `like`.

    The head and the batch norms, which are not applied, are optional.

    Raises:
        ValueError: the file is missing or damaged, or holds another network; the message names the first difference.
    """
    state = untrained({name: tensor for name, tensor in like.items() if "bn" in name})
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            shapes = {name: shape for name, shape in shapes.items() if not name.startswith("dense.")}
            wanted = {name: tuple(tensor.shape) for name, tensor in like.items()}
            for name in sorted(set(shapes) | set(wanted) - set(state)):
                if shapes.get(name) != wanted.get(name):
                    raise ValueError(
                        f"the weights are of another network: '{name[:60]}' has shape {shapes.get(name, 'none')} and "
                        f"should have {wanted.get(name, 'none')}; check the file, leads and size"
                    )
            # copied, because the memory alignment of the mapped file would change the last digit of results
            state |= {name: file.get_tensor(name).to(like[name].dtype, copy=True) for name in shapes}
    except (SafetensorError, OSError):
        raise ValueError("the weights are missing or are not a safetensors file: copy them again") from None
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise ValueError("the weights hold a number that is not finite: copy them again")
    return state
