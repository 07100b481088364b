"""Slide files as a source of tiles: pixels are read from the slides, nothing is stored twice."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.base import TileSource
from hlss.errors import Unreadable
from hlss.files import digest
from hlss.slides.handles import Handles

OPEN_SLIDES = 16  # that a process keeps open


class SlideTiles(TileSource):
    """Slide files below (or outside) one folder.

    paths:  of each slide, relative to `root` or absolute.
    hashes: of each slide's content.
    mpps:   µm/px of level 0 where it is to be other than what the file says, else None.
    reader: of all slides; None: by file.
    srgb:   whether colours are brought to sRGB by each slide's profile, where it has one.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        hashes: Sequence[str],
        mpps: Sequence[float | None],
        reader: str | None = None,
        srgb: bool = False,
    ) -> None:
        self.root, self.paths, self.hashes, self.mpps = Path(root), tuple(paths), tuple(hashes), tuple(mpps)
        self.reader, self.srgb = reader, srgb
        self._handles = Handles(OPEN_SLIDES, reader, srgb)

    @cached_property
    def fingerprint(self) -> str:
        """Of what the slides hold, and of their colours where these are changed; not of where they lie."""
        return digest(["slides", self.hashes, self.mpps, *(["srgb"] if self.srgb else [])])

    @property
    def contents(self) -> tuple[str, ...]:
        return self.hashes

    def image_name(self, image: int) -> str:
        return str(self.root / self.paths[image])

    def frame(self, image: int) -> tuple[int, int, float | None]:
        """(width, height) of level 0, px, and its µm/px. Raises Unreadable."""
        slide = self._handles.get(self.root / self.paths[image], self.mpps[image])
        return *slide.size_px0, slide.mpp

    def read(
        self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None
    ) -> UInt8[ndarray, "tile_px tile_px 3"]:
        """Raises Unreadable where the slide cannot be opened, or not be read there; it is opened anew next time."""
        path, own = self.root / self.paths[image], self.mpps[image]
        try:
            return self._handles.get(path, own).read(xy_px0, tile_px, mpp)
        except Unreadable:
            self._handles.drop(path, own)
            raise
