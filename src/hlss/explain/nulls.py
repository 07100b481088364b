"""How high characteristics score by chance: where patches are dealt anew, and where the words of their bank are.

Each is corrected for the number of characteristics looked at, by what its draws can bear:

- images: the largest of all characteristics (Westfall and Young's single-step max-T): the chance that *any* of the bank
  reaches what this one reached. Under pure noise it keeps the chance of one false characteristic in a unit at 5 %.
- words: the share of all random texts that reach it (p), and Benjamini and Hochberg's q over the bank. The largest
  would ask each to beat the best of as many random texts as the bank has, which hold the same words; in q several
  characteristics that say one thing (glands, tubules) support each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy import ndarray

from hlss.explain.gauge import ROUNDING, Gauge

CHANCE, PERHAPS = 0.05, 0.25
LARGEST = 128  # patches that are dealt to a unit; a larger one's mean is as good as normal
_AT_A_TIME, _SCORES = 64, 1 << 19  # units, and scores of dealt units, at a time


Verdict = Literal["yes", "perhaps", "no"]


def verdict(q_text: float, p_images: float) -> Verdict:
    """Whether a characteristic stands out: where images dealt anew explain it in 5 % at most, and of those that reach
    its q at most 5 % (yes) or 25 % (perhaps) are what random text does too.
    """
    if p_images > CHANCE or q_text > PERHAPS:
        return "no"
    return "yes" if q_text <= CHANCE else "perhaps"


@dataclass(frozen=True, eq=False)
class DealtAnew:
    """What the best of k characteristics reaches in a unit whose patches were drawn from all, in standard errors.

    largest: of each draw, for units of each of `sizes` patches (ascending; LARGEST for all above), sorted.
    """

    sizes: Int64[ndarray, " size"]
    largest: Float64[ndarray, "size draws"]
    middle: Float64[ndarray, " k"]
    spread: Float64[ndarray, " k"]
    n: int

    def reached(self, cosines: Float64[ndarray, "u k"], sizes: Int64[ndarray, " u"]) -> Float64[ndarray, "u k"]:
        """Distance of units' mean cosines from that of all patches, in standard errors of a mean of so many patches
        drawn without replacement; −∞ for a unit of all patches, which has nothing to stand out from.
        """
        error = _standard_error(self.spread, sizes, self.n)
        away = cosines - self.middle
        return np.divide(away, error, out=np.full_like(away, -np.inf), where=error > 0)

    def p(self, cosines: Float64[ndarray, "u k"], sizes: Int64[ndarray, " u"]) -> Float64[ndarray, "u k"]:
        """(1 + draws whose largest is at least as large) / (1 + draws); sizes: among those that were dealt."""
        reached = self.reached(cosines, sizes)
        rows = np.searchsorted(self.sizes, np.minimum(sizes, self.sizes[-1]))
        return np.stack([_share(self.largest[row], values) for row, values in zip(rows, reached, strict=True)])


def dealt_anew(
    gauge: Gauge, texts: Float[ndarray, "k d"], sizes: Int64[ndarray, " u"], draws: int, seed: int
) -> DealtAnew:
    """For units of these numbers of patches. Time O(draws · d · (LARGEST + k · distinct sizes)), whatever the table's
    length.
    """
    (found,) = dealt_anew_each(gauge, [texts], sizes, draws, seed)
    return found


def dealt_anew_each(
    gauge: Gauge, banks: Sequence[Float[ndarray, "k d"]], sizes: Int64[ndarray, " u"], draws: int, seed: int
) -> list[DealtAnew]:
    """The same for several banks, of as many texts each, from the same draws of patches."""
    texts, count, n = np.concatenate(banks), len(banks), len(gauge)
    middle, spread = texts.astype(np.float64) @ gauge.mean, gauge.spread(texts)
    dealt = np.unique(np.minimum(sizes, min(LARGEST, max(n - 1, 1))))
    error = _standard_error(spread, dealt, n)
    rng, columns = np.random.default_rng(seed), np.ascontiguousarray(texts.astype(np.float64).T)
    largest = np.empty((count, len(dealt), draws))
    step = max(1, _SCORES // (len(dealt) * len(texts)))
    for start in range(0, draws, step):
        means = [_means_dealt(gauge, dealt, rng) for _ in range(start, min(start + step, draws))]
        away = (np.concatenate(means) @ columns).reshape(len(means), len(dealt), -1)
        reached = np.divide(away, error, out=np.zeros_like(away), where=error > 0)
        best = reached.reshape(len(means), len(dealt), count, -1).max(axis=3)
        largest[:, :, start : start + step] = best.transpose(2, 1, 0)
    largest.sort(axis=2)
    parts = zip(largest, np.split(middle, count), np.split(spread, count), strict=True)
    return [DealtAnew(dealt, of_bank, its_middle, its_spread, n) for of_bank, its_middle, its_spread in parts]


def _means_dealt(gauge: Gauge, dealt: Int64[ndarray, " size"], rng: np.random.Generator) -> Float64[ndarray, "size d"]:
    """Of the first so many of one draw of patches, mean z less that of all."""
    z = gauge.z(rng.choice(len(gauge), dealt[-1], replace=False))
    found: Float64[ndarray, "size d"] = np.cumsum(z, axis=0, dtype=np.float64)[dealt - 1] / dealt[:, None] - gauge.mean
    return found


class Chance(NamedTuple):
    """p of each unit and characteristic, and its q over the characteristics of the unit."""

    p: Float64[ndarray, "u k"]
    q: Float64[ndarray, "u k"]


def shuffled_words(
    away: Float64[ndarray, "u d"],
    texts: Float[ndarray, "k d"],
    random: Sequence[Float[ndarray, "k d"]],
    both_ends: bool = False,
) -> Chance:
    """Each unit and characteristic against the texts of the same bank with its words dealt anew, of all draws.

    p: (1 + random texts that match the unit as well) / (1 + random texts). away: unit vectors less the mean of all.
    A match is the product with the text's own direction (`own_directions`): asked is whether it is *these* words, not
    whether words in general lie near. It is not divided by its spread over units, as σ is: in features of few
    directions every text with a share in one would stand out alike. both_ends: of absolute values.
    """
    real, dealt = own_directions(texts), np.concatenate([own_directions(rows) for rows in random])
    p = np.empty((len(away), len(real)))
    for start in range(0, len(away), _AT_A_TIME):
        here = away[start : start + _AT_A_TIME]
        scores, chance = (np.abs(here @ rows.T) if both_ends else here @ rows.T for rows in (real, dealt))
        p[start : start + len(here)] = [share(of_unit, values) for of_unit, values in zip(chance, scores, strict=True)]
    return Chance(p, false_discoveries(p))


def own_directions(texts: Float[ndarray, "k d"]) -> Float64[ndarray, "k d"]:
    """Texts less their mean, at length 1: what each says and the others do not.

    Shuffled words leave texts that are all alike, so that real ones reach farther in any direction: as they are, two in
    five directions without meaning would pass at 5 % (benchmarks/explain_nulls.py). A text that says what all say has
    length 0.
    """
    rows = texts.astype(np.float64)
    rows -= rows.mean(axis=0)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Float64[ndarray, "k d"] = np.where(lengths > ROUNDING, rows / np.maximum(lengths, ROUNDING), 0)
    return found


def false_discoveries(p: Float64[ndarray, "u k"], tests: int | None = None) -> Float64[ndarray, "u k"]:
    """Benjamini and Hochberg's q of each row: the rate of false ones among all that have a q as small.

    tests: how many were asked for each row, where those that are not given count as never passing.
    """
    order = np.argsort(p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1) * (tests or p.shape[1]) / np.arange(1, p.shape[1] + 1)
    least = np.minimum.accumulate(ranked[:, ::-1], axis=1)[:, ::-1]
    result = np.empty_like(p)
    np.put_along_axis(result, order, np.minimum(least, 1), axis=1)
    return result


def false_units(p: Float64[ndarray, "u k"], units: int | None = None) -> Float64[ndarray, "u k"]:
    """The rate of false units among those in which any characteristic has a p as small; p: corrected within each unit.

    Benjamini and Hochberg over the units' smallest p, and within a unit that passes at the level that it passed at
    (Benjamini and Bogomolov). units: how many were asked, where those that are not given count as never passing.
    """
    best = np.sort(p.min(axis=1))
    steps = best * (units or len(p)) / np.arange(1, len(best) + 1)
    least = np.append(np.minimum.accumulate(steps[::-1])[::-1], np.inf)
    up_to = np.searchsorted(best, p, side="right")
    own = np.divide(p * (units or len(p)), up_to, out=np.ones_like(p), where=up_to > 0)
    found: Float64[ndarray, "u k"] = np.minimum(np.minimum(own, least[up_to]), 1)
    return found


def share(largest: Float64[ndarray, " draws"], values: Float64[ndarray, " k"]) -> Float64[ndarray, " k"]:
    """(1 + draws at least as large as each value) / (1 + draws); values a rounding apart are equal."""
    return _share(np.sort(largest), values)


def _share(ordered: Float64[ndarray, " draws"], values: Float64[ndarray, " k"]) -> Float64[ndarray, " k"]:
    at_least = len(ordered) - np.searchsorted(ordered, values - 1e-5 * np.abs(values), side="left")
    found: Float64[ndarray, " k"] = (1 + at_least) / (1 + len(ordered))
    return found


def _standard_error(spread: Float64[ndarray, " k"], sizes: Int64[ndarray, " u"], n: int) -> Float64[ndarray, "u k"]:
    """Of the mean of so many of n patches, drawn without replacement."""
    shares = np.sqrt(np.maximum(n - sizes, 0) / max(n - 1, 1) / sizes)
    found: Float64[ndarray, "u k"] = shares[:, None] * spread
    return found
