"""Networks as a graph: traced by PyTorch on patients of every pattern, and put between the encoders and the answer."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from itertools import product
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.errors import Unsupported
from chiasm.fitting.neural import NetworkPredictor
from chiasm.models.export.encoders import tokens_by
from chiasm.models.export.graph import OPSET, Graph, Value
from chiasm.models.export.inputs import Reading
from chiasm.models.export.links import link_of
from chiasm.tokens import Tokens

MOST_TRACED = 6  # modalities of which every pattern is among the traced patients
LENGTH = 5  # tokens of the longest traced bag
Shapes = Mapping[str, tuple[int, int]]


class Traced(nn.Module):
    """A network with tensors for arguments: who has what, and values and mask of each modality's tokens."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, list(names)

    def forward(self, present: Tensor, *given: Tensor) -> Tensor:
        """Return the link `(B, K)`."""
        tokens = {name: Tokens(*given[2 * m : 2 * m + 2]) for m, name in enumerate(self.names)}
        found: Tensor = self.network(tokens, present)[0]
        return found


@link_of.register
def _(predictor: NetworkPredictor, reading: Reading) -> Value:
    names = sorted(predictor.encoders)
    given = list[Value]()
    for name in names:
        given += tokens_by(predictor.encoders[name], reading, name)
    present = reading.graph.concat([reading.present(name).column() for name in names])
    network = Traced(predictor.network(), names).eval()
    link = traced(reading.graph, network, examples(predictor.shapes, names), [present, *given])
    return link.cast(np.float64) * np.atleast_2d(predictor.scale) + np.atleast_2d(predictor.centre)


def examples(shapes: Shapes, names: Sequence[str]) -> list[Tensor]:
    """Draw the patients that a network is traced on: one of each pattern, those with none too, and bags of any length.

    No way through a network that only some batches take is then taken: there are absent and present, short and long.
    """
    draw = torch.Generator().manual_seed(0)
    if len(names) <= MOST_TRACED:
        rows = list(product((False, True), repeat=len(names)))
    else:
        rows = [tuple(k == m or k < 0 for m in range(len(names))) for k in range(-1, len(names))]
        rows.append((False,) * len(names))
    present = torch.tensor([rows[-1], *rows], dtype=torch.bool).reshape(-1, len(names))
    found = [present]
    for m, name in enumerate(names):
        width, slots = shapes[name]
        length = slots or LENGTH
        values = torch.randn(len(present), length, width, generator=draw)
        most = torch.randint(1, length + 1, (len(present), 1), generator=draw)
        most = torch.full_like(most, length) if slots else most
        most[0] = 1  # so that tokens are hidden in any case
        mask = torch.arange(length)[None] < most
        found += [values, mask & present[:, [m]]]
    return found


def traced(graph: Graph, network: nn.Module, given: Sequence[Tensor], values: Sequence[Value]) -> Value:
    """Trace a network and put its nodes into a graph, reading `values` in place of the tensors `given`.

    Raises:
        Unsupported: PyTorch cannot write the network in ONNX.
    """
    from onnx import compose, helper, load_model_from_string

    names = [f"in{k}" for k in range(len(given))]
    axes = {name: {0: "patients", 1: f"{name} tokens"} for name in names}
    written = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), redirect_stdout(io.StringIO()):  # it prints what it could not do
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                network, tuple(given), cast(Any, written), input_names=names, output_names=["link"], dynamic_axes=axes,
                opset_version=OPSET, dynamo=False,
            )  # fmt: skip
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            raise Unsupported(f"the network cannot be written in ONNX: {str(error).splitlines()[0]}") from error
    prefix = graph.fresh()
    found = compose.add_prefix(load_model_from_string(written.getvalue()), prefix)
    there = {own.name for own in found.graph.input}
    for name, value in zip(names, values, strict=True):
        if prefix + name in there:
            graph.nodes.append(helper.make_node("Identity", [value.name], [prefix + name]))
    graph.nodes.extend(found.graph.node)
    graph.constants.extend(found.graph.initializer)
    return Value(graph, found.graph.output[0].name)
