"""The two image steps as serving, training, parity check and tests all call them: preprocess and postprocess."""

import hashlib
from dataclasses import dataclass

import numpy as np

from segserve_server.imaging.contrast import equalise_contrast
from segserve_server.imaging.decode import UInt8Array, decode
from segserve_server.imaging.errors import ImagingError
from segserve_server.imaging.field_of_view import FieldOfView, find_field_of_view
from segserve_server.imaging.geometry import Geometry, square_crop
from segserve_server.imaging.header import ImageHeader
from segserve_server.imaging.lesions import ClassFindings, find_lesions
from segserve_server.imaging.resample import photo_to_model
from segserve_server.imaging.settings import PostprocessSettings, PreprocessSettings

WARN_NO_FIELD_OF_VIEW = "field_of_view_not_found"
WARN_LOW_RESOLUTION = "resolution_below_model_grid"
WARN_ICC_IGNORED = "icc_profile_ignored"


@dataclass(frozen=True, slots=True)
class Preprocessed:
    """``pixels``: uint8 [grid, grid, 3] RGB, the model's input; and what is known of the photograph it came from."""

    pixels: UInt8Array
    geometry: Geometry
    field_of_view: FieldOfView
    header: ImageHeader
    sha256: str
    warnings: tuple[str, ...]


def preprocess(encoded: bytes, settings: PreprocessSettings) -> Preprocessed:
    """Decode a photograph, crop its field of view, scale it to the model grid and equalise its contrast.

    Contrast is equalised on the model grid, not on the photograph: a tenth of the pixels, and the same tiles on the
    same retina whatever the camera's resolution. Raises InvalidImageError.
    """
    decoded = decode(encoded, caps=settings.caps, grid=settings.grid, max_reduction=settings.max_jpeg_reduction)
    header, reduction = decoded.header, decoded.reduction
    if settings.crop == "field_of_view":
        field = find_field_of_view(decoded.pixels, reduction=reduction, width=header.width, height=header.height)
    else:
        field = FieldOfView(0, 0, header.width, header.height, header.width * header.height, found=True)
    geometry = square_crop(field, width=header.width, height=header.height, grid=settings.grid, reduction=reduction)
    pixels = equalise_contrast(photo_to_model(decoded.pixels, geometry, reduction=reduction), settings.clahe)
    warnings = []
    if not field.found:
        warnings.append(WARN_NO_FIELD_OF_VIEW)
    if geometry.crop_side < settings.grid:
        warnings.append(WARN_LOW_RESOLUTION)
    if header.has_icc_profile:
        warnings.append(WARN_ICC_IGNORED)
    return Preprocessed(
        pixels=pixels,
        geometry=geometry,
        field_of_view=field,
        header=header,
        sha256=hashlib.sha256(encoded).hexdigest(),
        warnings=tuple(warnings),
    )


def postprocess(
    probability: UInt8Array, geometry: Geometry, settings: PostprocessSettings
) -> tuple[ClassFindings, ...]:
    """Masks and lesions of every class. ``probability``: uint8 [C, grid, grid], one channel per class in settings.

    Raises ImagingError when the shapes do not agree.
    """
    expected = (len(settings.classes), geometry.grid, geometry.grid)
    if probability.shape != expected or probability.dtype != np.uint8:
        raise ImagingError(f"probability is {probability.dtype} {probability.shape}, expected uint8 {expected}")
    return tuple(
        find_lesions(channel, geometry, class_settings)
        for channel, class_settings in zip(probability, settings.classes, strict=True)
    )
