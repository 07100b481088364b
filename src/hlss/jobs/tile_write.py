"""The files of one cut slide. The same slide and recipe give the same bytes: no file says when it was made."""

from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from jaxtyping import UInt8
from numpy import ndarray

from hlss.files import replacing
from hlss.jobs.tile_cut import Cut
from hlss.jobs.tile_recipe import TileRecipe
from hlss.slides.trident import trident_attributes

PICTURE_PX = 1024  # longest side
LINES_PX = 6  # cells that are smaller on the picture are tinted only
MASK, TILES = (20, 90, 20), (40, 160, 60)  # RGB


def write_patches(path: Path, found: Cut, recipe: TileRecipe, size_px0: tuple[int, int], mpp0: float) -> None:
    """HDF5 of coordinates as TRIDENT writes and reads it. `path`: …/NAME_patches.h5."""
    import h5py

    facts = trident_attributes(
        path.stem.removesuffix("_patches"),
        recipe.tile_px,
        recipe.at_mpp,
        mpp0,
        extent_px0=found.tile_px0,
        size_px0=size_px0,
        overlap_px=recipe.overlap_px,
        folder="patches",
    )
    memory = BytesIO()  # HDF5 cannot let go of a file that failed it: a full disk meets plain bytes
    with h5py.File(memory, "w") as file:
        coords = file.create_dataset("coords", data=found.grid.xy_px0.astype(np.int64), track_times=False)
        coords.attrs.update(facts)
    _write_bytes(path, memory.getvalue())


def write_tiles(path: Path, found: Cut) -> None:
    """Parquet, a row a tile: corner (level-0 px), share of tissue, place in the grid."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    xy = found.grid.xy_px0
    line, column = np.divmod(found.grid.cells, max(1, found.grid.columns))
    table = pa.table(
        {
            "x_px0": xy[:, 0],
            "y_px0": xy[:, 1],
            "tissue": found.share,
            "column": column.astype(np.int32),
            "line": line.astype(np.int32),
        }
    )
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_picture(path: Path, found: Cut) -> None:
    """JPEG: the thumbnail, the outline of its tissue, and its tiles."""
    pixels = simplejpeg.encode_jpeg(picture(found), quality=85, colorspace="RGB", colorsubsampling="420")
    _write_bytes(path, pixels)


def picture(found: Cut) -> UInt8[ndarray, "h w 3"]:
    """What `write_picture` stores."""
    height, width = found.mask.shape
    shrink = min(1.0, PICTURE_PX / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    pixels = np.ascontiguousarray(cv2.resize(found.thumbnail, size, interpolation=cv2.INTER_AREA))
    _draw_tiles(pixels, found, width / size[0] * found.scale)
    mask = cv2.resize(found.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(pixels, outlines, -1, MASK, 1))


def _draw_tiles(pixels: UInt8[ndarray, "h w 3"], found: Cut, scale: float) -> None:
    """scale: level-0 px per px of the picture."""
    tinted = pixels.copy()
    corners = np.rint(found.grid.xy_px0 / scale).astype(int)
    side = max(1, round(found.tile_px0 / scale))
    for x, y in corners.tolist():
        cv2.rectangle(tinted, (x, y), (x + side - 1, y + side - 1), TILES, -1)
    cv2.addWeighted(pixels, 0.8, tinted, 0.2, 0, dst=pixels)
    if side >= LINES_PX:
        for x, y in corners.tolist():
            cv2.rectangle(pixels, (x, y), (x + side - 1, y + side - 1), TILES, 1)


def _write_bytes(path: Path, data: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)
