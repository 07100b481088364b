"""Pixels at another size."""

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray


def resized(pixels: UInt8[ndarray, "h w 3"], size_px: tuple[int, int]) -> UInt8[ndarray, "height width 3"]:
    """RGB at `size_px` (width, height): shrunk, each pixel is the mean of what it covers; enlarged by cubic splines."""
    smaller = pixels.shape[0] * pixels.shape[1] >= size_px[0] * size_px[1]
    return np.asarray(cv2.resize(pixels, size_px, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC))
