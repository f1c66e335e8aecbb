"""The whole pipeline in one process: what the server does, without the server."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loadtest.paths import DEFAULT_MODEL, REPOSITORY
from segserve_server.engines.openvino import OpenVinoEngine
from segserve_server.imaging import contrast, decode, field_of_view, geometry, pipeline, resample
from segserve_server.repository.settings import FILE_NAME, load_postprocess_settings, load_preprocess_settings
from segserve_server.repository.weights import FILE_NAME as WEIGHTS_NAME
from segserve_server.steps.photograph import Photograph
from segserve_server.steps.report import build_report

VERSION = "1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets: the report's JSON and the masks' PNGs."""

    report: bytes
    masks: tuple[bytes, ...]


class Pipeline:
    """Photograph in, report and masks out, with the settings and weights of a model repository.

    Not thread-safe: one per thread. ``threads``: cores of the engine, 0 for all of them.
    """

    def __init__(self, repository: Path = REPOSITORY, *, model: str = DEFAULT_MODEL, threads: int = 0) -> None:
        folders = {step: repository / f"{model}_{step}" / VERSION for step in ("preprocess", "segment", "postprocess")}
        self._preprocess = load_preprocess_settings(folders["preprocess"] / FILE_NAME)
        self._postprocess = load_postprocess_settings(folders["postprocess"] / FILE_NAME)
        self._engine = OpenVinoEngine(folders["segment"] / WEIGHTS_NAME, threads=threads)

    def preprocess(self, encoded: bytes) -> pipeline.Preprocessed:
        """The first step."""
        return pipeline.preprocess(encoded, self._preprocess.settings)

    def segment(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The second step: uint8 [grid, grid, 3] to uint8 [C, grid, grid]."""
        probability: npt.NDArray[np.uint8] = self._engine.infer(pixels[np.newaxis])[0]
        return probability

    def postprocess(self, probability: npt.NDArray[np.uint8], seen: pipeline.Preprocessed) -> Answer:
        """The third step."""
        findings = pipeline.postprocess(probability, seen.geometry, self._postprocess.settings)
        photograph = Photograph.from_preprocessed(seen, settings_sha256=self._preprocess.sha256)
        report = build_report(photograph, findings, self._postprocess)
        return Answer(report, tuple(found.mask_png() for found in findings))

    def run(self, encoded: bytes) -> Answer:
        """All three steps."""
        seen = self.preprocess(encoded)
        return self.postprocess(self.segment(seen.pixels), seen)

    def budget(self, encoded: bytes) -> dict[str, float]:
        """Milliseconds of CPU of each part for one photograph, in the order in which they run."""
        settings = self._preprocess.settings
        watch = _Watch()
        seen = decode.decode(encoded, caps=settings.caps, grid=settings.grid, max_reduction=settings.max_jpeg_reduction)
        watch.lap("decode")
        size = {"width": seen.header.width, "height": seen.header.height}
        field = field_of_view.find_field_of_view(seen.pixels, reduction=seen.reduction, **size)
        watch.lap("field of view")
        crop = geometry.square_crop(field, **size, grid=settings.grid, reduction=seen.reduction)
        pixels = resample.photo_to_model(seen.pixels, crop, reduction=seen.reduction)
        watch.lap("crop and resize")
        pixels = contrast.equalise_contrast(pixels, settings.clahe)
        watch.lap("CLAHE")
        probability = self.segment(pixels)
        watch.lap("engine")
        findings = pipeline.postprocess(probability, crop, self._postprocess.settings)
        watch.lap("lesions")
        for found in findings:
            found.mask_png()
        watch.lap("PNG")
        return watch.laps


class _Watch:
    """CPU time of the whole process from lap to lap, in milliseconds."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.process_time()

    def lap(self, name: str) -> None:
        now = time.process_time()
        self.laps[name] = (now - self._last) * 1000
        self._last = now
