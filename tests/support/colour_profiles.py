"""Colour profiles whose effect is known, and what Pillow makes of pixels by one."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms


def srgb() -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def linear() -> bytes:
    """sRGB's colours with straight curves: the `para` (parametric) curves of its profile become y = x."""
    icc = bytearray(srgb())
    at = icc.index(b"para")
    icc[at + 8 : at + 10] = bytes(2)  # function 0: y = x^g
    icc[at + 12 : at + 16] = (1 << 16).to_bytes(4, "big")  # g = 1
    return bytes(icc)


def as_pil_converts(pixels: np.ndarray, icc: bytes) -> np.ndarray:
    """To sRGB, relative colorimetric."""
    intent, target = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.createProfile("sRGB")
    return np.array(ImageCms.profileToProfile(Image.fromarray(pixels), BytesIO(icc), target, renderingIntent=intent))
