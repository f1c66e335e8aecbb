"""The one TensorRT builder, over TensorRT for RTX, which builds without a GPU."""

import io
from pathlib import Path
from typing import Any

import onnx
import pytest
import tensorrt_rtx_bindings as rtx  # type: ignore[import-untyped]
from onnx import TensorProto

from build_engines.compose import Averaging, Composition, compose
from build_engines.errors import GraphError, TargetError
from build_engines.half import to_bf16, to_fp16
from build_engines.layout import cast_first
from build_engines.progress import Progress
from build_engines.targets.tensorrt import TensorRtOptions, build_tensorrt, import_tensorrt
from build_engines.views import View
from segserve_server.engines.machine import Machine
from segserve_server.repository.manifest import Profile, Target
from tests.unit.build_engines.networks import logits_network, served_network

_PROFILE = Profile(1, 4, 8)
_NO_GPU = Machine(cpu="a CPU", instruction_sets=())


def _build(model: onnx.ModelProto, **options: Any) -> bytes:
    chosen = TensorRtOptions(**({"compute_capability": "8.9"} | options))
    return build_tensorrt(rtx, model, _PROFILE, chosen, Progress(io.StringIO()))


def test_fp32_fp16_and_bf16_graphs_build() -> None:
    model = served_network(classes=2)
    for graph in (model, to_fp16(model, "net"), to_bf16(model, "net")):
        assert len(_build(graph)) > 1000


def test_views_averages_and_votes_build_in_fp16() -> None:
    members = [(str(seed), logits_network(seed=seed)) for seed in (1, 2)]
    for averaging in Averaging:
        composed = compose(members, Composition(views=tuple(View), averaging=averaging))
        assert len(_build(to_fp16(composed, "net"))) > 1000


def test_a_graph_that_mixes_types_is_not_strongly_typed_and_is_refused_by_name() -> None:
    graph = to_fp16(served_network(), "net")
    casts = [node for node in graph.graph.node if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT16]
    for cast in casts:
        cast.attribute[0].i = TensorProto.FLOAT
    with pytest.raises(GraphError, match="TensorRT cannot read the graph: Conv"):
        _build(graph)


def test_bytes_through_a_transpose_are_refused_until_the_cast_comes_first() -> None:
    model = served_network()
    first, second = model.graph.node[0], model.graph.node[1]
    result = second.output[0]
    first.CopyFrom(onnx.helper.make_node("Transpose", ["MODEL_INPUT"], ["t"], perm=[0, 3, 1, 2]))
    second.CopyFrom(onnx.helper.make_node("Cast", ["t"], [result], to=TensorProto.FLOAT))
    with pytest.raises(GraphError, match="Transpose"):
        _build(model)
    assert len(_build(cast_first(model))) > 1000


# TensorRT for RTX has the calls and warns that they do nothing.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_timing_cache_is_kept_and_a_foreign_one_replaced(tmp_path: Path) -> None:
    cache = tmp_path / "caches" / "rtx.timing"
    _build(served_network(), timing_cache=cache)
    first = cache.read_bytes()
    assert first
    _build(served_network(), timing_cache=cache)
    cache.write_bytes(b"of another program")
    _build(served_network(), timing_cache=cache)
    assert cache.read_bytes() != b"of another program"


def test_a_compute_capability_it_does_not_know_is_refused_with_those_it_does() -> None:
    with pytest.raises(TargetError, match=r"compute capability 9\.0; it knows .*SM89"):
        _build(served_network(), compute_capability="9.0")


def test_a_switch_this_installation_lacks_the_library_for_is_refused_with_the_reason() -> None:
    with pytest.raises(TargetError, match=r"could not build the engine: .*lean"):
        _build(served_network(), version_compatible=True)


def test_a_plan_without_a_gpu_is_refused_and_points_to_the_container_and_the_dry_run() -> None:
    with pytest.raises(TargetError, match=r"shows none.*container.*tensorrt-rtx"):
        import_tensorrt(Target.TENSORRT, _NO_GPU)
    assert import_tensorrt(Target.TENSORRT_RTX, _NO_GPU) is rtx
