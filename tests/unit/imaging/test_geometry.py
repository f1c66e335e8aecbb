"""Geometry: whatever the photograph's size, the two grids stay within half a pixel of each other."""

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from segserve_server.imaging.field_of_view import FieldOfView
from segserve_server.imaging.geometry import Geometry, square_crop
from segserve_server.imaging.resample import model_to_photo, photo_to_model

REDUCTIONS = st.sampled_from([1, 2, 4, 8])


@st.composite
def fields(draw: st.DrawFn, largest: int = 12000) -> tuple[FieldOfView, int, int]:
    """A field of view somewhere in a photograph of any size from 32 x 32."""
    width, height = draw(st.integers(32, largest)), draw(st.integers(32, largest))
    x, y = draw(st.integers(0, width - 16)), draw(st.integers(0, height - 16))
    box_width, box_height = draw(st.integers(8, width - x)), draw(st.integers(8, height - y))
    return FieldOfView(x, y, box_width, box_height, box_width * box_height, found=True), width, height


def transform(affine: npt.NDArray[Any], points: npt.NDArray[Any]) -> npt.NDArray[Any]:
    moved: npt.NDArray[Any] = points @ affine[:, :2].T + affine[:, 2]
    return moved


@given(fields(), REDUCTIONS, st.sampled_from([256, 1024]))
def test_the_crop_covers_the_field_of_view_on_the_reduced_lattice(
    case: tuple[FieldOfView, int, int], reduction: int, grid: int
) -> None:
    field, width, height = case
    geometry = square_crop(field, width=width, height=height, grid=grid, reduction=reduction)
    assert geometry.crop_x <= field.x
    assert geometry.crop_y <= field.y
    assert geometry.crop_x + geometry.crop_side >= field.x + field.width
    assert geometry.crop_y + geometry.crop_side >= field.y + field.height
    assert geometry.crop_x % reduction == geometry.crop_y % reduction == geometry.crop_side % reduction == 0
    assert geometry.crop_side <= max(field.width, field.height) + 34 * reduction


@given(fields(), REDUCTIONS)
def test_photograph_to_grid_and_back_is_the_identity(case: tuple[FieldOfView, int, int], reduction: int) -> None:
    field, width, height = case
    geometry = square_crop(field, width=width, height=height, grid=1024, reduction=reduction)
    points = np.array([[0.0, 0.0], [width - 1, height - 1], [field.x, field.y], [1.5, 2.5]])
    there_and_back = transform(geometry.grid_to_photo, transform(geometry.photo_to_grid, points))
    np.testing.assert_allclose(there_and_back, points, atol=1e-6)


@given(fields())
def test_the_crops_edges_are_the_grids_edges(case: tuple[FieldOfView, int, int]) -> None:
    field, width, height = case
    geometry = square_crop(field, width=width, height=height, grid=512, reduction=1)
    edges = transform(geometry.grid_to_photo, np.array([[-0.5, -0.5], [511.5, 511.5]])) + 0.5
    corner = np.array([geometry.crop_x, geometry.crop_y])
    np.testing.assert_allclose(edges, [corner, corner + geometry.crop_side], atol=1e-6)


@given(fields(largest=700), st.integers(0, 2**32 - 1))
def test_a_blob_comes_back_within_half_a_pixel(case: tuple[FieldOfView, int, int], seed: int) -> None:
    """A disc drawn in the photograph, sent to the model grid and back, keeps its centre."""
    field, width, height = case
    geometry = square_crop(field, width=width, height=height, grid=256, reduction=1)
    rng = np.random.default_rng(seed)
    radius = 3 * max(1.0, geometry.scale)
    centre = np.array([rng.uniform(field.x, field.x + field.width), rng.uniform(field.y, field.y + field.height)])
    if (centre < radius + 2).any() or (centre > np.array([width, height]) - radius - 3).any():
        centre = np.array([width, height]) / 2
    x0, y0, x1, y1 = geometry.visible
    if not (x0 + radius + 2 < centre[0] < x1 - radius - 3 and y0 + radius + 2 < centre[1] < y1 - radius - 3):
        return  # the disc does not fit into what the model sees
    y, x = np.mgrid[:height, :width]
    blob = np.clip((radius + 0.5 - np.hypot(x - centre[0], y - centre[1])) * 255, 0, 255).astype(np.uint8)
    back = model_to_photo(photo_to_model(blob, geometry), geometry, geometry.visible).astype(float)
    rows, columns = np.mgrid[y0:y1, x0:x1]
    found = np.array([(columns * back).sum(), (rows * back).sum()]) / back.sum()
    drawn = np.array([(x * blob.astype(float)).sum(), (y * blob.astype(float)).sum()]) / blob.sum(dtype=float)
    assert np.abs(found - drawn).max() < 0.5


@given(fields(largest=600), st.data())
def test_a_window_holds_what_the_whole_would_hold_there(
    case: tuple[FieldOfView, int, int], data: st.DataObject
) -> None:
    field, width, height = case
    geometry = square_crop(field, width=width, height=height, grid=64, reduction=1)
    values = np.random.default_rng(3).integers(0, 256, (64, 64), dtype=np.uint8)
    x0, y0, x1, y1 = geometry.visible
    left, top = data.draw(st.integers(x0, x1 - 1)), data.draw(st.integers(y0, y1 - 1))
    right, bottom = data.draw(st.integers(left + 1, x1)), data.draw(st.integers(top + 1, y1))
    whole = model_to_photo(values, geometry, (x0, y0, x1, y1))
    part = model_to_photo(values, geometry, (left, top, right, bottom))
    np.testing.assert_array_equal(part, whole[top - y0 : bottom - y0, left - x0 : right - x0])


def test_a_strip_of_thirty_thousand_pixels_needs_no_square_of_that_side() -> None:
    strip = np.full((4, 30_000, 3), 200, np.uint8)
    field = FieldOfView(0, 0, 30_000, 4, 120_000, found=False)
    geometry = square_crop(field, width=30_000, height=4, grid=1024, reduction=1)
    model = photo_to_model(strip, geometry)
    assert model.shape == (1024, 1024, 3)
    lit = np.flatnonzero(model.any(axis=(1, 2)))
    assert len(lit) <= 2  # 4 rows of 30,000 are a seventh of a model row, wherever they fall
    assert abs(lit.mean() - 511.5) <= 1


def test_black_surrounds_a_photograph_smaller_than_its_crop() -> None:
    geometry = Geometry(width=64, height=32, crop_x=0, crop_y=-16, crop_side=64, grid=64)
    model = photo_to_model(np.full((32, 64, 3), 9, np.uint8), geometry)
    assert not model[:16].any()
    assert not model[48:].any()
    assert (model[16:48] == 9).all()
