"""The parity check counts what has changed, in masks and lesions, and its gates hold."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from build_engines.parity import Gates, Parity, measure_parity
from build_engines.parity_report import format_table, to_json, write_report
from build_engines.photographs import find_photographs
from build_engines.pipeline import Pipeline
from build_engines.progress import Progress
from build_engines.targets.engine import UInt8Array
from segserve_server.repository.manifest import ParityFigures, Precision
from tests.unit.build_engines.conftest import EXAMPLES

GRID = 128
Change = Callable[[UInt8Array], UInt8Array]


class Painter:
    """Two classes: squares of 20 pixels a side in the first, nothing in the second, both as ``change`` leaves them."""

    def __init__(self, change: Change = lambda probability: probability) -> None:
        self._change = change

    def infer(self, images: UInt8Array) -> UInt8Array:
        probability = np.full((len(images), 2, GRID, GRID), 10, np.uint8)
        for row in (30, 70):
            probability[:, 0, row : row + 20, 50:70] = 200
        return self._change(probability)


def _paint(rows: slice, columns: slice, value: int, channel: int = 0) -> Change:
    def change(probability: UInt8Array) -> UInt8Array:
        probability[:, channel, rows, columns] = value
        return probability

    return change


def _measure(pipeline: Pipeline, change: Change) -> Parity:
    photographs = find_photographs(EXAMPLES, 2)
    return measure_parity(Painter(change), Painter(), pipeline, photographs, Progress(io.StringIO()))


def test_an_equal_engine_is_perfect(pipeline: Pipeline) -> None:
    parity = _measure(pipeline, lambda probability: probability)
    assert parity.figures == ParityFigures(2, 2, 1.0, 1.0, 0.0, 0.0, 0, 0, 0.0)
    assert Gates(1.0, 1.0).failures(parity.figures) == ()


def test_a_lost_lesion_and_its_area_are_counted(pipeline: Pipeline) -> None:
    parity = _measure(pipeline, _paint(slice(60, 128), slice(0, 128), 10))
    found = parity.images[0].classes[0]
    assert (found.name, found.lesions_reference, found.lesions_engine) == ("one", 2, 1)
    assert (found.lesions_lost, found.lesions_gained) == (1, 0)
    assert found.dice == pytest.approx(2 / 3, abs=0.01)
    assert found.area_change_percent == pytest.approx(-50, abs=1)
    assert parity.figures.lesions_lost == 2


def test_a_gained_lesion_in_a_class_that_was_empty_is_counted_and_judged(pipeline: Pipeline) -> None:
    parity = _measure(pipeline, _paint(slice(40, 60), slice(40, 60), 255, channel=1))
    found = parity.images[0].classes[1]
    assert (found.lesions_gained, found.lesions_lost, found.dice, found.judged) == (1, 0, 0.0, True)
    assert found.area_change_percent == 100.0
    assert parity.figures.judged == 4
    assert parity.figures.mean_dice == 0.5


def test_a_change_of_probability_below_the_threshold_changes_no_mask(pipeline: Pipeline) -> None:
    parity = _measure(pipeline, _paint(slice(0, 64), slice(0, 128), 61))
    lifted = _measure(pipeline, lambda probability: np.where(probability == 10, 61, probability).astype(np.uint8))
    assert parity.figures.largest_difference > 51 / 255
    assert lifted.figures.largest_difference == pytest.approx(51 / 255)
    assert lifted.figures.mean_difference == pytest.approx(51 / 255, rel=0.05)
    assert lifted.figures.mean_dice > 0.9


def test_a_mask_of_a_few_pixels_is_shown_but_not_judged(pipeline: Pipeline) -> None:
    parity = _measure(pipeline, _paint(slice(40, 45), slice(40, 45), 255, channel=1))
    found = parity.images[0].classes[1]
    assert (found.judged, found.dice, found.lesions_gained) == (False, 0.0, 1)
    assert Gates(1.0, 1.0).failures(parity.figures) == ()
    assert "(0.0000)" in format_table(parity)


@pytest.mark.parametrize(
    ("mean", "worst", "judged", "failures"),
    [
        (0.99, 0.90, 3, []),
        (0.9899, 0.95, 3, ["mean Dice 0.9899 is under 0.99"]),
        (0.995, 0.8999, 3, ["the worst Dice of an image, 0.8999, is under 0.9"]),
        (0.5, 0.1, 3, ["mean Dice", "the worst Dice"]),
        (1.0, 1.0, 0, ["no image shows enough to judge"]),
    ],
)
def test_the_gates_hold_at_their_limits(mean: float, worst: float, judged: int, failures: list[str]) -> None:
    figures = ParityFigures(3, judged, mean, worst, 0.0, 0.0, 0, 0, 0.0)
    said = Gates.for_precision(Precision.FP16).failures(figures)
    assert len(said) == len(failures)
    assert all(text.startswith(start) for text, start in zip(said, failures, strict=True))


def test_int8_has_a_lower_gate_for_the_mean_only() -> None:
    assert Gates.for_precision(Precision.INT8) == Gates(0.97, 0.90)
    assert Gates.for_precision(Precision.BF16) == Gates(0.99, 0.90)


def test_the_report_holds_every_image_and_shows_the_worst(pipeline: Pipeline, tmp_path: Path) -> None:
    parity = _measure(pipeline, _paint(slice(60, 128), slice(0, 128), 10))
    gates = Gates(0.99, 0.9)
    page = write_report(tmp_path / "new" / "report", parity, gates=gates, title="eye <fp16>", pipeline=pipeline)
    text = page.read_text()
    assert "eye &lt;fp16&gt;" in text
    assert text.count("data:image/jpeg;base64,") == 3 * 2
    assert "mean Dice" in text
    document = json.loads(page.with_name("parity.json").read_text())
    assert document == json.loads(to_json(parity, gates, "eye <fp16>"))
    assert not document["passed"]
    assert [image["name"] for image in document["images"]] == [path.name for path in find_photographs(EXAMPLES, 2)]
    assert document["images"][0]["classes"][0]["lesions_lost"] == 1


def test_the_table_has_a_line_per_image_and_class_and_one_for_all(pipeline: Pipeline) -> None:
    lines = format_table(_measure(pipeline, lambda probability: probability)).splitlines()
    assert len(lines) == 1 + 2 * 2 + 1
    assert lines[0].split()[:3] == ["image", "class", "Dice"]
    assert lines[-1].startswith("overall")
