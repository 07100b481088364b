"""How well a text matches each tile of a slide, as a map in the slide's own pixels."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from numpy import ndarray
from scipy.ndimage import gaussian_filter

from hlss.explain.lattice import Lattice

SHOWN_SIGMA = 3.0  # colours end at −3 σ and 3 σ on every slide, so that maps compare
COLOURS, WEAK_COLOURS = "magma", "Greys"  # of a map that is above chance, and of one that is not
NO_TILE = (255, 255, 255)
_BLOCK = 8192  # patches at a time


def standing_of_all(
    features: Float[ndarray, "n d"], texts: Float[ndarray, "k d"]
) -> tuple[Float32[ndarray, "n k"], Float32[ndarray, "n k"]]:
    """(cosine, σ) of every patch of a table with each text, at length 1; σ: standard deviations from the mean over all
    of them, so that maps of slides compare; 0 where all patches are alike. Memory for a block besides the result.
    """
    columns = texts.T.astype(np.float32)
    cosines = np.empty((len(features), len(texts)), dtype=np.float32)
    for start in range(0, len(features), _BLOCK):
        z = features[start : start + _BLOCK].astype(np.float32)
        z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
        cosines[start : start + len(z)] = z @ columns
    mean, spread = cosines.mean(axis=0, dtype=np.float64), cosines.std(axis=0, dtype=np.float64)
    known = np.where(spread > 1e-6, spread, np.inf)  # less is rounding
    return cosines, ((cosines - mean) / known).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """values: of cells `step_px0` px of level 0 a side, the first with its corner (x, y) at `origin_px0`; NaN where
    there is no tile.
    """

    values: Float32[ndarray, "lines columns"]
    origin_px0: tuple[int, int]
    step_px0: int

    @classmethod
    def of(cls, lattice: Lattice, values: Float[ndarray, " n"]) -> "ScoreMap":
        """A cell is as wide as the tiles' stride. Where tiles overlap it is the mean of those that cover its middle,
        weighed by a tent that falls from each tile's middle to its edge.
        """
        reach, (lines, columns) = lattice.apart, lattice.shape
        shape = (lines + reach - 1, columns + reach - 1)
        total, weight = np.zeros(shape), np.zeros(shape)
        summed, count = (
            lattice.spread(one).astype(np.float64) for one in (values.astype(np.float64), np.ones(len(values)))
        )
        middle = lattice.side_px0 / 2
        away = np.abs((np.arange(reach) + 0.5) * lattice.step_px0 - middle)
        tent = np.where(away < middle, 1 - away / (middle + lattice.step_px0 / 2), 0)
        tent = tent if reach > 1 else np.ones(1)
        for down, own in enumerate(tent):
            for right, other in enumerate(tent):
                part = np.s_[down : down + lines, right : right + columns]
                total[part] += own * other * summed
                weight[part] += own * other * count
        found = np.divide(total, weight, out=np.full(shape, np.nan), where=weight > 0)
        return cls(found.astype(np.float32), lattice.origin_px0, lattice.step_px0)

    @property
    def there(self) -> Bool[ndarray, "lines columns"]:
        """Cells with a tile."""
        found: Bool[ndarray, "lines columns"] = np.isfinite(self.values)
        return found

    @property
    def end_px0(self) -> tuple[int, int]:
        """Corner (x, y) behind the last cell."""
        (lines, columns), (x, y) = self.values.shape, self.origin_px0
        return x + columns * self.step_px0, y + lines * self.step_px0

    def smoothed(self, sigma_px0: float) -> "ScoreMap":
        """By a Gaussian over the cells that have a tile; no other cell gets a value."""
        width = sigma_px0 / self.step_px0
        there = self.there.astype(np.float32)
        total, weight = (
            gaussian_filter(one, width, mode="constant", truncate=3) for one in (np.nan_to_num(self.values), there)
        )
        found = np.where(self.there, total / np.maximum(weight, 1e-6), np.nan).astype(np.float32)
        return replace(self, values=found)

    def at(self, x_px0: Float64[ndarray, " w"], y_px0: Float64[ndarray, " h"]) -> Float32[ndarray, "h w"]:
        """Values at the columns and lines of these places of the slide; NaN beyond the map."""
        columns, lines = (
            np.floor((places - corner) / self.step_px0).astype(np.int64)
            for places, corner in zip((x_px0, y_px0), self.origin_px0, strict=True)
        )
        inside = _within(lines, self.values.shape[0])[:, None] & _within(columns, self.values.shape[1])[None]
        found = self.values[np.clip(lines, 0, self.values.shape[0] - 1)][
            :, np.clip(columns, 0, self.values.shape[1] - 1)
        ]
        return np.where(inside, found, np.float32(np.nan))


def coloured(values: Float32[ndarray, "*shape"], *, weak: bool) -> UInt8[ndarray, "*shape 3"]:
    """σ as RGB: COLOURS from −SHOWN_SIGMA to SHOWN_SIGMA, greys where the map is not above chance; NO_TILE for NaN."""
    from matplotlib import colormaps

    table = (colormaps[WEAK_COLOURS if weak else COLOURS](np.linspace(0, 1, 256))[:, :3] * 255).round()
    place = np.clip((np.nan_to_num(values) + SHOWN_SIGMA) / (2 * SHOWN_SIGMA), 0, 1) * 255
    found = table.astype(np.uint8)[place.round().astype(np.uint8)]
    found[~np.isfinite(values)] = NO_TILE
    return np.asarray(found)


def _within(places: Int64[ndarray, " k"], end: int) -> Bool[ndarray, " k"]:
    found: Bool[ndarray, " k"] = (places >= 0) & (places < end)
    return found
