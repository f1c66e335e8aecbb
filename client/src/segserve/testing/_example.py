"""A recorded answer of a real server."""

import hashlib
from importlib import resources

from segserve import contract
from segserve._report import Report
from segserve._result import SegmentationResult
from segserve._wire import OutputTensor, join_elements

_FOLDER = resources.files("segserve.testing") / "example"


def example_image() -> bytes:
    """A small fundus photograph with haemorrhages, JPEG (IDRiD, CC-BY 4.0)."""
    return (_FOLDER / "fundus.jpg").read_bytes()


def example_result() -> SegmentationResult:
    """What a real server answered for ``example_image``."""
    report = Report.parse((_FOLDER / "fundus.report.json").read_bytes())
    masks = tuple((_FOLDER / f"fundus.{name}.png").read_bytes() for name in report.classes)
    return SegmentationResult(
        report=report, mask_pngs=masks, name="fundus.jpg", image=example_image(), request_id="example"
    )


def example_recording() -> tuple[str, dict[str, OutputTensor]]:
    """The sha256 of ``example_image`` and the answer's outputs, for ``FakeServer.recordings``."""
    result = example_result()
    outputs = {
        contract.REPORT: OutputTensor("BYTES", (1, 1), join_elements([result.report.source.encode()])),
        contract.MASK: OutputTensor("BYTES", (1, len(result.mask_pngs)), join_elements(list(result.mask_pngs))),
    }
    return hashlib.sha256(example_image()).hexdigest(), outputs
