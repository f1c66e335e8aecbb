"""Which operators and opsets an engine can be built from."""

import onnx

from build_engines.errors import GraphError

MINIMUM_OPSET, MAXIMUM_OPSET = 13, 22
_DOMAINS = ("", "ai.onnx")
# Data-dependent shapes, sequences and strings: no engine with a fixed grid has them.
_NEVER = frozenset(
    {"NonZero", "Unique", "Compress", "SequenceConstruct", "SequenceAt", "SplitToSequence", "StringNormalizer"}
)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators that a graph uses; 0 if it names none."""
    return max((entry.version for entry in model.opset_import if entry.domain in _DOMAINS), default=0)


def check_operators(model: onnx.ModelProto, name: str) -> None:
    """Raises GraphError for an opset out of range, and for operators no target has, by name."""
    opset = opset_of(model)
    if not MINIMUM_OPSET <= opset <= MAXIMUM_OPSET:
        raise GraphError(
            f"{name} uses opset {opset}; {MINIMUM_OPSET} to {MAXIMUM_OPSET} can be built: export with opset_version=18"
        )
    unsupported = unsupported_operators(model)
    if unsupported:
        raise GraphError(
            f"{name} uses operators that cannot be built: {', '.join(unsupported)}. Replace them in the network, or "
            "leave them outside the exported graph"
        )


def unsupported_operators(model: onnx.ModelProto) -> tuple[str, ...]:
    """Operators outside the ONNX standard, unknown in this opset or with data-dependent shapes, sorted."""
    opset = opset_of(model)
    found = set()
    for node in _all_nodes(model.graph):
        if node.domain not in _DOMAINS:
            found.add(f"{node.domain}.{node.op_type}")
        elif node.op_type in _NEVER or not onnx.defs.has(node.op_type, opset, ""):
            found.add(node.op_type)
    return tuple(sorted(found))


def _all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    nodes = []
    for node in graph.node:
        nodes.append(node)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                nodes += _all_nodes(attribute.g)
    return nodes
