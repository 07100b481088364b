"""A map as pyramidal TIFFs that lie over the slide: their first pixel is the slide's first, and they say how many µm a
pixel is.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from hlss.cohorts.write.pyramid import BIG_PX, TILE_PX, UM_PER_CM, level_sizes
from hlss.explain.score_map import ScoreMap, coloured

_LONGEST_PX = 4096  # side up to which a map is finer than its cells, so that its edges are where the tiles' are
_FINER = (16, 8, 4, 2)

Lines = Callable[[int, int], ndarray]


def px_of(score_map: ScoreMap, size_px0: tuple[int, int]) -> int:
    """Side of a pixel of the map's file, px of level 0: a whole part of a cell."""
    step = score_map.step_px0
    for parts in _FINER:
        if step % parts == 0 and max(size_px0) * parts / step <= _LONGEST_PX:
            return step // parts
    return step


def write_tiffs(
    colours: Path,
    values: Path,
    score_map: ScoreMap,
    size_px0: tuple[int, int],
    mpp0: float | None,
    weak: bool,
    facts: dict[str, Any],
) -> None:
    """RGB for the eye, and σ as float32 (NaN: no tile) for the machine: pixel for pixel the same places.

    facts: JSON in ImageDescription; its `downsample` is the side of a pixel, px of level 0.
    """
    side = px_of(score_map, size_px0)
    x, y = ((np.arange(-(-length // side)) + 0.5) * side for length in size_px0)
    said = facts | {"downsample": side}
    mpp = None if mpp0 is None else mpp0 * side

    def sigma(top: int, end: int) -> Float32[ndarray, "h w"]:
        return score_map.at(x, y[top:end])

    def rgb(top: int, end: int) -> UInt8[ndarray, "h w 3"]:
        return coloured(sigma(top, end), weak=weak)

    size = (len(x), len(y))
    _write(colours, rgb, size, mpp, said, {"photometric": "rgb", "dtype": "uint8"})
    _write(values, sigma, size, mpp, said, {"photometric": "minisblack", "dtype": "float32"})


def _write(
    path: Path, lines_of: Lines, size: tuple[int, int], mpp: float | None, facts: dict[str, Any], kind: dict[str, Any]
) -> None:
    """lines_of: pixels of the lines from, to; asked for a row of tiles at a time. The first level is never held whole,
    the next, of a quarter of its pixels, is.
    """
    import tifffile

    text = json.dumps(facts, ensure_ascii=True, allow_nan=False, default=str)
    deep = lines_of(0, 1).shape[2:]
    sizes = level_sizes(size)
    with tifffile.TiffWriter(path, bigtiff=size[0] * size[1] >= BIG_PX) as tiff:
        for level, (columns, lines) in enumerate(sizes):
            half = None if level + 1 == len(sizes) else np.empty((*sizes[level + 1][::-1], *deep), kind["dtype"])
            per_cm = None if mpp is None else UM_PER_CM / (mpp * 2**level)
            resolution: dict[str, Any] = (
                {} if per_cm is None else {"resolution": (per_cm, per_cm), "resolutionunit": "centimeter"}
            )
            tiff.write(
                _tiles(lines_of, (columns, lines), half),
                shape=(lines, columns, *deep),
                tile=(TILE_PX, TILE_PX),
                compression="adobe_deflate",
                subfiletype=int(level > 0),  # 1: a reduced image
                software="hlss",
                description=text if level == 0 else None,
                metadata=None,
                **kind,
                **resolution,
            )
            if half is not None:
                lines_of = partial(_cut, half)


def _tiles(lines_of: Lines, size: tuple[int, int], half: ndarray | None) -> Iterator[ndarray]:
    """Row by row, padded to whole tiles; half: where the next level is put."""
    columns, lines = size
    for top in range(0, lines, TILE_PX):
        row = lines_of(top, min(top + TILE_PX, lines))
        if half is not None and len(row) > 1:
            half[top // 2 : top // 2 + len(row) // 2] = _halved(row, (half.shape[1], len(row) // 2))
        for left in range(0, columns, TILE_PX):
            part = row[:, left : left + TILE_PX]
            tile = np.zeros((TILE_PX, TILE_PX, *row.shape[2:]), row.dtype)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def _cut(pixels: ndarray, top: int, end: int) -> ndarray:
    return pixels[top:end]


def _halved(pixels: ndarray, size: tuple[int, int]) -> UInt8[ndarray, "h w 3"] | Float32[ndarray, "h w"]:
    """The mean of four, of those that have a value."""
    columns, lines = size
    if pixels.dtype == np.uint8:
        part = np.ascontiguousarray(pixels[: 2 * lines, : 2 * columns])
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))
    part = pixels[: 2 * lines, : 2 * columns].reshape(lines, 2, columns, 2)
    there = np.isfinite(part)
    total, count = np.where(there, part, 0).sum(axis=(1, 3)), there.sum(axis=(1, 3))
    return np.divide(total, count, out=np.full((lines, columns), np.nan, np.float32), where=count > 0)
