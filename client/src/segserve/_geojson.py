"""GeoJSON polygons, as QuPath imports them and Shapely reads them."""

import math
from typing import Any

from segserve._findings import Finding, each_finding
from segserve._outline import trace_polygons
from segserve._result import SegmentationResult


def to_geojson(result: SegmentationResult) -> dict[str, Any]:
    """One feature per lesion, in pixels of the photograph: x to the right, y down, pixel corners at whole numbers.

    A polygon's area is the lesion's number of pixels. Properties are those QuPath knows (``objectType``,
    ``classification`` with a colour, ``measurements``).
    """
    return {"type": "FeatureCollection", "features": [_feature(finding) for finding in each_finding(result)]}


def _feature(finding: Finding) -> dict[str, Any]:
    lesion, kind = finding.lesion, finding.kind
    x, y, _, _ = finding.region.bbox
    polygons = trace_polygons(finding.region.crop(), x=x, y=y)
    geometry: dict[str, Any] = {"type": "MultiPolygon", "coordinates": polygons}
    if len(polygons) == 1:
        geometry = {"type": "Polygon", "coordinates": polygons[0]}
    measurements = {"area_px": lesion.area_px}
    for name in ("mean_probability", "max_probability"):
        value = getattr(lesion, name)
        if not math.isnan(value):
            measurements[name] = value
    color = [int(kind.color[i : i + 2], 16) for i in (1, 3, 5)]
    return {
        "type": "Feature",
        "id": f"{kind.name}-{lesion.id}",
        "geometry": geometry,
        "properties": {
            "objectType": "annotation",
            "name": f"{kind.name} {lesion.id}",
            "classification": {"name": kind.name, "color": color},
            "measurements": measurements,
        },
    }
