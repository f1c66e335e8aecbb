"""What an exported graph says of itself, and its logits in full precision."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from segserve.contract import MODEL_INPUT

from segserve_server.imaging.decode import UInt8Array
from segserve_server.repository.weights import sha256_of_file
from training.errors import RunError

Float32Array = npt.NDArray[np.float32]

TEMPERATURE_KEY, COARSE_KEY, NEGATIVE_SLOPE_KEY = "temperature", "coarse", "coarse_negative_slope"


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """Hash of the file, and the metadata that ``export`` wrote into it."""

    sha256: str
    run: str
    step: int
    temperature: float
    coarse: float
    coarse_negative_slope: float


class ReferenceEngine:
    """The graph in float32, read before it is rounded to eight bits: what the served form is compared with.

    Raises RunError for a file that ``export`` did not write.
    """

    def __init__(self, weights: Path) -> None:
        if not weights.is_file():
            raise RunError(f"{weights} is missing: export it first (python -m training export)")
        graph = onnx.load(weights)
        properties = {entry.key: entry.value for entry in graph.metadata_props}
        sigmoids = [node for node in graph.graph.node if node.op_type == "Sigmoid"]
        if not {TEMPERATURE_KEY, COARSE_KEY, NEGATIVE_SLOPE_KEY} <= set(properties) or not sigmoids:
            raise RunError(f"{weights} was not written by python -m training export")
        self.facts = GraphFacts(
            sha256=sha256_of_file(weights),
            run=properties["run"],
            step=int(properties["step"]),
            temperature=float(properties[TEMPERATURE_KEY]),
            coarse=float(properties[COARSE_KEY]),
            coarse_negative_slope=float(properties[NEGATIVE_SLOPE_KEY]),
        )
        self._logits = sigmoids[-1].input[0]
        graph.graph.output.append(onnx.helper.make_tensor_value_info(self._logits, onnx.TensorProto.FLOAT, None))
        self._session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])

    def logits(self, image: UInt8Array) -> Float32Array:
        """uint8 [grid, grid, 3] to the logits before division by the temperature, float32 [C, grid, grid]."""
        (calibrated,) = self._session.run([self._logits], {MODEL_INPUT: image[np.newaxis]})
        logits: Float32Array = calibrated[0] * np.float32(self.facts.temperature)
        return logits


def sees_neighbours_only(graph: onnx.ModelProto) -> bool:
    """Whether no pixel depends on the whole grid, so that an engine may leave rows out (engines.margins)."""
    everywhere = {"GlobalAveragePool", "GlobalMaxPool", "MatMul", "ReduceMax", "ReduceMean", "Softmax"}
    return not everywhere & {node.op_type for node in graph.graph.node}


def sigmoid(logits: Float32Array) -> Float32Array:
    """Logits to probabilities, float32, without overflow."""
    probability: Float32Array = (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)
    return probability
