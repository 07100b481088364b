"""Colours as a scanner's profile means them: from its ICC profile to sRGB, on request."""

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageCms

from hlss.errors import Unreadable
from hlss.slides.base import Slide

COLOUR = "colour"  # key of what a slide says of its colours


class SrgbSlide(Slide):
    """A slide in sRGB. Its fact `colour` says what was done; one without a profile is left as it is."""

    def __init__(self, slide: Slide) -> None:
        """Raises Unreadable for a profile that is damaged or of other than RGB."""
        self._slide = slide
        said = "as stored: the file has no colour profile" if slide.icc is None else "sRGB, by the file's profile"
        super().__init__(slide.path, slide.size_px0, slide.mpp, slide.scales, slide.icc, slide.facts | {COLOUR: said})
        try:
            self._transform = None if slide.icc is None else _to_srgb(slide.icc)
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            raise Unreadable(slide.path, f"its colour profile cannot be used: {error}") from error

    @property
    def mpp(self) -> float | None:
        """That of the slide itself, which reads."""
        return self._slide.mpp

    @mpp.setter
    def mpp(self, mpp: float | None) -> None:
        self._slide.mpp = mpp

    def size_px(self, level: int) -> tuple[int, int]:
        return self._slide.size_px(level)

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        return self._in_srgb(self._slide.read_level(level, xy_px, size_px))

    def read_rectangle(
        self, xy_px0: tuple[int, int], size_px: tuple[int, int], mpp: float | None
    ) -> UInt8[ndarray, "h w 3"]:
        """The profile is of the pixels as the slide gives them, reduced or not."""
        return self._in_srgb(self._slide.read_rectangle(xy_px0, size_px, mpp))

    def close(self) -> None:
        self._slide.close()

    def _in_srgb(self, pixels: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "h w 3"]:
        if self._transform is None:
            return pixels
        return np.array(ImageCms.applyTransform(Image.fromarray(pixels), self._transform))


@lru_cache(maxsize=32)  # slides of a scanner share a profile
def _to_srgb(icc: bytes) -> Any:
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
