"""INT8 for processors that add products of bytes in 16 bits, where they overflow."""

import numpy as np
import openvino
import pytest

from build_engines.targets import int8
from build_engines.targets import openvino as target
from build_engines.targets.openvino import build_openvino
from segserve_server.engines.machine import Machine
from segserve_server.engines.openvino import Precision
from tests.unit.build_engines.networks import images, served_network


@pytest.mark.parametrize(
    ("instruction_sets", "halved"), [(("avx2",), True), (("avx2", "avx512_vnni"), False), (("avx2", "avx_vnni"), False)]
)
def test_weights_use_half_of_their_range_only_where_sums_overflow(
    monkeypatch: pytest.MonkeyPatch, instruction_sets: tuple[str, ...], *, halved: bool
) -> None:
    asked: list[bool] = []

    def quantise(graph: openvino.Model, *_: object, saturates: bool) -> openvino.Model:
        asked.append(saturates)
        return graph

    monkeypatch.setattr(target, "this_machine", lambda: Machine("a processor", instruction_sets))
    monkeypatch.setattr(target, "quantise", quantise)
    build_openvino(served_network().SerializeToString(), Precision.INT8, list(images()[:, np.newaxis]))
    assert asked == [halved]


@pytest.mark.parametrize(("saturates", "largest"), [(True, 64), (False, 128)])
def test_half_of_the_range_is_what_the_weights_get(*, saturates: bool, largest: int) -> None:
    graph = openvino.Core().read_model(served_network().SerializeToString())
    quantised = int8.quantise(graph, list(images()[:, np.newaxis]), [], saturates=saturates)
    constants = [one for one in quantised.get_ordered_ops() if one.get_type_name() == "Constant"]
    weights = [one.data for one in constants if one.get_element_type() == openvino.Type.i8]
    assert weights
    assert largest * 0.9 < max(np.abs(one.astype(int)).max() for one in weights) <= largest
