"""Patches, slides and patients that match a text best and worst, of as many patches as there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.explain.match import match, standing
from hlss.types import Level

_BLOCK, _SCORES = 8192, 1 << 19  # patches, and scores of patches and texts, at a time
_ROUNDING = 1e-6  # cosines in float32 that spread less are all alike


class Found(NamedTuple):
    """row: of the table, the patch that is shown; sigma: how far the unit stands from the mean of all, in standard
    deviations.
    """

    row: int
    sigma: float


class Extremes(NamedTuple):
    """Best first, worst first; no slide (of patient level: no patient) stands twice in both together."""

    best: tuple[Found, ...]
    worst: tuple[Found, ...]


@dataclass(frozen=True, eq=False)
class Peaks:
    """Of k texts: σ of the best and of the worst patch of each of s slides."""

    high: Float32[ndarray, "k s"]
    low: Float32[ndarray, "k s"]


class Search:
    """Looks through the patches of a table. Time O(n d k) for k texts; besides the table, memory for a block of patches
    and for slides × texts.

    At patch level the units are patches, at slide and patient level the means of their patches' z at length 1, as in
    evaluation; their cosines stand in standard deviations over all units, as in `match.standing`.

    Neighbouring patches of one slide look alike, and so do slides of a patient: at most one patch of a slide is shown,
    and one slide of a patient where there are patients enough. Of a slide or patient the patch nearest to the text is
    shown, also of the worst: it has no better one.
    """

    def __init__(self, table: EmbeddingTable) -> None:
        """The table's rows may stand in any order."""
        self._features = table.features
        patients, slides = numbers_of(table["patient"]), numbers_of(table["slide"])
        order = np.lexsort((slides, patients))
        self._order = None if (np.diff(order) == 1).all() else order
        both = np.stack([patients[order], slides[order]])
        starts = np.flatnonzero(np.any(np.diff(both, axis=1, prepend=-1), axis=0))
        self._starts = np.append(starts, len(order))  # of slides, among the sorted rows
        self._patient = both[0][starts]  # of each slide

    def peaks(self, texts: Float[ndarray, "k d"]) -> Peaks:
        """At patch level; texts: unit rows."""
        k, slides, n = len(texts), len(self._patient), len(self._features)
        high, low = np.full((k, slides), -np.inf, np.float32), np.full((k, slides), np.inf, np.float32)
        columns = np.ascontiguousarray(texts, dtype=np.float32)
        middle, squares = (columns @ self._middle)[:, None], np.zeros(k)
        for start, stop, within, here in self._blocks(_SCORES // k):
            scores = columns @ self._block(start, stop).T
            scores *= self._inverse[start:stop]
            scores -= middle
            high[:, here] = np.maximum(high[:, here], np.maximum.reduceat(scores, within, axis=1))
            low[:, here] = np.minimum(low[:, here], np.minimum.reduceat(scores, within, axis=1))
            squares += np.einsum("kn,kn->k", scores, scores)
        spread = np.sqrt(squares / n)
        scale = np.where(spread > _ROUNDING, spread, 1).astype(np.float32)[:, None]
        return Peaks(high / scale, low / scale)

    def extremes(self, text: Float[ndarray, " d"], level: Level, count: int) -> Extremes:
        """At most `count` each, fewer where there are not twice as many slides (patients). text: a unit vector."""
        if level is Level.PATIENT:
            sigma = standing(match(self._means[1], text[None]))[:, 0]
            best, worst = _both_ends(sigma, sigma, np.arange(len(sigma)), count)
        elif level is Level.SLIDE:
            sigma = standing(match(self._means[0], text[None]))[:, 0]
            best, worst = _both_ends(sigma, sigma, self._patient, count)
        else:
            found = self.peaks(text[None])
            best, worst = _both_ends(found.high[0], found.low[0], self._patient, count)
        nearest = level is not Level.PATCH
        return Extremes(
            tuple(Found(self._row(number, level, text, True), sigma) for number, sigma in best),
            tuple(Found(self._row(number, level, text, nearest), sigma) for number, sigma in worst),
        )

    @cached_property
    def _sums(self) -> Float64[ndarray, "s d"]:
        """Of the patches of each slide, z at length 1."""
        sums = np.zeros((len(self._patient), self._features.shape[1]))
        for start, stop, within, here in self._blocks(_BLOCK):
            sums[here] += np.add.reduceat(self._unit(start, stop), within, axis=0)
        return sums

    @cached_property
    def _middle(self) -> Float32[ndarray, " d"]:
        """Mean of all patches' z at length 1: scores less its own are small, so that their squares lose nothing."""
        mean: Float32[ndarray, " d"] = (self._sums.sum(axis=0) / len(self._features)).astype(np.float32)
        return mean

    @cached_property
    def _means(self) -> tuple[Float64[ndarray, "s d"], Float64[ndarray, "p d"]]:
        """Of slides and of patients: the mean of their patches' z at length 1."""
        sums = self._sums
        first = np.searchsorted(self._patient, np.arange(self._patient[-1] + 1))
        sizes = np.diff(self._starts)
        slides = sums / sizes[:, None]
        return slides, np.add.reduceat(sums, first, axis=0) / np.add.reduceat(sizes, first)[:, None]

    def _blocks(self, most: int) -> Iterator[tuple[int, int, Int64[ndarray, " b"], slice]]:
        """Of each block of sorted rows: from where to where it goes, where in it the parts of slides begin, and which
        slides these are.
        """
        size = max(1, min(most, _BLOCK))
        for start in range(0, len(self._features), size):
            stop = min(start + size, len(self._features))
            first = int(np.searchsorted(self._starts, start, side="right")) - 1
            last = int(np.searchsorted(self._starts, stop))
            yield start, stop, np.maximum(self._starts[first:last] - start, 0), slice(first, last)

    @cached_property
    def _inverse(self) -> Float32[ndarray, " n"]:
        """1 / length of the features of each sorted row, so that a text alone needs no copy of them at length 1."""
        blocks = (self._block(start, stop) for start, stop, _, _ in self._blocks(_BLOCK))
        squares = np.concatenate([np.einsum("bd,bd->b", z, z) for z in blocks])
        found: Float32[ndarray, " n"] = 1 / np.maximum(np.sqrt(squares), 1e-12)
        return found

    def _unit(self, start: int, stop: int) -> Float32[ndarray, "b d"]:
        """Features of sorted rows at length 1."""
        found: Float32[ndarray, "b d"] = self._block(start, stop) * self._inverse[start:stop, None]
        return found

    def _block(self, start: int, stop: int) -> Float32[ndarray, "b d"]:
        """Features of sorted rows: a view, where the table is sorted."""
        found: Float32[ndarray, "b d"] = self._features[
            slice(start, stop) if self._order is None else self._order[start:stop]
        ]
        return found

    def _row(self, number: int, level: Level, text: Float[ndarray, " d"], nearest: bool) -> int:
        """Of a slide or patient, the row of the table that lies nearest to the text, or farthest from it."""
        slides = np.flatnonzero(self._patient == number) if level is Level.PATIENT else np.array([number])
        start, stop = int(self._starts[slides[0]]), int(self._starts[slides[-1] + 1])
        scores = self._unit(start, stop) @ text.astype(np.float32)
        place = start + int(scores.argmax() if nearest else scores.argmin())
        return place if self._order is None else int(self._order[place])


def _both_ends(
    high: Float[ndarray, " u"], low: Float[ndarray, " u"], owner: Int64[ndarray, " u"], count: int
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """(unit, σ) of the highest and of the lowest, no unit twice, and each of another owner where these are enough."""
    count = min(count, max(1, len(high) // 2))
    if len(np.unique(owner)) < 2 * count:
        owner = np.arange(len(high))
    best = _first(np.argsort(-high, kind="stable"), owner, count, set())
    worst = _first(np.argsort(low, kind="stable"), owner, count, set(best))
    return [(one, float(high[one])) for one in best], [(one, float(low[one])) for one in worst]


def _first(order: Int64[ndarray, " u"], owner: Int64[ndarray, " u"], count: int, taken: set[int]) -> list[int]:
    chosen: list[int] = []
    seen: set[int] = set()
    for one in order.tolist():
        if len(chosen) < count and one not in taken and int(owner[one]) not in seen:
            chosen.append(one)
            seen.add(int(owner[one]))
    return chosen


def numbers_of(names: Shaped[ndarray, " n"]) -> Int64[ndarray, " n"]:
    """Place of each name among all of them, sorted; a sort of every row's string would take seconds."""
    place = {name: number for number, name in enumerate(sorted(set(names.tolist())))}
    return np.fromiter((place[name] for name in names.tolist()), dtype=np.int64, count=len(names))
