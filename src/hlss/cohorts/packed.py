"""Reading a pack: one memory-mapped Arrow file a part, one row a tile, decoded on request."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import simplejpeg
from jaxtyping import Int64, UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort, TileSource
from hlss.errors import Unreadable
from hlss.files import digest


class PackedTiles(TileSource):
    """Tiles from a finished pack, found by the image and place they had in the cohort it was built from.

    folder: the pack's; cohort: the whole one it was built from (row i of the pack is row i of the cohort);
    part_tiles: tiles in a part; recipe: what else made the stored pixels. original: the source of that cohort.
    """

    def __init__(self, folder: Path, cohort: Cohort, part_tiles: int, recipe: str) -> None:
        self.folder, self.part_tiles = Path(folder), part_tiles
        self.tile_px, self.mpp, self.original = cohort.tile_px, cohort.mpp, cohort.source
        self._fingerprint = digest([cohort.fingerprint, recipe])
        every = np.arange(cohort.n_tiles)
        images = cohort.image_number[cohort.tile_image(every)]
        places = _place(*cohort.tile_xy_px0(every).astype(np.int64).T)
        self._rows: Int64[ndarray, " n"] = np.lexsort((places, images))
        self._places: Int64[ndarray, " n"] = places[self._rows]
        self._starts: Int64[ndarray, " i"] = np.concatenate([[0], np.cumsum(np.bincount(images))])
        self._parts: dict[int, pa.RecordBatch] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_parts": {}}  # a memory map does not travel: each process opens its own

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def contents(self) -> tuple[str, ...] | None:
        return self.original.contents

    def image_name(self, image: int) -> str:
        return self.original.image_name(image)

    def read(
        self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None
    ) -> UInt8[ndarray, "tile_px tile_px 3"]:
        """Raises ValueError for a tile that the pack was not built with, Unreadable where its bytes are damaged."""
        if (tile_px, mpp) != (self.tile_px, self.mpp):
            raise ValueError(f"a pack of {self.tile_px} px tiles at mpp {self.mpp} has none of {tile_px} px at {mpp}")
        part, row = divmod(self._row(image, xy_px0), self.part_tiles)
        batch = self._parts.get(part)
        if batch is None:
            batch = self._parts[part] = read_part(part_path(self.folder, part))
        data = batch["tile"][row].as_buffer()
        if data is None or zlib.crc32(data) != batch["crc32"][row].as_py():
            reason = f"tile {row} of the pack is damaged; delete {self.folder} and run again to rebuild it"
            raise Unreadable(part_path(self.folder, part), reason)
        return decode_tile(memoryview(data).cast("B"))

    def _row(self, image: int, xy_px0: tuple[int, int]) -> int:
        start, stop = self._starts[image], self._starts[image + 1]
        place = _place(*xy_px0)
        found = start + int(np.searchsorted(self._places[start:stop], place))
        if found == stop or self._places[found] != place:
            raise ValueError(f"the pack {self.folder} has no tile at {xy_px0} of {self.image_name(image)}")
        return int(self._rows[found])


def part_path(folder: Path, part: int) -> Path:
    return folder / f"part-{part:05d}.arrow"


def read_part(path: Path) -> pa.RecordBatch:
    """The one record batch of a part, mapped, not read. Raises Unreadable where the file is missing or cut."""
    try:
        with pa.memory_map(str(path)) as mapped:
            return pa.ipc.open_file(mapped).get_batch(0)
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(path, f"no part of a pack: {error}") from error


def encode_jpeg(pixels: UInt8[ndarray, "h w 3"], quality: int, chroma: str) -> bytes:
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", colorsubsampling=chroma)
    return bytes(jpeg)


def encode_png(pixels: UInt8[ndarray, "h w 3"]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(pixels, level=3))


def decode_tile(data: memoryview | bytes) -> UInt8[ndarray, "h w 3"]:
    """Pixels of a JPEG or PNG; the first bytes tell which it is."""
    if simplejpeg.is_jpeg(data):
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB"))
    import imagecodecs

    return np.asarray(imagecodecs.png_decode(bytes(data)))


def _place(x_px0: Any, y_px0: Any) -> Any:
    """x and y as one sortable integer."""
    return (y_px0 << 32) | x_px0
