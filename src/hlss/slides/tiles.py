"""Which tiles there are: rows that are derived, not stored, where images are cut into grids.

Tiles of an image follow each other, images in their order; so `starts` says which rows are whose. A grid costs a bit
for each of its cells, and nothing where all of its cells are tiles.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int32, Int64, UInt8
from numpy import ndarray

from hlss.slides.grid import Grid

CHUNK = 2**20  # rows that are written out at once
FEW = 2**24  # rows up to which a table is told apart by them, whatever way it is kept


class Tiles(ABC):
    """A table of tiles, in order of their images. starts: first row of each image, then the number of all rows."""

    starts: Int64[ndarray, " n_images_and_1"]

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def n_images(self) -> int:
        return len(self.starts) - 1

    def image(self, rows: Int[ndarray, " n"]) -> Int64[ndarray, " n"]:
        """Number of the image of each tile. Raises IndexError for a row that is none."""
        return np.searchsorted(self.starts, self._checked(rows), side="right") - 1

    def of_image(self, image: int) -> Int64[ndarray, " n"]:
        """Rows of an image, ascending."""
        return np.arange(self.starts[image], self.starts[image + 1])

    @abstractmethod
    def xy_px0(self, rows: Int[ndarray, " n"]) -> Int32[ndarray, "n 2"]:
        """Top-left corner of each tile, level-0 px of its image. A fresh array."""

    @abstractmethod
    def of_images(self, images: Int64[ndarray, " k"]) -> "Tiles":
        """The tiles of these images alone, which are renumbered 0, 1, … in the order given."""

    @property
    @abstractmethod
    def arrays(self) -> tuple[ndarray, ...]:
        """What it is kept as."""

    @property
    def nbytes(self) -> int:
        """Memory it takes, bytes."""
        return sum(array.nbytes for array in self.arrays)

    def kept(self, keep: Bool[ndarray, " n"]) -> "ListedTiles":
        """The tiles that `keep` marks, of all images (which may be left without any)."""
        rows = np.flatnonzero(keep)
        counts = np.bincount(self.image(rows), minlength=self.n_images)
        return ListedTiles(_starts(counts), self.xy_px0(rows))

    def _checked(self, rows: Int[ndarray, " n"]) -> Int64[ndarray, " n"]:
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"tile {rows.max() if rows.max() >= len(self) else rows.min()} of {len(self)}")
        return rows

    def said(self) -> Iterator[bytes]:
        """Bytes that tell it from any other table: all images, then all corners; of many tiles what it is kept as."""
        if len(self) > FEW:
            yield from (np.ascontiguousarray(array).tobytes() for array in self.arrays)
            return
        for image, _ in self.written_out():
            yield image.astype(np.int32).tobytes()
        for _, corners in self.written_out():
            yield corners.tobytes()

    def written_out(self) -> Iterator[tuple[Int64[ndarray, " n"], Int32[ndarray, "n 2"]]]:
        """Image and corner of every tile, some rows at a time."""
        for first in range(0, len(self), CHUNK):
            rows = np.arange(first, min(first + CHUNK, len(self)))
            yield self.image(rows), self.xy_px0(rows)


@dataclass(frozen=True, eq=False)
class ListedTiles(Tiles):
    """Tiles whose corners are listed: 8 bytes each, mapped from a file where the source brings one."""

    starts: Int64[ndarray, " n_images_and_1"]
    corners: Int32[ndarray, "n 2"]

    @classmethod
    def of(cls, corners: Sequence[Int32[ndarray, "_ 2"]]) -> "ListedTiles":
        """The corners of each image's tiles."""
        together = np.concatenate(list(corners)) if len(corners) else np.empty((0, 2), dtype=np.int32)
        return cls(_starts([len(one) for one in corners]), together)

    def xy_px0(self, rows: Int[ndarray, " n"]) -> Int32[ndarray, "n 2"]:
        return np.array(self.corners[self._checked(rows)])

    def of_images(self, images: Int64[ndarray, " k"]) -> "ListedTiles":
        counts = np.diff(self.starts)[images]
        return ListedTiles(_starts(counts), self.corners[_stretches(self.starts[images], counts)])

    @property
    def arrays(self) -> tuple[ndarray, ...]:
        return self.starts, self.corners


