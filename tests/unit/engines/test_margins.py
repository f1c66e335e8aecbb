"""Dark rows of the model grid are left out by engines whose graph allows it, and by no others."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from build_engines.errors import GraphError
from build_engines.heights import all_heights
from build_engines.targets.openvino import build_openvino, open_openvino
from segserve_server.engines.margins import HEIGHTS_KEY, read_heights, rows_to_compute
from segserve_server.engines.openvino import OpenVinoEngine, Precision
from tests.unit.build_engines.networks import images, save, served_network

GRID = 128


def _lit(*rows: slice) -> npt.NDArray[np.uint8]:
    """uint8 [N, GRID, GRID, 3]: as dark as CLAHE leaves black, but for some rows of each image."""
    seen = np.full((len(rows), GRID, GRID, 3), 4, np.uint8)
    for image, bright, lit in zip(seen, np.maximum(images(len(rows), grid=GRID), 30), rows, strict=True):
        image[lit] = bright[lit]
    return seen


@pytest.fixture
def graph() -> onnx.ModelProto:
    """A served graph that works on 64 rows, too."""
    model = served_network(grid=GRID)
    onnx.helper.set_model_props(model, {HEIGHTS_KEY: "64", "run": "a test"})
    return model


@pytest.mark.parametrize(
    ("lit", "rows"),
    [
        (slice(0, 128), slice(0, 128)),
        (slice(33, 95), slice(32, 96)),
        (slice(33, 97), slice(0, 128)),
        (slice(31, 65), slice(0, 128)),
        (slice(31, 64), slice(0, 64)),
        (slice(127, 128), slice(64, 128)),
        (slice(0, 0), slice(0, 64)),
    ],
    ids=["all", "some", "a row too many below", "a row too many above", "the upper half", "the last row", "none"],
)
def test_the_rows_hold_all_that_is_lit(lit: slice, rows: slice) -> None:
    (image,) = _lit(lit)
    assert rows_to_compute(image, (128, 64)) == rows


def test_one_bright_value_is_enough() -> None:
    (image,) = _lit(slice(40, 50))
    image[100, 3, 1] = 13
    assert rows_to_compute(image, (64, 128)) == slice(0, 128)


def test_the_fewest_rows_of_several_heights_are_taken() -> None:
    (image,) = _lit(slice(40, 50))
    assert rows_to_compute(image, (128, 64, 96, 32)) == slice(32, 64)


def test_an_engine_of_another_grid_is_an_error() -> None:
    (image,) = _lit(slice(0, 128))
    with pytest.raises(ValueError, match="an image of 128 rows for an engine of 64"):
        rows_to_compute(image, (64,))


def test_dark_rows_are_empty_and_the_others_are_computed_by_themselves(graph: onnx.ModelProto, tmp_path: Path) -> None:
    seen = _lit(slice(40, 90), slice(70, 128), slice(0, 128))
    found = OpenVinoEngine(save(graph, tmp_path / "model.onnx"), precision=Precision.F32).infer(seen)
    assert found.shape == (3, 1, GRID, GRID)
    assert found.dtype == np.uint8
    assert not found[0, 0, :32].any()
    assert not found[0, 0, 96:].any()
    assert not found[1, 0, :64].any()
    short = OpenVinoEngine(save(served_network(grid=64), tmp_path / "short.onnx"), precision=Precision.F32)
    for answer, image, rows in ((found[0, 0], seen[0], slice(32, 96)), (found[1, 0], seen[1], slice(64, 128))):
        halves = np.stack([image[rows, :64], image[rows, 64:]])  # the test's network sees four pixels around each
        left, right = short.infer(halves)[:, 0]
        assert np.array_equal(answer[rows, :58], left[:, :58])
        assert np.array_equal(answer[rows, 70:], right[:, 6:])
    whole = OpenVinoEngine(save(served_network(grid=GRID), tmp_path / "plain.onnx"), precision=Precision.F32).infer(
        seen
    )
    assert np.array_equal(found[2], whole[2])
    assert np.array_equal(found[0, 0, 46:82], whole[0, 0, 46:82])
    assert whole[0, 0, :32].any()  # a graph that offers no other height is computed whole


@pytest.mark.parametrize("precision", [Precision.F32, Precision.INT8])
def test_a_built_engine_leaves_dark_rows_out_too(graph: onnx.ModelProto, precision: Precision) -> None:
    seen = _lit(slice(40, 90))
    built = build_openvino(graph.SerializeToString(), precision, [images(1, grid=GRID)])
    found = open_openvino(built, precision).infer(seen)
    assert found.shape == (1, 1, GRID, GRID)
    assert not found[0, 0, :32].any()
    assert found[0, 0, 32:96].any()


def test_a_file_that_is_no_engine_is_refused() -> None:
    with pytest.raises(RuntimeError, match="not an engine of this version"):
        open_openvino(b"a compiled graph without its zip", Precision.F32)


@pytest.mark.parametrize("entry", ["tall", "", "100", "128", "0", "-32", "64,", "64,3.5"])
def test_heights_that_cannot_be_are_named(entry: str, tmp_path: Path) -> None:
    model = served_network(grid=GRID)
    onnx.helper.set_model_props(model, {HEIGHTS_KEY: entry})
    sentence = f"offers the heights '{entry}': multiples of 32 under 128 are expected"
    with pytest.raises(RuntimeError, match=sentence):
        OpenVinoEngine(save(model, tmp_path / "model.onnx"), precision=Precision.F32)
    with pytest.raises(GraphError, match=sentence):
        all_heights(model)


def test_several_heights_may_be_offered() -> None:
    assert read_heights("64, 96", grid=GRID) == (64, 96)
