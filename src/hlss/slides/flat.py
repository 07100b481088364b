"""A flat image (PNG, JPEG, plain TIFF) as a slide of one level; it is decoded whole, so its size is bounded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from hlss.errors import Unreadable
from hlss.registry import SLIDES
from hlss.slides.base import ReaderSpec, Slide
from hlss.slides.decode import TIFF_MAGIC, decode, read_size

MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", *TIFF_MAGIC)
MOST_PX = 2**27  # 0.4 GB of RGB


@SLIDES.register("flat")
class FlatSpec(ReaderSpec):
    """Images that are read whole; what they say of their resolution is for print, so mpp must be given."""

    name: Literal["flat"] = "flat"
    rank: int = 90

    def takes(self, path: Path) -> bool:
        """By its first bytes, so that an image of another kind (grey, 16 bits) is refused with its reason."""
        try:
            with path.open("rb") as file:
                return file.read(8).startswith(MAGIC)
        except OSError:
            return False

    def open(self, path: Path, mpp: float | None = None) -> Slide:
        """Raises Unreadable for what is no 8-bit colour image, or of more than 2²⁷ pixels."""
        with _unwarned():
            width, height = read_size(path)
        if width * height > MOST_PX:
            raise Unreadable(path, f"{width}×{height} px in one piece; store it as a tiled, pyramidal TIFF")
        return FlatSlide(path, (width, height), mpp)


class FlatSlide(Slide):
    """Decoded at the first read."""

    _pixels: UInt8[ndarray, "h w 3"] | None = None

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        if self._pixels is None:
            with _unwarned():
                self._pixels = decode(self.path)
        (x, y), (width, height) = xy_px, size_px
        return self._pixels[y : y + height, x : x + width].copy()

    def close(self) -> None:
        self._pixels = None


@contextmanager
def _unwarned() -> Iterator[None]:
    """Pillow warns of images far smaller than those that are refused here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
