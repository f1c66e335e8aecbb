"""Reports, masks, probabilities and what can be made of them."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from segserve import ContractMismatchError, InvalidInputError, OutputError, OverlayStyle, Report, SegmentationResult
from segserve._geometry import Geometry
from segserve._probability import ProbabilityMap
from segserve._wire import OutputTensor
from segserve.testing import FakeServer, encode_mask, example_image, example_result


@pytest.fixture
def result() -> SegmentationResult:
    return example_result()


@pytest.fixture
def report(result: SegmentationResult) -> dict[str, Any]:
    return result.report.to_dict()


def test_a_report_is_read_into_dataclasses(result: SegmentationResult) -> None:
    kind = result.report.classes["hemorrhage"]
    assert kind is result.report.classes[0]
    assert kind.area_px == sum(lesion.area_px for lesion in kind.lesions) == result.masks["hemorrhage"].sum()
    assert repr(result.report.classes) == "Classes(hemorrhage)"
    assert list(result.report.classes) == ["hemorrhage"]


def test_unknown_fields_and_a_newer_minor_version_are_read_over(report: dict[str, Any]) -> None:
    report["schema_version"] = "1.7"
    report["new"] = report["image"]["new"] = report["classes"][0]["new"] = report["classes"][0]["lesions"][0]["new"] = 1
    parsed = Report.parse(json.dumps(report))
    assert parsed.schema_version == "1.7"
    assert parsed.to_dict()["new"] == 1


@pytest.mark.parametrize(("version", "advice"), [("2.0", "update segserve"), ("0.9", "older segserve")])
def test_another_major_version_is_refused_with_advice(report: dict[str, Any], version: str, advice: str) -> None:
    report["schema_version"] = version
    with pytest.raises(ContractMismatchError, match=advice):
        Report.parse(json.dumps(report))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": "new"}', '{"schema_version": "1.0"}'])
def test_a_garbled_report_is_refused(text: str) -> None:
    with pytest.raises(ContractMismatchError):
        Report.parse(text)


def test_masks_are_decoded_once_and_read_only(result: SegmentationResult) -> None:
    mask = result.masks["hemorrhage"]
    image = result.report.image
    assert mask.dtype == np.bool_
    assert mask.shape == (image.height, image.width)
    assert result.masks["hemorrhage"] is mask
    assert not mask.flags.writeable
    assert "hemorrhage" in result.masks
    assert "exudate" not in result.masks
    assert repr(result.masks) == f"Masks(hemorrhage; {image.width} x {image.height})"
    with pytest.raises(KeyError):
        result.masks["exudate"]


def test_a_mask_of_another_size_or_format_is_refused(result: SegmentationResult) -> None:
    for png in (encode_mask(np.zeros((2, 2), np.bool_)), b"not a png"):
        broken = SegmentationResult(result.report, (png,))
        with pytest.raises(ContractMismatchError, match="mask"):
            broken.masks["hemorrhage"]
    with pytest.raises(ContractMismatchError, match="1 classes, the answer 0 masks"):
        SegmentationResult(result.report, ())


def test_a_result_survives_pickling_without_its_decoded_arrays(result: SegmentationResult) -> None:
    assert result.masks["hemorrhage"].any()
    data = pickle.dumps(result)
    assert len(data) < len(example_image()) + 100_000
    copy = pickle.loads(data)
    assert copy == result
    assert copy.masks == result.masks
    np.testing.assert_array_equal(copy.masks["hemorrhage"], result.masks["hemorrhage"])


def test_outlines_lie_around_the_mask_and_fills_on_it(result: SegmentationResult) -> None:
    photo = np.asarray(Image.open(io.BytesIO(example_image())))
    mask = result.masks["hemorrhage"]
    outline = np.asarray(result.overlay(legend=False))
    fill = np.asarray(result.overlay(style=OverlayStyle.FILL, legend=False, colors={"hemorrhage": "#00ff00"}))
    np.testing.assert_array_equal(outline[mask], photo[mask])
    assert (outline != photo).any()
    np.testing.assert_array_equal(fill[~mask], photo[~mask])
    assert (fill[mask] != photo[mask]).any()
    assert (np.asarray(result.overlay()) != outline).any()  # the legend


def test_an_overlay_needs_the_photograph_the_masks_belong_to(result: SegmentationResult, png: bytes) -> None:
    with pytest.raises(InvalidInputError, match="40 x 30"):
        result.overlay(image=png)
    with pytest.raises(InvalidInputError, match="colour"):
        result.overlay(colors={"hemorrhage": "reddish"})
    with pytest.raises(InvalidInputError, match="pass image="):
        SegmentationResult(result.report, result.mask_pngs).overlay()


def test_an_empty_mask_leaves_the_photograph_as_it_is(result: SegmentationResult) -> None:
    image = result.report.image
    nothing = encode_mask(np.zeros((image.height, image.width), np.bool_))
    empty = SegmentationResult(result.report, (nothing,), image=example_image())
    np.testing.assert_array_equal(np.asarray(empty.overlay(legend=False)), Image.open(io.BytesIO(example_image())))


def test_a_saved_result_can_be_loaded(result: SegmentationResult, tmp_path: Path) -> None:
    files = result.save(tmp_path / "out")
    assert sorted(path.name for path in files) == ["fundus.hemorrhage.png", "fundus.overlay.png", "fundus.report.json"]
    loaded = SegmentationResult.load(tmp_path / "out" / "fundus.report.json")
    assert loaded.report.classes == result.report.classes
    assert loaded.masks == result.masks


def test_what_cannot_be_saved_or_loaded_is_said(result: SegmentationResult, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="pass name="):
        SegmentationResult(result.report, result.mask_pngs).save(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        result.save(tmp_path / "file")
    with pytest.raises(InvalidInputError, match="cannot read"):
        SegmentationResult.load(tmp_path / "none.report.json")


def test_a_result_as_json_holds_report_and_masks(result: SegmentationResult) -> None:
    parsed = json.loads(result.to_json())
    assert parsed["report"] == result.report.to_dict()
    assert set(parsed["masks"]) == {"hemorrhage"}
    assert "masks" not in json.loads(result.to_json(masks=False))


def test_probabilities_are_decoded_when_read_and_pickled_without(png: bytes) -> None:
    with FakeServer().client() as client:
        probability = client.probability(png)
    assert probability.array.dtype == np.float32
    assert probability.array.shape == probability.shape == (1, 64, 64)
    assert probability.array.max() == pytest.approx(0.8)
    assert not probability.array.flags.writeable
    assert probability.array is probability.array
    copy = pickle.loads(pickle.dumps(probability))
    np.testing.assert_array_equal(copy.levels, probability.levels)
    assert "array" not in copy.__dict__


def test_the_geometry_takes_grid_points_to_the_photograph(png: bytes) -> None:
    with FakeServer().client() as client:
        geometry = client.probability(png).geometry
    corner = geometry.to_photo([[-0.5, -0.5], [63.5, 63.5]])
    np.testing.assert_allclose(corner, [[-0.5, -0.5], [39.5, 39.5]])


def test_a_probability_that_does_not_fit_its_geometry_is_refused(png: bytes) -> None:
    with FakeServer().client() as client:
        good = client.probability(png)
    for output in (OutputTensor("FP32", (1, 1, 64, 64), b""), OutputTensor("UINT8", (1, 64, 64), b"short")):
        with pytest.raises(ContractMismatchError, match="probability"):
            ProbabilityMap.from_output(output, good.geometry, request_id="")
    with pytest.raises(ContractMismatchError, match="geometry"):
        Geometry.parse('{"schema_version": "1.0"}')
