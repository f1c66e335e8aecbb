"""Local contrast, as fundus readers are used to see it."""

import cv2

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.settings import ClaheSettings


def equalise_contrast(rgb: UInt8Array, settings: ClaheSettings) -> UInt8Array:
    """CLAHE on the L channel of CIE LAB; uint8 [h, w, 3] RGB in and out, the input untouched.

    Source: Zuiderveld, Contrast Limited Adaptive Histogram Equalization, Graphics Gems IV, 1994; OpenCV's version.
    """
    if not settings.enabled:
        return rgb
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    clahe = cv2.createCLAHE(clipLimit=settings.clip_limit, tileGridSize=(settings.tiles, settings.tiles))
    lab[:, :, 0] = clahe.apply(lab[:, :, 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).astype("uint8", copy=False)