@dataclass(frozen=True, eq=False)
class GriddedTiles(Tiles):
    """Tiles on a grid of each image: `columns` cells a line, `step_px0` apart, the first at `origin_px0`.

    bits:     of all images one after the other, a bit a cell, line by line from the top left, whole bytes an image.
    bits_at:  where an image's bits begin, bytes; −1 where every cell is a tile and none are stored.
    """

    starts: Int64[ndarray, " n_images_and_1"]
    origin_px0: Int32[ndarray, "n_images 2"]
    step_px0: Int32[ndarray, " n_images"]
    columns: Int32[ndarray, " n_images"]
    lines: Int32[ndarray, " n_images"]
    bits_at: Int64[ndarray, " n_images"]
    bits: UInt8[ndarray, " n_bytes"]

    @classmethod
    def of(cls, grids: Sequence[Grid]) -> "GriddedTiles":
        """One grid an image."""
        stored = [grid.bits for grid in grids if grid.bits is not None]
        sizes = [0 if grid.bits is None else len(grid.bits) for grid in grids]
        whole = np.array([grid.bits is None for grid in grids], dtype=bool)
        at = np.where(whole, -1, _starts(sizes)[:-1])
        return cls(
            _starts([grid.n for grid in grids]),
            np.array([grid.origin_px0 for grid in grids], dtype=np.int32).reshape(-1, 2),
            np.array([grid.step_px0 for grid in grids], dtype=np.int32),
            np.array([grid.columns for grid in grids], dtype=np.int32),
            np.array([grid.lines for grid in grids], dtype=np.int32),
            at,
            np.concatenate(stored) if stored else np.empty(0, dtype=np.uint8),
        )

    def xy_px0(self, rows: Int[ndarray, " n"]) -> Int32[ndarray, "n 2"]:
        rows = np.asarray(rows, dtype=np.int64)
        image = self.image(rows)
        cell = rows - self.starts[image]
        masked = np.flatnonzero(self.bits_at[image] >= 0)
        for one in np.unique(image[masked]):
            of_one = masked[image[masked] == one]
            cell[of_one] = self.grid(int(one)).cells[cell[of_one]]
        line, column = np.divmod(cell, self.columns[image])
        steps = np.stack([column, line], axis=1) * self.step_px0[image][:, None]
        return (self.origin_px0[image] + steps).astype(np.int32)

    def of_images(self, images: Int64[ndarray, " k"]) -> "GriddedTiles":
        at = self.bits_at[images]
        cells = self.columns[images].astype(np.int64) * self.lines[images]
        sizes = np.where(at < 0, 0, -(-cells // 8))
        return GriddedTiles(
            _starts(np.diff(self.starts)[images]),
            self.origin_px0[images],
            self.step_px0[images],
            self.columns[images],
            self.lines[images],
            np.where(at < 0, -1, _starts(sizes)[:-1]),
            self.bits[_stretches(at, sizes)],
        )

    def grid(self, image: int) -> Grid:
        """The grid of an image."""
        columns, lines, at = int(self.columns[image]), int(self.lines[image]), int(self.bits_at[image])
        bits = None if at < 0 else self.bits[at : at + -(-columns * lines // 8)]
        x, y = self.origin_px0[image].tolist()
        n = int(self.starts[image + 1] - self.starts[image])
        return Grid((x, y), int(self.step_px0[image]), columns, lines, n, bits)

    @property
    def arrays(self) -> tuple[ndarray, ...]:
        return self.starts, self.origin_px0, self.step_px0, self.columns, self.lines, self.bits_at, self.bits


def _starts(counts: Sequence[int] | Int[ndarray, " n"]) -> Int64[ndarray, " n_and_1"]:
    return np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))])


def _stretches(firsts: Int64[ndarray, " k"], counts: Int[ndarray, " k"]) -> Int64[ndarray, " n"]:
    """The numbers first, first + 1, … of each stretch of `count`, one after the other."""
    return np.repeat(firsts - _starts(counts)[:-1], counts) + np.arange(counts.sum())
