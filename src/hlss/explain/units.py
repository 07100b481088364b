"""What a patch, slide or patient shows, in words: characteristics that stand out in it, and whether that is chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy import ndarray

from hlss.explain.gauge import BLOCK, Gauge
from hlss.explain.match import standing
from hlss.explain.nulls import (
    PERHAPS,
    DealtAnew,
    Verdict,
    dealt_anew,
    false_discoveries,
    false_units,
    shuffled_words,
    verdict,
)
from hlss.types import Level

_SCORES = 1 << 22  # of patches and texts, at a time


@dataclass(frozen=True, eq=False)
class Wordings:
    """Of one level: unit rows of its characteristics, their names, and the rows of each draw of shuffled words.

    spare: one draw more, so that each draw can be asked as the bank is, against as many others (explain/by_chance.py).
    """

    names: Sequence[str]
    rows: Float[ndarray, "k d"]
    random: Sequence[Float[ndarray, "k d"]]
    spare: Float[ndarray, "k d"]


@dataclass(frozen=True)
class Match:
    """Of one characteristic (number k of its level) in one unit.

    cosine: mean over the unit's patches. sigma: its standing, in standard deviations, among all units of its kind.
    p_text: share of random texts (the bank's words, dealt anew) that match this unit as well; q_text: its rate
    of false discoveries over the bank. p_images: chance that any characteristic reaches as much in as many patches
    drawn from all. corrected: the larger of q_text and p_images, since a claim needs these words and these patches.
    q_units: the larger of the rates of false discoveries over all units asked, of p_text over units and characteristics
    and of p_images over units.
    """

    k: int
    cosine: float
    sigma: float
    p_text: float
    q_text: float
    p_images: float
    q_units: float

    @property
    def corrected(self) -> float:
        return max(self.q_text, self.p_images)

    @property
    def verdict(self) -> Verdict:
        return verdict(self.q_text, self.p_images)

    @property
    def kept(self) -> bool:
        """Whether it is shown however many stand before it."""
        return self.verdict != "no" or self.q_units <= PERHAPS


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


@dataclass(frozen=True, eq=False)
class Found:
    """Of u units and k characteristics: figures as of a Match."""

    sizes: Int64[ndarray, " u"]
    cosines: Float64[ndarray, "u k"]
    p_text: Float64[ndarray, "u k"]
    q_text: Float64[ndarray, "u k"]
    p_images: Float64[ndarray, "u k"]

    @classmethod
    def of(cls, gauge: Gauge, level: Level, numbers: Int64[ndarray, " u"], words: Wordings, null: DealtAnew) -> "Found":
        """Of these units (of patches: rows)."""
        sizes, vectors = sizes_of(gauge, level, numbers), _vectors(gauge, level, numbers)
        cosines = vectors @ words.rows.astype(np.float64).T
        chance = shuffled_words(vectors - gauge.mean, words.rows, words.random)
        return cls(sizes, cosines, chance.p, chance.q, null.p(cosines, sizes))

    def over_all_units(self, among: int) -> Float64[ndarray, "u k"]:
        """`q_units` of a Match; among: of how many units these were chosen."""
        p = self.p_text.reshape(1, -1)
        q_text = false_discoveries(p, among * self.p_text.shape[1]).reshape(self.p_text.shape)
        return np.maximum(q_text, false_units(self.p_images, among))


def explained(
    gauge: Gauge,
    level: Level,
    numbers: Int64[ndarray, " u"],
    words: Wordings,
    *,
    top: int,
    draws: int,
    seed: int,
    among: int | None = None,
) -> list[Explained]:
    """These units (of patches: rows), `top` matches each and what else stands out; draws: of patches dealt anew.

    among: of how many they were chosen, which q_units counts (None: they were not chosen). Raises ValueError where the
    dimensions differ.
    """
    if not len(numbers):
        return []
    null = dealt_anew(gauge, words.rows, sizes_of(gauge, level, numbers), draws, seed)
    found = Found.of(gauge, level, numbers, words, null)
    sigma = _standing(gauge, level, numbers, words, null, found.cosines)
    q_units = found.over_all_units(among or len(numbers))
    figures = np.stack([found.cosines, sigma, found.p_text, found.q_text, found.p_images, q_units], axis=1)
    return [
        Explained(level, int(number), int(found.sizes[u]), _best(figures[u], top)) for u, number in enumerate(numbers)
    ]


def sizes_of(gauge: Gauge, level: Level, numbers: Int64[ndarray, " u"]) -> Int64[ndarray, " u"]:
    """Patches of each of these units."""
    return np.ones(len(numbers), np.int64) if level is Level.PATCH else gauge.patches(level)[numbers]


def _vectors(gauge: Gauge, level: Level, numbers: Int64[ndarray, " u"]) -> Float64[ndarray, "u d"]:
    return gauge.z(numbers).astype(np.float64) if level is Level.PATCH else gauge.means(level)[numbers]


def outstanding_patches(
    gauge: Gauge, rows: Int64[ndarray, " r"], banks: Sequence[Float[ndarray, "k d"]], count: int
) -> list[Int64[ndarray, " c"]]:
    """For each bank, of these rows those whose best characteristic stands out most, one a slide where there are slides
    enough.
    """
    texts, each = np.concatenate(banks), len(banks)
    middle, spread = texts.astype(np.float64) @ gauge.mean, gauge.spread(texts)
    columns, shift = (texts / spread[:, None]).astype(np.float32).T, (middle / spread).astype(np.float32)
    best, size = np.empty((each, len(rows)), np.float32), max(1, min(BLOCK, _SCORES // len(texts)))
    for start in range(0, len(rows), size):
        scores = gauge.z(rows[start : start + size]) @ columns - shift
        best[:, start : start + size] = scores.reshape(len(scores), each, -1).max(axis=2).T
    return [_of_slides(gauge, rows[np.argsort(-of_bank, kind="stable")], count) for of_bank in best]


def _of_slides(gauge: Gauge, order: Int64[ndarray, " r"], count: int) -> Int64[ndarray, " c"]:
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


def _best(figures: Float64[ndarray, "6 k"], top: int) -> tuple[Match, ...]:
    """figures: as of a Match."""
    matches = [Match(k, *row) for k, row in enumerate(figures.T.tolist())]
    ordered = sorted(matches, key=lambda one: (one.corrected, one.p_text, -one.sigma))
    return tuple(one for place, one in enumerate(ordered) if place < top or one.kept)
