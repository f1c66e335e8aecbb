"""Writes an ONNX graph node by node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper


class GraphWriter:
    """Collects nodes and constants under names of its own, which begin with ``segserve_``."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names = 0

    def add(self, operator: str, inputs: Sequence[str], *, output: str = "", **attributes: Any) -> str:
        """Append a node with one output; returns the output's name."""
        name = output or self._name(operator)
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=self._name(operator), **attributes))
        return name

    def constant(self, values: npt.NDArray[np.generic]) -> str:
        """A constant tensor; returns its name."""
        name = self._name("constant")
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def integers(self, values: Sequence[int]) -> str:
        """A constant int64 vector."""
        return self.constant(np.asarray(values, np.int64))

    def number(self, value: float) -> str:
        """A constant float32 scalar."""
        return self.constant(np.asarray(value, np.float32))

    def insert(self, graph: onnx.GraphProto) -> None:
        """Append another graph's nodes and weights; its input names must exist here already."""
        self.nodes.extend(graph.node)
        self.initializers.extend(graph.initializer)

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"segserve_{kind}_{self._names}"
