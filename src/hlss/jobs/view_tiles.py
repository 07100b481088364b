"""Tiles of a power-of-two pyramid over any slide, as JPEG, from a cache that holds no more than it may."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.packed import decode_tile, encode_jpeg
from hlss.cohorts.write.frame import Frame
from hlss.jobs.view_kept import Kept
from hlss.jobs.view_slides import OpenSlides, ViewImage
from hlss.slides.resample import resized

TILE_PX, QUALITY, CHROMA = 256, 88, "420"
CACHE_BYTES = 128 * 2**20
FAR = 8.0  # px of a level per px of a tile, beyond which the tile is made of finer tiles: each pixel is read once


class NoTileError(LookupError):
    """The pyramid has no such tile."""


def tile_cache(limit: int = CACHE_BYTES) -> Kept[bytes]:
    """Of pictures, `limit` bytes together at most."""
    return Kept(limit, len)


@dataclass(frozen=True)
class Pyramid:
    """Levels z = 0 … deepest over a frame; at the deepest a px is one of level 0, at each above it twice as large."""

    frame: Frame

    @property
    def deepest(self) -> int:
        return max(0, (-(-max(self.frame.width_px0, self.frame.height_px0) // TILE_PX) - 1).bit_length())

    def scale(self, z: int) -> int:
        """Level-0 px per px. Raises NoTileError."""
        if not 0 <= z <= self.deepest:
            raise NoTileError(f"level {z} of 0 to {self.deepest}")
        return 1 << (self.deepest - z)

    def place(self, z: int, x: int, y: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Corner (level-0 px) and size (width, height; px) of a tile; those at the right and lower edge are smaller.
        Raises NoTileError.
        """
        scale, corners, sides = self.scale(z), [], []
        for number, whole in ((x, self.frame.width_px0), (y, self.frame.height_px0)):
            corner = number * TILE_PX * scale
            if not 0 <= corner < whole:
                raise NoTileError(f"tile {x}, {y} of level {z}")
            side = min(TILE_PX, round((whole - corner) / scale))
            corners.append(corner if side else max(0, whole - scale))
            sides.append(max(1, side))
        return (corners[0], corners[1]), (sides[0], sides[1])


class TileServer:
    """Reads tiles of images. Threads may ask at the same time; each has slides of its own open."""

    def __init__(self, cache: Kept[bytes]) -> None:
        self._cache, self._slides = cache, OpenSlides()
        self._frames: dict[str, Frame] = {}

    def frame(self, image: ViewImage) -> Frame:
        """Raises Unreadable."""
        if image.id not in self._frames:
            self._frames[image.id] = self._slides.get(image)[1]
        return self._frames[image.id]

    def kept(self, image: ViewImage, z: int, x: int, y: int) -> bytes | None:
        """A tile's JPEG if it need not be made."""
        return self._cache.get(("tile", image.id, z, x, y))

    def tile(self, image: ViewImage, z: int, x: int, y: int) -> bytes:
        """A tile's JPEG. Raises NoTileError, Unreadable."""
        return self._cache.made(("tile", image.id, z, x, y), lambda: _jpeg(self._pixels(image, z, x, y)))

    def square(self, image: ViewImage, xy_px0: tuple[int, int], extent_px0: int, side_px: int) -> bytes:
        """JPEG of a square of the slide, `side_px` a side at most. Raises Unreadable."""

        def make() -> bytes:
            slide, _ = self._slides.get(image)
            corner = [
                min(max(0, at), max(0, most - extent_px0)) for at, most in zip(xy_px0, slide.size_px0, strict=True)
            ]
            scale = max(1.0, extent_px0 / side_px)
            sides = [
                max(1, min(round(extent_px0 / scale), int((most - at) / scale)))
                for at, most in zip(corner, slide.size_px0, strict=True)
            ]
            assert slide.mpp is not None
            return _jpeg(slide.read_rectangle((corner[0], corner[1]), (sides[0], sides[1]), scale * slide.mpp))

        return self._cache.made(("square", image.id, *xy_px0, extent_px0, side_px), make)

    def _pixels(self, image: ViewImage, z: int, x: int, y: int) -> UInt8[ndarray, "h w 3"]:
        slide, frame = self._slides.get(image)
        pyramid = Pyramid(frame)
        corner, size = pyramid.place(z, x, y)
        scale = pyramid.scale(z)
        if scale / slide.scales[-1] > FAR:
            return self._from_finer(image, z, x, y, size)
        assert slide.mpp is not None
        return slide.read_rectangle(corner, size, scale * slide.mpp)

    def _from_finer(self, image: ViewImage, z: int, x: int, y: int, size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        """From the up to four tiles of the next level that lie in it."""
        lines = []
        for line in (2 * y, 2 * y + 1):
            parts = []
            for column in (2 * x, 2 * x + 1):
                try:
                    parts.append(decode_tile(self.tile(image, z + 1, column, line)))
                except NoTileError:
                    continue
            if parts:
                lines.append(np.concatenate(parts, axis=1))
        return resized(np.concatenate(lines, axis=0), size)


def _jpeg(pixels: UInt8[ndarray, "h w 3"]) -> bytes:
    return encode_jpeg(pixels, QUALITY, CHROMA)
