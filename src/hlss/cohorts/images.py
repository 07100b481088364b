"""Flat images (PNG, JPEG, TIFF) as a source of tiles: each is decoded whole, the last ones are kept."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.base import TileSource
from hlss.cohorts.build import scale_of
from hlss.errors import Unreadable
from hlss.files import digest
from hlss.slides.decode import decode
from hlss.slides.grid import extent_px0
from hlss.slides.resample import resized

CACHE_BYTES = 256 * 2**20


class FlatImages(TileSource):
    """Image files below (or outside) one folder.

    paths:       of each image, relative to `root` or absolute.
    sizes_px0:   (width, height) each is said to have; a file that differs is unreadable.
    mpps:        µm/px of each, None where unknown.
    cache_bytes: how many bytes of decoded images a process keeps (the last image is kept whatever its size).
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        sizes_px0: Sequence[tuple[int, int]],
        mpps: Sequence[float | None],
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.root, self.paths, self.sizes_px0, self.mpps = Path(root), tuple(paths), tuple(sizes_px0), tuple(mpps)
        self._cache = _Cache(cache_bytes)

    @cached_property
    def fingerprint(self) -> str:
        """Of paths, sizes in px and bytes, and mpps; not of the root, so that a copy elsewhere is the same."""
        return digest([self.paths, [self._stat(i)[0] for i in range(len(self.paths))], self.sizes_px0, self.mpps])

    @cached_property
    def freshness(self) -> str:
        """The fingerprint with the times of last change."""
        return digest([self.fingerprint, [self._stat(i) for i in range(len(self.paths))]])

    def image_name(self, image: int) -> str:
        return str(self.root / self.paths[image])

    def read(
        self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None
    ) -> UInt8[ndarray, "tile_px tile_px 3"]:
        """Downscaling averages areas (each pixel of the tile is the mean of what it covers); upscaling is cubic."""
        extent = extent_px0(tile_px, scale_of(self.mpps[image], mpp))
        x_px0, y_px0 = xy_px0
        region = self.pixels(image)[y_px0 : y_px0 + extent, x_px0 : x_px0 + extent]
        if region.shape[:2] != (extent, extent):
            raise ValueError(f"a tile at {xy_px0} leaves {self.image_name(image)}")
        if extent == tile_px:
            return region.copy()
        return resized(region, (tile_px, tile_px))

    def pixels(self, image: int) -> UInt8[ndarray, "h w 3"]:
        """RGB of a whole image, shared with the cache: not to be written to. Raises Unreadable."""
        pixels = self._cache.get(image)
        if pixels is None:
            path = self.root / self.paths[image]
            pixels = decode(path)
            height, width = pixels.shape[:2]
            if (width, height) != self.sizes_px0[image]:
                said = "×".join(map(str, self.sizes_px0[image]))
                raise Unreadable(path, f"it is {width}×{height} px, not {said} as the manifest says")
            self._cache.put(image, pixels)
        return pixels

    def _stat(self, image: int) -> tuple[int, int]:
        path = self.root / self.paths[image]
        try:
            stat = path.stat()
        except OSError as error:
            raise Unreadable(path, error.strerror or "the file is missing") from error
        return stat.st_size, stat.st_mtime_ns


class _Cache:
    """Least recently used images go first, once together they exceed `limit` bytes. Travels empty between processes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._kept: OrderedDict[int, ndarray] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Cache, (self._limit,)

    def get(self, key: int) -> ndarray | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: int, pixels: ndarray) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = pixels
            self._bytes += pixels.nbytes
            while self._bytes > self._limit and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
