"""Which characteristics separate two sides (two classes, a class and all others, two patients), and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped
from numpy import ndarray

from hlss.evaluate.intervals import FEWEST_PATIENTS
from hlss.explain.blocks import drawn, limits_of
from hlss.explain.gauge import spread_of
from hlss.explain.nulls import Verdict, share, shuffled_words, verdict
from hlss.explain.units import Wordings

FEWEST_A_SIDE = 5  # blocks, below which resampling one side says nothing of it
_AT_A_TIME = 64  # resamples


@dataclass(frozen=True, eq=False)
class Sides:
    """Vectors of units on two sides, summed over blocks: what is resampled, and dealt anew, as one.

    sums: of the vectors (means of z at length 1) of each block; sizes: units of it; second: whether it is of side B;
    owners: who is drawn with a block (of classes: the patient; of two patients: the block). mean, covariance: of all
    units of the kind, in whose standard deviations a difference is told.
    """

    sums: Float64[ndarray, "b d"]
    sizes: Int64[ndarray, " b"]
    second: Shaped[ndarray, " b"]
    owners: Shaped[ndarray, " b"]
    mean: Float64[ndarray, " d"]
    covariance: Float64[ndarray, "d d"]

    @property
    def units(self) -> tuple[int, int]:
        return int(self.sizes[~self.second].sum()), int(self.sizes[self.second].sum())

    @property
    def blocks(self) -> tuple[int, int]:
        return tuple(len(np.unique(self.owners[part])) for part in (~self.second, self.second))  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Of k characteristics of one level.

    difference: mean of A less mean of B, in standard deviations over all units. low, high: its 95 % interval, owners
    resampled (NaN: fewer than 10, or than 5 on a side). p_images: chance that the largest of all differences is as
    large where the blocks are dealt anew to the two sides; p_text, q_text, corrected: as of a unit's Match.
    """

    names: Sequence[str]
    units: tuple[int, int]
    blocks: tuple[int, int]
    difference: Float64[ndarray, " k"]
    low: Float64[ndarray, " k"]
    high: Float64[ndarray, " k"]
    p_images: Float64[ndarray, " k"]
    p_text: Float64[ndarray, " k"]
    q_text: Float64[ndarray, " k"]

    @property
    def corrected(self) -> Float64[ndarray, " k"]:
        return np.maximum(self.p_images, self.q_text)

    def order(self, most: int) -> list[int]:
        """Numbers of the characteristics, first what chance explains least, then the largest; all that separate."""
        order = np.lexsort((-np.abs(self.difference), self.p_text, self.corrected))
        separating = sum(self.verdict(k) != "no" for k in range(len(order)))
        found: list[int] = order[: max(most, separating)].tolist()
        return found

    def verdict(self, k: int) -> Verdict:
        """Whether a characteristic separates the two sides."""
        return verdict(float(self.q_text[k]), float(self.p_images[k]))


def comparison(sides: Sides, words: Wordings, *, resamples: int, permutations: int, seed: int) -> Comparison | None:
    """None where a side has no unit."""
    if not all(sides.units):
        return None
    texts = words.rows.astype(np.float64)
    values = (sides.sums - sides.sizes[:, None] * sides.mean) @ texts.T / spread_of(texts, sides.covariance)
    once = np.ones((1, len(sides.sizes)))
    (given,) = _differences(values, sides.sizes, sides.second[None], once)
    low, high = _limits(values, sides, resamples, seed)
    away = _vector(sides)
    p, q = shuffled_words(away[None], words.rows, words.random, both_ends=True)
    largest = _permuted(values, sides, permutations, seed)
    return Comparison(
        words.names, sides.units, sides.blocks, given, low, high, share(largest, np.abs(given)), p[0], q[0]
    )


def auroc(first: Float[ndarray, " a"], second: Float[ndarray, " b"]) -> float:
    """Chance that a unit of the first side scores above one of the second; ties count half."""
    ordered = np.sort(second)
    below = np.searchsorted(ordered, first, "left") + np.searchsorted(ordered, first, "right")
    return float(below.sum() / (2 * len(first) * len(second)))


def _vector(sides: Sides) -> Float64[ndarray, " d"]:
    """Mean vector of A less that of B."""
    parts = [sides.sums[part].sum(axis=0) / sides.sizes[part].sum() for part in (~sides.second, sides.second)]
    found: Float64[ndarray, " d"] = parts[0] - parts[1]
    return found


def _limits(
    values: Float64[ndarray, "b k"], sides: Sides, resamples: int, seed: int
) -> tuple[Float64[ndarray, " k"], Float64[ndarray, " k"]]:
    names, owner = np.unique(sides.owners, return_inverse=True)
    if len(names) < FEWEST_PATIENTS or min(sides.blocks) < FEWEST_A_SIDE:
        none = np.full(values.shape[1], np.nan)
        return none, none
    counts = drawn(len(names), resamples, seed)[:, owner].astype(np.float64)
    found = _differences(values, sides.sizes, np.broadcast_to(sides.second, counts.shape), counts)
    low, high = limits_of(found[:, None])
    return low[0], high[0]


def _permuted(values: Float64[ndarray, "b k"], sides: Sides, permutations: int, seed: int) -> Float64[ndarray, " p"]:
    """The largest difference, either way, of each permutation of the blocks' sides."""
    rng = np.random.default_rng(seed)
    second = np.stack([rng.permutation(sides.second) for _ in range(permutations)])
    parts = range(0, permutations, _AT_A_TIME)
    once = np.ones(second.shape)
    each = [_differences(values, sides.sizes, second[i : i + _AT_A_TIME], once[i : i + _AT_A_TIME]) for i in parts]
    found: Float64[ndarray, " p"] = np.abs(np.concatenate(each)).max(axis=1)
    return found


def _differences(
    values: Float64[ndarray, "b k"],
    sizes: Int64[ndarray, " b"],
    second: Shaped[ndarray, "r b"],
    counts: Float64[ndarray, "r b"],
) -> Float64[ndarray, "r k"]:
    """Mean over A less that over B, where block b stands `counts[r, b]` times; NaN: one is empty."""
    means = []
    for part in (counts * ~second, counts * second):
        units = part @ sizes
        means.append((part @ values) / np.where(units > 0, units, np.nan)[:, None])
    return means[0] - means[1]
