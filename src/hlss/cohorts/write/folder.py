"""A plain folder: a PNG or JPEG for each tile, or for each image, and `manifest.csv` over them."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.packed import encode_jpeg, encode_png
from hlss.cohorts.paths import file_names
from hlss.cohorts.write.frame import (
    Frame,
    Progress,
    frame_of,
    identity,
    image_names,
    known_frame,
    part_of,
    pixels_of,
    write_manifest,
)
from hlss.errors import UserError

LARGEST_PX = 2**28  # of a plain image, which is held whole: 0.8 GB

Format = Literal["png", "jpeg"]


def write_tiles(cohort: Cohort, folder: Path, progress: Progress, *, form: Format = "png", quality: int = 95) -> None:
    """`tiles/SLIDE/ROW.png` for each tile of the cohort; the cohort source `manifest` finds the same rows again."""
    slides = file_names(cohort.slides)
    for slide in slides:
        (folder / "tiles" / slide).mkdir(parents=True)
    mpps = [_mpp(cohort, image) for image in range(cohort.n_images)]

    def rows() -> Iterator[dict[str, Any]]:
        for row in range(cohort.n_tiles):
            image = int(cohort.tile_image(np.array([row]))[0])
            path = f"tiles/{slides[cohort.image_slide[image]]}/{row:08d}.{form}"
            (folder / path).write_bytes(_encoded(cohort.read_tile(row), form, quality))
            size = {"width": cohort.tile_px, "height": cohort.tile_px}
            yield identity(cohort, image) | size | {"path": path, "mpp": mpps[image]}
            progress(row + 1, cohort.n_tiles)

    write_manifest(folder / "manifest.csv", rows())


def write_images(cohort: Cohort, folder: Path, progress: Progress, *, form: Format = "png", quality: int = 95) -> None:
    """`images/NAME.png` for each image: what whole tiles cover of it from its corner, at the cohort's resolution.

    Cut again with the cohort's tile_px, it gives the grid's tiles, pixel by pixel. Memory: one image. Raises UserError
    for images of unknown size, and for one too large to be held (then a pyramid is the layout to choose).
    """
    frames = [frame_of(cohort, image) for image in range(cohort.n_images)]
    tiles = [_tiles_along(cohort, image, frame) for image, frame in enumerate(frames)]
    total, done, names = sum(map(math.prod, tiles)), 0, image_names(cohort)
    (folder / "images").mkdir(parents=True)

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal done
        for image, frame in enumerate(frames):
            pixels = _assembled(cohort, image, frame, tiles[image], part_of(progress, done, total))
            path = f"images/{names[image]}.{form}"
            (folder / path).write_bytes(_encoded(pixels, form, quality))
            done += math.prod(tiles[image])
            size = {"width": pixels.shape[1], "height": pixels.shape[0]}
            yield identity(cohort, image) | size | {"path": path, "mpp": _mpp(cohort, image)}

    write_manifest(folder / "manifest.csv", rows())


def _tiles_along(cohort: Cohort, image: int, frame: Frame) -> tuple[int, int]:
    """Whole tiles across and down."""
    extent = frame.extent_px0(cohort)
    columns, rows = frame.width_px0 // extent, frame.height_px0 // extent
    width, height = columns * cohort.tile_px, rows * cohort.tile_px
    if width * height > LARGEST_PX:
        where = cohort.source.image_name(int(cohort.image_number[image]))
        fix = "Choose the layout `pyramid` or `tiles`, or a coarser mpp."
        raise UserError(f"{width}×{height} px are too many for one plain image", where=where, fix=fix)
    return columns, rows


def _assembled(
    cohort: Cohort, image: int, frame: Frame, tiles: tuple[int, int], progress: Progress
) -> UInt8[ndarray, "h w 3"]:
    source, number = pixels_of(cohort), int(cohort.image_number[image])
    side, extent, (columns, rows) = cohort.tile_px, frame.extent_px0(cohort), tiles
    pixels = np.empty((rows, side, columns, side, 3), dtype=np.uint8)
    for tile in range(columns * rows):
        row, column = divmod(tile, columns)
        pixels[row, :, column] = source.read(number, (column * extent, row * extent), side, cohort.mpp)
        progress(tile + 1, columns * rows)
    return pixels.reshape(rows * side, columns * side, 3)


def _mpp(cohort: Cohort, image: int) -> float | str:
    """µm/px of what is written; "" where nothing says it."""
    if cohort.mpp is not None:
        return cohort.mpp
    frame = known_frame(cohort, image)
    return "" if frame is None or frame.mpp0 is None else frame.mpp0


def _encoded(pixels: UInt8[ndarray, "h w 3"], form: Format, quality: int) -> bytes:
    return encode_png(pixels) if form == "png" else encode_jpeg(pixels, quality, "444")
