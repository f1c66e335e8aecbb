"""Components, outlines, COCO, GeoJSON, CSV and comparisons, against the libraries that read them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from segserve import (
    InvalidInputError,
    Report,
    SegmentationResult,
    compare,
    to_coco,
    to_geojson,
    write_csv,
)
from segserve._coco import encode_rle
from segserve._outline import trace_polygons
from segserve._regions import find_regions
from segserve.testing import FakeModel, FakeServer, encode_mask, example_result

BoolArray = npt.NDArray[np.bool_]

# pycocotools 2.0 has not followed numpy 2 everywhere.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@given(MASKS)
def test_regions_are_the_8_connected_components(mask: BoolArray) -> None:
    regions = find_regions(mask)
    count, _, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    expected = sorted((int(row[4]), *(int(v) for v in row[:4])) for row in stats[1:])
    assert sorted((region.area_px, *region.bbox) for region in regions) == expected
    assert len(regions) == count - 1
    np.testing.assert_allclose(sorted(r.centroid for r in regions), sorted(map(tuple, centroids[1:])))
    assert [r.area_px for r in regions] == sorted((r.area_px for r in regions), reverse=True)


@given(MASKS)
def test_outlines_are_valid_polygons_of_exactly_the_masks_pixels(mask: BoolArray) -> None:
    shape = shapely.MultiPolygon([(rings[0], rings[1:]) for rings in trace_polygons(mask)])
    assert shape.is_valid
    assert shape.area == mask.sum()
    rows, columns = np.nonzero(mask)
    assert all(shapely.contains_xy(shape, columns + 0.5, rows + 0.5))


def test_holes_that_touch_a_corner_are_rings_of_their_own() -> None:
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 1]], np.bool_)
    polygons = trace_polygons(mask, x=10, y=20)
    assert [len(rings) for rings in polygons] == [1, 2]
    assert polygons[1][1] == [(12, 22), (12, 21), (11, 21), (11, 22), (12, 22)]


@given(MASKS)
def test_run_lengths_are_decoded_by_pycocotools(mask: BoolArray) -> None:
    height, width = mask.shape
    for region in find_regions(mask):
        code = {"size": [height, width], "counts": encode_rle(region, height=height, width=width)}
        x, y, w, h = region.bbox
        expected = np.zeros(mask.shape, np.uint8)
        expected[y : y + h, x : x + w] = region.crop()
        np.testing.assert_array_equal(coco_mask.decode(code), expected)


def test_a_coco_file_gives_the_masks_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = example_result()
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(to_coco([result, result])))
    coco = COCO(str(path))
    assert [image["file_name"] for image in coco.imgs.values()] == ["fundus.jpg", "fundus.jpg"]
    for image_id in coco.imgs:
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
        union = np.any([coco.annToMask(annotation) for annotation in annotations], axis=0)
        np.testing.assert_array_equal(union, result.masks["hemorrhage"])
        kind = result.report.classes["hemorrhage"]
        assert [a["area"] for a in annotations] == [lesion.area_px for lesion in kind.lesions]
        assert [a["score"] for a in annotations] == [lesion.mean_probability for lesion in kind.lesions]


def test_results_of_different_classes_do_not_share_a_coco_file(png: bytes) -> None:
    with FakeServer(FakeModel(classes=("exudate",))).client() as client:
        other = client.segment(png)
    with pytest.raises(InvalidInputError, match="different classes"):
        to_coco([example_result(), other])


def test_geojson_has_one_valid_shape_per_lesion_with_its_area() -> None:
    result = example_result()
    features = to_geojson(result)["features"]
    lesions = result.report.classes["hemorrhage"].lesions
    assert len(features) == len(lesions)
    for feature, lesion in zip(features, lesions, strict=True):
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.area == lesion.area_px == feature["properties"]["measurements"]["area_px"]
        x, y, width, height = lesion.bbox
        assert shape.bounds == (x, y, x + width, y + height)
        assert feature["properties"]["classification"]["name"] == "hemorrhage"


def test_lesions_that_a_truncated_report_leaves_out_are_still_exported() -> None:
    shortened = _without_lesions(example_result())
    features = to_geojson(shortened)["features"]
    assert len(features) == shortened.report.classes["hemorrhage"].lesion_count
    assert "mean_probability" not in features[0]["properties"]["measurements"]
    assert "score" not in to_coco([shortened])["annotations"][0]


def test_csv_has_one_row_per_lesion() -> None:
    result = example_result()
    file = io.StringIO(newline="")
    count = write_csv([result, result], file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert count == len(rows) == 2 * len(result.report.classes["hemorrhage"].lesions)
    largest = result.report.classes["hemorrhage"].lesions[0]
    assert (int(rows[0]["lesion"]), int(rows[0]["area_px"])) == (largest.id, largest.area_px)
    assert rows[0]["image_sha256"] == result.report.image.sha256


def test_a_result_compared_with_itself_has_lost_and_gained_nothing() -> None:
    same = compare(example_result(), example_result()).classes["hemorrhage"]
    assert (same.dice, same.iou, same.gained, same.lost) == (1.0, 1.0, (), ())
    assert all(match.before == match.after and match.iou == 1.0 for match in same.matched)


def test_a_comparison_counts_pixels_and_matches_lesions() -> None:
    before, after = np.zeros((20, 30), np.bool_), np.zeros((20, 30), np.bool_)
    before[2:6, 2:6] = True  # moves by one pixel
    after[2:6, 3:7] = True
    before[10:12, 10:12] = True  # heals
    after[10:14, 20:24] = True  # is new
    before[15:17, 2:10] = True  # splits
    after[15:17, 2:5] = after[15:17, 6:10] = True
    change = compare(_result(before), _result(after)).classes["hemorrhage"]
    common = 12 + 14
    assert (change.area_before_px, change.area_after_px) == (36, 46)
    assert change.dice == pytest.approx(2 * common / (36 + 46))
    assert change.iou == pytest.approx(common / (36 + 46 - common))
    assert [(m.before.area_px, m.after.area_px, m.iou) for m in change.matched] == [(16, 16, 0.6), (16, 8, 0.5)]
    assert [lesion.area_px for lesion in change.lost] == [4]
    assert sorted(lesion.area_px for lesion in change.gained) == [6, 16]
    strict = compare(_result(before), _result(after), min_iou=0.55).classes["hemorrhage"]
    assert len(strict.matched) == 1


def test_two_empty_results_agree() -> None:
    nothing = _result(np.zeros((4, 4), np.bool_))
    assert compare(nothing, nothing).classes["hemorrhage"].dice == 1.0


def test_results_without_a_common_grid_or_class_are_not_compared(png: bytes) -> None:
    with pytest.raises(InvalidInputError, match="register"):
        compare(example_result(), _result(np.zeros((4, 4), np.bool_)))
    with FakeServer(FakeModel(classes=("exudate",))).client() as client:
        exudate = client.segment(png)
    with FakeServer(FakeModel(classes=("hemorrhage", "exudate"))).client() as client:
        both = client.segment(png)
    comparison = compare(exudate, both)
    assert (comparison.only_before, comparison.only_after) == ((), ("hemorrhage",))
    with pytest.raises(InvalidInputError, match="no class in common"):
        compare(exudate, _result(np.zeros((30, 40), np.bool_)))


def _result(mask: BoolArray) -> SegmentationResult:
    """A result with this mask, whose report lists no lesion."""
    raw = _without_lesions(example_result()).report.to_dict()
    raw["image"] |= {"height": mask.shape[0], "width": mask.shape[1]}
    return SegmentationResult(Report.parse(json.dumps(raw)), (encode_mask(mask),))


def _without_lesions(result: SegmentationResult) -> SegmentationResult:
    raw: dict[str, Any] = result.report.to_dict()
    raw["classes"][0] |= {"lesions": [], "lesions_truncated": True}
    return SegmentationResult(Report.parse(json.dumps(raw)), result.mask_pngs)
