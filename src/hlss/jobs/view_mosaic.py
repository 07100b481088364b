"""An image of which only its tiles are kept, seen as a slide: the tiles lie where they were cut, the rest is white."""

from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64, UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort, TileSource
from hlss.slides.base import Slide
from hlss.slides.resample import resized

WHITE = 255


def step_of(corners_px0: Int32[ndarray, "n 2"]) -> int | None:
    """How far apart tiles lie (level-0 px): the distance, along a line of them, that is found most often; None where
    no two lie on one line.
    """
    found = []
    for across, along in ((1, 0), (0, 1)):
        order = np.lexsort((corners_px0[:, along], corners_px0[:, across]))
        steps = np.diff(corners_px0[order], axis=0)
        found.append(steps[(steps[:, across] == 0) & (steps[:, along] > 0), along])
    together = np.concatenate(found)
    if not len(together):
        return None
    values, counts = np.unique(together, return_counts=True)
    return int(values[counts.argmax()])


def mosaic(source: TileSource, cohort: Cohort, image: int) -> Slide:
    """The slide that an image's tiles make."""
    return _Mosaic(source, cohort, image)


class _Mosaic(Slide):
    """One level. Tiles are as wide as they lie apart; of tiles that overlap, the later covers the earlier."""

    def __init__(self, source: TileSource, cohort: Cohort, image: int) -> None:
        rows: Int64[ndarray, " n"] = np.arange(cohort.tiles.starts[image], cohort.tiles.starts[image + 1])
        self._corners = cohort.tile_xy_px0(rows)
        self._source, self._number = source, int(cohort.image_number[image])
        self._tile_px, self._tile_mpp = cohort.tile_px, cohort.mpp
        self._extent = step_of(self._corners) or cohort.tile_px
        width, height = (self._corners.max(axis=0) + self._extent).tolist()
        mpp = None if cohort.mpp is None else cohort.mpp * cohort.tile_px / self._extent
        super().__init__(Path(source.image_name(self._number)), (width, height), mpp)

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        side = self._extent
        region = np.full((size_px[1] + 2 * side, size_px[0] + 2 * side, 3), WHITE, dtype=np.uint8)
        places = self._corners - np.array(xy_px)
        for number in np.flatnonzero(((places > -side) & (places < np.array(size_px))).all(axis=1)):
            corner = (int(self._corners[number][0]), int(self._corners[number][1]))
            pixels = self._source.read(self._number, corner, self._tile_px, self._tile_mpp)
            x, y = (places[number] + side).tolist()
            region[y : y + side, x : x + side] = pixels if len(pixels) == side else resized(pixels, (side, side))
        return region[side : side + size_px[1], side : side + size_px[0]].copy()

    def close(self) -> None:
        """The source closes its own."""
