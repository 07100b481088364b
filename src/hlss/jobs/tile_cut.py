"""From an open slide to the tiles of its tissue: a thumbnail, its mask, and the cells of the grid that hold enough."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8
from numpy import ndarray

from hlss.errors import Unreadable
from hlss.jobs.tile_recipe import TileRecipe
from hlss.slides.base import Slide
from hlss.slides.grid import FINER, Grid, extent_px0, grid
from hlss.slides.tissue import tissue_mask

BLOCK_PX = 2048  # side of what is read at once for a thumbnail, px of the level it is read from


@dataclass(frozen=True, eq=False)
class Cut:
    """What was found on a slide.

    share:     of each tile that is tissue.
    thumbnail: RGB, and which of its pixels are tissue.
    scale:     level-0 px per px of the thumbnail.
    tile_px0:  side of what a tile covers, level-0 px.
    """

    grid: Grid
    share: Float32[ndarray, " n"]
    thumbnail: UInt8[ndarray, "h w 3"]
    mask: Bool[ndarray, "h w"]
    scale: float
    tile_px0: int


def cut(slide: Slide, recipe: TileRecipe) -> Cut:
    """The tiles of a slide's tissue. Raises Unreadable where it cannot be read, does not tell its resolution, or is
    coarser than the tiles.
    """
    if slide.mpp is None:
        reason = "nothing says how many µm a pixel is: give the manifest a column `mpp`, or set slide_mpp="
        raise Unreadable(slide.path, reason)
    if not recipe.allow_upsampling and recipe.at_mpp < slide.mpp * (1 - FINER):
        reason = f"tiles at {recipe.at_mpp:g} µm/px are finer than the slide, {slide.mpp:g}: see allow_upsampling="
        raise Unreadable(slide.path, reason)
    scale = slide.scale_of(recipe.at_mpp)
    cells = grid(*slide.size_px0, recipe.tile_px, scale, recipe.overlap_px)
    pixels, thumb_scale = thumbnail(slide, recipe.tissue.mpp)
    mask = tissue_mask(pixels, thumb_scale * slide.mpp, recipe.tissue)
    extent = extent_px0(recipe.tile_px, scale)
    share = tissue_share(mask, cells, extent, thumb_scale)
    wanted = share >= recipe.min_tissue
    return Cut(cells.masked(wanted), share[wanted].astype(np.float32), pixels, mask, thumb_scale, extent)


def thumbnail(slide: Slide, mpp: float) -> tuple[UInt8[ndarray, "h w 3"], float]:
    """The whole slide at `mpp` (or at level 0, where that is coarser), and level-0 px per px of it.

    Read in blocks, so that a slide without reduced levels is never held whole. Raises Unreadable.
    """
    own = slide.mpp if slide.mpp is not None else mpp
    scale = min(max(1.0, slide.scale_of(mpp)), float(min(slide.size_px0)))
    width, height = (max(1, int(side / scale)) for side in slide.size_px0)
    block = max(1, int(BLOCK_PX * slide.scales[slide.level_for(scale)] / scale))
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for y in range(0, height, block):
        for x in range(0, width, block):
            part = pixels[y : y + block, x : x + block]
            size = (part.shape[1], part.shape[0])
            part[:] = slide.read_rectangle((round(x * scale), round(y * scale)), size, own * scale)
    return pixels, scale


def tissue_share(
    mask: Bool[ndarray, "h w"], cells: Grid, tile_px0: int, scale: float
) -> Float64[ndarray, "lines columns"]:
    """Share of each cell, level-0 px, that a mask of `scale` level-0 px per px marks: exact, by parts of pixels."""
    if cells.columns * cells.lines == 0:
        return np.zeros((cells.lines, cells.columns))
    height, width = mask.shape
    x, y = cells.origin_px0
    left = _cell_starts(x, cells.step_px0, cells.columns) / scale
    top = _cell_starts(y, cells.step_px0, cells.lines) / scale
    right, bottom = np.minimum(left + tile_px0 / scale, width), np.minimum(top + tile_px0 / scale, height)
    left, top = np.minimum(left, width), np.minimum(top, height)
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    marked = _at(sums, bottom, right) - _at(sums, top, right) - _at(sums, bottom, left) + _at(sums, top, left)
    area = (bottom - top)[:, None] * (right - left)[None, :]
    return np.clip(np.divide(marked, area, out=np.zeros_like(marked), where=area > 0), 0, 1)


def _cell_starts(first: int, step: int, count: int) -> Float64[ndarray, " count"]:
    return first + step * np.arange(count, dtype=np.float64)


def _at(
    sums: Float64[ndarray, "h w"], y: Float[ndarray, " lines"], x: Float[ndarray, " columns"]
) -> Float64[ndarray, "lines columns"]:
    """The table of sums between its points: what it counts is constant within a pixel, so it is bilinear there."""
    y0, x0 = (np.minimum(v.astype(np.int64), n - 2) for v, n in zip((y, x), sums.shape, strict=True))
    along = sums[y0] + (y - y0)[:, None] * (sums[y0 + 1] - sums[y0])
    return along[:, x0] + (x - x0)[None, :] * (along[:, x0 + 1] - along[:, x0])
