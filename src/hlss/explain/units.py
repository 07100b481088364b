"""What a patch, slide or patient shows, in words: characteristics that stand out in it, and whether that is chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy import ndarray

from hlss.explain.gauge import BLOCK, Gauge
from hlss.explain.match import standing
from hlss.explain.nulls import DealtAnew, Verdict, dealt_anew, shuffled_words, verdict
from hlss.types import Level

_SCORES = 1 << 22  # of patches and texts, at a time


@dataclass(frozen=True, eq=False)
class Wordings:
    """Of one level: unit rows of its characteristics, their names, and the rows of each draw of shuffled words."""

    names: Sequence[str]
    rows: Float[ndarray, "k d"]
    random: Sequence[Float[ndarray, "k d"]]


@dataclass(frozen=True)
class Match:
    """Of one characteristic (number k of its level) in one unit.

    cosine: mean over the unit's patches. sigma: its standing, in standard deviations, among all units of its kind.
    p_text: share of random texts (the bank's words, dealt anew) that match this unit as well; q_text: its rate
    of false discoveries over the bank. p_images: chance that any characteristic reaches as much in as many patches
    drawn from all. corrected: the larger of q_text and p_images, since a claim needs these words and these patches.
    """

    k: int
    cosine: float
    sigma: float
    p_text: float
    q_text: float
    p_images: float

    @property
    def corrected(self) -> float:
        return max(self.q_text, self.p_images)

    @property
    def verdict(self) -> Verdict:
        return verdict(self.q_text, self.p_images)


@dataclass(frozen=True)
class Explained:
    """One unit. number: of the slide or patient, of a patch its row. matches: the best first (what chance explains
    least, then the largest σ), all that stand out among them.
    """

    level: Level
    number: int
    patches: int
    matches: tuple[Match, ...]

    @property
    def standing_out(self) -> tuple[Match, ...]:
        """All that do, surely or perhaps."""
        return tuple(one for one in self.matches if one.verdict != "no")


def explained(
    gauge: Gauge, level: Level, numbers: Int64[ndarray, " u"], words: Wordings, *, top: int, draws: int, seed: int
) -> list[Explained]:
    """These units (of patches: rows), `top` matches each and what else stands out; draws: of patches dealt anew.

    Raises ValueError where the dimensions differ.
    """
    if not len(numbers):
        return []
    if level is Level.PATCH:
        sizes, vectors = np.ones(len(numbers), np.int64), gauge.z(numbers).astype(np.float64)
    else:
        sizes, vectors = gauge.patches(level)[numbers], gauge.means(level)[numbers]
    null = dealt_anew(gauge, words.rows, sizes, draws, seed)
    cosines = vectors @ words.rows.astype(np.float64).T
    sigma = _standing(gauge, level, numbers, words, null, cosines)
    p_images = null.p(cosines, sizes)
    chance = shuffled_words(vectors - gauge.mean, words.rows, words.random)
    figures = np.stack([cosines, sigma, chance.p, chance.q, p_images], axis=1)
    return [Explained(level, int(number), int(sizes[u]), _best(figures[u], top)) for u, number in enumerate(numbers)]


def outstanding_patches(gauge: Gauge, rows: Int64[ndarray, " r"], words: Wordings, count: int) -> Int64[ndarray, " c"]:
    """Of these rows, those whose best characteristic stands out most, one a slide where there are slides enough."""
    middle, spread = words.rows.astype(np.float64) @ gauge.mean, gauge.spread(words.rows)
    columns, size = words.rows.astype(np.float32).T, max(1, min(BLOCK, _SCORES // len(words.rows)))
    starts = range(0, len(rows), size)
    best = np.concatenate([((gauge.z(rows[i : i + size]) @ columns - middle) / spread).max(axis=1) for i in starts])
    order = rows[np.argsort(-best, kind="stable")]
    slides, first = np.unique(gauge.slide[order], return_index=True)
    return order[np.sort(first)[:count]] if len(slides) >= count else order[:count]


def _standing(
    gauge: Gauge,
    level: Level,
    numbers: Int64[ndarray, " u"],
    words: Wordings,
    null: DealtAnew,
    cosines: Float64[ndarray, "u k"],
) -> Float64[ndarray, "u k"]:
    if level is Level.PATCH:
        found: Float64[ndarray, "u k"] = (cosines - null.middle) / null.spread
        return found
    return standing(gauge.means(level) @ words.rows.astype(np.float64).T)[numbers]


def _best(figures: Float64[ndarray, "5 k"], top: int) -> tuple[Match, ...]:
    """figures: as of a Match."""
    matches = [Match(k, *row) for k, row in enumerate(figures.T.tolist())]
    ordered = sorted(matches, key=lambda one: (one.corrected, one.p_text, -one.sigma))
    return tuple(ordered[: max(top, sum(one.verdict != "no" for one in ordered))])
