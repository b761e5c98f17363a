"""A graph of ONNX under construction, whose values are written as one writes algebra: `(x - mean) @ axes / scale`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 18
TREES_OPSET = 5  # of `ai.onnx.ml`, whose TreeEnsemble adds up in double precision
IR_VERSION = 10  # of the file: what runtimes since mid-2024 read
MOST_BYTES = 1 << 31  # of one protobuf message
TREES = "ai.onnx.ml"
Number = float | int | NDArray[Any]


@dataclass(eq=False)
class Graph:
    """Nodes, constants, inputs and outputs, in the order in which they were made."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    number: int = 0

    def fresh(self) -> str:
        """Return a name that no other value has; no modality or column has it, since it begins with a slash."""
        self.number += 1
        return f"/{self.number}"

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> Value:
        """Declare an input; an axis that is a name may have any length."""
        from onnx import TensorProto, helper

        kind = TensorProto.STRING if dtype is str else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return Value(self, name)

    def output(self, name: str, value: Value, dtype: Any, shape: Sequence[int | str]) -> None:
        """Declare an output."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [value.name], [name]))
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))

    def constant(self, value: Any, dtype: Any = np.float64) -> Value:
        """Return a constant of this type, float64 unless given."""
        from onnx import numpy_helper

        name = self.fresh()
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, dtype)), name))
        return Value(self, name)

    def op(self, kind: str, *values: Value | str, domain: str = "", **attributes: Any) -> Value:
        """Add a node with one output and return it; `""` stands for an input that is left out."""
        from onnx import helper

        name = self.fresh()
        names = [own if isinstance(own, str) else own.name for own in values]
        self.nodes.append(helper.make_node(kind, names, [name], domain=domain, **attributes))
        return Value(self, name)

    def concat(self, values: Sequence[Value], axis: int = 1) -> Value:
        """Put values beside each other."""
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=axis)

    def model(self, metadata: dict[str, str], version: str = "") -> Any:
        """Return the whole as a model of ONNX, with these properties, made by this version."""
        from onnx import helper

        graph = helper.make_graph(self.nodes, "chiasm", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(TREES, TREES_OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="chiasm")
        made.producer_version = version
        helper.set_model_props(made, metadata)
        return made


@dataclass(frozen=True, eq=False)
class Value:
    """A value of a graph; numbers that it is combined with become float64 constants."""

    graph: Graph
    name: str

    def op(self, kind: str, *others: Value | Number, **attributes: Any) -> Value:
        """Apply an operator to this value and others."""
        return self.graph.op(kind, self, *map(self._of, others), **attributes)

    def _of(self, other: Value | Number) -> Value:
        return other if isinstance(other, Value) else self.graph.constant(other)

    def __add__(self, other: Value | Number) -> Value:
        return self.op("Add", other)

    def __sub__(self, other: Value | Number) -> Value:
        return self.op("Sub", other)

    def __mul__(self, other: Value | Number) -> Value:
        return self.op("Mul", other)

    def __truediv__(self, other: Value | Number) -> Value:
        return self.op("Div", other)

    def __matmul__(self, other: Value | Number) -> Value:
        return self.op("MatMul", other)

    def __neg__(self) -> Value:
        return self.op("Neg")

    def __and__(self, other: Value) -> Value:
        return self.op("And", other)

    def __or__(self, other: Value) -> Value:
        return self.op("Or", other)

    def __invert__(self) -> Value:
        return self.op("Not")

    def cast(self, dtype: Any) -> Value:
        """Convert to another type."""
        from onnx import helper

        return self.op("Cast", to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def where(self, yes: Value | Number, no: Value | Number) -> Value:
        """Choose between two by this value, bool."""
        return self.op("Where", yes, no)

    def column(self) -> Value:
        """Give `(B,)` a second axis of length one."""
        return self.expanded(1)

    def expanded(self, *axes: int) -> Value:
        """Give it axes of length one at these places."""
        return self.graph.op("Unsqueeze", self, self.graph.constant(axes, np.int64))

    def squeezed(self, *axes: int) -> Value:
        """Take away axes of length one."""
        return self.graph.op("Squeeze", self, self.graph.constant(axes, np.int64))

    def take(self, places: Any, axis: int = 1) -> Value:
        """Select places along an axis, in this order."""
        return self.graph.op("Gather", self, self.graph.constant(places, np.int64), axis=axis)

    def reshape(self, *shape: int) -> Value:
        """Arrange anew; 0 keeps the length of an axis, -1 takes what is left."""
        return self.graph.op("Reshape", self, self.graph.constant(shape, np.int64))

    def sum(self, axis: int, keep: bool = False) -> Value:
        """Add up along an axis."""
        return self.graph.op("ReduceSum", self, self.graph.constant([axis], np.int64), keepdims=int(keep))

    def max(self, axis: int) -> Value:
        """Largest along an axis."""
        return self.graph.op("ReduceMax", self, self.graph.constant([axis], np.int64), keepdims=0)

    def clip(self, low: float, high: float) -> Value:
        """Bound from below and above."""
        return self.op("Max", low).op("Min", high)
