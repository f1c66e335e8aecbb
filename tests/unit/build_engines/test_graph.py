"""What cannot be served is refused by a sentence that names it and says what to do."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from build_engines.errors import GraphError
from build_engines.graph import Signature, load_graph, read_signature, require_served
from tests.unit.build_engines.networks import GRID, logits_network, save, served_network


def _refusal(model: onnx.ModelProto, path: Path) -> str:
    with pytest.raises(GraphError) as caught:
        read_signature(load_graph(save(model, path)), path.name)
    return str(caught.value)


def test_the_signature_of_a_float_graph_and_of_a_served_one(tmp_path: Path) -> None:
    exported = load_graph(save(logits_network(classes=2), tmp_path / "a.onnx"))
    served = load_graph(save(served_network(classes=2), tmp_path / "b.onnx"))
    assert read_signature(exported, "a") == Signature("image", "logits", GRID, 2, served=False)
    assert require_served(served, "b") == Signature("MODEL_INPUT", "PROBABILITY", GRID, 2, served=True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"nowhere\.onnx is not there"):
        load_graph(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"this is no network", b"\xff\xd8\xff\xe0 a photograph", b"\n\x03abc"]
)
def test_another_file_is_not_an_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "eye.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"eye\.onnx is not an ONNX file"):
        load_graph(path)


def test_a_truncated_onnx_is_refused(tmp_path: Path) -> None:
    path = save(logits_network(), tmp_path / "half.onnx")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(GraphError, match=r"half\.onnx"):
        load_graph(path)


def test_a_wrong_number_of_channels_is_refused_with_the_shape(tmp_path: Path) -> None:
    assert "has 1 channels where 3 (RGB) are served" in _refusal(logits_network(channels=1), tmp_path / "grey.onnx")


def test_a_dynamic_height_is_refused(tmp_path: Path) -> None:
    message = _refusal(logits_network(rows="height"), tmp_path / "any.onnx")
    assert "dynamic height or width ([batch, 3, height, 64]" in message


def test_sides_of_the_output_that_follow_from_the_input_are_found_out(tmp_path: Path) -> None:
    model = logits_network(classes=2)
    for dimension, given in zip(model.graph.output[0].type.tensor_type.shape.dim[1:], ("c", "h", "w"), strict=True):
        dimension.dim_param = given
    loaded = load_graph(save(model, tmp_path / "open.onnx"))
    assert read_signature(loaded, "open") == Signature("image", "logits", GRID, 2, served=False)


def test_a_graph_that_takes_no_larger_batch_is_refused(tmp_path: Path) -> None:
    model = logits_network()
    shape = numpy_helper.from_array(np.array([1, 1, GRID, GRID]), "shape")
    model.graph.initializer.append(shape)
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(helper.make_node("Reshape", ["raw", "shape"], ["logits"]))
    for dimension in model.graph.output[0].type.tensor_type.shape.dim[1:]:
        dimension.dim_param = "open"
    assert "cannot be run on a batch of 2" in _refusal(model, tmp_path / "single.onnx")


def test_a_batch_fixed_to_one_is_refused_with_the_export_option(tmp_path: Path) -> None:
    message = _refusal(logits_network(batch=1), tmp_path / "one.onnx")
    assert "batch dimension of input image of one.onnx is fixed to 1" in message
    assert "dynamic_axes" in message


def test_a_grid_that_is_not_square_is_refused(tmp_path: Path) -> None:
    assert "must be the same square" in _refusal(logits_network(rows=32), tmp_path / "wide.onnx")


def test_float64_weights_are_named(tmp_path: Path) -> None:
    model = logits_network()
    doubled = numpy_helper.from_array(numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64), "first")
    model.graph.initializer[0].CopyFrom(doubled)
    assert "computes in float64 (first)" in _refusal(model, tmp_path / "double.onnx")


def test_an_unsupported_operator_is_named(tmp_path: Path) -> None:
    model = logits_network()
    model.graph.node[1].op_type, model.graph.node[1].domain = "FancyActivation", "my.company"
    model.opset_import.append(helper.make_opsetid("my.company", 1))
    assert "my.company.FancyActivation" in _refusal(model, tmp_path / "fancy.onnx")


def test_an_operator_unknown_to_the_standard_is_named(tmp_path: Path) -> None:
    model = logits_network()
    model.graph.node[1].op_type = "Reluu"
    assert "cannot be built: Reluu" in _refusal(model, tmp_path / "typo.onnx")


@pytest.mark.parametrize("opset", [11, 23])
def test_an_opset_out_of_range_is_refused(tmp_path: Path, opset: int) -> None:
    assert f"uses opset {opset}; 13 to 22" in _refusal(logits_network(opset=opset), tmp_path / "old.onnx")


def test_missing_external_data_is_named(tmp_path: Path) -> None:
    path = tmp_path / "split.onnx"
    onnx.save(logits_network(), str(path), save_as_external_data=True, location="split.weights", size_threshold=0)
    assert load_graph(path).graph.initializer[0].raw_data
    (tmp_path / "split.weights").unlink()
    with pytest.raises(GraphError, match=r"keeps its weights in split\.weights, which is missing"):
        load_graph(path)


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    model = logits_network()
    model.graph.output.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, ["batch", 8, 32, 32]))
    assert "1 inputs and 2 outputs" in _refusal(model, tmp_path / "two.onnx")


def test_half_precision_images_are_refused(tmp_path: Path) -> None:
    model = logits_network()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for tensor in model.graph.initializer[:3]:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    assert "FLOAT16" in _refusal(model, tmp_path / "half.onnx")


def test_a_float_graph_is_not_served_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="compose"):
        require_served(logits_network(), "net.onnx")
