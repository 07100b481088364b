"""Where the tiles of an image lie: pure geometry, no pixels."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8
from numpy import ndarray

FINER = 0.05  # tiles finer than the image by more than this share would draw detail that is not there


def extent_px0(tile_px: int, scale: float) -> int:
    """Side, in level-0 px, of the square that a tile of `tile_px` covers; scale = target mpp / image mpp."""
    return max(1, round(tile_px * scale))


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells of one image, `columns` a line, `step_px0` apart, and which of them are tiles.

    origin_px0: corner (x, y) of the first cell, level-0 px; n: how many are tiles; bits: a bit a cell, line by line
    from the top left (None: every cell is a tile).
    """

    origin_px0: tuple[int, int]
    step_px0: int
    columns: int
    lines: int
    n: int
    bits: UInt8[ndarray, " n_bytes"] | None = None

    def masked(self, wanted: Bool[ndarray, "lines columns"]) -> Self:
        """The same cells, of which those are tiles that `wanted` marks."""
        if wanted.shape != (self.lines, self.columns):
            raise ValueError(f"a mask of {wanted.shape} for {self.lines}×{self.columns} cells")
        bits = None if wanted.all() else np.packbits(wanted)
        return type(self)(self.origin_px0, self.step_px0, self.columns, self.lines, int(wanted.sum()), bits)

    @property
    def cells(self) -> Int64[ndarray, " n"]:
        """Numbers of the cells that are tiles, ascending."""
        if self.bits is None:
            return np.arange(self.n)
        return np.flatnonzero(np.unpackbits(self.bits, count=self.columns * self.lines))

    @property
    def xy_px0(self) -> Int32[ndarray, "n 2"]:
        """Top-left corner (x, y) of each tile, level-0 px."""
        line, column = np.divmod(self.cells, max(1, self.columns))
        return (np.stack([column, line], axis=1) * self.step_px0 + self.origin_px0).astype(np.int32)


def grid(width_px0: int, height_px0: int, tile_px: int, scale: float = 1.0, overlap_px: int = 0) -> Grid:
    """The whole tiles of an image, from its top-left corner.

    scale: target mpp / image mpp; overlap_px: shared by neighbours, in px of the tile. No tile leaves the image; the
    rest at the right and lower edge, narrower than a tile, is left. Raises ValueError for an overlap of a whole tile.
    """
    if not 0 <= overlap_px < tile_px:
        raise ValueError(f"overlap_px must lie in 0..{tile_px - 1}, not {overlap_px}")
    extent, step = extent_px0(tile_px, scale), extent_px0(tile_px - overlap_px, scale)
    columns, lines = (max(0, (side - extent) // step + 1) for side in (width_px0, height_px0))
    return Grid((0, 0), step, columns, lines, columns * lines)
