"""A map as pyramidal TIFFs that lie over the slide: their first pixel is the slide's first, and they say how many µm a
pixel is.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from hlss.cohorts.write.pyramid import BIG_PX, UM_PER_CM, level_sizes
from hlss.explain.score_map import ScoreMap, coloured

_LONGEST_PX = 4096  # side up to which a map is finer than its cells, so that its edges are where the tiles' are
_FINER = (16, 8, 4, 2)
_TILE_PX = 256


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
    places = [(np.arange(-(-length // side)) + 0.5) * side for length in size_px0]
    found = score_map.at(places[0], places[1])
    said = facts | {"downsample": side}
    mpp = None if mpp0 is None else mpp0 * side
    _write(colours, coloured(found, weak=weak), mpp, said, {"photometric": "rgb"})
    _write(values, found, mpp, said, {"photometric": "minisblack"})


def _write(path: Path, pixels: ndarray, mpp: float | None, facts: dict[str, Any], kind: dict[str, Any]) -> None:
    import tifffile

    height, width = pixels.shape[:2]
    text = json.dumps(facts, ensure_ascii=True, allow_nan=False, default=str)
    with tifffile.TiffWriter(path, bigtiff=width * height >= BIG_PX) as tiff:
        for level, (columns, lines) in enumerate(level_sizes((width, height))):
            if level:
                pixels = _halved(pixels, (columns, lines))
            per_cm = None if mpp is None else UM_PER_CM / (mpp * 2**level)
            resolution: dict[str, Any] = (
                {} if per_cm is None else {"resolution": (per_cm, per_cm), "resolutionunit": "centimeter"}
            )
            tiff.write(
                pixels,
                tile=(_TILE_PX, _TILE_PX),
                compression="adobe_deflate",
                subfiletype=int(level > 0),  # 1: a reduced image
                software="hlss",
                description=text if level == 0 else None,
                metadata=None,
                **kind,
                **resolution,
            )


def _halved(pixels: ndarray, size: tuple[int, int]) -> UInt8[ndarray, "h w 3"] | Float32[ndarray, "h w"]:
    """The mean of four, of those that have a value."""
    columns, lines = size
    if pixels.dtype == np.uint8:
        part = pixels[: 2 * lines, : 2 * columns]
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))
    part = pixels[: 2 * lines, : 2 * columns].reshape(lines, 2, columns, 2)
    there = np.isfinite(part)
    total, count = np.where(there, part, 0).sum(axis=(1, 3)), there.sum(axis=(1, 3))
    return np.divide(total, count, out=np.full((lines, columns), np.nan, np.float32), where=count > 0)
