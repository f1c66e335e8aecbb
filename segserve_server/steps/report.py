"""The REPORT tensor's JSON (``segserve.contract.report_schema``)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from segserve.contract import CONTRACT_VERSION

from segserve_server.imaging.lesions import ClassFindings
from segserve_server.imaging.settings import ClassSettings
from segserve_server.repository.settings import PostprocessFile
from segserve_server.steps.photograph import Photograph


def build_report(photograph: Photograph, findings: Sequence[ClassFindings], file: PostprocessFile) -> bytes:
    """The report of one photograph, UTF-8 JSON. ``findings``: one per class, in the settings' order."""
    # One hash for everything clinical: either settings file changed, so did the hash.
    both = f"{photograph.preprocess_settings_sha256} {file.sha256}"
    document = {
        "schema_version": CONTRACT_VERSION,
        "model": {
            "name": file.model.name,
            "version": file.model.version,
            "weights_sha256": file.model.weights_sha256,
            "settings_sha256": hashlib.sha256(both.encode()).hexdigest(),
        },
        "image": asdict(photograph.image),
        "field_of_view": asdict(photograph.field_of_view),
        "geometry": photograph.geometry.grid_to_photo.tolist(),
        "classes": [
            _describe(found, settings, photograph, file.settings.max_listed_lesions)
            for found, settings in zip(findings, file.settings.classes, strict=True)
        ],
        "warnings": list(photograph.warnings),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _describe(found: ClassFindings, settings: ClassSettings, photograph: Photograph, limit: int) -> dict[str, Any]:
    listed = found.lesions[:limit]
    return {
        "name": settings.name,
        "color": settings.color,
        "threshold": settings.threshold,
        "area_px": found.area_px,
        "area_fraction": found.area_px / max(1, photograph.field_of_view.area_px),
        "lesion_count": len(found.lesions),
        "lesions_truncated": len(found.lesions) > limit,
        "lesions": [
            {
                "id": number,
                "area_px": lesion.area_px,
                "bbox": list(lesion.bbox),
                "centroid": [round(value, 2) for value in lesion.centroid],
                "mean_probability": round(lesion.mean_probability, 4),
                "max_probability": round(lesion.max_probability, 4),
            }
            for number, lesion in enumerate(listed, start=1)
        ],
    }
