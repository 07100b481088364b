"""The fast path: tiled JPEG TIFFs (SVS, generic pyramids) decoded tile by tile, as OpenSlide would show them.

What a slide is (its levels, resolution, colour profile) is OpenSlide's word; only pixels are read here.
"""

import os
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.errors import Unreadable
from hlss.registry import SLIDES
from hlss.slides.base import ReaderSpec, Slide
from hlss.slides.jpeg_tiles import TiledLevel, decoded, level_of
from hlss.slides.openslide import OpenSlideFile
from hlss.slides.pieces import assembled
from hlss.slides.tiff_pages import is_tiff, pages_of, reduced, says_ome

NEIGHBOURS = 8  # decoded tiles that are kept: those that the next region of a line shares, 1.5 MB
WHITE = 255  # as OpenSlide shows, in files of no vendor's, what is not there
VENDORS = ("aperio", "generic-tiff")  # as OpenSlide names them; others lay their tiles out in ways of their own


@SLIDES.register("jpeg_tiff")
class JpegTiffSpec(ReaderSpec):
    """Takes what it reads exactly as OpenSlide does; the rest is left to OpenSlide."""

    name: Literal["jpeg_tiff"] = "jpeg_tiff"
    rank: int = 10

    def takes(self, path: Path) -> bool:
        if not is_tiff(path):
            return False
        with suppress(Exception):  # damaged bytes make a parser raise nearly anything: then it is not for this reader
            _levels(path)
            return True
        return False

    def open(self, path: Path, mpp: float | None = None) -> Slide:
        """Raises Unreadable for a file that this reader does not take, and for one that is cut short."""
        try:
            levels = _levels(path)
        except Exception as error:  # as above
            raise Unreadable(path, f"not for the reader jpeg_tiff: {error or type(error).__name__}") from error
        size = path.stat().st_size
        if (end := max(level.end for level in levels)) > size:
            raise Unreadable(path, f"it is cut short: {size:,} bytes, of at least {end:,}")
        return JpegTiff(path, mpp, levels)


class JpegTiff(Slide):
    """Reads with pread: no position is shared, and nothing but the tiles asked for is read."""

    def __init__(self, path: Path, mpp: float | None, levels: list[TiledLevel]) -> None:
        with OpenSlideFile(path, mpp) as whole:
            super().__init__(path, whole.size_px0, whole.mpp, whole.scales, whole.icc, whole.facts)
            sizes = [whole.size_px(level) for level in range(len(whole.scales))]
        if sizes != [level.size_px for level in levels]:
            raise Unreadable(path, "OpenSlide sees other levels in it; read it with reader=openslide")
        self._levels, self._file = levels, os.open(path, os.O_RDONLY)
        self._kept: OrderedDict[tuple[int, int], UInt8[ndarray, "h w 3"]] = OrderedDict()

    def size_px(self, level: int) -> tuple[int, int]:
        return self._levels[level].size_px

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        """A region that is one tile of the file is decoded and nothing else; a tile that is not there is white."""
        of = self._levels[level]
        (x, y), (tile_x, tile_y) = xy_px, of.tile_px
        if size_px == of.tile_px and x % tile_x == 0 and y % tile_y == 0:
            return self._decoded(level, y // tile_y * of.columns + x // tile_x)
        return assembled(xy_px, size_px, of.tile_px, lambda line, column: self._tile(level, line * of.columns + column))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
        self._kept.clear()

    def _tile(self, level: int, cell: int) -> UInt8[ndarray, "h w 3"]:
        """A whole tile, not to be changed; the last ones are kept."""
        key = (level, cell)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        tile = self._decoded(level, cell)
        while len(self._kept) >= NEIGHBOURS:
            self._kept.popitem(last=False)
        self._kept[key] = tile
        return tile

    def _decoded(self, level: int, cell: int) -> UInt8[ndarray, "h w 3"]:
        of = self._levels[level]
        count = int(of.counts[cell])
        if not count:
            return np.full((of.tile_px[1], of.tile_px[0], 3), WHITE, dtype=np.uint8)
        try:
            data = os.pread(self._file, count, int(of.offsets[cell]))
            if len(data) < count:
                raise ValueError("the file ends before it")
            tile = decoded(of.head, data)
            if tile.shape[1::-1] != of.tile_px:
                raise ValueError(f"{tile.shape[1]}×{tile.shape[0]} px, not {of.tile_px[0]}×{of.tile_px[1]}")
        except (ValueError, OSError) as error:
            line, column = divmod(cell, of.columns)
            place = f"({column * of.tile_px[0]}, {line * of.tile_px[1]})"
            raise Unreadable(self.path, f"a damaged tile at {place} of level {level}: {error}") from error
        return tile


def _levels(path: Path) -> list[TiledLevel]:
    """The levels, as OpenSlide chooses them of the pages. Raises whatever a damaged or unfit file brings."""
    stat = path.stat()
    return _levels_of(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=16)  # asked for when a reader is looked for, when the slide is opened, and when it is opened again
def _levels_of(path: Path, size: int, changed_ns: int) -> list[TiledLevel]:
    import openslide

    vendor = openslide.OpenSlide.detect_format(str(path))
    if vendor not in VENDORS:
        raise ValueError("not in tiles of JPEG, or laid out in a vendor's own way")
    with pages_of(path) as pages:
        if says_ome(pages[0]):
            raise ValueError("an OME-TIFF")
        wanted = [page for number, page in enumerate(pages) if page.is_tiled and (not number or reduced(page, vendor))]
        levels = [level_of(page) for page in wanted]
    widths = [level.size_px[0] for level in levels]
    if sorted(set(widths), reverse=True) != widths:
        raise ValueError("levels out of order")
    if vendor == "aperio" and any((level.counts == 0).any() for level in levels):
        raise ValueError("some tiles are missing, which OpenSlide fills from the level below")
    return levels
