"""How far an engine is from its FP32 reference, in the units a clinician reads: masks, lesions, areas."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from build_engines.photographs import read_photograph
from build_engines.pipeline import Pipeline
from build_engines.progress import Progress
from build_engines.targets.engine import Engine, UInt8Array
from segserve_server.imaging.lesions import ClassFindings
from segserve_server.imaging.metrics import Overlap, count_lesions
from segserve_server.imaging.pipeline import postprocess
from segserve_server.repository.manifest import ParityFigures, Precision

JUDGED_GRID_PX = 64
"""In pixels of the model grid, of 1024 x 1024 in the shipped pipeline: a disc of nine pixels across."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Gates:
    """What an engine must reach: mean Dice over images and classes, and Dice of every single image and class.

    Only those count in which either mask covers ``JUDGED_GRID_PX``: of a few pixels Dice says nothing.
    """

    mean_dice: float
    worst_dice: float

    @classmethod
    def for_precision(cls, precision: Precision) -> "Gates":
        """The defaults."""
        return cls(0.97 if precision is Precision.INT8 else 0.99, 0.90)

    def failures(self, figures: ParityFigures) -> tuple[str, ...]:
        """The gates that overall figures do not pass, one sentence each; empty if they pass."""
        if not figures.judged:
            return ("no image shows enough to judge: compare on photographs with more to see (--photos)",)
        failed = []
        if figures.mean_dice < self.mean_dice:
            failed.append(f"mean Dice {figures.mean_dice:.4f} is under {self.mean_dice}")
        if figures.worst_dice < self.worst_dice:
            failed.append(f"the worst Dice of an image, {figures.worst_dice:.4f}, is under {self.worst_dice}")
        return tuple(failed)


@dataclass(frozen=True, slots=True)
class ClassParity:
    """One class in one image, reference against engine; areas in pixels of the photograph.

    A lesion is gained when it touches nothing in the reference's mask, lost when the engine's mask touches nothing of
    it. ``dice`` is 1 where both masks are empty; ``judged``: whether it counts (``JUDGED_GRID_PX``).
    """

    name: str
    dice: float
    judged: bool
    lesions_reference: int
    lesions_engine: int
    lesions_gained: int
    lesions_lost: int
    area_reference_px: int
    area_engine_px: int

    @property
    def area_change_percent(self) -> float:
        """Of the reference's area; 100 where only the engine found something."""
        return _change(self.area_reference_px, self.area_engine_px)


@dataclass(frozen=True, slots=True)
class ImageParity:
    """One photograph. Differences are of probabilities, 0 to 1, over all classes and pixels of the model grid."""

    name: str
    largest_difference: float
    mean_difference: float
    classes: tuple[ClassParity, ...]

    @property
    def worst_dice(self) -> float:
        """Of the classes that count; 1 if none does."""
        return min((one.dice for one in self.classes if one.judged), default=1.0)


@dataclass(frozen=True)
class Exhibit:
    """An image to show: what the network saw, uint8 [grid, grid, 3], and both probabilities, uint8 [C, grid, grid]."""

    image: ImageParity
    pixels: UInt8Array
    expected: UInt8Array
    actual: UInt8Array


@dataclass(frozen=True)
class Parity:
    """All photographs, in the order given, and those that agree least, worst first."""

    images: tuple[ImageParity, ...]
    worst: tuple[Exhibit, ...]

    @property
    def figures(self) -> ParityFigures:
        """The overall figures."""
        classes = [one for image in self.images for one in image.classes]
        dice = [one.dice for one in classes if one.judged]
        return ParityFigures(
            images=len(self.images),
            judged=len(dice),
            mean_dice=sum(dice) / len(dice) if dice else 1.0,
            worst_dice=min(dice, default=1.0),
            mean_difference=sum(image.mean_difference for image in self.images) / len(self.images),
            largest_difference=max(image.largest_difference for image in self.images),
            lesions_gained=sum(one.lesions_gained for one in classes),
            lesions_lost=sum(one.lesions_lost for one in classes),
            area_change_percent=_change(
                sum(one.area_reference_px for one in classes), sum(one.area_engine_px for one in classes)
            ),
        )


def measure_parity(
    engine: Engine, reference: Engine, pipeline: Pipeline, photographs: Sequence[Path], progress: Progress
) -> Parity:
    """Run both engines on every photograph through the served pre- and postprocessing. Raises PhotographError."""
    images: list[ImageParity] = []
    worst: list[Exhibit] = []
    for number, path in enumerate(photographs):
        progress.part("comparing photographs", number, len(photographs))
        seen = read_photograph(path, pipeline.preprocess.settings)
        pixels = seen.pixels[np.newaxis]
        expected, actual = (one.infer(pixels)[0].copy() for one in (reference, engine))
        found = [postprocess(one, seen.geometry, pipeline.postprocess.settings) for one in (expected, actual)]
        names = [settings.name for settings in pipeline.postprocess.settings.classes]
        images.append(_compare(path.name, expected, actual, zip(names, *found, strict=True), seen.geometry.scale))
        worst.append(Exhibit(images[-1], seen.pixels, expected, actual))
        worst.sort(key=lambda one: (one.image.worst_dice, -one.image.largest_difference))
        del worst[_SHOWN:]  # the others' arrays would fill the memory
    return Parity(tuple(images), tuple(worst))


def _compare(
    name: str,
    expected: UInt8Array,
    actual: UInt8Array,
    classes: Iterable[tuple[str, ClassFindings, ClassFindings]],
    scale: float,
) -> ImageParity:
    difference = np.abs(expected.astype(np.int16) - actual.astype(np.int16))
    return ImageParity(
        name=name,
        largest_difference=float(difference.max()) / 255,
        mean_difference=float(difference.mean()) / 255,
        classes=tuple(_compare_class(*one, scale) for one in classes),
    )


def _compare_class(name: str, expected: ClassFindings, actual: ClassFindings, scale: float) -> ClassParity:
    truth, predicted = expected.mask(), actual.mask()
    lesions = count_lesions(predicted, truth)
    return ClassParity(
        name=name,
        dice=Overlap.of(predicted, truth).dice,
        judged=max(expected.area_px, actual.area_px) >= JUDGED_GRID_PX * scale**2,
        lesions_reference=lesions.annotated,
        lesions_engine=lesions.reported,
        lesions_gained=lesions.false,
        lesions_lost=lesions.annotated - lesions.found,
        area_reference_px=expected.area_px,
        area_engine_px=actual.area_px,
    )


def _change(before: int, after: int) -> float:
    if before:
        return 100 * (after - before) / before
    return 100.0 if after else 0.0
