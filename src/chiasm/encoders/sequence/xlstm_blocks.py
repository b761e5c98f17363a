"""xLSTM: the blocks of the package `xlstm`, read in pieces from the state that the last piece left."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.cohort import Unsupported
from chiasm.encoders.sequence.stacks import PIECE

BLOCK = 4  # channels that a query, key or value is made of
FEED_FORWARD = 1.3


class XlstmStack(nn.Module):
    """An `xLSTMBlockStack` of matrix memories (mLSTM), every second block one of scalar memories with mixing (sLSTM).

    With queries, keys and values of each head and exponential gates i and f, an mLSTM keeps a matrix C and a vector n:

        C_t = f_t C_{t-1} + i_t v_t k_t^T,   n_t = f_t n_{t-1} + i_t k_t,   h_t = C_t q_t / max(|n_t q_t|, 1)

    A piece is computed at once (the package's chunkwise form), its state handed to the next one. The cells are the
    package's plain ones, which run on any device and train there; its CUDA kernels are not used.

    Source: Beck et al., xLSTM (NeurIPS 2024, arXiv:2405.04517). The package's own `step` begins and goes on alike.

    Raises:
        Unsupported: the package `xlstm` is missing.
    """

    mixed = True

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        if width < 2 * heads:
            raise ValueError("a head of an xLSTM has two numbers or more: choose a larger width or fewer heads")
        package = _package()
        matrix = package.mLSTMLayerConfig(
            num_heads=heads, qkv_proj_blocksize=BLOCK, round_proj_up_to_multiple_of=BLOCK * heads
        )
        scalar = package.sLSTMLayerConfig(num_heads=heads, backend="vanilla", dtype="float32")
        wider = package.FeedForwardConfig(proj_factor=FEED_FORWARD, act_fn="gelu")
        config = package.xLSTMBlockStackConfig(
            mlstm_block=package.mLSTMBlockConfig(mlstm=matrix),
            slstm_block=package.sLSTMBlockConfig(slstm=scalar, feedforward=wider),
            context_length=PIECE,
            num_blocks=depth,
            embedding_dim=width,
            slstm_at=list(range(1, depth, 2)) if self.mixed else [],
        )
        self.network = package.xLSTMBlockStack(config)

    def scan(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read `(B, t, D)`; the state is that of each block, its convolution's last inputs and its memory."""
        after, scalar = [], self.network.config.block_map
        for place, block in enumerate(self.network.blocks):
            before = (None, None) if state is None else state[place]
            own, last = (_scalar if scalar[place] else _matrix)(block.xlstm, block.xlstm_norm(x), *before)
            x = x + own
            if block.ffn is not None:
                x = x + block.ffn(block.ffn_norm(x))
            after.append(last)
        return self.network.post_blocks_norm(x), after


class MlstmStack(XlstmStack):
    """An `XlstmStack` of matrix memories alone, which reads a piece at once and so runs several times faster."""

    mixed = False


def _matrix(layer: Any, x: Tensor, before: Tensor | None, memory: Any) -> tuple[Tensor, Any]:
    """Read a piece `(B, t, D)` with an `mLSTMLayer`, in the package's chunkwise form."""
    cell, count = layer.mlstm_cell, x.shape[1]
    inside, gate = layer.proj_up(x).chunk(2, dim=-1)
    mixed, after = layer.conv1d(inside, before, return_last_state=True)
    mixed = layer.conv_act_fn(mixed)
    read = (layer.q_proj(mixed), layer.k_proj(mixed), layer.v_proj(inside))
    gates = torch.cat(read, dim=-1)
    heads = [own.unflatten(-1, (cell.config.num_heads, -1)).transpose(1, 2) for own in read]  # (B, H, t, P)
    found, (matrix, sums, largest) = import_module("xlstm.blocks.mlstm.backends").chunkwise_simple(
        *heads,
        igate_preact=cell.igate(gates).transpose(1, 2),
        fgate_preact=cell.fgate(gates).transpose(1, 2),
        **({} if memory is None else dict(zip(("initial_C", "initial_n", "initial_m"), memory, strict=True))),
        chunk_size=count,
        return_last_state=True,
    )
    states = cell.outnorm(found).transpose(1, 2).flatten(2) + layer.learnable_skip * mixed
    out: Tensor = layer.proj_down(states * layer.ogate_act_fn(gate))
    return out, (after, (matrix, sums, largest[..., 0, 0]))


def _scalar(layer: Any, x: Tensor, before: Tensor | None, memory: Any) -> tuple[Tensor, Any]:
    """Read a piece `(B, t, D)` with an `sLSTMLayer`, token by token."""
    found, state = layer(x, before, memory, return_last_state=True)
    return found, (state["conv_state"], state["slstm_state"])


def _package() -> Any:
    try:
        return import_module("xlstm")
    except ImportError:
        raise Unsupported(
            "the cells xlstm and mlstm need the package xlstm: pip install --no-deps xlstm==2.0.6 (the kernels that it "
            "asks for are under another licence and not needed), or choose gru, mamba or mamba2"
        ) from None
