"""A slide: one frame (level-0 pixels) and its pixels at any resolution, whatever file they are stored in."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.config import Part
from hlss.errors import UserError
from hlss.slides.grid import extent_px0
from hlss.slides.resample import resized

PIECE_PX = 2**24  # of a level that are read at once where more are to be reduced: 50 MB
NEAR = 0.01  # resolutions this near each other are the same: what files say of it is rounded


class Slide(ABC):
    """An open slide, of one thread at a time.

    path:     its file.
    size_px0: (width, height) of level 0, px.
    mpp:      µm/px of level 0; None where nothing says it.
    scales:   of each level, level-0 px per px of it, ascending; the first is 1.
    icc:      its colour profile, None where it has none.
    facts:    what else the file says of itself (vendor, magnification), for people to read.
    """

    def __init__(
        self,
        path: Path,
        size_px0: tuple[int, int],
        mpp: float | None,
        scales: tuple[float, ...] = (1.0,),
        icc: bytes | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.path, self.size_px0, self.mpp, self.scales, self.icc = Path(path), size_px0, mpp, scales, icc
        self.facts = dict(facts or {})

    @abstractmethod
    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        """RGB of the region of a level whose top-left corner is `xy_px` and whose size is `size_px` (width, height),
        both in px of that level, inside it. A fresh array. Raises Unreadable, with the reason.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the file back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, xy_px0: tuple[int, int], size_px: int, mpp: float | None) -> UInt8[ndarray, "size_px size_px 3"]:
        """RGB of the square of `size_px` at `mpp` µm/px (None: level 0 as stored) with its corner at `xy_px0`.

        Read from the coarsest level that is not coarser than asked for, each pixel the mean of what it covers; the
        corner lies where that level has a pixel, at most half of one away. Beyond level 0 it is enlarged (cubic).
        Raises Unreadable; UserError where the slide has no mpp; ValueError for a square that leaves the slide.
        """
        return self.read_rectangle(xy_px0, (size_px, size_px), mpp)

    def read_rectangle(
        self, xy_px0: tuple[int, int], size_px: tuple[int, int], mpp: float | None
    ) -> UInt8[ndarray, "h w 3"]:
        """The same of a rectangle, size (width, height)."""
        scale = self.scale_of(mpp)
        self.refuse_outside(xy_px0, size_px, scale)
        level = self.level_for(scale)
        own = scale / self.scales[level]  # px of the level per px asked for
        corners, sides = [], []
        for corner, side, whole in zip(xy_px0, size_px, self.size_px(level), strict=True):
            wide = min(max(1, round(side * own)), whole)
            sides.append(wide)
            corners.append(min(round(corner / self.scales[level]), whole - wide))
        if own <= 1 or sides[0] * sides[1] <= PIECE_PX:
            found = self.read_level(level, (corners[0], corners[1]), (sides[0], sides[1]))
            return found if tuple(sides) == tuple(size_px) else resized(found, size_px)
        reduced = np.empty((size_px[1], size_px[0], 3), dtype=np.uint8)
        borders = _borders(size_px[1], sides)  # a slide without levels is seen whole in pieces, its memory bounded
        for first, end in pairwise(borders):
            top, below = (round(line * sides[1] / size_px[1]) for line in (first, end))
            band = self.read_level(level, (corners[0], corners[1] + top), (sides[0], below - top))
            reduced[first:end] = resized(band, (size_px[0], end - first))
        return reduced

    def refuse_outside(self, xy_px0: tuple[int, int], size_px: tuple[int, int], scale: float) -> None:
        """Raises ValueError for a rectangle at `scale` level-0 px per px that leaves the slide."""
        for corner, side, whole in zip(xy_px0, size_px, self.size_px0, strict=True):
            if corner < 0 or corner + extent_px0(side, scale) > whole + max(1.0, scale / 2):
                raise ValueError(f"a region at {xy_px0} of {size_px} px leaves {self.path}")

    def size_px(self, level: int) -> tuple[int, int]:
        """(width, height) of a level, in px of it; a reader that knows better says so."""
        width, height = (max(1, round(side / self.scales[level])) for side in self.size_px0)
        return width, height

    def level_for(self, scale: float) -> int:
        """The coarsest level with no more than `scale` level-0 px per px; level 0 where there is none."""
        fit = [level for level, own in enumerate(self.scales) if own <= scale * (1 + NEAR)]
        return fit[-1] if fit else 0

    def scale_of(self, mpp: float | None) -> float:
        """Level-0 px per px at `mpp`. Raises UserError where the slide's own resolution is not known."""
        if mpp is None:
            return 1.0
        if self.mpp is None:
            fix = "Give the manifest a column `mpp` (µm/px of level 0), or set mpp= on the command line."
            raise UserError("nothing says how many µm a pixel is", where=self.path, fix=fix)
        scale = mpp / self.mpp
        return 1.0 if abs(scale - 1) < NEAR else scale


def scale_between(size_px0: tuple[int, int], size_px: tuple[int, int]) -> float:
    """Level-0 px per px of a level of this size: a whole number where that explains it, because sizes are rounded."""
    mean = sum(above / below for above, below in zip(size_px0, size_px, strict=True)) / 2
    whole = round(mean)
    fits = all(above // whole <= below <= -(-above // whole) for above, below in zip(size_px0, size_px, strict=True))
    return float(whole) if fits else mean


def _borders(lines: int, sides_px: list[int]) -> list[int]:
    """Where to cut `lines` that are reduced from a region of these sides, so that no band has many of its pixels."""
    step = max(1, lines * PIECE_PX // (sides_px[0] * sides_px[1]))
    return [*range(0, lines, step), lines]


class ReaderSpec(Part):
    """One way to open slide files. Registered with `@SLIDES.register`; tried in the order of `rank` (lowest first)."""

    name: str
    rank: int = 50

    def takes(self, path: Path) -> bool:
        """Whether this file is for this reader: by its first bytes, quickly, raising nothing."""
        raise NotImplementedError

    def open(self, path: Path, mpp: float | None = None) -> Slide:
        """Open it. mpp: µm/px of level 0, over what the file says. Raises Unreadable, with the reason."""
        raise NotImplementedError
