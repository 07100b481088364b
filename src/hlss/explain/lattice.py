"""Where the tiles of one slide lie: on a lattice of steps, with neighbours that share pixels and such that do not."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int64
from numpy import ndarray
from scipy.ndimage import convolve1d, gaussian_filter

FINEST = 8  # steps along a tile's side, at most
NEAR = 0.6  # sides of a tile: width of the Gaussian that weighs neighbours (chosen and checked in decision 0023)
_MOST_CELLS = 1 << 22
_REACH = 3  # sides of a tile: how far neighbours are asked
_LEAST = 1e-4  # weight of all neighbours together, below which nothing is told; the nearest one's is 0.25


@dataclass(frozen=True, eq=False)
class Lattice:
    """Tiles of one frame. Built by `of`.

    xy_px0:   top-left corner (x, y) of each, px of level 0.
    side_px0: of a tile; step_px0: of the lattice, the smallest distance between neighbours, at most a side.
    """

    xy_px0: Int64[ndarray, "n 2"]
    side_px0: int
    step_px0: int
    near: float = NEAR

    @classmethod
    def of(cls, xy_px0: Int[ndarray, "n 2"], side_px0: int, near: float = NEAR) -> "Lattice":
        """Tiles that lie between the places of the lattice are taken to the nearest of them, at most half a step away.

        Raises ValueError where there is no tile.
        """
        if not len(xy_px0):
            raise ValueError("a lattice of no tiles")
        finest = max(1, side_px0 // FINEST)
        gaps = np.concatenate([np.diff(np.unique(xy_px0[:, axis])) for axis in (0, 1)])
        gaps = gaps[gaps >= finest]
        step = int(min(gaps.min(), side_px0)) if len(gaps) else side_px0
        area = float(np.prod((np.ptp(xy_px0, axis=0) + step).astype(np.float64)))
        coarsest = int(np.ceil(np.sqrt(area / _MOST_CELLS)))
        return cls(xy_px0.astype(np.int64), side_px0, max(step, coarsest), near)

    def __len__(self) -> int:
        return len(self.xy_px0)

    @property
    def origin_px0(self) -> tuple[int, int]:
        """Corner (x, y) of the first place."""
        x, y = self.xy_px0.min(axis=0).tolist()
        return x, y

    @property
    def apart(self) -> int:
        """Steps from which two tiles share no pixel."""
        return max(1, -(-self.side_px0 // self.step_px0))

    @cached_property
    def places(self) -> Int64[ndarray, "n 2"]:
        """Column and line of each tile."""
        found: Int64[ndarray, "n 2"] = np.rint((self.xy_px0 - self.origin_px0) / self.step_px0).astype(np.int64)
        return found

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Lines and columns."""
        columns, lines = (self.places.max(axis=0) + 1).tolist()
        return lines, columns

    @cached_property
    def cell(self) -> Int64[ndarray, " n"]:
        """Number of each tile's place, line by line."""
        found: Int64[ndarray, " n"] = self.places[:, 1] * self.shape[1] + self.places[:, 0]
        return found

    @cached_property
    def half(self) -> Bool[ndarray, " n"]:
        """Which tiles are of the white squares of a checkerboard, whose squares are as large as a tile."""
        found: Bool[ndarray, " n"] = (self.places // self.apart).sum(axis=1) % 2 == 1
        return found

    def spread(self, values: Float64[ndarray, " n"]) -> Float32[ndarray, "lines columns"]:
        """Sum of the values of the tiles at each place."""
        lines, columns = self.shape
        summed = np.bincount(self.cell, weights=values, minlength=lines * columns)
        return summed.astype(np.float32).reshape(lines, columns)

    def from_neighbours(self, values: Float64[ndarray, " n"], given: Bool[ndarray, " n"]) -> Float64[ndarray, " n"]:
        """What a map that knows only the tiles `given` says of each tile: mean of the given tiles within _REACH sides
        that share no pixel with it, near ones weighing more. NaN where there is none.
        """
        known = given.astype(np.float64)
        total, weight = (self._around(self.spread(one)).ravel()[self.cell] for one in (known * values, known))
        there = weight > _LEAST
        return np.divide(total, weight, out=np.full(len(values), np.nan), where=there).astype(np.float64)

    def noise(self, width: float, rng: np.random.Generator) -> Float64[ndarray, " n"]:
        """A map that knows nothing: white noise, smoothed by a Gaussian of this width (steps)."""
        field = rng.standard_normal(self.shape, dtype=np.float32)
        field = gaussian_filter(field, width, mode="wrap", truncate=3) if width > 0 else field
        found: Float64[ndarray, " n"] = field.ravel()[self.cell].astype(np.float64)
        return found

    def smoothness(self, values: Float64[ndarray, " n"]) -> float:
        """Width (steps) of the Gaussian that makes white noise at least as smooth as this map; 0 where it is noise.

        Noise so smoothed has a correlation of exp(−d²/4w²) at distance d; of the widths that fit at one, two and four
        sides the largest is taken.
        """
        spread = float(values.std())
        if spread == 0:
            return 0.0
        there = self.spread(np.ones(len(values))) > 0
        field = np.where(there, self.spread((values - values.mean()) / spread), 0)
        widths = [0.0]
        for lag in (self.apart, 2 * self.apart, 4 * self.apart):
            pairs, product = 0, 0.0
            for ahead, behind in ((np.s_[lag:], np.s_[:-lag]), (np.s_[:, lag:], np.s_[:, :-lag])):
                both = there[ahead] & there[behind]
                pairs, product = pairs + int(both.sum()), product + float((field[ahead] * field[behind])[both].sum())
            r = min(product / pairs, 0.99) if pairs else 0.0
            if pairs and r > 2 / np.sqrt(pairs):  # else it is not told from chance
                widths.append(lag / (2 * float(np.sqrt(-np.log(r)))))
        return min(max(widths), max(self.shape) / 2)

    def _around(self, field: Float32[ndarray, "lines columns"]) -> Float32[ndarray, "lines columns"]:
        """A Gaussian's sum, less that of the places whose tiles share pixels with the middle one."""
        offsets = np.arange(-_REACH * self.apart, _REACH * self.apart + 1)
        near = np.exp(-(offsets**2) / (2 * (self.near * self.apart) ** 2)).astype(np.float32)
        shared = np.where(np.abs(offsets) < self.apart, near, 0)
        whole, hole = (
            convolve1d(convolve1d(field, one, axis=0, mode="constant"), one, axis=1, mode="constant")
            for one in (near, shared)
        )
        found: Float32[ndarray, "lines columns"] = whole - hole
        return found
