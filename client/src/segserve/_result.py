"""What came back for one photograph."""

import base64
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segserve import contract
from segserve._masks import Masks
from segserve._overlay import OverlayStyle, draw_overlay
from segserve._report import Report
from segserve._wire import InferResponse
from segserve.errors import ContractMismatchError, InvalidInputError, OutputError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class SegmentationResult:
    """A report and its masks; can be pickled.

    Parameters
    ----------
    report
        What was found.
    mask_pngs
        One 1-bit PNG per class, in the order of ``report.classes``.
    name
        Of the image, where it had one.
    image
        The encoded image, for overlays; None for a result that was loaded from files.
    request_id
        As in the server's log.
    """

    report: Report
    mask_pngs: tuple[bytes, ...] = field(repr=False)
    name: str = ""
    image: bytes | None = field(default=None, repr=False)
    request_id: str = ""

    def __post_init__(self) -> None:
        if len(self.mask_pngs) != len(self.report.classes):
            raise ContractMismatchError(
                f"the report has {len(self.report.classes)} classes, the answer {len(self.mask_pngs)} masks"
            )

    @classmethod
    def from_response(cls, response: InferResponse, *, name: str, image: bytes) -> "SegmentationResult":
        """Parse an answer. Raises ContractMismatchError."""
        (text,) = response.output(contract.REPORT).elements()
        return cls(
            report=Report.parse(text),
            mask_pngs=response.output(contract.MASK).elements(),
            name=name,
            image=image,
            request_id=response.request_id,
        )

    @cached_property
    def masks(self) -> Masks:
        """Masks by class name, bool [height, width], decoded when first read."""
        image = self.report.image
        return Masks(tuple(self.report.classes), self.mask_pngs, width=image.width, height=image.height)

    def overlay(
        self,
        *,
        style: OverlayStyle = OverlayStyle.OUTLINE,
        legend: bool = True,
        colors: dict[str, str] | None = None,
        image: bytes | None = None,
    ) -> "Image.Image":
        """The photograph with the findings drawn on it: a Pillow image, RGB, as displayed.

        ``colors``: ``{"hemorrhage": "#ffff00"}`` instead of the model's own. ``image``: the encoded photograph, for a
        result that was loaded from files. Raises InvalidInputError.
        """
        encoded = image if image is not None else self.image
        if encoded is None:
            raise InvalidInputError("a result loaded from files has no photograph; pass image=")
        return draw_overlay(encoded, self.report, self.masks, style=style, legend=legend, colors=colors)

    def to_dict(self, *, masks: bool = True) -> dict[str, Any]:
        """Report, name and request id, and with ``masks`` each mask as base64 of its PNG; fit for JSON."""
        result: dict[str, Any] = {"name": self.name, "request_id": self.request_id, "report": self.report.to_dict()}
        if masks:
            result["masks"] = {name: base64.b64encode(self.masks.png(name)).decode() for name in self.masks}
        return result

    def to_json(self, *, masks: bool = True) -> str:
        """``to_dict`` as JSON."""
        return json.dumps(self.to_dict(masks=masks))

    def save(self, folder: Path | str, *, name: str | None = None, overlay: bool = True) -> list[Path]:
        """Write ``<name>.report.json``, ``<name>.<class>.png`` and, on request, ``<name>.overlay.png``.

        ``name`` is the image's file name without its suffix unless given. Returns the paths written.
        Raises InvalidInputError where there is no name, OutputError where the folder cannot be written to.
        """
        stem = name if name is not None else Path(self.name).stem
        if not stem:
            raise InvalidInputError("this image has no name to save its result under; pass name=")
        folder = Path(folder)
        contents = {f"{stem}.{each}.png": self.masks.png(each) for each in self.masks}
        contents[f"{stem}.report.json"] = json.dumps(self.report.to_dict(), indent=2).encode() + b"\n"
        picture = self.overlay() if overlay else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file, content in contents.items():
                (folder / file).write_bytes(content)
            if picture is not None:
                picture.save(folder / f"{stem}.overlay.png", compress_level=1)
                contents[f"{stem}.overlay.png"] = b""
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
        return [folder / file for file in contents]

    @classmethod
    def load(cls, report_file: Path | str) -> "SegmentationResult":
        """Read back what ``save`` wrote; ``report_file`` is ``<name>.report.json``. Raises InvalidInputError."""
        path = Path(report_file)
        stem = path.name.removesuffix(".report.json")
        try:
            report = Report.parse(path.read_bytes())
            masks = tuple((path.parent / f"{stem}.{name}.png").read_bytes() for name in report.classes)
        except OSError as error:
            raise InvalidInputError(f"cannot read {error.filename}: {error.strerror}") from error
        return cls(report=report, mask_pngs=masks, name=stem)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "masks"}
