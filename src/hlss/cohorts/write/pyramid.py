"""A whole slide as a pyramidal tiled JPEG TIFF, read region by region: its memory does not grow with the slide.

Levels go down by 2 until one tile holds the slide. OpenSlide opens it as `generic-tiff`, with its resolution.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.packed import encode_jpeg
from hlss.cohorts.write.frame import (
    Progress,
    frame_of,
    image_names,
    mpp0_of,
    part_of,
    pixels_of,
    slide_rows,
    write_manifest,
)
from hlss.files import replacing
from hlss.slides.jpeg_tiles import SAMPLINGS

TILE_PX = 256
BIG_PX = 2**29  # from so many pixels on, 64-bit offsets: 4 GiB then leave 8 bytes a pixel of level 0
UM_PER_CM = 10_000

Read = Callable[[tuple[int, int], int, float], UInt8[ndarray, "size_px size_px 3"]]


def write_pyramid(
    path: Path,
    read: Read,
    size_px0: tuple[int, int],
    mpp0: float,
    *,
    quality: int = 90,
    chroma: str = "444",
    progress: Progress | None = None,
) -> None:
    """Write a slide, atomically.

    read:            `read(xy_px0, size_px, mpp)`: RGB of a square at a level's resolution; asked for nothing outside
                     the slide, and for level 0 up to mpp0·2^level.
    size_px0, mpp0:  (width, height) and µm/px of level 0.
    quality, chroma: of the JPEG; 444 keeps colour at full resolution, 420 at half.
    progress:        called with (tiles done, tiles in all).

    Raises UserError where the disk is full or writing is refused; whatever stood at `path` before is then untouched.
    """
    with replacing(path) as temporary:
        _write(temporary, read, size_px0, mpp0, quality, chroma, progress)


def write_pyramids(cohort: Cohort, folder: Path, progress: Progress, *, quality: int = 90, chroma: str = "444") -> None:
    """Every image of a cohort as a pyramid `slides/NAME.tiff`, at the resolution of its source, and `manifest.csv`.

    Raises UserError for an image without mpp or of unknown size.
    """
    frames = [frame_of(cohort, image) for image in range(cohort.n_images)]
    mpps = [mpp0_of(cohort, image, frame) for image, frame in enumerate(frames)]
    counts = [_n_tiles((frame.width_px0, frame.height_px0)) for frame in frames]
    paths, total, done = [f"slides/{name}.tiff" for name in image_names(cohort)], sum(counts), 0
    (folder / "slides").mkdir(parents=True)
    for image, frame in enumerate(frames):
        _write(
            folder / paths[image],
            reader(cohort, image),
            (frame.width_px0, frame.height_px0),
            mpps[image],
            quality,
            chroma,
            part_of(progress, done, total),
        )
        done += counts[image]
    write_manifest(folder / "manifest.csv", slide_rows(cohort, frames, mpps, paths))


def reader(cohort: Cohort, image: int) -> Read:
    """Any square of an image of a cohort."""
    source, number = pixels_of(cohort), int(cohort.image_number[image])
    return lambda xy_px0, size_px, mpp: source.read(number, xy_px0, size_px, mpp)


def level_sizes(size_px0: tuple[int, int]) -> list[tuple[int, int]]:
    """(width, height) of each level: halves, rounded down, until one tile holds the slide."""
    sizes = [size_px0]
    while max(sizes[-1]) > TILE_PX and min(sizes[-1]) > 1:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def write_jpegs(
    path: Path,
    sizes: Sequence[tuple[int, int]],
    jpegs: Callable[[int], Iterator[bytes]],
    mpp0: float,
    chroma: str,
) -> None:
    """Write a slide of tiles that are JPEGs already. sizes: (width, height) of each level; jpegs: those of a level,
    line by line, TILE_PX a side, all of the same chroma. Callers see to it that the file appears whole.
    """
    import tifffile

    with tifffile.TiffWriter(path, bigtiff=sizes[0][0] * sizes[0][1] >= BIG_PX) as tiff:
        for level, (width, height) in enumerate(sizes):
            per_cm = UM_PER_CM / (mpp0 * 2**level)
            tiff.write(
                jpegs(level),
                shape=(height, width, 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="ycbcr",
                compression="jpeg",
                subsampling=SAMPLINGS[chroma],
                resolution=(per_cm, per_cm),
                resolutionunit="centimeter",
                subfiletype=int(level > 0),  # 1: a reduced image
                software="hlss",
                metadata=None,
            )


def _write(
    path: Path,
    read: Read,
    size_px0: tuple[int, int],
    mpp0: float,
    quality: int,
    chroma: str,
    progress: Progress | None,
) -> None:
    sizes, total, done = level_sizes(size_px0), _n_tiles(size_px0), 0

    def jpegs(level: int) -> Iterator[bytes]:
        nonlocal done
        width, height = sizes[level]
        for y in range(0, height, TILE_PX):
            for x in range(0, width, TILE_PX):
                jpeg = encode_jpeg(_tile(read, sizes[level], (x, y), 2**level, mpp0), quality, chroma)
                done += 1
                if progress is not None:
                    progress(done, total)
                yield jpeg

    write_jpegs(path, sizes, jpegs, mpp0, chroma)


def _n_tiles(size_px0: tuple[int, int]) -> int:
    return sum(-(-width // TILE_PX) * -(-height // TILE_PX) for width, height in level_sizes(size_px0))


def _tile(
    read: Read, size: tuple[int, int], xy: tuple[int, int], scale: int, mpp0: float
) -> UInt8[ndarray, "tile_px tile_px 3"]:
    """The tile at `xy` of a level of this size, all in px of the level; beyond the slide its border goes on.

    At the border the slide is read in squares that are pushed back into it.
    """
    (width, height), (x, y) = size, xy
    if x + TILE_PX <= width and y + TILE_PX <= height:
        return read((x * scale, y * scale), TILE_PX, mpp0 * scale)
    columns, rows, side = min(TILE_PX, width - x), min(TILE_PX, height - y), min(TILE_PX, width, height)
    inside = np.empty((rows, columns, 3), dtype=np.uint8)
    for top in range(0, rows, side):
        for left in range(0, columns, side):
            at_x, at_y = min(x + left, width - side), min(y + top, height - side)
            square = read((at_x * scale, at_y * scale), side, mpp0 * scale)
            part = square[y + top - at_y :, x + left - at_x :][: rows - top, : columns - left]
            inside[top : top + part.shape[0], left : left + part.shape[1]] = part
    return np.pad(inside, ((0, TILE_PX - rows), (0, TILE_PX - columns), (0, 0)), mode="edge")
