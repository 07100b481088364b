"""The test of a slide's maps by swapping held-out tiles; what it means: faithfulness.py."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64
from numpy import ndarray
from scipy.stats import rankdata

from hlss.evaluate.intervals import Interval
from hlss.explain.blocks import drawn, interval_of
from hlss.explain.faithfulness import Faithfulness, null_of
from hlss.explain.lattice import Lattice

FEWEST_TILES = 40  # of a slide, below which nothing is said
FEWEST_BLOCKS = 8  # of a slide, below which there is no interval
_POINTED = 0.25  # share of the held-out tiles that a map points to
_BLOCKS = 36  # that a slide is parted in, about
_MOST_BLOCKS = 100
_BLOCK = 1024  # tiles at a time


class SwapTest:
    """Of one slide: what every map of it is tested by. features: of its tiles, at any length; as float32 they are not
    copied, so that a slide takes memory for its tiles, not for tiles × dimensions.
    """

    def __init__(self, lattice: Lattice, features: Float[ndarray, "n d"], seed: int = 0) -> None:
        self._features = np.asarray(features, dtype=np.float32)
        length = np.sqrt(np.einsum("nd,nd->n", self._features, self._features))
        self._scale: Float32[ndarray, " n"] = 1 / np.maximum(length, np.float32(1e-12))
        self._lattice, self._seed = lattice, seed
        self._halves = (lattice.half, ~lattice.half)
        alone = np.ones(len(lattice))
        self._asked = tuple(half & np.isfinite(lattice.from_neighbours(alone, ~half)) for half in self._halves)
        self._mixed = np.random.default_rng(seed).permutation(len(lattice))  # settles which of equal values are first

    @property
    def why_not(self) -> str | None:
        """Why nothing can be said of maps of this slide; None where it can."""
        if len(self._lattice) < FEWEST_TILES:
            return f"{len(self._lattice)} tiles are too few (of {FEWEST_TILES})"
        if min(int(asked.sum()) for asked in self._asked) < FEWEST_TILES // 4:
            return "its tiles lie too far apart to tell of each other"
        return None

    def scores(self, text: Float[ndarray, " d"]) -> Float64[ndarray, " n"]:
        """The map of a text: cosine of each tile. text: at length 1."""
        found: Float64[ndarray, " n"] = (self._features @ text.astype(np.float32) * self._scale).astype(np.float64)
        return found

    def influence(self, text: Float[ndarray, " d"]) -> Float64[ndarray, " n"]:
        """g of each tile (see faithfulness.py), in the half that it is held out with."""
        found = self.scores(text)
        for asked in self._asked:
            mean = self._direction(asked)
            found[asked] -= self.scores(mean)[asked] * float(mean @ text)
        return found

    def pointed(self, values: Float64[ndarray, " n"]) -> Bool[ndarray, " n"] | None:
        """Tiles that a map points to, each in the half held out from it; None: the map is flat."""
        found = np.zeros(len(values), dtype=bool)
        for half, asked in zip(self._halves, self._asked, strict=True):
            told = self._lattice.from_neighbours(values, ~half)
            rows = self._mixed[asked[self._mixed]]
            if np.ptp(told[rows]) <= 1e-6 * max(1e-12, float(np.abs(told[rows]).max())):
                return None
            found[rows[np.argsort(-told[rows], kind="stable")[: max(1, round(_POINTED * len(rows)))]]] = True
        return found

    def maps_of(self, texts: Float[ndarray, "r d"]) -> list[Bool[ndarray, " n"]]:
        """What the maps of texts, at length 1, point to; those that are flat are left out."""
        if self.why_not is not None:
            return []
        found = (self.pointed(self.scores(text)) for text in texts)
        return [one for one in found if one is not None]

    def tested(
        self,
        text: Float[ndarray, " d"],
        values: Float64[ndarray, " n"] | None = None,
        *,
        maps: int = 199,
        texts: Sequence[Bool[ndarray, " n"]] | None = None,
        resamples: int = 500,
    ) -> Faithfulness:
        """Of the map `values` (the text's own cosines, if None) for the score of `text`, at length 1.

        maps: how many random ones; texts: what the maps of random texts point to on this slide (`maps_of`).
        """
        why = self.why_not
        if why is not None:
            return Faithfulness(None, why=why)
        values = self.scores(text) if values is None else values
        pointed = self.pointed(values)
        if pointed is None:
            return Faithfulness(None, why="the map is flat")
        influence, width = self.influence(text), self._lattice.smoothness(values)
        ranks = [rankdata(influence[asked]) for asked in self._asked]
        block, rng = self._blocks(width), np.random.default_rng([self._seed, 1])
        parts = [_Swaps.of(influence[asked], pointed[asked], block[asked]) for asked in self._asked]
        random = (self.pointed(self._lattice.noise(width, rng)) for _ in range(maps))
        auroc = self._auroc(pointed, ranks)
        return Faithfulness(
            auroc,
            self._interval(parts, int(block.max()) + 1, resamples),
            float(np.mean([self._drop(text, asked, pointed) for asked in self._asked])),
            sum(int(asked.sum()) for asked in self._asked),
            null_of(auroc, np.array([self._auroc(one, ranks) for one in random if one is not None])),
            None if texts is None else null_of(auroc, np.array([self._auroc(one, ranks) for one in texts])),
        )

    def _auroc(self, pointed: Bool[ndarray, " n"], ranks: Sequence[Float64[ndarray, " _"]]) -> float:
        """Mean over halves; ranks: of the influence of those asked, in each."""
        found = []
        for asked, rank in zip(self._asked, ranks, strict=True):
            own = pointed[asked]
            n, k = len(own), int(own.sum())
            found.append((float(rank[own].sum()) - k * (k + 1) / 2) / (k * (n - k)))
        return float(np.mean(found))

    def _blocks(self, width: float) -> Int64[ndarray, " n"]:
        """The square of the slide that each tile lies in, of both halves. width: of the map's smoothness, steps; a
        square is three times as wide, so that squares know little of each other.
        """
        places, lattice = self._lattice.places, self._lattice
        side = max(2 * lattice.apart, round((len(lattice) / _BLOCKS) ** 0.5), round(3 * width))
        while True:
            across = lattice.shape[1] // side + 1
            names, found = np.unique(places[:, 1] // side * across + places[:, 0] // side, return_inverse=True)
            if len(names) <= _MOST_BLOCKS:
                return np.asarray(found.astype(np.int64))
            side = side * 5 // 4 + 1

    def _interval(self, parts: Sequence["_Swaps"], blocks: int, resamples: int) -> Interval | None:
        if blocks < FEWEST_BLOCKS:
            return None
        counts = drawn(blocks, resamples, self._seed).astype(np.float64)
        return interval_of(np.mean([one.resampled(counts[:, : one.blocks]) for one in parts], axis=0))

    def _drop(self, text: Float[ndarray, " d"], asked: Bool[ndarray, " n"], pointed: Bool[ndarray, " n"]) -> float:
        before, after = (float(self._direction(rows) @ text) for rows in (asked, asked & ~pointed))
        return before - after

    def _direction(self, rows: Bool[ndarray, " n"]) -> Float64[ndarray, " d"]:
        """Of the mean of these tiles at length 1, itself at length 1."""
        total = np.zeros(self._features.shape[1])
        for start in range(0, len(rows), _BLOCK):  # as float64, so that order and number of tiles are nothing to it
            part = np.s_[start : start + _BLOCK]
            total += (rows[part] * self._scale[part]).astype(np.float64) @ self._features[part].astype(np.float64)
        return total / max(float(np.linalg.norm(total)), 1e-12)


@dataclass(frozen=True, eq=False)
class _Swaps:
    """won: swaps of a tile pointed to in block b for another in block c that lower the score; pointed, others: tiles
    of each block.
    """

    won: Float64[ndarray, "b b"]
    pointed: Float64[ndarray, " b"]
    others: Float64[ndarray, " b"]

    @classmethod
    def of(
        cls, influence: Float64[ndarray, " k"], pointed: Bool[ndarray, " k"], block: Int64[ndarray, " k"]
    ) -> "_Swaps":
        blocks = int(block.max()) + 1
        values, level = np.unique(influence, return_inverse=True)
        won = np.zeros((blocks, blocks))
        for other in range(blocks):
            counts = np.bincount(level[~pointed & (block == other)], minlength=len(values))
            below = np.cumsum(counts) - counts / 2  # equal ones count half
            won[:, other] = np.bincount(block[pointed], weights=below[level[pointed]], minlength=blocks)
        both = [np.bincount(block[one], minlength=blocks).astype(np.float64) for one in (pointed, ~pointed)]
        return cls(won, both[0], both[1])

    @property
    def blocks(self) -> int:
        return len(self.pointed)

    @property
    def auroc(self) -> float:
        return float(self.won.sum() / (self.pointed.sum() * self.others.sum()))

    def resampled(self, counts: Float64[ndarray, "r b"]) -> Float64[ndarray, " r"]:
        """NaN where a resample has no tile pointed to, or no other."""
        won = ((counts @ self.won) * counts).sum(axis=1)
        pairs = (counts @ self.pointed) * (counts @ self.others)
        return np.divide(won, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)
