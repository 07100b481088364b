"""A characteristic's scores over an image as map tiles: one square a patch, transparent where there is none."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray

from hlss.jobs.view_mosaic import step_of
from hlss.jobs.view_tiles import TILE_PX

LOW, HIGH = -3.0, 3.0  # σ at the ends of a colour bar
# From blue over nearly white to red, with lightness alike on both sides; from dark to light; both told apart without
# seeing red and green
_STOPS = {
    "two-sided": ("#1d4f91", "#6ba3d6", "#f3f1ec", "#e2866a", "#9b1c31"),
    "magma": ("#0b0724", "#51127c", "#b73779", "#fc8961", "#fcfdbf"),
    "viridis": ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"),
}
COLOURS = tuple(_STOPS)


@dataclass(frozen=True, eq=False)
class Raster:
    """The patches of an image as cells of a grid; of several in one cell the last counts.

    origin_px0: corner of the first cell; step_px0: side of a cell; rows: of the table, −1 where there is no patch.
    """

    origin_px0: tuple[float, float]
    step_px0: int
    rows: Int64[ndarray, "lines columns"]

    @classmethod
    def of(cls, rows: Int64[ndarray, " n"], corners_px0: Int64[ndarray, "n 2"], extent_px0: int) -> "Raster":
        """rows: of the table, of the patches whose corners these are; extent_px0: what a patch covers. Where patches
        overlap, a cell is the middle of its patch.
        """
        step = max(1, min(step_of(corners_px0) or extent_px0, extent_px0))
        first = corners_px0.min(axis=0)
        columns, lines = np.rint((corners_px0 - first) / step).astype(np.int64).T
        cells = np.full((lines.max() + 1, columns.max() + 1), -1, dtype=np.int64)
        cells[lines, columns] = rows
        rim = (extent_px0 - step) / 2
        return cls((float(first[0]) + rim, float(first[1]) + rim), step, cells)

    def tile(
        self, values: Float32[ndarray, " n"], corner_px0: tuple[int, int], scale: int, threshold: float, colours: str
    ) -> bytes:
        """PNG of TILE_PX a side at `scale` level-0 px per px; what is below the threshold is not painted. values: σ, by
        row of the table. Raises KeyError for colours that are not known.
        """
        table = colour_table(colours)
        (x0, y0), (lines, columns) = self.origin_px0, self.rows.shape
        middle = (np.arange(TILE_PX) + 0.5) * scale
        across = np.floor((corner_px0[0] + middle - x0) / self.step_px0).astype(np.int64)
        down = np.floor((corner_px0[1] + middle - y0) / self.step_px0).astype(np.int64)
        inside = ((down >= 0) & (down < lines))[:, None] & ((across >= 0) & (across < columns))[None]
        rows = self.rows[np.clip(down, 0, lines - 1)[:, None], np.clip(across, 0, columns - 1)[None]]
        sigma = values[np.maximum(rows, 0)]
        shown = inside & (rows >= 0) & (sigma >= threshold)
        place = np.clip((sigma - LOW) / (HIGH - LOW) * 255, 0, 255).astype(np.uint8)
        pixels = np.zeros((TILE_PX, TILE_PX, 4), dtype=np.uint8)
        pixels[shown, :3] = table[place[shown]][:, ::-1]  # OpenCV has blue first
        pixels[shown, 3] = 255
        done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        assert done
        return bytes(data)


def colour_table(name: str) -> UInt8[ndarray, "256 3"]:
    """Red, green, blue from LOW to HIGH. Raises KeyError."""
    stops = np.array([[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in _STOPS[name]], dtype=np.float64)
    places = np.linspace(0, 255, len(stops))
    return np.stack([np.interp(np.arange(256), places, part) for part in stops.T], axis=1).round().astype(np.uint8)


def stops_of(name: str) -> tuple[str, ...]:
    """A colour bar's colours, evenly spaced from LOW to HIGH. Raises KeyError."""
    return _STOPS[name]
