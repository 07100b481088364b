"""Tiles that another program cut: their places from its HDF5, their pixels from there too or from the slide."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.base import TileSource
from hlss.errors import Unreadable
from hlss.files import digest
from hlss.slides.handles import Handles
from hlss.slides.resample import resized

OPEN_FILES = 16  # that a process keeps open


@dataclass(frozen=True)
class PatchFile:
    """The tiles of one slide.

    path, slide: the HDF5; the slide that pixels are read from, None: they are in the HDF5.
    extent_px0:  side, level-0 px, of what a tile covers; needed with a slide.
    places:      digest of where the tiles lie.
    """

    path: Path
    slide: Path | None
    extent_px0: int | None
    places: str

    @property
    def pixels(self) -> Path:
        """The file that pixels come from."""
        return self.path if self.slide is None else self.slide


class StoredPatches(TileSource):
    """One file an image; every tile is resized to the side asked for.

    srgb: whether colours read from slides are brought to sRGB by each one's profile.
    """

    def __init__(self, files: Sequence[PatchFile], srgb: bool = False) -> None:
        self.files, self.srgb = tuple(files), srgb
        self._slides = Handles(OPEN_FILES, srgb=srgb)
        self._opened: OrderedDict[int, tuple[Any, ndarray]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": OrderedDict()}  # each process opens its own

    @cached_property
    def fingerprint(self) -> str:
        """Of where tiles lie, how large the files of their pixels are, and of colours where these are changed; not of
        where the files are kept.
        """
        files = [(file.places, file.extent_px0, self._stat(file).st_size) for file in self.files]
        return digest(["patches", files, *(["srgb"] if self.srgb else [])])

    @cached_property
    def freshness(self) -> str:
        """The fingerprint with the times of last change."""
        return digest([self.fingerprint, [self._stat(file).st_mtime_ns for file in self.files]])

    def image_name(self, image: int) -> str:
        return str(self.files[image].pixels)

    def read(
        self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None
    ) -> UInt8[ndarray, "tile_px tile_px 3"]:
        """Shrunk by area, enlarged by cubic splines. Raises Unreadable; ValueError for an mpp, or a place that is no
        tile's.
        """
        if mpp is not None:
            raise ValueError("tiles are as large as they were cut, whatever their mpp")
        file = self.files[image]
        if file.slide is None:
            return self._stored(image, xy_px0, tile_px)
        assert file.extent_px0 is not None
        try:  # a slide whose pixels measure 1, so that what is asked for is px of level 0 a px, known mpp or not
            return self._slides.get(file.slide, 1.0).read(xy_px0, tile_px, file.extent_px0 / tile_px)
        except (Unreadable, ValueError) as error:
            self._slides.drop(file.slide, 1.0)
            raise error if isinstance(error, Unreadable) else Unreadable(file.slide, str(error)) from error

    def _stored(self, image: int, xy_px0: tuple[int, int], tile_px: int) -> UInt8[ndarray, "tile_px tile_px 3"]:
        path = self.files[image].path
        try:
            images, places = self._open(image)
            (found,) = np.nonzero((places == xy_px0).all(axis=1))
            if len(found) != 1:
                raise ValueError(f"{path} has no tile at {xy_px0}")
            pixels = np.asarray(images[int(found[0])])
        except (OSError, KeyError, RuntimeError) as error:  # damaged chunks, a file that was replaced
            self._close(image)
            raise Unreadable(path, str(error)[:200]) from error
        if pixels.shape[0] == tile_px:
            return pixels
        return resized(pixels, (tile_px, tile_px))

    def _open(self, image: int) -> tuple[Any, ndarray]:
        """The images of a file, and where they lie."""
        if image not in self._opened:
            while len(self._opened) >= OPEN_FILES:
                self._close(next(iter(self._opened)))
            import h5py  # a tenth of a second, for those who have such files

            file = h5py.File(self.files[image].path, "r")
            self._opened[image] = file["imgs"], file["coords"][()]
        self._opened.move_to_end(image)
        return self._opened[image]

    def _close(self, image: int) -> None:
        images, _ = self._opened.pop(image, (None, None))
        if images is not None:
            images.file.close()

    def _stat(self, file: PatchFile) -> Any:
        try:
            return file.pixels.stat()
        except OSError as error:
            raise Unreadable(file.pixels, error.strerror or "the file is missing") from error
