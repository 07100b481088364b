"""A region of a level put together from the pieces (tiles, strips) that its file keeps."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

Piece = Callable[[int, int], UInt8[ndarray, "h w 3"]]


def assembled(
    xy_px: tuple[int, int], size_px: tuple[int, int], piece_px: tuple[int, int], piece: Piece
) -> UInt8[ndarray, "h w 3"]:
    """The region at `xy_px` of `size_px` (width, height), px of the level; pieces lie side by side, each of `piece_px`
    (width, height), those at the right and lower edge perhaps smaller.

    piece: called with line and column of each that the region touches, line by line.
    """
    (x, y), (width, height), (wide, high) = xy_px, size_px, piece_px
    region = np.empty((height, width, 3), dtype=np.uint8)
    for line in range(y // high, -(-(y + height) // high)):
        for column in range(x // wide, -(-(x + width) // wide)):
            left, top = column * wide - x, line * high - y
            x0, y0 = max(left, 0), max(top, 0)
            part = piece(line, column)[y0 - top : height - top, x0 - left : width - left]
            region[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
    return region
