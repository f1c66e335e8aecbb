"""Large bleedings, painted into crops: the annotated photographs show dozens of small ones and hardly a large one."""

import cv2
import numpy as np
import numpy.typing as npt

from segserve_server.imaging.decode import UInt8Array

Float32Array = npt.NDArray[np.float32]

_COVERAGE = (0.05, 0.45)  # of the crop
_EDGE = (0.02, 0.25)  # softness, in standard deviations of the field that draws the outline
_RED, _GREEN, _BLUE_TO_GREEN = (0.35, 0.8), (0.15, 0.5), (0.7, 1.3)  # what blood lets through
_VEIL = (0.3, 1.0)  # how much of the retina's detail the blood hides
_VEIL_SIGMA = 0.03  # of the crop's side
_FRAY = (0.05, 0.35)  # how much finer noise frays the outline
_DARK_FRAME = 40  # below it, a pixel lies outside the camera's field of view


def paint_bleeding(image: UInt8Array, masks: UInt8Array, rng: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
    """A crop with one large preretinal bleeding; image uint8 [crop, crop, 3] and masks uint8 [crop, crop, 5].

    Its outline is a contour line of a smooth random field that leans to one side, as blood settles to a level. The
    masks' first class gets it; lesions that it hides are taken out of the others, the optic disc stays.
    """
    crop = image.shape[0]
    field = _smooth_field(crop, rng)
    level = np.quantile(field, 1 - rng.uniform(*_COVERAGE))
    edge = rng.uniform(*_EDGE) * float(field.std())
    seen = image.max(axis=2) > _DARK_FRAME
    opacity = np.clip((field - level) / edge + 0.5, 0, 1)[:, :, np.newaxis] * seen[:, :, np.newaxis]
    veil = np.float32(rng.uniform(*_VEIL))
    plain = cv2.GaussianBlur(image, (0, 0), _VEIL_SIGMA * crop)
    green = rng.uniform(*_GREEN)
    tint = np.array([rng.uniform(*_RED), green, green * rng.uniform(*_BLUE_TO_GREEN)], np.float32)
    blood = tint * (veil * plain + (1 - veil) * image)
    painted = np.round(image + opacity * (blood - image)).astype(np.uint8)
    covered = opacity[:, :, 0] >= 0.5
    marked = masks.copy()
    marked[covered, 0] = 255
    marked[covered, 1:4] = 0
    return painted, marked


def _smooth_field(crop: int, rng: np.random.Generator) -> Float32Array:
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 3.0)
    ramp = np.linspace(-slope, slope, crop, dtype=np.float32)
    lean = np.float32(np.cos(angle)) * ramp[np.newaxis] + np.float32(np.sin(angle)) * ramp[:, np.newaxis]
    coarse, fine = _noise(int(rng.integers(3, 7)), crop, rng), _noise(int(rng.integers(12, 25)), crop, rng)
    fray = np.float32(rng.uniform(*_FRAY))
    return (coarse + fray * fine + lean).astype(np.float32, copy=False)


def _noise(knots: int, crop: int, rng: np.random.Generator) -> Float32Array:
    values = rng.normal(size=(knots, knots)).astype(np.float32)
    return cv2.resize(values, (crop, crop), interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)
