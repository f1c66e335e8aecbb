"""What preprocessing knows of a photograph, carried to post-processing and clients as the GEOMETRY tensor."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from segserve.contract import CONTRACT_VERSION

from segserve_server.imaging.field_of_view import FieldOfView
from segserve_server.imaging.geometry import Geometry
from segserve_server.imaging.pipeline import Preprocessed


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The report's ``image``: sizes in pixels, EXIF orientation 1 to 8, bits per channel, hash of the file's bytes."""

    width: int
    height: int
    stored_width: int
    stored_height: int
    orientation: int
    bit_depth: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph's facts, geometry, field of view and warnings."""

    image: ImageFacts
    geometry: Geometry
    field_of_view: FieldOfView
    warnings: tuple[str, ...]
    preprocess_settings_sha256: str

    @classmethod
    def from_preprocessed(cls, seen: Preprocessed, *, settings_sha256: str) -> "Photograph":
        """Of a photograph that has just been preprocessed with the settings file of that hash."""
        header = seen.header
        image = ImageFacts(
            width=header.width,
            height=header.height,
            stored_width=header.stored_width,
            stored_height=header.stored_height,
            orientation=header.orientation,
            bit_depth=header.bit_depth,
            sha256=seen.sha256,
        )
        return cls(image, seen.geometry, seen.field_of_view, seen.warnings, settings_sha256)

    def to_json(self) -> bytes:
        """The GEOMETRY tensor's JSON (``segserve.contract.geometry_schema``)."""
        geometry = self.geometry
        document = {
            "schema_version": CONTRACT_VERSION,
            "grid": {"width": geometry.grid, "height": geometry.grid},
            "affine": geometry.grid_to_photo.tolist(),
            "crop": {"x": geometry.crop_x, "y": geometry.crop_y, "side": geometry.crop_side},
            "image": asdict(self.image),
            "field_of_view": asdict(self.field_of_view),
            "warnings": list(self.warnings),
            "preprocess_settings_sha256": self.preprocess_settings_sha256,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, encoded: bytes) -> "Photograph":
        """Read what ``to_json`` of the same or a later minor version wrote. Raises ValueError for anything else."""
        try:
            document: dict[str, Any] = json.loads(encoded)
            image = ImageFacts(**{name: document["image"][name] for name in ImageFacts.__slots__})
            field = FieldOfView(**{name: document["field_of_view"][name] for name in FieldOfView.__slots__})
            crop = document["crop"]
            geometry = Geometry(
                width=image.width,
                height=image.height,
                crop_x=crop["x"],
                crop_y=crop["y"],
                crop_side=crop["side"],
                grid=document["grid"]["width"],
            )
            hashed = document["preprocess_settings_sha256"]
            return cls(image, geometry, field, tuple(document["warnings"]), hashed)
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"GEOMETRY is not the JSON that preprocessing writes: {error!r}") from error
