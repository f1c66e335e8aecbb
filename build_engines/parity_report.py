"""The parity check as a table, as JSON and as an HTML page with the worst images side by side."""

import base64
import dataclasses
import html
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from build_engines.parity import JUDGED_GRID_PX, Exhibit, Gates, ImageParity, Parity
from build_engines.pipeline import Pipeline
from build_engines.storage import write_together
from build_engines.targets.engine import UInt8Array
from segserve_server.imaging.lesions import BoolArray

_SIDE = 480
_BOTH, _LOST, _GAINED = (255, 255, 255), (0, 170, 255), (255, 60, 200)  # RGB
_HEADER = ("image", "class", "Dice", "mean diff", "max diff", "lesions", "gained", "lost", "area %")

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1500px;margin:2em auto;padding:0 1em;color:#1b1f24;background:#fff}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.25em .8em;border-bottom:1px solid #d5d9de;text-align:right}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}
.fail{color:#b3261e;font-weight:600}.pass{color:#1a7f37;font-weight:600}
figure{display:inline-block;margin:.5em .5em 0 0}figcaption{font-size:13px;color:#57606a}img{max-width:100%}
"""


def format_table(parity: Parity) -> str:
    """Fixed-width text: one line per image and class, and the overall line."""
    rows = [_HEADER, *_rows(parity)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADER))]
    lines = []
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        padded += [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _rows(parity: Parity) -> list[tuple[str, ...]]:
    rows = [
        (
            image.name,
            one.name,
            f"{one.dice:.4f}" if one.judged else f"({one.dice:.4f})",
            f"{image.mean_difference:.4f}",
            f"{image.largest_difference:.4f}",
            f"{one.lesions_reference} -> {one.lesions_engine}",
            f"{one.lesions_gained}",
            f"{one.lesions_lost}",
            f"{one.area_change_percent:+.2f}",
        )
        for image in parity.images
        for one in image.classes
    ]
    total = parity.figures
    overall = (
        "overall",
        f"worst {total.worst_dice:.4f}",
        f"{total.mean_dice:.4f}",
        f"{total.mean_difference:.4f}",
        f"{total.largest_difference:.4f}",
        "",
        f"{total.lesions_gained}",
        f"{total.lesions_lost}",
        f"{total.area_change_percent:+.2f}",
    )
    return [*rows, overall]


def to_json(parity: Parity, gates: Gates, title: str) -> str:
    """Everything measured, and whether it passed."""
    images = []
    for image in parity.images:
        document = dataclasses.asdict(image)
        for one, raw in zip(image.classes, document["classes"], strict=True):
            raw["area_change_percent"] = one.area_change_percent
        images.append(document)
    failures = gates.failures(parity.figures)
    return json.dumps(
        {
            "engine": title,
            "passed": not failures,
            "failures": failures,
            "gates": dataclasses.asdict(gates),
            "overall": dataclasses.asdict(parity.figures),
            "images": images,
        },
        indent=2,
    )


def write_report(folder: Path, parity: Parity, *, gates: Gates, title: str, pipeline: Pipeline) -> Path:
    """Write ``parity.json`` and ``parity.html`` into a folder; the path of the page. Raises StorageError."""
    levels = [settings.threshold_level for settings in pipeline.postprocess.settings.classes]
    figures = [_figure(exhibit, levels) for exhibit in parity.worst]
    page = folder / "parity.html"
    write_together(
        {
            folder / "parity.json": to_json(parity, gates, title).encode(),
            page: _page(parity, gates, title, figures).encode(),
        }
    )
    return page


def _page(parity: Parity, gates: Gates, title: str, figures: list[str]) -> str:
    head, *rows = (_HEADER, *_rows(parity))
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    failures = gates.failures(parity.figures)
    verdict = (
        "".join(f'<p class="fail">{html.escape(one)}</p>' for one in failures)
        if failures
        else f'<p class="pass">Passed: mean Dice &ge; {gates.mean_dice}, every image &ge; {gates.worst_dice}.</p>'
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Parity: {html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>Parity: {html.escape(title)}</h1>{verdict}"
        "<p>Against the same ONNX in FP32. Differences are of probabilities on the model grid, 0 to 1; Dice, lesions "
        "and areas are of the final masks in the photograph's grid. A lesion is gained when it touches nothing in the "
        "reference, lost when the engine touches nothing of it. A Dice in brackets is of so little (under "
        f"{JUDGED_GRID_PX} pixels of the model grid in both masks) that no gate counts it.</p>"
        f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
        f"<h2>The worst images</h2>{''.join(figures)}</html>\n"
    )


def _figure(exhibit: Exhibit, threshold_levels: Sequence[int]) -> str:
    expected, actual = exhibit.expected, exhibit.actual
    levels = np.array(threshold_levels)[:, np.newaxis, np.newaxis]
    before, after = ((one >= levels).any(axis=0) for one in (expected, actual))
    masks = np.zeros_like(exhibit.pixels)
    masks[before & after] = _BOTH
    for changed, color in ((before & ~after, _LOST), (~before & after, _GAINED)):
        masks[_thickened(changed)] = color
    difference = np.abs(expected.astype(np.int16) - actual.astype(np.int16)).max(axis=0)
    heat = cv2.applyColorMap(np.minimum(difference * 8, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    panels = (
        ("what the network sees", exhibit.pixels),
        ("masks: in both white; lost blue and gained pink, thickened", masks),
        ("difference of probability, eightfold", cv2.cvtColor(heat, cv2.COLOR_BGR2RGB)),
    )
    shown = "".join(
        f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{_jpeg(panel.astype(np.uint8, copy=False))}">'
        f"<figcaption>{caption}</figcaption></figure>"
        for caption, panel in panels
    )
    return f"<h3>{html.escape(exhibit.image.name)}: {_dice(exhibit.image)}</h3>{shown}"


def _thickened(mask: BoolArray) -> BoolArray:
    """Grown by so much that a single pixel is still seen in the small picture."""
    side = mask.shape[0] // 200 | 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).astype(np.bool_)


def _dice(image: ImageParity) -> str:
    return ", ".join(f"{one.name} Dice {one.dice:.4f}" for one in sorted(image.classes, key=lambda one: one.dice)[:3])


def _jpeg(rgb: UInt8Array) -> str:
    side = min(_SIDE, rgb.shape[0])
    small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return base64.b64encode(encoded.tobytes()).decode()
