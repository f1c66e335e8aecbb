"""A graph that offers a smaller height keeps it through folding and rounding, and is compared on the same rows."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from build_engines.heights import all_heights, fix_height, free_height
from build_engines.layout import fold
from build_engines.rounding import round_weights
from build_engines.targets.engine import LitRowsReference
from build_engines.targets.openvino import build_openvino, open_openvino
from segserve_server.engines.margins import HEIGHTS_KEY
from segserve_server.engines.openvino import Precision
from tests.unit.build_engines.networks import images, run, save, served_network

GRID = 128


@pytest.fixture
def graph() -> onnx.ModelProto:
    """A served graph that works on 64 rows, too."""
    model = served_network(grid=GRID)
    onnx.helper.set_model_props(model, {HEIGHTS_KEY: "64"})
    return model


def test_heights_are_read_from_the_metadata(graph: onnx.ModelProto) -> None:
    assert all_heights(served_network(grid=GRID)) == (128,)
    assert all_heights(graph) == (128, 64)


def test_a_folded_graph_works_on_either_height_and_gets_its_own_back(graph: onnx.ModelProto) -> None:
    free = fold(free_height(graph), "a graph")
    seen = images(1, grid=GRID)
    assert run(free, seen[:, :64]).shape == (1, 1, 64, GRID)
    fixed = fix_height(free, GRID)
    onnx.checker.check_model(fixed, full_check=True)
    assert all_heights(fixed) == (128, 64)
    assert np.array_equal(run(fixed, seen), run(graph, seen))


def test_a_rounded_engine_and_its_reference_leave_the_same_rows_out(graph: onnx.ModelProto, tmp_path: Path) -> None:
    seen = images(1, grid=GRID)
    seen[:, :32] = seen[:, 90:] = 4
    rounded = fix_height(round_weights(fold(free_height(graph), "a graph"), [seen]), GRID)
    engine = open_openvino(build_openvino(rounded.SerializeToString(), Precision.F32, []), Precision.F32)
    found, expected = engine.infer(seen), LitRowsReference(save(graph, tmp_path / "model.onnx")).infer(seen)
    assert np.abs(found.astype(int) - expected).mean() < 1  # of 255; the weights are rounded
    for answer in (found, expected):
        assert not answer[:, :, :32].any()
        assert not answer[:, :, 96:].any()
        assert answer[:, :, 32:96].any()
