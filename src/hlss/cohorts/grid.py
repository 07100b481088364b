"""Where the tiles of an image lie: pure geometry, no pixels."""

import numpy as np
from jaxtyping import Int32
from numpy import ndarray


def extent_px0(tile_px: int, scale: float) -> int:
    """Side, in level-0 px, of the square that a tile of `tile_px` covers; scale = target mpp / image mpp."""
    return max(1, round(tile_px * scale))


def grid(
    width_px0: int, height_px0: int, tile_px: int, scale: float = 1.0, overlap_px: int = 0
) -> Int32[ndarray, "n 2"]:
    """Top-left corners (x, y), level-0 px, of the whole tiles of an image, row by row from its top-left corner.

    scale: target mpp / image mpp; overlap_px: shared by neighbours, in px of the tile. No tile leaves the image; the
    rest at the right and lower edge, narrower than a tile, is left. Raises ValueError for an overlap of a whole tile.
    """
    if not 0 <= overlap_px < tile_px:
        raise ValueError(f"overlap_px must lie in 0..{tile_px - 1}, not {overlap_px}")
    extent = extent_px0(tile_px, scale)
    step = extent_px0(tile_px - overlap_px, scale)
    xs, ys = np.arange(0, width_px0 - extent + 1, step), np.arange(0, height_px0 - extent + 1, step)
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2).astype(np.int32)
